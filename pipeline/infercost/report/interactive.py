"""Figures that answer to the pointer: a Vega-Lite specification with selections, and its runtime.

The picture for print is drawn before and stays in the page; where scripts run, the same chart takes
its place: values on hover, legend entries that single out what they name, wheel and drag to zoom.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from markupsafe import Markup

from infercost.report.page import in_script

Spec = dict[str, Any]

_CHILDREN = ("layer", "hconcat", "vconcat", "concat")
_ZOOMED = ("line", "point", "circle", "area")
_FADED = 0.08


def interactive(spec: Spec) -> Spec:
    """A copy of a chart's specification with tooltips, legends to click, and axes to zoom."""
    live = copy.deepcopy(spec)
    live.setdefault("config", {})["tooltipFormat"] = {"numberFormat": ".4~g"}
    units = [unit for unit in _units(live) if _mark(unit) != "text"]
    for unit in units:
        _with_tooltip(unit)
    fields = sorted({field for unit in units for field in _legend_fields(unit)})
    params = [_toggle(field, place) for place, field in enumerate(fields)]
    for unit in units:
        _fade(unit, fields)
    for place, view in enumerate(_zoomable(live)):
        view["params"] = [
            *view.get("params", []),
            {"name": f"zoom_{place}", "select": "interval", "bind": "scales"},
        ]
    if params:
        # A selection belongs to a unit; the first unit with a legend of the field holds it.
        for param, field in zip(params, fields, strict=True):
            holder = next(unit for unit in units if field in _legend_fields(unit))
            holder["params"] = [*holder.get("params", []), param]
    return live


def _units(node: Spec) -> Iterator[Spec]:
    """Every view that has a mark."""
    if "mark" in node:
        yield node
    for key in _CHILDREN:
        for child in node.get(key, ()):
            yield from _units(child)
    if isinstance(node.get("spec"), dict):
        yield from _units(node["spec"])


def _mark(unit: Spec) -> str:
    mark = unit["mark"]
    return str(mark if isinstance(mark, str) else mark["type"])


def _with_tooltip(unit: Spec) -> None:
    mark = unit["mark"] if isinstance(unit["mark"], dict) else {"type": unit["mark"]}
    unit["mark"] = {"tooltip": {"content": "encoding"}, **mark}


def _legend_fields(unit: Spec) -> Iterator[str]:
    """Categories that colour tells apart, and a legend names."""
    color = unit.get("encoding", {}).get("color", {})
    named = isinstance(color, dict) and None not in (
        color.get("legend", {}),
        color.get("scale", {}),
    )
    if named and color.get("type") == "nominal" and "field" in color:
        yield str(color["field"])


def _toggle(field: str, place: int) -> Spec:
    select = {"type": "point", "fields": [field], "toggle": "true"}
    return {"name": f"shown_{place}", "select": select, "bind": "legend"}


def _fade(unit: Spec, fields: list[str]) -> None:
    """Make what a legend's selection leaves out faint, where nothing else sets the opacity."""
    encoding = unit.get("encoding", {})
    for field in _legend_fields(unit):
        if "opacity" not in encoding:
            mark = unit["mark"]
            full = mark.get("opacity", 1.0) if isinstance(mark, dict) else 1.0
            chosen = {"param": f"shown_{fields.index(field)}", "value": full}
            encoding["opacity"] = {"condition": chosen, "value": _FADED}


def _zoomable(node: Spec) -> Iterator[Spec]:
    """One unit of each view whose axes are both numbers."""
    if "layer" in node:
        found = [unit for unit in _units(node) if _has_numeric_axes(unit)]
        yield from found[:1]
        return
    if "mark" in node and _has_numeric_axes(node):
        yield node
    for key in ("hconcat", "vconcat", "concat"):
        for child in node.get(key, ()):
            yield from _zoomable(child)
    if isinstance(node.get("spec"), dict):
        yield from _zoomable(node["spec"])


def _has_numeric_axes(unit: Spec) -> bool:
    encoding = unit.get("encoding", {})
    axes = [encoding.get(axis) for axis in ("x", "y")]
    numeric = all(isinstance(a, dict) and a.get("type") == "quantitative" for a in axes)
    return numeric and _mark(unit) in _ZOOMED


def embedded(spec: str) -> Markup:
    """A specification as JSON that may stand in a script element, whatever its texts hold."""
    return in_script(interactive(json.loads(spec)))


_SHOW = """
for (const card of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(document.getElementById(card.dataset.chart).textContent);
  const live = document.createElement("div");
  live.className = "live";
  vegaEmbed(live, spec, {
    renderer: "svg", defaultStyle: true,
    actions: {export: true, source: false, compiled: false, editor: false},
  }).then(() => {
    const name = card.querySelector(".still svg").getAttribute("aria-label");
    const svg = live.querySelector("svg.marks");
    svg.setAttribute("aria-hidden", "true");
    svg.parentElement.setAttribute("role", "img");
    svg.parentElement.setAttribute("aria-label", name);
    live.querySelector("summary")?.setAttribute("aria-label", `Save the figure: ${name}`);
    card.append(live); card.classList.add("drawn"); card.dataset.drawn = "yes";
  })
    .catch(fault => { card.dataset.drawn = "no"; console.error(fault); });
}
for (const box of document.querySelectorAll("input[data-table]")) {
  const rows = document.getElementById(box.dataset.table).tBodies[0].rows;
  const count = document.getElementById(box.dataset.table + "-count");
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
}
"""
"""Draws the charts, and lets tables be filtered by words."""


@cache
def runtime(charts: bool) -> Markup:
    """The script of the page; with Vega and what it needs where there are charts."""
    import vl_convert

    script = vl_convert.javascript_bundle(f"\n{_SHOW}") if charts else _SHOW
    # Safe: written by this project and its packages; no text of a study is in it.
    return Markup(script.replace("</script", "<\\/script"))
