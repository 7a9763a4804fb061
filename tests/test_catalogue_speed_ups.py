"""Every measured speed-up of the catalogue of mitigations, and whether the model meets it.

`data/reference/catalogue_speed_ups.csv` has one row for each: what was stated (`low` to `high`),
the rows, formula or cases that predict it (`of`), what they say (written by `tests/speed_ups.py`),
and the verdict: `met` within 15 %; `fit`, a number was taken from this very row; `within`, a range
is stated, or left open, and prediction and statement are at most 15 % apart; `missed` by more;
`open`, where the source leaves out what a prediction needs. `why` says what stands behind it.
"""

from __future__ import annotations

import pytest

from speed_ups import CATALOGUE, SOFTWARE, Row, gap, predictions, table

ROWS = table(CATALOGUE)
COMPARED = [row for row in ROWS if row["verdict"] != "open"]


def name(row: Row) -> str:
    return "-".join(row[key] for key in ("variant", "setting", "low"))


@pytest.mark.parametrize("row", COMPARED, ids=name)
def test_a_speed_up_of_the_catalogue_has_the_verdict_that_it_deserves(row: Row) -> None:
    found = predictions(row)
    assert (abs(gap(row, found)) < 0.15) == (row["verdict"] != "missed"), found
    ranges = row["low"] != row["high"] or len(found) > 1
    assert (row["verdict"] == "within") <= ranges
    assert (row["verdict"] == "met") <= (not ranges)


@pytest.mark.parametrize("row", COMPARED, ids=name)
def test_what_the_table_says_was_predicted_is_predicted_now(row: Row) -> None:
    """Else write it anew: python tests/speed_ups.py."""
    found = predictions(row)
    assert float(row["predicted_low"]) == pytest.approx(min(found), abs=0.011)
    assert float(row["predicted_high"]) == pytest.approx(max(found), abs=0.011)
    assert float(row["error"]) == pytest.approx(gap(row, found), abs=0.002)


def test_all_are_counted() -> None:
    """61: 19 met or fitted or within, 2 missed, 40 open."""
    counts = {v: sum(row["verdict"] == v for row in ROWS) for v in ("met", "fit", "within")}
    assert counts == {"met": 15, "fit": 2, "within": 2}
    assert (len(ROWS), sum(row["verdict"] == "missed" for row in ROWS)) == (61, 2)


def test_what_is_missed_fitted_or_open_says_why() -> None:
    assert all(row["why"] for row in ROWS if row["verdict"] in ("missed", "fit", "within", "open"))


def test_other_software_is_told_as_in_its_own_table() -> None:
    said = {row["id"]: row["open"] or row["missed"] for row in SOFTWARE}
    for row in (row for row in ROWS if row["of"] in said):
        assert row["why"] == said[row["of"]], row["of"]
