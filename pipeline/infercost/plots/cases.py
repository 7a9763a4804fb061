"""The cases of a claim against its threshold: which support it, which do not, and by how much."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from infercost.plots.base import Figure
from infercost.plots.frame import INK, framed

SUPPORTS, AGAINST = "supports the claim", "speaks against it"
COLOURS = {SUPPORTS: "#0072B2", AGAINST: "#D55E00"}
SUPPORTED_GROUND, REFUTED_GROUND = "#e3eef6", "#fbeae0"
MOST_ROWS = 14
WIDE = 20.0
"""From this ratio of the largest to the smallest number on, numbers stand on a logarithmic axis."""
LANES = 5
_TITLE = 96


@dataclass(frozen=True)
class Rule:
    """What a claim asks of a number."""

    claim: str
    value: str
    """What the number is."""
    threshold: float
    upper: bool
    """Whether numbers up to the threshold support the claim, not those from it on."""
    scale: str


def cases_figure(
    rule: Rule, cases: pd.DataFrame, holds: pd.Series[bool], said: str, corner: str
) -> Figure:
    """Every case as a point, in rows by the label that tells most of where the claim holds.

    `cases` has `value`, perhaps `value_p10` and `value_p90` of draws, and labels.
    """
    values = ["value", "value_p10", "value_p90"]
    labels = [name for name in cases.columns if name not in values]
    by = telling(cases[labels], holds)
    named = {name: f"label {place}" for place, name in enumerate(labels)}
    shown = cases.rename(columns=named)
    for name in named.values():
        shown[name] = [f"{v:.10g}" if isinstance(v, float) else str(v) for v in shown[name]]
    shown["verdict"] = np.where(holds, SUPPORTS, AGAINST)
    shown["row"] = shown[named[by]] if by else ""
    shown["lane"] = shown.groupby("row").cumcount() % LANES
    low, high, log = span(cases, rule)
    x = alt.X(
        "value:Q",
        scale=alt.Scale(
            type="log" if log else "linear", domain=[low, high], nice=False, zero=False
        ),
        axis=alt.Axis(title=rule.value + (" (log scale)" if log else ""), tickCount=8),
    )
    rows = list(dict.fromkeys(shown.sort_values("value", ascending=False)["row"]))
    y = alt.Y("row:N", sort=rows, axis=alt.Axis(title=by or None, labels=bool(by), ticks=bool(by)))
    chart = alt.layer(
        *_ground(rule, low, high),
        *_ranges(shown, x, y),
        _points(shown, x, y, {new: old for old, new in named.items()}),
    ).properties(width=620, height=max(30 * len(rows), 60))
    title = textwrap.wrap(rule.claim, _TITLE)
    ends = "; bars go from the 10th to the 90th percentile of draws" if values[1] in cases else ""
    caption = (
        f"Every point is a case: {rule.value}. The claim asks for {_bound(rule)}: the side of "
        f"that line on blue ground. Rows are {f'by {by}' if by else 'all cases'}, the largest "
        f"first{ends}; heights within a row only keep points apart."
    )
    return Figure(framed(chart, title, said, corner), cases, rule.claim, caption, said)


def _bound(rule: Rule) -> str:
    return f"{rule.threshold:g} or {'less' if rule.upper else 'more'}"


def span(cases: pd.DataFrame, rule: Rule) -> tuple[float, float, bool]:
    """Ends of the axis, threshold included, and whether it is logarithmic."""
    columns = [name for name in ("value", "value_p10", "value_p90") if name in cases]
    found = np.append(cases[columns].to_numpy(dtype=np.float64).ravel(), rule.threshold)
    found = found[np.isfinite(found)]
    low, high = float(found.min()), float(found.max())
    if rule.scale != "share" and low > 0 and high / low > WIDE:
        pad = (high / low) ** 0.05
        return low / pad, high * pad, True
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    if rule.scale == "share":
        return min(low, 0.0), max(high, 1.0), False
    return low - pad, high + pad, False


def telling(labels: pd.DataFrame, holds: pd.Series[bool]) -> str:
    """The label whose values part supporting cases from others best; nothing if none has a few.

    The variance of `holds` that the means of its rows explain, ties to the fewest rows.
    """
    best, found = (-1.0, 0), ""
    for name in labels.columns:
        kinds = labels[name].astype(str)
        count = kinds.nunique()
        if 1 < count <= MOST_ROWS:
            means = holds.astype(float).groupby(kinds).transform("mean")
            score = (round(float(means.var(ddof=0)), 9), -count)
            if score > best:
                best, found = score, str(name)
    return found


def _ground(rule: Rule, low: float, high: float) -> list[alt.Chart]:
    """The regions on both sides of the threshold, and the line between."""
    sides = [(low, rule.threshold, rule.upper), (rule.threshold, high, not rule.upper)]
    ground = [
        alt.Chart(pd.DataFrame([{"from": a, "to": b}]))
        .mark_rect(tooltip=False, color=SUPPORTED_GROUND if good else REFUTED_GROUND)
        .encode(x="from:Q", x2="to:Q")
        for a, b, good in sides
        if b > a
    ]
    line = pd.DataFrame({"at": [rule.threshold], "name": [_bound(rule)]})
    mark = alt.Chart(line).mark_rule(color=INK, strokeDash=[4, 3]).encode(x="at:Q")
    text = (
        alt.Chart(line)
        .mark_text(color=INK, fontSize=10, dy=-6, baseline="bottom")
        .encode(x="at:Q", y=alt.value(0), text="name:N")
    )
    return [*ground, mark, text]


def _ranges(shown: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    if "value_p10" not in shown:
        return []
    bars = alt.Chart(shown).mark_rule(opacity=0.5)
    return [bars.encode(x="value_p10:Q", x2="value_p90:Q", y=y, yOffset="lane:O")]


def _points(shown: pd.DataFrame, x: alt.X, y: alt.Y, names: dict[str, str]) -> alt.Chart:
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
        legend=alt.Legend(title=None, orient="top"),
    )
    told = [alt.Tooltip(f"{key}:N", title=name) for key, name in names.items()]
    points: alt.Chart = (
        alt.Chart(shown)
        .mark_point(filled=True, size=45, opacity=0.75)
        .encode(
            x=x,
            y=y,
            yOffset=alt.YOffset("lane:O"),
            color=colour,
            shape=alt.Shape(
                "verdict:N",
                scale=alt.Scale(domain=list(COLOURS), range=["circle", "triangle-down"]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[*told, alt.Tooltip("value:Q", format=".4~g")],
        )
    )
    return points
