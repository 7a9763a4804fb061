"""The common look of all figures, and a chart as bytes."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import Any

import altair as alt
from altair.typing import ChartType

from infercost.plots.ids import stable_ids

FONT = "Liberation Sans, Arimo, Helvetica, Arial, sans-serif"
"""Liberation Sans comes with vl-convert; the others share its widths."""
INK, FAINT, GRID = "#222222", "#6b6b6b", "#e4e4e4"
LINE = 130
"""Characters of a subtitle's line."""


def framed(chart: ChartType, title: str | list[str], subtitle: str, corner: str) -> ChartType:
    """The chart under its title, with the dataset's version in the corner."""
    head = alt.Title(
        title,
        subtitle=textwrap.wrap(subtitle, LINE) if subtitle else [],
        anchor="start",
        fontSize=15,
        subtitleFontSize=11,
        subtitleColor=FAINT,
        subtitlePadding=4,
        offset=14,
    )
    foot = alt.Title(
        corner,
        orient="bottom",
        anchor="end",
        fontSize=9,
        fontWeight="normal",
        color=FAINT,
        offset=10,
    )
    # A title above another concatenation stands above the legends of the inner one too.
    inner: Any = alt.vconcat(chart).properties(title=foot)
    outer: Any = alt.vconcat(inner).properties(title=head, background="white", padding=12)
    styled: ChartType = outer.configure(**_look())
    return styled


def workload_rows(workloads: list[str]) -> alt.Row:
    """A panel per workload, one above the other, each under its name."""
    header = alt.Header(
        title=None, labelOrient="top", labelAnchor="start", labelAngle=0, labelPadding=-8
    )
    return alt.Row("workload:N", sort=workloads, header=header)


def _look() -> dict[str, Any]:
    text = {"labelFontSize": 10.5, "titleFontSize": 11, "labelColor": INK, "titleColor": INK}
    return {
        "font": FONT,
        # One alternative text stands for the whole figure, not one per mark.
        "aria": False,
        "view": {"stroke": None},
        "title": {"color": INK},
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "gridColor": GRID,
            "domainColor": "#888888",
            "tickColor": "#888888",
            "titlePadding": 6,
            "labelLimit": 400,
        },
        "legend": {
            **text,
            "titleFontWeight": "bold",
            "symbolStrokeWidth": 1,
            "labelLimit": 300,
            "titleLimit": 400,
        },
        "header": {**text, "labelFontSize": 12, "labelFontWeight": "bold", "labelLimit": 500},
    }


@dataclass(frozen=True)
class Rendered:
    """A chart as text and picture."""

    svg: str
    png: bytes
    spec: str


def rendered(chart: ChartType) -> Rendered:
    """A chart as SVG, PNG at two pixels per unit, and Vega-Lite."""
    import vl_convert

    with alt.data_transformers.enable("default", max_rows=None):
        content = chart.to_dict()
    spec = json.dumps(
        content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg = stable_ids(vl_convert.vegalite_to_svg(spec, vl_version=version))
    return Rendered(svg, vl_convert.svg_to_png(svg, scale=2), spec + "\n")
