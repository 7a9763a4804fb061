"""Measured speed-ups of software other than drafts, and of other anatomies, against the model.

`data/reference/software_speed_ups.csv` lists those that sources state, with what each leaves open.
A stated row is evaluated as it says under the default calibration, without and with the mitigation:
time of a decode step (`step`), or of its reads of the cache (`kv`), where the source speaks of
attention alone. Nothing is fitted to any of them. Speculative decoding has a table of its own
(tests/test_speculation.py).
"""

from __future__ import annotations

import csv

import pytest
import yaml

from infercost.cost import Evaluation
from infercost.paths import CONF, ROOT
from probes import number, point

with (ROOT / "data" / "reference" / "software_speed_ups.csv").open() as file:
    ROWS = list(csv.DictReader(file))
STATED = [row for row in ROWS if not row["open"]]


def taken(evaluation: Evaluation, what: str) -> float:
    """Time of a step, or of what it reads of the cache."""
    assert number(evaluation.broken) == 0
    return number(evaluation.step_time if what == "step" else evaluation.decode.time["kv"])


def predicted(row: dict[str, str]) -> float:
    """Time without the mitigation over that with it."""
    base, software = (
        tuple(override.replace("GB/s", " GB/s") for override in row[key].split())
        for key in ("base", "mitigation")
    )
    changed = {override.split("=")[0] for override in software}
    kept = tuple(override for override in base if override.split("=")[0] not in changed)
    alone = point("plan=base", *base)
    return taken(alone, row["of"]) / taken(point("plan=base", *kept, *software), row["of"])


@pytest.mark.parametrize("row", STATED, ids=lambda row: row["id"])
def test_a_stated_speed_up_is_met_within_15_percent_or_said_why_not(row: dict[str, str]) -> None:
    error = predicted(row) / float(row["measured"]) - 1
    assert (abs(error) < 0.15) == (row["missed"] == ""), f"{error:.0%}"


def test_what_is_open_is_said() -> None:
    assert (len(STATED), len(ROWS) - len(STATED)) == (15, 37)
    assert sum(row["missed"] == "" for row in STATED) == 13
    assert all(row["base"] == row["missed"] == "" for row in ROWS if row["open"])


def test_sources_are_known() -> None:
    keys = set(yaml.safe_load((CONF / "sources.yaml").read_text()))
    assert {row["source"].partition(",")[0] for row in ROWS} <= keys


def test_times_that_were_printed_give_the_ratio() -> None:
    """Of TinyChat both times stand in the setting, in ms."""
    for row in (row for row in STATED if " ms a token" in row["setting"]):
        words = row["setting"].split(": ")[1].split()
        assert float(words[0]) / float(words[2]) == pytest.approx(float(row["measured"]), abs=1e-3)
