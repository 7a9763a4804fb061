"""Charts that answer to the pointer: what is added to a specification, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

from infercost.report.interactive import embedded, interactive

X = {"field": "x", "type": "quantitative"}
Y = {"field": "y", "type": "quantitative"}
SERIES = {"field": "series", "type": "nominal"}
LINES: dict[str, Any] = {"mark": "line", "encoding": {"x": X, "y": Y, "color": SERIES}}
LABELS: dict[str, Any] = {"mark": "text", "encoding": {"x": X, "y": Y, "text": SERIES}}


def test_lines_get_values_on_hover_a_legend_to_click_and_axes_to_zoom() -> None:
    live = interactive({"vconcat": [LINES]})["vconcat"][0]
    assert live["mark"] == {"type": "line", "tooltip": {"content": "encoding"}}
    zoom, toggle = live["params"]
    assert (zoom["select"], zoom["bind"]) == ("interval", "scales")
    assert (toggle["select"]["fields"], toggle["bind"]) == (["series"], "legend")
    faded = live["encoding"]["opacity"]
    assert faded["condition"]["param"] == toggle["name"]
    assert faded["value"] < 0.5 < faded["condition"]["value"]


def test_the_given_specification_stays_as_it_is() -> None:
    given = {"vconcat": [copy.deepcopy(LINES)]}
    interactive(given)
    assert given == {"vconcat": [LINES]}


def test_a_selection_stands_once_for_all_views_of_its_field() -> None:
    """Two units that declare one selection are an error in Vega-Lite."""
    live = interactive({"concat": [LINES, copy.deepcopy(LINES)]})
    names = [p["name"] for unit in live["concat"] for p in unit.get("params", ())]
    assert sorted(names) == ["shown_0", "zoom_0", "zoom_1"]


def test_layers_zoom_together() -> None:
    live = interactive({"layer": [LINES, LABELS]})
    names = [p["name"] for unit in live["layer"] for p in unit.get("params", ())]
    assert names.count("zoom_0") == 1
    assert "tooltip" not in str(live["layer"][1]), "a label says itself what it is"


def test_categories_are_not_zoomed_and_legends_that_are_not_drawn_not_clicked() -> None:
    bars = {
        "mark": "bar",
        "encoding": {"x": X, "y": SERIES, "color": {**SERIES, "legend": None}},
    }
    assert "params" not in interactive({"concat": [bars]})["concat"][0]


def test_texts_cannot_leave_the_script_element() -> None:
    hostile = {**LINES, "title": "</script><script>alert(1)</script>"}
    text = embedded(json.dumps(hostile))
    assert "<" not in text
    assert json.loads(text)["title"] == hostile["title"]
