"""Golden points stay where they are, or a commit says why they move."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from points import COLUMNS, FILE, golden


def test_golden_points_have_not_moved() -> None:
    kept, now = pd.read_csv(FILE), golden()
    assert list(kept["point"]) == list(now["point"])
    for column in COLUMNS:
        if now[column].dtype == object or column in ("feasible", "bound"):
            assert list(kept[column].astype(str)) == list(now[column].astype(str)), column
        else:
            assert list(now[column]) == pytest.approx(list(kept[column]), rel=1e-5), column
