"""Lines, heat maps and contours: drawn from small invented tables; every number is invented."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from infercost.errors import SpecError
from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, draw, save
from infercost.plots.contours import crossings
from infercost.plots.panels import as_text, in_order

ROWS = pd.DataFrame(
    [
        {
            "model": model,
            "alpha": alpha,
            "tp": tp,
            "rate": 1000 * tp / (1 + alpha * tp),
            "share": 0.5,
        }
        for model in ("small", "large")
        for alpha in (0.1, 1.0, 10.0)
        for tp in (1, 2, 4, 8)
    ]
)
ROLES: dict[str, dict[str, Any]] = {
    "lines": {"x": "tp", "y": "rate", "series": "alpha", "panel": "model"},
    "heat-map": {"x": "tp", "y": "alpha", "value": "rate", "panel": "model", "log": True},
    "contours": {"x": "alpha", "y": "tp", "value": "rate", "levels": [600, 900], "panel": "model"},
}


def data(rows: pd.DataFrame = ROWS, **options: Any) -> FigureData:
    return FigureData("tiny", "How fast?", "v-0123", rows, {"kept": rows.head(12)}, options)


@pytest.mark.parametrize("name", ROLES)
def test_a_figure_over_axes_is_drawn_and_saved(name: str, tmp_path: Path) -> None:
    """As picture and table, with the study's question where it has no title of its own."""
    drawn = draw(name, data(**ROLES[name]))
    assert isinstance(drawn, Figure)
    assert drawn.title == "How fast?"
    save(drawn, tmp_path / name)
    assert (tmp_path / f"{name}.png").stat().st_size > 1000
    kept = pd.read_csv(tmp_path / f"{name}.csv")
    shown = [column for column in ROLES[name].values() if isinstance(column, str)]
    assert set(shown) <= set(kept.columns)
    assert "v-0123" in json.dumps(drawn.chart.to_dict(), ensure_ascii=False)


def test_one_panel_alone_needs_no_column() -> None:
    only = {role: value for role, value in ROLES["lines"].items() if role != "panel"}
    drawn = draw("lines", data(ROWS[ROWS["model"] == "small"], **only))
    assert len(drawn.table) == 12


def test_a_figure_reads_the_aggregate_it_is_told() -> None:
    drawn = draw("lines", data(**ROLES["lines"], table="kept"))
    assert len(drawn.table) == 12


def test_where_keeps_rows_of_the_aggregate_too() -> None:
    drawn = draw("lines", data(**ROLES["lines"], table="kept", where={"alpha": [0.1, 1.0]}))
    assert sorted(set(drawn.table["alpha"])) == ["0.1", "1"]


@pytest.mark.parametrize("name", ["lines", "heat-map"])
def test_infeasible_points_are_left_out(name: str) -> None:
    holes = ROWS.assign(rate=ROWS["rate"].where(ROWS["tp"] < 8))
    drawn = draw(name, data(holes, **ROLES[name]))
    assert drawn.table["tp"].max() == 4


def texts_of(figure: Figure) -> set[str]:
    """Texts of all data of a chart."""
    sets = figure.chart.to_dict()["datasets"].values()
    return {str(row["label"]) for rows in sets for row in rows if "label" in row}


@pytest.mark.parametrize("none", ["", None])
def test_the_text_of_a_mark_stands_in_its_cell(none: str | None) -> None:
    """Where it has none the cell stays: an empty text comes back from CSV as a missing value."""
    marked = ROWS.assign(paper=["x" if tp == 8 else none for tp in ROWS["tp"]])
    drawn = draw("heat-map", data(marked, **ROLES["heat-map"], mark="paper"))
    assert "4,444  x" in texts_of(drawn)  # 8000 / 1.8
    assert "909" in texts_of(drawn)  # 1000 / 1.1


def test_points_of_the_first_series_are_named_and_joined_to_no_other() -> None:
    named = ROWS.assign(
        called=[f"{alpha:g} at {tp}" for alpha, tp in zip(ROWS.alpha, ROWS.tp, strict=True)]
    )
    drawn = draw("lines", data(named, **ROLES["lines"], label="called"))
    assert texts_of(drawn) == {"0.1 at 1", "0.1 at 2", "0.1 at 4", "0.1 at 8"}
    assert '"type": "line"' not in json.dumps(drawn.chart.to_dict())


def test_columns_are_as_wide_as_their_labels() -> None:
    """A cell is 52 pixels wide at least; 'a long name of it' has 17 letters of 5.6 and 8 around."""
    long = ROWS.assign(tp=[f"a long name of {tp}t" for tp in ROWS["tp"]])
    for rows, wide in ((ROWS, 52), (long, round(17 * 5.6 + 8))):
        text = json.dumps(draw("heat-map", data(rows, **ROLES["heat-map"])).chart.to_dict())
        assert f'"width": {{"step": {wide:g}}}' in text


def test_gains_and_losses_have_two_colours() -> None:
    """From -9 to 9 where values reach from -3 to 9, so that 0 is the middle of the scale."""
    both = ROWS.assign(rate=[-3.0, 9.0, 0.0] * 8)
    chart = draw("heat-map", data(both, **{**ROLES["heat-map"], "log": False})).chart.to_dict()
    assert '"domain": [-9.0, 9.0], "scheme": "redblue"' in json.dumps(chart)


def test_a_short_axis_has_round_steps() -> None:
    """From 49 to 71.5 no power of ten lies, nor 2 nor 5 of one but 50."""
    ticks = LogAxis.over([49.1, 71.5], 260, None).ticks()
    assert ticks == [50.0, 60.0, 70.0, 80.0]
    assert LogAxis.over([0.2, 30], 260, None).ticks() == [0.2, 0.5, 1, 2, 5, 10, 20]


def test_contours_by_hand() -> None:
    """y² reaches 30 between 4 and 8: at √30 on logarithmic scales, whatever the grid."""
    found = pd.DataFrame({"x": 1.0, "y": [1.0, 2.0, 4.0, 8.0], "value": [1.0, 4.0, 16.0, 64.0]})
    (row,) = crossings(found, [30.0]).to_dict("records")
    assert row["y"] == pytest.approx(math.sqrt(30))
    assert crossings(found, [100.0]).empty


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("lines", {"x": "tpp"}, "no column is named 'tpp'. Did you mean 'tp'?"),
        ("lines", {"table": "kep"}, "no aggregate 'kep'. Did you mean 'kept'?"),
        ("lines", {"series": "rate"}, "'rate' has 12 values, and a figure 6 colours"),
        ("heat-map", {"panel": None}, "several rows fall in one cell"),
        ("contours", {"levels": [1e9]}, "no contour crosses the study's grid"),
        ("contours", {"levels": list(range(7))}, "7 levels, and a figure has 6 colours"),
        ("lines", {"where": {"tpp": 1}}, "no column is named 'tpp'"),
    ],
)
def test_a_figure_that_cannot_be_drawn_says_why(
    name: str, change: dict[str, Any], fault: str
) -> None:
    with pytest.raises(SpecError, match="figures") as raised:
        draw(name, data(**{**ROLES[name], **change}))
    assert fault in str(raised.value)


def test_labels_of_numbers() -> None:
    assert [as_text(v) for v in (0.05, 1.125, 20.0, 1234.5, "a", True)] == [
        "0.05",
        "1.12",
        "20",
        "1,234",
        "a",
        "True",
    ]
    assert in_order(pd.Series([2.0, 1.0, 2.0])) == [1.0, 2.0]
    assert in_order(pd.Series(["b", "a"])) == ["b", "a"]
