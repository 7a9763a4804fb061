"""What calibration does to errors: ideal against fitted, seen and unseen."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.examined import examination_colour, examinations, phases, predicted_rows

WIDTH, HEIGHT = 300, 200
LEAST = 0.01
"""Absolute error at which the axis begins."""
STEPS = 100


@figure
def calibration_gain(data: FigureData) -> Figure:
    """Share of rows within an error, a line per examination, a panel per phase."""
    rows = predicted_rows(data, "calibration-gain")
    known = examinations(rows)
    panels = {"all": rows} | {p: rows[rows["phase"] == p] for p in phases(rows)}
    table = pd.concat(
        [
            _curve(kept[column].abs()).assign(fit=fit, phase=phase, rows=len(kept))
            for phase, kept in panels.items()
            for fit, column in known.items()
        ],
        ignore_index=True,
    )
    x = LogAxis.over([LEAST, 2.0], WIDTH, "absolute error of predicted time (log scale)", form="%")
    charts = [_panel(table[table["phase"] == p], p, x, list(known)) for p in panels]
    return Figure(
        chart=alt.concat(*charts, columns=2, spacing=24),
        table=table[["phase", "fit", "share_of_rows", "absolute_error", "rows"]],
        title="What does calibration do to the error, on points that it has and has not seen?",
        subtitle="Share of published measurements that are predicted within an error",
        caption=(
            "Each line tells which share of rows is predicted within an absolute error of time: "
            "higher and further left is better. Grey is the physical floor (calibration=ideal), "
            "light blue the fit that saw the rows; the others left out the row's block, system, "
            "model or stack of software."
        ),
    )


def _curve(size: pd.Series[float]) -> pd.DataFrame:
    share = np.arange(1, STEPS + 1) / STEPS
    return pd.DataFrame(
        {"share_of_rows": share, "absolute_error": np.quantile(size.dropna(), share)}
    )


def _panel(table: pd.DataFrame, phase: str, x: LogAxis, fits: list[str]) -> alt.Chart:
    shown = table.assign(at=table["absolute_error"].clip(x.low, x.high))
    head = alt.Title(f"{phase} ({table['rows'].iloc[0]})", anchor="start", fontSize=12)
    chart: alt.Chart = (
        alt.Chart(shown[["fit", "share_of_rows", "at"]])
        .mark_line(strokeWidth=1.8, clip=True)
        .encode(
            x=x.x("at"),
            y=alt.Y(
                "share_of_rows:Q",
                scale=alt.Scale(domain=[0, 1], nice=False),
                axis=alt.Axis(title="share of rows within it", format=".0%"),
            ),
            color=examination_colour(fits),
        )
        .properties(width=WIDTH, height=HEIGHT, title=head)
    )
    return chart
