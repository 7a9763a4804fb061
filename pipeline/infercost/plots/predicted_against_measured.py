"""Predicted against measured times, a panel per phase."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.examined import best_examination, phases, predicted_rows
from infercost.plots.palette import FAMILIES, family

SIDE = 300


@figure
def predicted_against_measured(data: FigureData) -> Figure:
    """A point per published measurement, on the diagonal where the prediction is right."""
    rows = predicted_rows(data, "predicted-against-measured")
    fit, column = best_examination(rows)
    table = pd.DataFrame(
        {
            "id": rows["id"],
            "phase": rows["phase"],
            "vendor": rows["hardware"].map(family),
            "hardware": rows["hardware"],
            "model": rows["model"],
            "measured_s": rows["measured_s"],
            "predicted_s": rows["measured_s"] * (1.0 + rows[column]),
            "shorter": rows["low_s"] / rows["predicted_s"],
            "longer": rows["high_s"] / rows["predicted_s"],
        }
    )
    vendors = [name for name in FAMILIES if (table["vendor"] == name).any()]
    panels = [_panel(table[table["phase"] == p], p, vendors) for p in phases(rows)]
    return Figure(
        chart=alt.concat(*panels, columns=2, spacing=24),
        table=table.drop(columns=["shorter", "longer"]).sort_values(["phase", "measured_s", "id"]),
        title="How do predicted times compare with measured ones?",
        subtitle=f"{len(table)} published measurements; {fit}. Band: 80 % interval; line: equality",
        caption=(
            "A point is a published measurement: the time that it states, or that its rate "
            "implies, against the time predicted for it by a fit that had not seen its block of "
            "rows. The band holds four in five points if intervals are right (median interval of "
            "the phase). Colour is the vendor of the system."
        ),
    )


def _panel(rows: pd.DataFrame, phase: str, vendors: list[str]) -> ChartType:
    both = [*rows["measured_s"], *rows["predicted_s"]]
    x = LogAxis.over(both, SIDE, "measured time (s, log scale)", form="~g")
    y = LogAxis(x.low, x.high, SIDE, "predicted time (s, log scale)", form="~g")
    # Measured between predicted x shorter and predicted x longer.
    over, under = 1.0 / rows["shorter"].median(), 1.0 / rows["longer"].median()
    ends = pd.DataFrame({"at": [x.low, x.high]})
    ends = ends.assign(low=ends["at"] * under, high=ends["at"] * over)
    colours = alt.Scale(domain=vendors, range=[FAMILIES[name][1] for name in vendors])
    legend = alt.Legend(title="vendor", orient="top")
    band = (
        alt.Chart(ends)
        .mark_area(color="#bbbbbb", opacity=0.45, clip=True)
        .encode(x=x.x("at"), y=y.y("low"), y2="high")
    )
    line = (
        alt.Chart(ends).mark_line(color="#666666", strokeWidth=1).encode(x=x.x("at"), y=y.y("at"))
    )
    dots = (
        alt.Chart(rows[["vendor", "measured_s", "predicted_s"]])
        .mark_circle(size=14, opacity=0.5)
        .encode(
            x=x.x("measured_s"),
            y=y.y("predicted_s"),
            color=alt.Color("vendor:N", scale=colours, legend=legend),
        )
    )
    head = alt.Title(f"{phase} ({len(rows)})", anchor="start", fontSize=12)
    layered: ChartType = alt.layer(band, line, dots)
    return layered.properties(width=SIDE, height=SIDE, title=head)
