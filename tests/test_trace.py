"""Every figure of money, energy and carbon leads back to inputs with sources, and comes out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infercost.__main__ import main
from infercost.commands.explain import asked
from infercost.errors import SpecError
from infercost.registry import metrics
from infercost.tracing.columns import columns
from infercost.tracing.trees import Tracer
from probes import nodes

UNITS = ("USD", "J", "kgCO2e")
QUESTIONS = (
    (),
    ("economics=rental", "hardware=mi300x", "hardware.rental_price=2 USD/h"),
    ("economics=owner-surge-2026", "economics.prices.year=2027", "plan.tp=8"),
    ("+direction=hbf", "model=deepseek-v3", "plan.tp=8", "plan.ep=8"),
    ("economics=hyperscaler", "hardware.tdp=400 W", "batch=64"),
    ("+mitigation=w4+kv8+speculation-eagle+prefix-cache", "plan.tp=8"),
    ("+mitigation=routing", "plan.tp=8"),
    ("+mitigation=edge-split", "plan.tp=8", "economics=rental"),
    ("+mitigation=disaggregation", "plan.tp=8", "hardware.tdp=500 W"),
    ("trend=rag", "plan.tp=4"),
    ("workload=snapshot", "calibration=ideal"),
    ("model=wan2.1-t2v-14b", "workload=video-720p", "plan.tp=8"),
    ("workload=mooncake-conversation", "plan.tp=8", "plan.prefix_cache.capacity=1 TB",
     "plan.prefix_cache.bandwidth=50 GB/s", "plan.prefix_cache.price=5 USD/GB"),
)  # fmt: skip


@cache
def tracer(overrides: tuple[str, ...]) -> Tracer:
    _, composed, _, point = asked(list(overrides), ())
    return Tracer(composed, point, overrides, ())


@pytest.mark.parametrize("overrides", QUESTIONS, ids=lambda o: " ".join(o) or "defaults")
def test_every_tree_comes_out_at_its_column(overrides: tuple[str, ...]) -> None:
    trace = tracer(overrides)
    for column in columns(trace):
        tree = trace.trace(column)
        assert tree.faults() == [], column
        value = float(np.ravel(metrics()[column].evaluate(trace.point))[0])
        assert tree.value == pytest.approx(value, rel=1e-9, nan_ok=True), column


@pytest.mark.parametrize("overrides", QUESTIONS, ids=lambda o: " ".join(o) or "defaults")
def test_every_input_has_a_source_and_every_option_a_file(overrides: tuple[str, ...]) -> None:
    trace = tracer(overrides)
    for column in columns(trace):
        for node in nodes(trace.trace(column)):
            if node.how != "input":
                continue
            assert node.source, node.name
            if node.source == "stated":
                assert node.file in overrides
            elif "." in node.name:
                assert Path(node.file.partition(":")[0]).suffix == ".yaml", node


def test_every_figure_of_money_energy_and_carbon_has_a_tree() -> None:
    figures = {
        column
        for column, metric in metrics().items()
        if any(unit in metric.unit.split("/") for unit in UNITS)
    }
    assert len(figures) > 20
    assert figures == set(columns(tracer(())))


def test_a_column_without_a_tree_is_refused() -> None:
    with pytest.raises(SpecError, match="cost_per_mtoken_usd"):
        tracer(()).trace("cost_per_mtoken")


def test_the_command_prints_inputs_formulas_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--trace", "cost_per_mtoken_usd", "hardware.tdp=600 W"]) == 0
    text = capsys.readouterr().out
    assert "hardware.tdp = 600 W" in text
    assert "stated; hardware.tdp=600 W" in text
    assert "money.annuity_rate" in text
    assert "h100-sxm.yaml" in text


def test_the_command_gives_the_tree_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--trace", "carbon_per_mtoken_kgco2e", "--json"]) == 0
    tree: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert tree["unit"] == "kgCO2e"
    assert tree["terms"][0]["how"] == "sum"
