"""One quantity against another, a line per value of a third."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import (
    as_text,
    by_panel,
    chosen_table,
    colours,
    columns_of,
    lines_over,
    series_names,
)


@figure
def lines(
    data: FigureData,
    x: str,
    y: str,
    series: str,
    panel: str | None = None,
    label: str | None = None,
    table: str | None = None,
    title: str | None = None,
    subtitle: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    series_title: str | None = None,
    panel_title: str = "",
    columns: int = 3,
) -> Figure:
    """`y` over `x` on logarithmic axes, a line per value of `series`, a panel per one of `panel`;
    with `label` points are not joined, and its text stands above those of the first series.

    Columns are those of the aggregate `table`, or of the rows without one.
    """
    roles = {"x": x, "y": y, "series": series, "panel": panel, "label": label}
    shown = columns_of(data, "lines", chosen_table(data, "lines", table), roles)
    names = series_names(data, "lines", series, shown["series"])
    shown["series"] = [as_text(value) for value in shown["series"]]
    shown = shown[(shown["x"] > 0) & (shown["y"] > 0)]
    width = 620 if panel is None else 250
    horizontal = LogAxis.over(shown["x"], width, x_title or f"{x} (log scale)")
    vertical = LogAxis.over(shown["y"], 260, y_title or f"{y} (log scale)")
    colour = colours(names, series_title or series)

    def drawn(rows: pd.DataFrame) -> ChartType:
        ends = horizontal.x("x"), vertical.y("y")
        chart = lines_over(rows, *ends, colour, (width, 260), joined=label is None)
        return chart if label is None else alt.layer(chart, texts(rows))

    def texts(rows: pd.DataFrame) -> ChartType:
        first = rows[rows["series"] == names[0]][["x", "y", "label"]]
        base = alt.Chart(first).mark_text(dy=-9, fontSize=9, color="#444444")
        named: ChartType = base.encode(x=horizontal.x("x"), y=vertical.y("y"), text="label:N")
        return named

    panels = by_panel(shown, panel_title, columns, drawn)
    return Figure(
        chart=panels,
        table=shown.rename(columns={role: name for role, name in roles.items() if name}),
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            f"{y_title or y} against {x_title or x}, {'a line' if label is None else 'points'} "
            f"for each value of {series_title or series}. Points that are infeasible are left out."
        ),
    )
