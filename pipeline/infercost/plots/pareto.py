"""What a faster stream costs: the fronts of speed for one user against cost."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.choose import chosen, feasible, names, text_keys
from infercost.plots.labels import Spot, placed
from infercost.plots.palette import FAMILIES, accelerator_marks, by_family, family
from infercost.units import UnitError, parse

WIDTH, HEIGHT, COLUMNS = 262, 200, 3
SPEED, COST = "user_throughput_per_s", "cost_per_mtoken_usd"
SPEED_TITLE = "output tokens/s per user (log scale)"
COST_TITLE = "USD per million output tokens (log scale)"


@figure
def pareto(data: FigureData, workload: str | None = None, tpot: str | None = None) -> Figure:
    """Tokens per second and user against cost, one panel per model, for one `workload`.

    `tpot` is the objective to mark, such as `100 ms`.
    """
    wanted = chosen(data, "pareto", "workload", workload)
    rows = feasible(data, "pareto", data.rows[data.rows["workload"] == wanted])
    table = _table(text_keys(rows))
    rule = f" The dashed line is the objective, TPOT {tpot}." if tpot else ""
    return Figure(
        chart=_panels(table, names(rows["model"]), names(rows["hardware"]), _slowest(data, tpot)),
        table=table,
        title="What does a faster stream cost?",
        subtitle=f"Workload {wanted}; lower right is better. Marks: each accelerator's cheapest "
        "point. Strong: accelerators unbeaten at some speed",
        caption=(
            "Each line is the Pareto front of one accelerator over all plans and batches: output "
            "tokens per second that one user sees (1 / TPOT) against the cost of a million output "
            "tokens. Marks are the cheapest points. Accelerators with a point that no other one "
            f"beats are drawn strongly, and named where there is room.{rule}"
        ),
    )


def _slowest(data: FigureData, tpot: str | None) -> float | None:
    """Tokens per second at the objective."""
    if tpot is None:
        return None
    try:
        return 1 / parse(tpot, "s")
    except UnitError as error:
        raise data.fault("pareto.tpot", str(error)) from error


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["workload", "model", "hardware", "batch", "tp", "pp", "dp", "ep"]
    found = rows[[key for key in keys if key in rows]].copy()
    found[SPEED], found[COST], found["best"] = 1 / rows["tpot_s"], rows[COST], rows["best"]
    fronts = [unbeaten(points) for _, points in found.groupby("model", sort=False)]
    found["unbeaten"] = pd.concat(fronts)
    return found.sort_values(["model", "hardware", SPEED, COST], kind="stable")


def unbeaten(points: pd.DataFrame) -> pd.Series[bool]:
    """Whether no other point is at least as fast and cheaper."""
    ordered = points.sort_values([SPEED, COST], ascending=[False, True], kind="stable")
    before = ordered[COST].cummin().shift(fill_value=float("inf"))
    return (ordered[COST] < before).reindex(points.index)


def _panels(
    table: pd.DataFrame, models: list[str], accelerators: list[str], slowest: float | None
) -> alt.ConcatChart:
    panels = []
    for place, model in enumerate(models):
        points = table[table["model"] == model]
        speeds = [*points[SPEED], *([slowest] if slowest else [])]
        lowest_in_column = place + COLUMNS >= len(models)
        x = LogAxis.over(speeds, WIDTH, SPEED_TITLE if lowest_in_column else None, room=(0.04, 0.2))
        first_in_row = place % COLUMNS == 0
        y = LogAxis.over(
            points[COST], HEIGHT, COST_TITLE if first_in_row else None, room=(0.14, 0.05)
        )
        panels.append(_panel(points, model, by_family(accelerators), slowest, x, y))
    return alt.concat(*panels, columns=COLUMNS, spacing={"row": 16, "column": 12})


def _panel(
    points: pd.DataFrame,
    model: str,
    accelerators: list[str],
    slowest: float | None,
    x: LogAxis,
    y: LogAxis,
) -> ChartType:
    strong = set(points.loc[points["unbeaten"], "hardware"])
    shown = points[["hardware", SPEED, COST, "best"]].assign(
        strong=points["hardware"].isin(strong).to_numpy()
    )
    colour, shape = accelerator_marks(accelerators, columns=7)
    base = alt.Chart(shown).encode(x=x.x(SPEED), y=y.y(COST), color=colour)
    lines = base.mark_line(clip=True).encode(
        detail="hardware:N",
        opacity=alt.condition("datum.strong", alt.value(1), alt.value(0.35)),
        strokeWidth=alt.condition("datum.strong", alt.value(2), alt.value(1)),
    )
    marks = (
        base.transform_filter("datum.best")
        .mark_point(filled=True, size=65, stroke="white", strokeWidth=0.7)
        .encode(shape=shape, opacity=alt.value(0.95))
    )
    layers: list[Any] = [lines, marks, *_labels(points, x, y)]
    if slowest:
        rule = alt.Chart(pd.DataFrame({SPEED: [slowest]})).mark_rule(
            strokeDash=[4, 3], color="#555555"
        )
        layers.insert(0, rule.encode(x=x.x(SPEED)))
    return alt.layer(*layers).properties(
        width=WIDTH, height=HEIGHT, title=alt.Title(model, fontSize=12, anchor="start", offset=4)
    )


def _from_middle(stretch: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Points of an accelerator's stretch of the front, those in its middle first."""
    rows = list(zip(stretch["hardware"], stretch[SPEED], stretch[COST], strict=True))
    return sorted(rows, key=lambda row: abs(rows.index(row) - (len(rows) - 1) / 2))


def _labels(points: pd.DataFrame, x: LogAxis, y: LogAxis) -> list[alt.Chart]:
    """Names along the front that all accelerators together form, outside of it."""
    front = points[points["unbeaten"]].sort_values(SPEED, kind="stable")
    owners = front.groupby("hardware", sort=False)
    stretches = sorted((group for _, group in owners), key=len, reverse=True)
    named = [
        Spot(x.pixel(speed), y.pixel(cost), name, 2.0)
        for name, speed, cost in (place for group in stretches for place in _from_middle(group))
    ]
    others = [
        Spot(x.pixel(speed), y.pixel(cost), "", 4.0 if best else 2.0)
        for speed, cost, best in zip(points[SPEED], points[COST], points["best"], strict=True)
    ]
    found = placed([*named, *others], WIDTH, HEIGHT, 10.6, outward=True)
    shown = pd.DataFrame(
        {
            SPEED: [x.at(label.x) for label in found],
            COST: [y.at(label.y) for label in found],
            "label": [label.spot.text for label in found],
            "ink": [FAMILIES[family(label.spot.text)][1] for label in found],
        }
    )
    base = alt.Chart(shown).encode(x=x.x(SPEED), y=y.y(COST), text="label:N")
    ink = alt.Color("ink:N", scale=None)  # no scale, no legend
    return [
        base.mark_text(fontSize=10, fontWeight="bold", stroke="white", strokeWidth=3),
        base.mark_text(fontSize=10, fontWeight="bold").encode(color=ink),
    ]
