"""Measured speed-ups of software other than drafts, and of other anatomies, against the model.

`data/reference/software_speed_ups.csv` lists those that sources state, with what each leaves open.
A stated row is evaluated as it says under the default calibration, without and with the mitigation:
time of a decode step (`step`), or of its reads of the cache (`kv`), where the source speaks of
attention alone. Nothing is fitted to any of them. Speculative decoding has a table of its own
(tests/test_speculation.py).
"""

from __future__ import annotations

import pytest
import yaml

from infercost.paths import CONF
from speed_ups import SOFTWARE, Row, of_software

STATED = [row for row in SOFTWARE if not row["open"]]


@pytest.mark.parametrize("row", STATED, ids=lambda row: row["id"])
def test_a_stated_speed_up_is_met_within_15_percent_or_said_why_not(row: Row) -> None:
    error = of_software(row) / float(row["measured"]) - 1
    assert (abs(error) < 0.15) == (row["missed"] == ""), f"{error:.0%}"


def test_what_is_open_is_said() -> None:
    assert (len(STATED), len(SOFTWARE) - len(STATED)) == (15, 37)
    assert sum(row["missed"] == "" for row in STATED) == 13
    assert all(row["base"] == row["missed"] == "" for row in SOFTWARE if row["open"])


def test_sources_are_known() -> None:
    keys = set(yaml.safe_load((CONF / "sources.yaml").read_text()))
    assert {row["source"].partition(",")[0] for row in SOFTWARE} <= keys


def test_times_that_were_printed_give_the_ratio() -> None:
    """Of TinyChat both times stand in the setting, in ms."""
    for row in (row for row in STATED if " ms a token" in row["setting"]):
        words = row["setting"].split(": ")[1].split()
        assert float(words[0]) / float(words[2]) == pytest.approx(float(row["measured"]), abs=1e-3)
