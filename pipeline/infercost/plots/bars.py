"""One quantity per category as bars, split by a series, with intervals where there are any."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import (
    as_text,
    by_panel,
    chosen_table,
    colours,
    columns_of,
    series_names,
)


@figure
def bars(
    data: FigureData,
    y: str,
    x: str,
    series: str | None = None,
    low: str | None = None,
    high: str | None = None,
    panel: str | None = None,
    table: str | None = None,
    title: str | None = None,
    subtitle: str = "",
    x_title: str | None = None,
    series_title: str | None = None,
    form: str = ",.3~r",
    log: bool = False,
    columns: int = 3,
) -> Figure:
    """A bar of length `x` per value of `y` and `series`; on a logarithmic axis a point.

    `low` and `high` are columns with the ends of an interval, drawn as a line.
    """
    roles = {"y": y, "x": x, "series": series, "panel": panel, "low": low, "high": high}
    shown = columns_of(data, "bars", chosen_table(data, "bars", table), roles)
    if series is None:
        shown["series"] = ""
    names = series_names(data, "bars", series or "", shown["series"])
    shown["series"] = [as_text(value) for value in shown["series"]]
    shown["y"] = [as_text(value) for value in shown["y"]]
    ordered = list(dict.fromkeys(shown["y"]))
    scale = alt.Scale(type="log") if log else alt.Scale()
    axis = alt.Axis(title=x_title or x, format=form)

    def drawn(rows: pd.DataFrame) -> ChartType:
        base = alt.Chart(rows[[c for c in rows if c != "panel"]]).encode(
            y=alt.Y("y:N", sort=ordered, axis=alt.Axis(title=None)),
            yOffset=alt.YOffset("series:N", sort=names),
        )
        colour = colours(names, series_title or series or "") if series else alt.value("#332288")
        marks = base.mark_point(filled=True, size=60) if log else base.mark_bar()
        chart: ChartType = marks.encode(x=alt.X("x:Q", scale=scale, axis=axis), color=colour)
        if low and high:
            chart = chart + base.mark_rule(strokeWidth=1.5, color="#222222").encode(
                x=alt.X("low:Q", scale=scale), x2="high:Q"
            )
        height = max(18 * len(ordered) * max(len(names), 1), 60)
        sized: ChartType = chart.properties(width=520 if panel is None else 230, height=height)
        return sized

    return Figure(
        chart=by_panel(shown, "", columns, drawn),
        table=shown.rename(columns={role: name for role, name in roles.items() if name}),
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            f"{x_title or x} for each {y}"
            + (f", a colour per {series_title or series}" if series else "")
            + (". Lines are 80 % intervals over the draws." if low else ".")
        ),
    )
