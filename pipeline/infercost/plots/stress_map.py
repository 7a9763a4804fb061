"""Which resource sets the cost of an output token, accelerator by model."""

from __future__ import annotations

import altair as alt
import pandas as pd

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.choose import best_rows, names, text_keys
from infercost.plots.frame import workload_rows
from infercost.plots.palette import INFEASIBLE, INK_OF, by_family, group_shares, resource_scale

CELL = (54, 21)


@figure
def stress_map(data: FigureData) -> Figure:
    """Accelerator by model, one panel per workload: the resource with the largest share."""
    rows = best_rows(data, "stress-map")
    cells = _cells(rows)
    colour = resource_scale(cells["resource"])
    shown = pd.DataFrame(
        {
            **{key: cells[key] for key in ("hardware", "model", "workload", "resource")},
            "label": [
                _label(s, r) for s, r in zip(cells["share"], cells["limited_by"], strict=True)
            ],
            "ink": cells["resource"].map(INK_OF).fillna("#555555"),
        }
    )
    base = alt.Chart().encode(
        x=alt.X(
            "hardware:N",
            sort=by_family(names(rows["hardware"])),
            axis=alt.Axis(title="accelerator", labelAngle=-35, domain=False, ticks=False),
        ),
        y=alt.Y(
            "model:N",
            sort=names(rows["model"]),
            axis=alt.Axis(title="model", domain=False, ticks=False),
        ),
    )
    tiles = base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        color=alt.Color(
            "resource:N",
            scale=colour,
            legend=alt.Legend(
                title="largest share of the cost per output token",
                orient="top",
                columns=3,
                symbolType="square",
                symbolSize=130,
            ),
        )
    )
    texts = base.mark_text(fontSize=10).encode(text="label:N", color=alt.Color("ink:N", scale=None))
    panel = alt.layer(tiles, texts, data=shown).properties(
        width=alt.Step(CELL[0]), height=alt.Step(CELL[1])
    )
    return Figure(
        chart=panel.facet(row=workload_rows(names(rows["workload"])), spacing=14),
        table=cells,
        title="Which resource sets the cost of an output token?",
        subtitle="Each accelerator at its own best operating point; % of the cost per output "
        "token that the largest resource bounds",
        caption=(
            "Each cell is the best operating point of one accelerator and model. Its colour is "
            "the resource that bounds the largest part of the cost per output token, its number "
            "that part; weights and KV cache count each on their own. Grey cells have no feasible "
            "point and name the limit that ran out."
        ),
    )


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    rows = text_keys(rows)
    shares = group_shares(rows, "cost")
    feasible = shares.notna().any(axis=1) & rows["feasible"]
    largest = shares[feasible].idxmax(axis=1).reindex(rows.index)
    keys = ["workload", "hardware", "model", "batch", "tp", "pp", "dp", "ep"]
    return rows[[key for key in keys if key in rows]].assign(
        resource=largest.astype(object).where(feasible, INFEASIBLE),
        share=shares.max(axis=1).where(feasible),
        limited_by=rows["limited_by"].where(~feasible, None),
    )


def _label(share: float, limit: object) -> str:
    return str(limit) if pd.isna(share) else f"{100 * share:.0f} %"
