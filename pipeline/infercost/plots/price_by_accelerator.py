"""What a million output tokens cost on each accelerator."""

from __future__ import annotations

import altair as alt
import pandas as pd

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.choose import best_rows, feasible, names, text_keys
from infercost.plots.frame import FAINT, workload_rows
from infercost.plots.palette import FAMILIES, accelerator_marks, by_family, family

WIDTH, STEP = 600, 40
COST = "cost_per_mtoken_usd"


@figure
def price_by_accelerator(data: FigureData) -> Figure:
    """Cost per million output tokens at the best point: models as rows, a panel per workload."""
    rows = best_rows(data, "price-by-accelerator")
    feasible(data, "price-by-accelerator", rows)
    table = _table(text_keys(rows))
    x = LogAxis.over(
        table[COST], WIDTH, "USD per million output tokens (log scale)", room=(0.13, 0.03)
    )
    layers = _layers(x, names(rows["model"]), by_family(names(rows["hardware"])))
    panel = alt.layer(*layers, data=_shown(table)).properties(
        width=WIDTH, height=alt.Step(STEP, **{"for": "position"})
    )
    return Figure(
        chart=panel.facet(row=workload_rows(names(rows["workload"])), spacing=16),
        table=table,
        title="What do a million output tokens cost on each accelerator?",
        subtitle="Each accelerator at its own best operating point; the cheapest one is named",
        caption=(
            "Cost of a million output tokens, prompts included, at the best operating point of "
            "each accelerator and model. Colour is the vendor, shape the accelerator. An "
            "accelerator that cannot serve a model within its limits has no mark; the table "
            "names the limit."
        ),
    )


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["workload", "model", "hardware", "batch", "tp", "pp", "dp", "ep", "limited_by", COST]
    found = rows[[key for key in keys if key in rows]]
    return found.sort_values(["workload", "model", COST], kind="stable")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """A mark per price, the cheapest ones named; and a note per model that nothing serves."""
    cases = ["workload", "model"]
    prices = table.dropna(subset=[COST])
    cheapest = prices.groupby(cases)[COST].idxmin()
    lost = table[table.groupby(cases)[COST].transform("count") == 0].drop_duplicates(cases)
    marks = prices[[*cases, "hardware", COST]].assign(
        name=prices["hardware"].where(prices.index.isin(cheapest), ""),
        lane=prices["hardware"].map(family),
        note="",
    )
    notes = lost[cases].assign(note="none: " + lost["limited_by"].astype(str))
    notes = notes.assign(hardware="", name="", lane="")
    return pd.concat([marks, notes], ignore_index=True)


def _layers(x: LogAxis, models: list[str], accelerators: list[str]) -> list[alt.Chart]:
    y = alt.Y(
        "model:N",
        sort=models,
        scale=alt.Scale(padding=0),
        axis=alt.Axis(title="model", grid=True, ticks=False, domain=False, tickBand="extent"),
    )
    lanes = alt.YOffset("lane:N", sort=list(FAMILIES), scale=alt.Scale(padding=0.9))
    colour, shape = accelerator_marks(accelerators)
    base = alt.Chart().encode(x=x.x(COST), y=y)
    prices = base.transform_filter(f"isValid(datum.{COST})").encode(yOffset=lanes)
    dots = prices.mark_point(filled=True, size=70, opacity=0.9, stroke="white", strokeWidth=0.7)
    texts = prices.transform_filter("datum.name").mark_text(
        align="right", dx=-8, fontSize=10, color="#444444"
    )
    notes = base.transform_filter("datum.note").mark_text(
        align="left", dx=6, fontSize=10, color=FAINT
    )
    return [
        dots.encode(color=colour, shape=shape),
        texts.encode(text="name:N"),
        notes.encode(x=alt.value(0), text="note:N"),
    ]
