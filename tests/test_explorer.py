"""The explorer: a grid as arrays, what lies between its points, and the page over it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import infercost
from chromium import grave_findings, keep_picture, offline_page
from infercost.__main__ import main
from infercost.datasets import Version, point_to, publish
from infercost.errors import SpecError
from infercost.evaluation import evaluate_arrow
from infercost.explorer import render
from infercost.explorer.cube import Axis, Cube, Part, _parabola, cube_of
from infercost.explorer.ends import ends_of, first_design
from infercost.explorer.error import overrides_at

CHOSEN = ["plan=tensor-parallel-8", "workload=fixed-lengths", "model=llama-3.1-70b"]
AXES: dict[str, list[Any]] = {
    "hardware": ["h100-sxm", "tpu-v5e"],
    "direction": ["tuned", "tuned+3d-stack"],
    "trend": ["reasoning", "rag"],
    "trend.dose": [0, 1],
    "mitigation": ["none", "w4+kv8"],
    "batch": [8, 512],
    "workload.prompt_tokens": [512, 2048, 4096],
    "direction.tuned.bandwidth": [1, 2],
    "direction.tuned.price": [1, 2],
}
BANDWIDTH = "direction.tuned.multiply.memory.main.bandwidth"
PRICE = "direction.tuned.multiply.price"
PLACE = {
    "hardware": "h100-sxm",
    "direction": "tuned",
    "trend": "reasoning",
    "trend.dose": 0.0,
    "mitigation": "none",
    "batch": 8.0,
    "workload.prompt_tokens": 512.0,
    BANDWIDTH: 1.0,
    PRICE: 1.0,
}


ON_THE_GRID: tuple[dict[str, Any], ...] = (
    {},
    {"batch": 512.0},
    {BANDWIDTH: 2.0, PRICE: 2.0},
    {"trend.dose": 1.0},
    {"trend": "rag", "trend.dose": 1.0},
    {"mitigation": "w4+kv8", "batch": 512.0},
    {"direction": "tuned+3d-stack", BANDWIDTH: 2.0, "workload.prompt_tokens": 4096.0},
)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A small grid, published; DRAM of a TPU v5e is too small for some of it."""
    folder = tmp_path_factory.mktemp("explorer")
    swept = [f"{path}={','.join(map(str, values))}" for path, values in AXES.items()]
    table = evaluate_arrow([*CHOSEN, *swept])
    pq.write_table(table, folder / "part.parquet")
    rows = table.select(["hardware"])
    assert isinstance(rows, pa.Table)
    devices = {
        "h100-sxm": _device("989 TFLOP/s", "3.35 TB/s"),
        "tpu-v5e": _device("197 TFLOP/s", "820 GB/s"),
    }
    about = {
        "question": "What if? <b>",
        "chosen": CHOSEN,
        "definition": {"axes": AXES, "optimise": None},
        "options": {"hardware": devices},
    }
    landed = publish(folder / "datasets", "grid", {"all": folder / "part.parquet"}, about)
    point_to(folder / "datasets" / "grid" / "latest", landed.name)
    return landed


def _device(peak: str, bandwidth: str) -> dict[str, Any]:
    return {"peak_dense": {"bf16": peak}, "memory": {"hbm": {"bandwidth": bandwidth}}}


def truth(place: dict[str, Any]) -> Any:
    return infercost.evaluate([*CHOSEN, *overrides_at(place)]).iloc[0]


def test_points_of_the_grid_are_as_evaluated(version: Version) -> None:
    cube = cube_of(version)
    for changes in ON_THE_GRID:
        place = {**PLACE, **changes}
        for name in ("tpot_s", "ttft_s", "cost_per_mtoken_usd", "throughput_per_device_per_s"):
            assert cube.at(place, name) == pytest.approx(truth(place)[name], rel=1e-12)


def test_money_is_exact_between_prices(version: Version) -> None:
    """Cost is linear in the price of a device."""
    place = {**PLACE, PRICE: 1.37}
    found = cube_of(version).at(place, "cost_per_mtoken_usd")
    assert found == pytest.approx(truth(place)["cost_per_mtoken_usd"], rel=1e-9)


def test_times_are_close_between_bandwidths(version: Version) -> None:
    """Memory-bound times go with one over bandwidth; other terms do not change."""
    place = {**PLACE, BANDWIDTH: 1.4}
    assert cube_of(version).at(place, "tpot_s") == pytest.approx(truth(place)["tpot_s"], rel=0.02)


def test_a_parabola_is_found_again_between_its_points() -> None:
    """t = 3 + 2 S + S^2 at S = 1, 2, 8 and 20: at 3 it is 18, at 12 it is 171."""
    axis = Axis("workload.prompt_tokens", "prompt tokens", (1.0, 2.0, 8.0, 20.0), True)
    known = [3 + 2 * s + s * s for s in axis.values]
    for at, exact in ((3.0, 18.0), (12.0, 171.0), (8.0, 83.0)):
        assert sum(w * known[i] for i, w in _parabola(axis, at)) == pytest.approx(exact)


def test_a_parabola_that_leaves_its_points_is_not_taken() -> None:
    """Through 10, 1 and 1 at 1, 2 and 8 it falls to -10.6 at 5: the chord from 1 to 1 stays."""
    axis = Axis("workload.prompt_tokens", "prompt tokens", (1.0, 2.0, 8.0), True)
    part = Part((0,), False, True, "s", "", np.array([10.0, 1.0, 1.0]))
    cube = Cube((axis,), ("",), np.zeros(3), {"ttft_s": part})
    assert sum(w * part.values[i] for i, w in _parabola(axis, 5.0)) < 0
    assert cube.at({axis.name: 5.0}, "ttft_s") == pytest.approx(1.0)


def test_nothing_is_told_between_bandwidths_where_heat_takes_the_clock(version: Version) -> None:
    cube = cube_of(version)
    assert cube.hot == {"tuned+3d-stack"}
    stacked = {**PLACE, "direction": "tuned+3d-stack"}
    assert np.isnan(cube.at({**stacked, BANDWIDTH: 1.4}, "tpot_s"))
    assert cube.at({**stacked, PRICE: 1.4}, "tpot_s") > 0
    assert cube.at({**PLACE, BANDWIDTH: 1.4}, "tpot_s") > 0


def test_a_metric_keeps_the_axes_that_it_depends_on(version: Version) -> None:
    cube = cube_of(version)
    names = [axis.name for axis in cube.axes]
    depends = {names[dim] for dim in cube.metrics["tpot_s"].dims}
    assert PRICE not in depends
    assert PRICE in {names[dim] for dim in cube.metrics["cost_per_mtoken_usd"].dims}


def test_next_to_an_infeasible_point_there_is_no_number(version: Version) -> None:
    place = {**PLACE, "hardware": "tpu-v5e", "batch": 512.0, "workload.prompt_tokens": 2000.0}
    assert truth(place)["feasible"] in (True, False)
    corner = {**place, "workload.prompt_tokens": 4096.0}
    assert not truth(corner)["feasible"]
    assert np.isnan(cube_of(version).at(place, "tpot_s"))


@pytest.mark.parametrize(
    ("last", "stepped", "reciprocal"),
    [("batch", True, False), ("bandwidth", False, True), ("alpha", False, False)],
)
def test_what_lies_between_values_follows_from_the_axis(
    last: str, stepped: bool, reciprocal: bool
) -> None:
    axis = Axis(f"x.{last}" if last != "batch" else last, last, (1.0, 2.0), True)
    assert (axis.stepped, axis.reciprocal) == (stepped, reciprocal)


def test_the_page_tells_the_first_design_at_both_ends_of_what_sources_say(version: Version) -> None:
    """Those are points of the command, and the grid's own direction lies between them."""
    cube = cube_of(version)
    (found,) = ends_of(version, cube)  # sources disagree about one of the two directions
    assert found.direction == "tuned+3d-stack"
    place = first_design(cube)
    for end in ("", "best", "worst"):
        name = "+".join(f"{part}@{end}".rstrip("@") for part in ("tuned", "3d-stack"))
        row = truth({**place, "direction": name})
        # At the worst end a stack holds 0.375 of what HBM does: too little for this batch.
        cost = row.cost_per_mtoken_usd if row.feasible else np.nan
        assert found.cost[end] == pytest.approx(cost, rel=1e-12, nan_ok=True)
        assert bool(row.feasible) == (end != "worst")
    assert found.tpot["best"] < found.tpot[""]
    page = render(version)
    for end in ("", "best"):
        assert f"<td>{1e3 * found.tpot[end]:.2f}</td>" in page
    assert "<td>infeasible</td>" in page


def test_a_study_of_chosen_points_has_no_explorer(version: Version, tmp_path: Path) -> None:
    part = next(version.data.glob("*.parquet"))
    about = {"definition": {"axes": AXES, "optimise": {"minimise": "tpot_s"}}}
    chosen = publish(tmp_path, "chosen", {"all": part}, about)
    with pytest.raises(SpecError, match="chosen points, not a grid"):
        cube_of(chosen)


def test_the_command_writes_a_page(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    root = str(version.folder.parents[1])
    assert main(["explorer", "grid", "--root", root, "--out", str(out)]) == 0
    text = out.read_text()
    assert "What if? &lt;b&gt;" in text
    assert "default-src 'none'" in text
    assert main(["explorer", "grid", "--root", root, "--out", str(tmp_path / "no" / "x")]) == 2


# --- in a browser


@pytest.fixture(scope="module")
def opened(version: Version, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file = tmp_path_factory.mktemp("page") / "explorer.html"
    file.write_text(render(version), encoding="utf-8")
    with offline_page() as page:
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")  # the page admits no eval
        keep_picture(page, "explorer")
        yield page


def in_page(page: Any, place: dict[str, Any], metric: str) -> float:
    script = """([place, metric]) => {
      const {axes, evaluate} = window.infercostExplorer;
      return evaluate(axes.map(axis => place[axis.name]))[metric];
    }"""
    return float(page.evaluate(script, [place, metric]))


def test_the_page_opens_without_error_or_request(opened: Any) -> None:
    assert [text for kind, text in opened.said if kind == "error"] == []
    assert len(opened.asked) == 1


def test_the_page_gives_the_numbers_of_evaluate_on_the_grid(opened: Any) -> None:
    """16 bits over the range of the grid: a 65,534th of some six orders of magnitude."""
    for changes in ON_THE_GRID:
        place = {**PLACE, **changes}
        for name in ("tpot_s", "ttft_s", "cost_per_mtoken_usd"):
            assert in_page(opened, place, name) == pytest.approx(truth(place)[name], rel=3e-4)


def test_the_page_interpolates_as_the_package_does(opened: Any, version: Version) -> None:
    cube = cube_of(version)
    place = {**PLACE, BANDWIDTH: 1.3, PRICE: 1.7, "workload.prompt_tokens": 1000.0}
    for name in ("tpot_s", "ttft_s", "cost_per_mtoken_usd", "throughput_per_device_per_s"):
        assert in_page(opened, place, name) == pytest.approx(cube.at(place, name), rel=3e-4)


def test_a_change_shows_at_once(opened: Any) -> None:
    took = opened.evaluate("""() => {
      const input = document.querySelector('input[type=range]');
      const start = performance.now();
      for (let i = 0; i < 20; i++) {
        input.value = i * 10;
        input.dispatchEvent(new Event('input'));
      }
      return (performance.now() - start) / 20;
    }""")
    assert took < 100, "ms per change"


def test_a_design_is_pinned_and_compared(opened: Any) -> None:
    opened.select_option("select:has(option[value='512'])", "8")
    opened.locator("#pin").click()
    opened.select_option("select:has(option[value='tpu-v5e'])", "tpu-v5e")
    assert "h100-sxm" in opened.locator("#pinned").inner_text()
    assert "×" not in opened.locator("#results tr").first.inner_text(), "a v5e is too small"
    opened.select_option("select:has(option[value='tpu-v5e'])", "h100-sxm")
    assert "×" in opened.locator("#results tr").first.inner_text()
    opened.locator("#unpin").click()


MOVED = "(input, to) => { input.value = to; input.dispatchEvent(new Event('input')); }"


def test_bandwidth_steps_where_heat_takes_the_clock(opened: Any) -> None:
    place = {**PLACE, "direction": "tuned+3d-stack", BANDWIDTH: 1.4}
    script = """place => {
      const {axes, evaluate} = window.infercostExplorer;
      return evaluate(axes.map(axis => place[axis.name]));
    }"""
    told = opened.evaluate(script, place)
    assert told["between"]
    assert told["tpot_s"] is None or told["tpot_s"] != told["tpot_s"]
    slider = opened.get_by_label("bandwidth")
    slider.evaluate(MOVED, 100)
    assert not opened.locator("#hot").is_visible()
    assert slider.get_attribute("aria-valuetext") not in ("1", "2")
    opened.select_option("select:has(option[value='tuned+3d-stack'])", "tuned+3d-stack")
    assert opened.locator("#hot").is_visible()
    assert slider.get_attribute("aria-valuetext") in ("1", "2")
    opened.select_option("select:has(option[value='tuned+3d-stack'])", "tuned")
    slider.evaluate(MOVED, 0)
    assert slider.get_attribute("aria-valuetext") == "1"


def test_what_does_not_fit_is_said(opened: Any) -> None:
    opened.select_option("select:has(option[value='tpu-v5e'])", "tpu-v5e")
    opened.select_option("select:has(option[value='512'])", "512")
    assert "capacity runs out" in opened.locator("#verdict").inner_text()


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(opened: Any) -> None:
    assert grave_findings(opened) == []
    opened.locator("select").first.focus()
    for _ in range(3):
        opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.tagName") in ("SELECT", "INPUT")


def test_content_is_json(version: Version) -> None:
    page = render(version)
    start = page.index('id="content">') + len('id="content">')
    content = json.loads(page[start : page.index("</script>", start)])
    assert [axis["name"] for axis in content["axes"]][:2] == ["hardware", "trend"]
