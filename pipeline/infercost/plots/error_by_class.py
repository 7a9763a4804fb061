"""Errors of predicted time by phase, class of systems and era of software."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.examined import (
    CLASSES,
    best_examination,
    classes,
    examination_colour,
    examinations,
    ordered,
    p90,
    predicted_rows,
)

LANES = ("block left out", "system left out", "model left out", "software stack left out")
STEP = 27
"""Pixels of a class."""
MOST = 1.5
"""Absolute error at which the axis ends; larger ones stand at its end, the table holds them."""


@figure
def error_by_class(data: FigureData) -> Figure:
    """Median and 90th percentile of absolute errors per class and examination."""
    rows = predicted_rows(data, "error-by-class")
    known = examinations(rows)
    lanes = {name: known[name] for name in LANES if name in known}
    lanes = lanes or dict([best_examination(rows)])
    table = _table(classes(rows), lanes)
    panels = [
        _panel(table[table["by"] == by], by, ordered(table, by, "order"), list(lanes))
        for by in CLASSES.values()
    ]
    return Figure(
        chart=alt.vconcat(*panels, spacing=18).resolve_scale(color="shared"),
        table=table.drop(columns="order"),
        title="How far off are predictions, by what is measured, where, and under which software?",
        subtitle="Dot: median absolute error of time; line: up to the 90th percentile; "
        f"in brackets: rows. Axis cut at {MOST:.0%}",
        caption=(
            "Absolute errors of predicted over stated time by fits that had not seen the row's "
            "block, its whole system, its whole model, or its whole stack of software. The grey "
            "tick is the median error of the physical floor, without any calibration."
        ),
    )


def _table(rows: pd.DataFrame, lanes: dict[str, str]) -> pd.DataFrame:
    keys = ["by", "label"]
    parts = []
    for fit, column in lanes.items():
        size = rows[column].abs()
        groups = rows.assign(size=size).groupby(keys, sort=False)
        found = groups["size"].agg(median="median", p90=p90, rows="count").reset_index()
        parts.append(found.assign(fit=fit))
    table = pd.concat(parts, ignore_index=True)
    ideal = rows.assign(ideal=rows["ideal_error"].abs()).groupby(keys)["ideal"].median()
    table = table.join(ideal, on=keys)
    first = table[table["fit"] == next(iter(lanes))].set_index(keys)["median"].rename("order")
    return table.join(first, on=keys)


def _panel(table: pd.DataFrame, by: str, order: list[str], lanes: list[str]) -> ChartType:
    shown = table.assign(end=table["p90"].clip(upper=MOST), middle=table["median"].clip(upper=MOST))
    y = alt.Y("label:N", sort=order, axis=alt.Axis(title=by, ticks=False, grid=True))
    lane = alt.YOffset("fit:N", sort=lanes)
    x = alt.X(
        "middle:Q",
        scale=alt.Scale(domain=[0, MOST], nice=False),
        axis=alt.Axis(
            title="absolute error of predicted time (share of stated time)", format=".0%"
        ),
    )
    base = alt.Chart(shown[["label", "fit", "middle", "end", "ideal"]]).encode(y=y)
    lines = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        x=x, x2="end", yOffset=lane, color=examination_colour(lanes)
    )
    dots = base.mark_circle(size=34, opacity=1).encode(
        x=x, yOffset=lane, color=examination_colour(lanes)
    )
    once = base.transform_filter(alt.datum.fit == lanes[0])
    ideal = once.mark_tick(color="#888888", thickness=2, size=STEP - 5).encode(
        x=alt.X("ideal:Q", scale=alt.Scale(domain=[0, MOST], nice=False))
    )
    layered: ChartType = alt.layer(ideal, lines, dots)
    return layered.properties(width=460, height=alt.Step(STEP, **{"for": "position"}))
