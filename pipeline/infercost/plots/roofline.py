"""Where the operators of one model stand under the roofline of one device."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.errors import nearest
from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.frame import INK
from infercost.plots.labels import Box, Spot, box_around, placed
from infercost.plots.palette import GROUP_OF, resource_scale
from infercost.plots.roofs import Roofs, X, Y

WIDTH, HEIGHT = 620, 400
PHASES = {"decode": "circle", "prefill": "square", "encode": "triangle-up"}
SMALLEST, LARGEST = 25, 900
"""Area of the mark of an operator that takes no time or its whole phase, in square pixels."""
LABELLED = 0.02
"""Share of its phase's time from which an operator is named."""
NAMED = 3
"""Operators that a common label names."""


@figure
def roofline(
    data: FigureData,
    hardware: str | None = None,
    model: str | None = None,
    workload: str | None = None,
) -> Figure:
    """Operators of both phases under the roofline of `hardware`; by default of the first case."""
    operators = _case(data, hardware=hardware, model=model, workload=workload)
    table = _table(operators)
    bandwidth = float(operators["bandwidth_b_per_s"].iloc[0])
    peaks = sorted(set(operators.loc[operators["peak_per_s"] > 0, "peak_per_s"]))
    x, y = _axes(table, peaks, bandwidth)
    roofs, spots = Roofs(peaks, bandwidth, x, y), _spots(table, x, y)
    notes, noted = roofs.notes([box_around(s.x, s.y, 2 * s.radius, 2 * s.radius) for s in spots])
    labels = _labels(spots, [*roofs.boxes(), *noted], x, y)
    chart = alt.layer(roofs.lines(), _marks(table, x, y), notes, labels).properties(
        width=WIDTH, height=HEIGHT
    )
    return Figure(
        chart=chart,
        table=table,
        title="Which roof limits each operator?",
        subtitle=_subtitle(operators),
        caption=(
            "Rate of each operator against the FLOPs it does per byte of memory traffic, under "
            "the device's dense peaks and its memory bandwidth. A mark's area is the operator's "
            "share of its phase's time, its colour what bounds it. Marks stay below the roof by "
            "the efficiency and launch overhead of the calibration. Operators without "
            "arithmetic (lookups, messages) are left out."
        ),
    )


def _case(data: FigureData, **wanted: str | None) -> pd.DataFrame:
    """The operators of the case asked for; what is not asked for comes from the first that fits."""
    if "operators" not in data.aggregates:
        raise data.fault("roofline", "needs the aggregate 'operators'", "Add it to the study")
    rows = data.aggregates["operators"]
    for column, value in wanted.items():
        known = [str(name) for name in rows[column].unique()]
        if not known:
            raise data.fault("roofline", "no feasible case to draw")
        if value is not None and value not in known:
            fault = f"no feasible case has the {column} '{value}'"
            raise data.fault(f"roofline.{column}", fault, nearest(value, known))
        rows = rows[rows[column] == (known[0] if value is None else value)]
    if rows.duplicated(["phase", "block", "operator"]).any():
        fault = "several points stand for one accelerator, model and workload"
        raise data.fault("roofline", fault, "Choose by 'where'")
    return rows


def _table(operators: pd.DataFrame) -> pd.DataFrame:
    """The operators that do arithmetic, by share of their phase's time."""
    phase_time = operators.groupby("phase", observed=True)["time_s"].transform("sum")
    rows = operators.assign(share=operators["time_s"] / phase_time.astype(float))
    rows = rows[(rows["flops_flop"] > 0) & rows["intensity"].map(math.isfinite)]
    kept = rows[["phase", "block", "operator"]].astype(object).copy()
    kept[X], kept[Y] = rows["intensity"], rows["flops_flop"] / rows["time_s"]
    kept["flops_flop"], kept["time_s"] = rows["flops_flop"], rows["time_s"]
    kept["share_of_phase"], kept["bound"] = rows["share"], rows["bound"].astype(object)
    kept["resource"] = kept["bound"].map(GROUP_OF)
    return kept.sort_values("share_of_phase", ascending=False, kind="stable")


def _axes(table: pd.DataFrame, peaks: list[float], bandwidth: float) -> tuple[LogAxis, LogAxis]:
    ridges = [peak / bandwidth for peak in peaks]
    x = LogAxis.over(
        [*table[X], *ridges],
        WIDTH,
        "arithmetic intensity (FLOP per byte of memory traffic, log scale)",
        room=(0.06, 0.16),
    )
    y = LogAxis.over(
        [*table[Y], *peaks],
        HEIGHT,
        "rate per device (FLOP/s, log scale)",
        form="~s",
        room=(0.06, 0.08),
    )
    return x, y


def _marks(table: pd.DataFrame, x: LogAxis, y: LogAxis) -> alt.Chart:
    phases = [phase for phase in PHASES if phase in set(table["phase"])]
    grey: dict[str, Any] = {"symbolFillColor": "#777777", "symbolStrokeColor": "#777777"}
    colour = alt.Color(
        "resource:N",
        scale=resource_scale(table["resource"]),
        legend=alt.Legend(title="bound by", symbolSize=110),
    )
    shape = alt.Shape(
        "phase:N",
        scale=alt.Scale(domain=phases, range=[PHASES[phase] for phase in phases]),
        legend=alt.Legend(title="phase", symbolSize=110, **grey),
    )
    size = alt.Size(
        "share_of_phase:Q",
        scale=alt.Scale(domain=[0, 1], range=[SMALLEST, LARGEST]),
        legend=alt.Legend(
            title="share of the phase's time", format=".0%", values=[0.05, 0.2, 0.5], **grey
        ),
    )
    base = alt.Chart(table[["phase", "resource", X, Y, "share_of_phase"]]).encode(
        x=x.x(X), y=y.y(Y), color=colour, shape=shape, size=size
    )
    marks: alt.Chart = base.mark_point(filled=True, opacity=0.85, stroke="white", strokeWidth=0.8)
    return marks


def _spots(table: pd.DataFrame, x: LogAxis, y: LogAxis) -> list[Spot]:
    """Every mark, the slowest operators first; names where they take enough of their phase."""
    columns = (table[c] for c in ("phase", "operator", "share_of_phase", X, Y))
    return [
        Spot(
            x.pixel(intensity),
            y.pixel(rate),
            operator if share >= LABELLED else "",
            math.sqrt((SMALLEST + (LARGEST - SMALLEST) * share) / math.pi),
            phase,
        )
        for phase, operator, share, intensity, rate in zip(*columns, strict=True)
    ]


def _wanted(spots: list[Spot]) -> list[Spot]:
    """One label for the marks of a phase that touch, ever shorter; then the bare marks."""
    labels = []
    for cluster in _clusters(spots):
        names = [name for name in dict.fromkeys(spot.text for spot in cluster) if name]
        most = len(names) if len(names) <= NAMED + 1 else NAMED
        for shown in range(most, 0, -1):
            more = len(names) - shown
            text = "\n".join([*names[:shown], *([f"and {more} more"] if more else [])])
            labels.append(replace(cluster[0], text=text, group=f"{cluster[0].group} {names[0]}"))
    return [*labels, *(replace(spot, text="") for spot in spots)]


def _clusters(spots: list[Spot]) -> list[list[Spot]]:
    """Marks of one phase that touch, directly or by others, in the order of their first ones."""
    clusters: list[list[int]] = []
    for n, spot in enumerate(spots):
        touched = [c for c in clusters if any(_touch(spots[m], spot) for m in c)]
        clusters = [c for c in clusters if c not in touched]
        clusters.append(sorted([n, *(m for c in touched for m in c)]))
    return [[spots[n] for n in cluster] for cluster in sorted(clusters)]


def _touch(a: Spot, b: Spot) -> bool:
    near = math.hypot(a.x - b.x, a.y - b.y) < a.radius + b.radius + 4
    return near and a.group == b.group


def _labels(spots: list[Spot], blocked: list[Box], x: LogAxis, y: LogAxis) -> ChartType:
    """Names of the operators, clear of each other, of the roofs and of their notes."""
    found = placed(_wanted(spots), WIDTH, HEIGHT, blocked=blocked)
    shown = pd.DataFrame(
        {
            X: [x.at(label.x) for label in found],
            Y: [y.at(label.y) for label in found],
            "label": [label.spot.text for label in found],
        }
    )
    base = alt.Chart(shown).encode(x=x.x(X), y=y.y(Y), text="label:N")
    return alt.layer(_multiline(base, stroke="white", strokeWidth=3), _multiline(base, color=INK))


def _multiline(base: alt.Chart, **look: Any) -> alt.Chart:
    texts: alt.Chart = base.mark_text(
        fontSize=10, lineBreak="\n", lineHeight=11.5, baseline="middle", **look
    )
    return texts


def _subtitle(operators: pd.DataFrame) -> str:
    first = operators.iloc[0]
    plan = [f"{key.upper()} {first[key]}" for key in ("tp", "pp", "dp", "ep") if key in first]
    options = f"{first['hardware']}, {first['model']}, {first['workload']}"
    batch = f"; batch {first['batch']}, {', '.join(plan)}" if "batch" in first else ""
    return f"{options}{batch}: best operating point, median prompt"
