"""Figures: drawn from small invented tables; every number here is invented."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from infercost.errors import SpecError
from infercost.plots.base import Figure, FigureData, draw, figures, save
from infercost.plots.ids import stable_ids
from infercost.plots.labels import Spot, placed
from infercost.plots.palette import FAMILIES, GROUP_OF, GROUPS, by_family, family
from infercost.plots.pareto import unbeaten
from infercost.plots.roofs import si
from infercost.terms import RESOURCES

HARDWARE = ("h100-sxm", "mi300x", "tpu-v7", "my-chip")
MODELS = ("llama-3.1-8b", "deepseek-v3")
WORKLOADS = ("chat", "code")
FIGURES = ("pareto", "price-by-accelerator", "roofline", "stress-bars", "stress-map")


def case_rows(n: int, hardware: str, model: str, workload: str) -> list[dict[str, object]]:
    """Three points of a front, the first one the best; `my-chip` cannot serve the second model."""
    keys: dict[str, object] = {"hardware": hardware, "model": model, "workload": workload}
    plan = {"batch": 64, "tp": 2, "pp": 1, "dp": 1, "ep": 1}
    if (hardware, model) == ("my-chip", MODELS[1]):
        return [{**keys, **plan, "feasible": False, "limited_by": "context", "best": True}]
    shares = {"compute": 0.3 + 0.02 * (n % 3), "weights": 0.4, "kv": 0.1}
    shares["capacity"] = 1.0 - sum(shares.values())
    stress = {f"cost_stress_{r}": shares.get(r, 0.0) for r in RESOURCES}
    step = {f"decode_stress_{r}": float(r == "weights") for r in RESOURCES if r != "capacity"}
    return [
        {
            **keys,
            **plan,
            "feasible": True,
            "limited_by": None,
            "best": point == 0,
            "tpot_s": 0.08 / 2**point,
            "cost_per_mtoken_usd": (1.0 + 0.2 * n) * 3**point,
            **stress,
            **step,
        }
        for point in range(3)
    ]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    cases = [(h, m, w) for h in HARDWARE for m in MODELS for w in WORKLOADS]
    found = pd.DataFrame([row for n, case in enumerate(cases) for row in case_rows(n, *case)])
    kinds = dict.fromkeys(("hardware", "model", "workload", "limited_by"), "category")
    return found.astype(kinds)


def operator(
    phase: str, name: str, flops: float, intensity: float, time: float
) -> dict[str, object]:
    return {
        **{"hardware": "h100-sxm", "model": "llama-3.1-8b", "workload": "chat"},
        **{"batch": 64, "tp": 2, "pp": 1, "dp": 1, "ep": 1, "block": "all"},
        **{"phase": phase, "operator": name, "flops_flop": flops, "intensity": intensity},
        **{"time_s": time, "bound": "weights", "peak_per_s": 1e15, "bandwidth_b_per_s": 3e12},
    }


@pytest.fixture(scope="module")
def operators() -> pd.DataFrame:
    return pd.DataFrame(
        [
            operator("decode", "feed-forward up", 1e12, 64.0, 8e-3),
            operator("decode", "attention core", 1e10, 4.0, 1e-3),
            operator("decode", "embedding", 0.0, 0.0, 1e-3),
            operator("prefill", "feed-forward up", 1e13, 1000.0, 20e-3),
            operator("prefill", "normalisation", 0.0, float("inf"), 1e-3),
        ]
    )


@pytest.fixture(scope="module")
def data(rows: pd.DataFrame, operators: pd.DataFrame) -> FigureData:
    return FigureData("tiny", "What costs?", "v-0123", rows, {"operators": operators})


def with_options(data: FigureData, **options: object) -> FigureData:
    return FigureData(data.study, data.question, data.version, data.rows, data.aggregates, options)


@pytest.fixture(scope="module")
def drawn(data: FigureData) -> dict[str, Figure]:
    return {name: draw(name, data) for name in FIGURES}


def test_the_figures_are_found_by_their_modules() -> None:
    assert set(FIGURES) <= set(figures())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_asks_a_question_and_names_the_version(
    name: str, drawn: dict[str, Figure]
) -> None:
    assert drawn[name].title.endswith("?")
    assert drawn[name].caption.endswith(".")
    assert "infercost · tiny · version v-0123" in json.dumps(
        drawn[name].chart.to_dict(), ensure_ascii=False
    )


def test_saved_bytes_are_the_same_in_another_process(
    data: FigureData, drawn: dict[str, Figure], tmp_path: Path
) -> None:
    for name, figure in drawn.items():
        save(figure, tmp_path / "here" / name)
    (tmp_path / "data.pickle").write_bytes(pickle.dumps(data))
    program = (
        "import pickle, sys; from pathlib import Path\n"
        "from infercost.plots.base import draw, save\n"
        "folder = Path(sys.argv[1]); data = pickle.loads((folder / 'data.pickle').read_bytes())\n"
        "for name in reversed(sys.argv[2:]): save(draw(name, data), folder / 'there' / name)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *FIGURES],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    files = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert files == sorted(f"{n}.{s}" for n in FIGURES for s in ("csv", "json", "png", "svg"))
    for name in files:
        here, there = (tmp_path / side / name for side in ("here", "there"))
        assert here.read_bytes() == there.read_bytes(), name


def test_a_stem_may_hold_dots(drawn: dict[str, Figure], tmp_path: Path) -> None:
    save(drawn["stress-map"], tmp_path / "map-llama-3.1-8b")
    assert (tmp_path / "map-llama-3.1-8b.csv").is_file()


def test_the_csv_holds_the_numbers_that_the_map_shows(
    drawn: dict[str, Figure], tmp_path: Path
) -> None:
    save(drawn["stress-map"], tmp_path / "map")
    table = pd.read_csv(tmp_path / "map.csv")
    assert len(table) == len(HARDWARE) * len(MODELS) * len(WORKLOADS)
    served = table[table["limited_by"].isna()]
    assert set(served["resource"]) == {"memory: weights"}
    assert (served["share"] == 0.4).all()
    assert ">40 %<" in (tmp_path / "map.svg").read_text()


def test_an_infeasible_cell_names_what_ran_out(drawn: dict[str, Figure]) -> None:
    table = drawn["stress-map"].table
    lost = table[table["limited_by"].notna()]
    assert list(lost["limited_by"]) == ["context", "context"]
    assert lost["share"].isna().all()
    assert set(lost["hardware"]) == {"my-chip"}


def test_stacked_shares_sum_to_one(drawn: dict[str, Figure]) -> None:
    table = drawn["stress-bars"].table
    sums = table.groupby(["workload", "hardware", "total"])["share"].sum()
    assert sums.tolist() == pytest.approx([1.0] * len(HARDWARE) * len(WORKLOADS) * 2)
    assert set(table.loc[table["hardware"] == "my-chip", "models"]) == {1}


def layers(node: Any) -> Iterator[list[dict[str, Any]]]:
    """The units of every layered view of a specification."""
    if isinstance(node, dict):
        if "layer" in node:
            yield node["layer"]
        yield from (found for child in node.values() for found in layers(child))
    elif isinstance(node, list):
        yield from (found for child in node for found in layers(child))


def test_no_layer_takes_away_the_legend_of_another(drawn: dict[str, Figure]) -> None:
    """Vega warns of `disable` that is both false and true; a colour without a scale has none."""
    for name, figure in drawn.items():
        for units in layers(figure.chart.to_dict()):
            colours = [unit.get("encoding", {}).get("color", {}) for unit in units]
            legends = {c.get("legend", {}) is None for c in colours if "field" in c}
            assert len(legends) < 2, name


def test_the_front_shows_the_speed_of_a_stream_and_its_cost(drawn: dict[str, Figure]) -> None:
    """1 / 0.08 s = 12.5 tokens/s at the first point."""
    first = drawn["pareto"].table.query("hardware == 'h100-sxm' and model == 'llama-3.1-8b'")
    assert first["user_throughput_per_s"].tolist() == pytest.approx([12.5, 25.0, 50.0])
    assert first["cost_per_mtoken_usd"].tolist() == pytest.approx([1.0, 3.0, 9.0])
    assert first["unbeaten"].all()


def test_a_dearer_point_is_beaten_by_one_as_fast() -> None:
    points = pd.DataFrame(
        {"user_throughput_per_s": [10.0, 10.0, 20.0], "cost_per_mtoken_usd": [2.0, 1.0, 3.0]}
    )
    assert unbeaten(points).tolist() == [False, True, True]


def test_the_objective_is_marked_where_it_is_given(data: FigureData) -> None:
    """1 / 100 ms = 10 tokens/s."""
    spec = json.dumps(draw("pareto", with_options(data, tpot="100 ms")).chart.to_dict())
    assert '"user_throughput_per_s": 10.0}' in spec
    with pytest.raises(SpecError, match=r"figures\.pareto\.tpot"):
        draw("pareto", with_options(data, tpot="100"))


def test_prices_are_those_of_the_best_points(drawn: dict[str, Figure]) -> None:
    table = drawn["price-by-accelerator"].table.dropna(subset=["cost_per_mtoken_usd"])
    assert len(table) == 14
    assert table["cost_per_mtoken_usd"].min() == 1.0


def test_a_roofline_shows_operators_that_do_arithmetic_at_their_rate(
    drawn: dict[str, Figure],
) -> None:
    """1e12 FLOP in 8 ms = 125 TFLOP/s, which is 8 of the 10 ms of the decode step."""
    table = drawn["roofline"].table
    assert len(table) == 3
    largest = table[(table["phase"] == "decode") & (table["operator"] == "feed-forward up")]
    assert largest["rate_flop_per_s"].tolist() == pytest.approx([1.25e14])
    assert largest["share_of_phase"].tolist() == pytest.approx([0.8])


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("stres-map", {}, "no figure is named 'stres-map'. Did you mean 'stress-map'?"),
        ("roofline", {"modle": "x"}, "takes no option 'modle'. Did you mean 'model'?"),
        ("lines", {"x": "batch", "y": "tpot_s"}, "option 'series' is missing. Add 'series:'"),
        ("roofline", {"hardware": "h10-sxm"}, "Did you mean 'h100-sxm'?"),
        ("pareto", {"workload": "cod"}, "holds no workload 'cod'. Did you mean 'code'?"),
        ("stress-map", {"where": {"hardwar": "x"}}, "Did you mean 'hardware'?"),
        ("stress-map", {"where": {"model": "x"}}, "keeps no row"),
        ("stress-bars", {"where": {"hardware": "my-chip", "model": "deepseek-v3"}}, "no feasible"),
    ],
)
def test_a_wrong_choice_is_one_line(
    data: FigureData, name: str, options: dict[str, object], fault: str
) -> None:
    with pytest.raises(SpecError) as error:
        draw(name, with_options(data, **options))
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_where_keeps_the_rows_asked_for(data: FigureData) -> None:
    chosen = with_options(data, where={"workload": "code", "model": list(MODELS)})
    assert set(draw("stress-map", chosen).table["workload"]) == {"code"}


def test_a_further_axis_has_to_be_chosen_by_where(data: FigureData) -> None:
    doubled = pd.concat([data.rows.assign(trend=t) for t in ("none", "rag")], ignore_index=True)
    two = FigureData("tiny", "What costs?", "v-0123", doubled)
    with pytest.raises(SpecError, match=r"Choose by 'where: \{trend: \.\.\.\}'"):
        draw("stress-map", two)


def test_a_roofline_needs_the_operators(data: FigureData) -> None:
    bare = FigureData(data.study, data.question, data.version, data.rows)
    with pytest.raises(SpecError, match="needs the aggregate 'operators'"):
        draw("roofline", bare)


def test_every_resource_has_one_of_six_colours() -> None:
    assert set(GROUP_OF) == set(RESOURCES)
    colours = {group.colour for group in GROUPS}
    assert len(colours) == len(GROUPS) == 6
    assert not colours & {colour for _, colour in FAMILIES.values()}


@pytest.mark.parametrize(
    ("accelerator", "vendor"),
    [
        ("a100-sxm-80gb", "NVIDIA"),
        ("gb200-nvl72", "NVIDIA"),
        ("l40s", "NVIDIA"),
        ("mi355x", "AMD"),
        ("tpu-v5e", "Google"),
        ("trainium2", "AWS"),
        ("inferentia2", "AWS"),
        ("gaudi3", "Intel"),
        ("bespoke-1", "other"),
    ],
)
def test_an_accelerator_wears_the_colour_of_its_vendor(accelerator: str, vendor: str) -> None:
    assert family(accelerator) == vendor


def test_accelerators_of_one_vendor_stand_together() -> None:
    assert by_family(["h100", "tpu-v7", "b200", "mi300x"]) == ["mi300x", "tpu-v7", "h100", "b200"]


def test_labels_meet_neither_each_other_nor_a_mark() -> None:
    spots = [Spot(50.0 + n, 50.0, f"label {n}") for n in range(12)]
    found = placed(spots, 300, 100)
    boxes = [(p.x - 16, p.y - 5, p.x + 16, p.y + 5) for p in found]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert found
    assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in pairs)


def test_a_label_without_room_is_left_out() -> None:
    assert placed([Spot(10, 10, "far too long for the panel")], 60, 20) == []


def test_ids_are_counted_afresh() -> None:
    svg = '<svg><clipPath id="clip71"/><g id="x9" clip-path="url(#clip71)"/><use href="#x9"/></svg>'
    assert stable_ids(svg, "a-") == (
        '<svg><clipPath id="a-i0"/><g id="a-i1" clip-path="url(#a-i0)"/><use href="#a-i1"/></svg>'
    )


def test_rates_are_written_with_a_prefix() -> None:
    assert si(1.979e15, "FLOP/s") == "1.979 PFLOP/s"
    assert si(3.35e12, "B/s") == "3.35 TB/s"
