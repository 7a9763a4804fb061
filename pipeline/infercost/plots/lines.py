"""One quantity against another, a line per value of a third."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import (
    MOST,
    as_text,
    by_panel,
    chosen_table,
    colours,
    columns_of,
    in_order,
)


@figure
def lines(
    data: FigureData,
    x: str,
    y: str,
    series: str,
    panel: str | None = None,
    table: str | None = None,
    title: str | None = None,
    subtitle: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    series_title: str | None = None,
    panel_title: str = "",
    columns: int = 3,
) -> Figure:
    """`y` over `x` on logarithmic axes, a line per value of `series`, a panel per one of `panel`.

    Columns are those of the aggregate `table`, or of the rows without one.
    """
    roles = {"x": x, "y": y, "series": series, "panel": panel}
    shown = columns_of(data, "lines", chosen_table(data, "lines", table), roles)
    names = [as_text(value) for value in in_order(shown["series"])]
    if len(names) > MOST:
        fault = f"'{series}' has {len(names)} values, and a figure {MOST} colours"
        raise data.fault("lines.series", fault, "Choose some by 'where'")
    shown["series"] = [as_text(value) for value in shown["series"]]
    shown = shown[(shown["x"] > 0) & (shown["y"] > 0)]
    width = 620 if panel is None else 250
    horizontal = LogAxis.over(shown["x"], width, x_title or f"{x} (log scale)")
    vertical = LogAxis.over(shown["y"], 260, y_title or f"{y} (log scale)")
    colour = colours(names, series_title or series)

    def drawn(rows: pd.DataFrame) -> ChartType:
        base = alt.Chart(rows[["x", "y", "series"]].sort_values(["series", "x"], kind="stable"))
        marks = base.mark_line(point=alt.OverlayMarkDef(size=22), clip=True).encode(
            x=horizontal.x("x"), y=vertical.y("y"), color=colour
        )
        chart: ChartType = marks.properties(width=width, height=260)
        return chart

    panels = by_panel(shown, panel_title, columns, drawn)
    return Figure(
        chart=panels,
        table=shown.rename(columns={role: name for role, name in roles.items() if name}),
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            f"{y_title or y} against {x_title or x}, a line for each value of "
            f"{series_title or series}. Points that are infeasible are left out."
        ),
    )
