"""How the decode step and the cost of an output token divide among resources."""

from __future__ import annotations

import altair as alt
import pandas as pd

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.choose import best_rows, feasible, names, text_keys
from infercost.plots.palette import GROUPS, by_family, group_shares, resource_scale

TOTALS = {"decode": "time of a decode step", "cost": "cost per output token"}


@figure
def stress_bars(data: FigureData) -> Figure:
    """Stacked shares of the decode step and of the cost, mean over the models served."""
    rows = best_rows(data, "stress-bars")
    shares = _shares(feasible(data, "stress-bars", rows))
    order = by_family(names(rows["hardware"]))
    bars = (
        alt.Chart()
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X(
                "share:Q",
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(title="share of the total", format=".0%", tickCount=5),
            ),
            y=alt.Y("hardware:N", sort=order, axis=alt.Axis(title="accelerator", ticks=False)),
            color=alt.Color(
                "resource:N",
                scale=resource_scale(shares.loc[shares["share"] > 0.0005, "resource"]),
                legend=alt.Legend(title="bounded by", orient="top", columns=3),
            ),
            order=alt.Order("order:Q"),
        )
    )
    counts = (
        alt.Chart()
        .mark_text(align="left", dx=4, fontSize=9, color="#6b6b6b")
        .encode(x=alt.datum(1), y=alt.Y("hardware:N", sort=order), text="served:N")
        .transform_filter("datum.order == 0")
    )
    layered = alt.layer(bars, counts, data=_shown(shares, rows))
    chart = layered.properties(width=270, height=alt.Step(17)).facet(
        column=alt.Column(
            "total:N", sort=list(TOTALS.values()), header=alt.Header(title=None, labelPadding=4)
        ),
        row=alt.Row(
            "workload:N",
            sort=names(rows["workload"]),
            header=alt.Header(title=None, labelAngle=-90, labelPadding=6),
        ),
        spacing={"row": 16, "column": 48},
    )
    return Figure(
        chart=chart,
        table=shares,
        title="What do the decode step and the cost of a token divide into?",
        subtitle="Mean over the models that the accelerator can serve, at its best operating "
        "points; beside a bar: models served, if not all",
        caption=(
            "Shares of the time of a decode step and of the cost per output token by the resource "
            "that bounds them, as the mean over the models that the accelerator can serve at its "
            "own best operating point. The cost includes prefill, energy and capacity."
        ),
    )


def _shares(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per workload, accelerator, total and group."""
    rows = text_keys(rows)
    keys = ["workload", "hardware"]
    parts = []
    for total, meaning in TOTALS.items():
        shares = group_shares(rows, total).fillna(0.0)
        mean = pd.concat([rows[keys], shares], axis=1).groupby(keys, sort=False).mean()
        long = mean.reset_index().melt(keys, var_name="resource", value_name="share")
        parts.append(long.assign(total=meaning))
    models = rows.groupby(keys, sort=False)["model"].nunique().rename("models").reset_index()
    found = pd.concat(parts).merge(models, on=keys)
    return found[["workload", "hardware", "total", "resource", "share", "models"]]


def _shown(shares: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """With the order of stacking, and the number of models where some are missing."""
    all_models = rows["model"].nunique()
    position = {group.name: n for n, group in enumerate(GROUPS)}
    served = [f"{n} of {all_models}" if n < all_models else "" for n in shares["models"]]
    return shares.assign(order=shares["resource"].map(position), served=served)
