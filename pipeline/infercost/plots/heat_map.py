"""One quantity over two others, as coloured cells with their numbers."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import as_text, by_panel, chosen_table, columns_of, in_order

CELL = (52, 24)
LETTER = 5.6
"""Pixels of a letter of a label, so that labels below columns do not meet."""
DARK = 0.55
"""Share of the colour scale beyond which text is white."""


@figure
def heat_map(
    data: FigureData,
    x: str,
    y: str,
    value: str,
    panel: str | None = None,
    mark: str | None = None,
    table: str | None = None,
    title: str | None = None,
    subtitle: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    value_title: str | None = None,
    panel_title: str = "",
    log: bool = False,
    percent: bool = False,
    columns: int = 2,
) -> Figure:
    """`value` in a cell for each pair of `x` and `y`, a panel per value of `panel`; the text of
    `mark` stands behind it.

    Columns are those of the aggregate `table`, or of the rows without one. `log` colours by
    ratios, `percent` writes shares. Gains and losses have two colours that meet at 0.
    """
    roles = {"x": x, "y": y, "value": value, "panel": panel, "mark": mark}
    found = columns_of(data, "heat-map", chosen_table(data, "heat-map", table), roles)
    keys = [role for role in ("panel", "x", "y") if role in found]
    if found.duplicated(keys).any():
        raise data.fault("heat-map", "several rows fall in one cell", "Choose some by 'where'")
    orders = {axis: [as_text(v) for v in in_order(found[axis])] for axis in ("x", "y")}
    ends = _ends(found["value"], log)
    scale = alt.Scale(
        type="log" if log else "linear",
        scheme="redblue" if ends[0] < 0 else "blues",
        domain=list(ends),
    )
    longest = max(map(len, [*orders["x"], *_labels(found, percent)]))
    wide = max(CELL[0], round(LETTER * longest + 8))
    colour = alt.Color(
        "value:Q",
        scale=scale,
        legend=alt.Legend(
            title=value_title or value, orient="top", format=".0%" if percent else "~s"
        ),
    )
    shown = found.assign(
        x=found["x"].map(as_text),
        y=found["y"].map(as_text),
        label=_labels(found, percent),
        ink=_ink(found["value"], ends, log),
    )

    def drawn(rows: pd.DataFrame) -> ChartType:
        base = alt.Chart(rows[["x", "y", "value", "label", "ink"]]).encode(
            x=alt.X("x:N", sort=orders["x"], axis=_axis(x_title or x)),
            y=alt.Y("y:N", sort=orders["y"][::-1], axis=_axis(y_title or y)),
        )
        cells = base.mark_rect(stroke="white", strokeWidth=1.5).encode(color=colour)
        # A colour without a scale would meet the cells' scale where panels are joined.
        texts = [
            base.transform_filter(f"datum.ink == '{ink}'")
            .mark_text(fontSize=10, color=ink)
            .encode(text="label:N")
            for ink in ("black", "white")
        ]
        return alt.layer(cells, *texts).properties(width=alt.Step(wide), height=alt.Step(CELL[1]))

    return Figure(
        chart=by_panel(shown, panel_title, columns, drawn),
        table=found.rename(columns={role: name for role, name in roles.items() if name}),
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            f"Each cell is {value_title or value} at one pair of {x_title or x} and "
            f"{y_title or y}; empty cells are infeasible."
        ),
    )


def _labels(found: pd.DataFrame, percent: bool) -> list[str]:
    numbers = [f"{v:.0%}" if percent else as_text(v) for v in found["value"]]
    marks = found["mark"] if "mark" in found else [""] * len(numbers)
    return [f"{number}  {mark}".strip() for number, mark in zip(numbers, marks, strict=True)]


def _axis(title: str) -> alt.Axis:
    return alt.Axis(title=title, labelAngle=0, domain=False, ticks=False)


def _ends(values: pd.Series[float], log: bool) -> tuple[float, float]:
    """Ends of the colour scale: those of the values, or as far below 0 as above where both are."""
    low, high = float(values.min()), float(values.max())
    if log or low >= 0 or high <= 0:
        return low, high
    most = max(-low, high)
    return -most, most


def _ink(values: pd.Series[float], ends: tuple[float, float], log: bool) -> list[str]:
    """Black on light cells, white on dark ones."""
    low, high = ends

    def dark(value: float) -> bool:
        if low == high:
            return False
        if log:
            return bool((value / low) > (high / low) ** DARK)
        if low == -high:
            return abs(value) / high > DARK
        return (value - low) / (high - low) > DARK

    return ["white" if dark(value) else "black" for value in values]
