"""How often 80 % intervals hold, by class."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.examined import CLASSES, classes, ordered, predicted_rows

AIM, LEAST, MOST = 0.8, 0.75, 0.85


@figure
def interval_coverage(data: FigureData) -> Figure:
    """Share of stated values inside the interval, a dot per class."""
    rows = predicted_rows(data, "interval-coverage")
    examined = bool(rows["error_out_of_block"].notna().any())
    column = "inside_out_of_block" if examined else "inside"
    groups = classes(rows).groupby(["by", "label"], sort=False)[column]
    table = groups.agg(coverage="mean", rows="count").reset_index()
    total = float(rows[column].mean())
    panels = [
        _panel(table[table["by"] == by], by, ordered(table, by, "coverage"))
        for by in CLASSES.values()
    ]
    seen = "the row's block left out" if examined else "the fit had seen the row"
    return Figure(
        chart=alt.vconcat(*panels, spacing=18),
        table=table,
        title="Do four in five measurements lie in their 80 % interval?",
        subtitle=f"{total:.0%} of all {len(rows)} do; {seen}. Line: 80 %; band: 75 to 85 %; "
        "size: rows",
        caption=(
            "Share of published measurements that lie in the interval around their prediction, "
            "where neither prediction nor interval had seen the row's block. Below the band a "
            "class is predicted less surely than its interval says. Small classes scatter."
        ),
    )


def _panel(table: pd.DataFrame, by: str, order: list[str]) -> ChartType:
    x = alt.X(
        "coverage:Q",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(title="share of rows inside their interval", format=".0%"),
    )
    y = alt.Y("label:N", sort=order, axis=alt.Axis(title=by, ticks=False, grid=True))
    dots = (
        alt.Chart(table)
        .mark_circle(color="#4477AA", opacity=1)
        .encode(
            x=x,
            y=y,
            size=alt.Size(
                "rows:Q",
                scale=alt.Scale(type="sqrt", range=[20, 220]),
                legend=alt.Legend(title="rows"),
            ),
        )
    )
    band = (
        alt.Chart(pd.DataFrame({"from": [LEAST], "to": [MOST]}))
        .mark_rect(color="#bbbbbb", opacity=0.35)
        .encode(x=alt.X("from:Q"), x2="to")
    )
    aim = alt.Chart(pd.DataFrame({"at": [AIM]})).mark_rule(color="#444444").encode(x="at:Q")
    layered: ChartType = alt.layer(band, aim, dots)
    return layered.properties(width=460, height=alt.Step(15))
