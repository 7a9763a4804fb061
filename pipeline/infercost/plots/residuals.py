"""Residuals by batch and by size of the model."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.examined import best_examination, phase_colour, predicted_rows

WIDTH, HEIGHT = 330, 300
BINS = 12
SPAN = 4.0
"""Factor between which the vertical axis runs; what is beyond stands at its edge."""
AXES = {
    "batch": "sequences in flight per replica (log scale)",
    "weights_gb": "weights of the model (GB, log scale)",
}


@figure
def residuals(data: FigureData) -> Figure:
    """Predicted over stated time against batch and against bytes of weights."""
    rows = predicted_rows(data, "residuals")
    fit, column = best_examination(rows)
    table = pd.DataFrame(
        {
            "id": rows["id"],
            "phase": rows["phase"],
            "batch": rows["batch"],
            "weights_gb": rows["weights_b"] / 1e9,
            "predicted_over_measured": 1.0 + rows[column],
        }
    )
    return Figure(
        chart=alt.hconcat(*(_panel(table, name) for name in AXES), spacing=30),
        table=table.sort_values(["phase", "batch", "weights_gb", "id"], kind="stable"),
        title="Do errors of predicted time depend on batch or on the size of the model?",
        subtitle=f"{len(table)} published measurements; {fit}. Line: median; band: 10th to 90th "
        "percentile of a bin",
        caption=(
            "Predicted over stated time: above 1 the prediction is too slow. A point is a "
            "published measurement; line and band tell whether errors lean to one side "
            "somewhere. Batches that a row does not state are those that fill the memory."
        ),
    )


def _panel(table: pd.DataFrame, name: str) -> ChartType:
    rows = table[table[name] > 0].assign(
        shown=table["predicted_over_measured"].clip(1 / SPAN, SPAN)
    )
    x = LogAxis.over(rows[name], WIDTH, AXES[name], form="~g")
    y: Any = alt.Y(
        "shown:Q",
        scale=alt.Scale(type="log", domain=[1 / SPAN, SPAN], nice=False),
        axis=alt.Axis(
            title="predicted / measured time (log scale)", values=[0.25, 0.5, 1, 2, 4], format="~g"
        ),
    )
    bins = _bins(rows, name)
    dots = (
        alt.Chart(rows[[name, "shown", "phase"]])
        .mark_circle(size=12, opacity=0.35)
        .encode(x=x.x(name), y=y, color=phase_colour(rows))
    )
    one = alt.Chart(pd.DataFrame({"shown": [1.0]})).mark_rule(color="#444444").encode(y=y)
    band = (
        alt.Chart(bins)
        .mark_area(color="#000000", opacity=0.12)
        .encode(x=x.x("at"), y=alt.Y("low:Q"), y2="high")
    )
    line = alt.Chart(bins).mark_line(color="#000000").encode(x=x.x("at"), y=alt.Y("middle:Q"))
    layered: ChartType = alt.layer(dots, band, one, line).properties(width=WIDTH, height=HEIGHT)
    return layered


def _bins(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Median and tails in bins of about equal count."""
    edges = np.unique(np.quantile(rows[name], np.linspace(0, 1, BINS + 1)))
    place = np.clip(np.searchsorted(edges, rows[name], side="right") - 1, 0, len(edges) - 1)
    groups = rows.groupby(place)
    found = pd.DataFrame(
        {
            "at": groups[name].median(),
            "low": groups["shown"].quantile(0.1),
            "middle": groups["shown"].median(),
            "high": groups["shown"].quantile(0.9),
        }
    )
    return found.sort_values("at")
