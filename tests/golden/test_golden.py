"""Golden points stay where they are, or a commit says why they move."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from pandas.api.types import is_float_dtype, is_integer_dtype

from infercost.options.question import option_names
from infercost.paths import CONF

sys.path.insert(0, str(Path(__file__).parent))

from points import DIRECTIONS, MITIGATIONS, REPLAYS, TABLES, TRENDS, file_of

POINTS = {
    "direction": DIRECTIONS,
    "mitigation": MITIGATIONS,
    "trend": TRENDS,
    "serving": REPLAYS,
}


@pytest.mark.parametrize("name", TABLES)
def test_golden_points_have_not_moved(name: str) -> None:
    kept, now = pd.read_csv(file_of(name)), TABLES[name]()
    assert list(kept.columns) == list(now.columns)
    assert list(kept["point"]) == list(now["point"])
    for column in kept.columns:
        if is_float_dtype(kept[column]) or is_integer_dtype(kept[column]):
            known = pytest.approx(list(kept[column]), rel=1e-5, nan_ok=True)
            assert list(now[column].astype(float)) == known, column
        else:
            assert list(kept[column].astype(str)) == list(now[column].astype(str)), column


@pytest.mark.parametrize("group", POINTS)
def test_every_option_has_a_golden_point(group: str) -> None:
    words = " ".join(POINTS[group])
    taken = re.findall(rf"\+?{group}=\[?([^\s\]]+)", words)
    named = {name.partition("@")[0] for option in taken for name in re.split("[+,]", option)}
    assert set(option_names((CONF,), group)) <= named
