"""Every figure of money and energy of a replay leads back to inputs with sources, and comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infercost.__main__ import main
from infercost.errors import SpecError
from infercost.serving.ask import asked_service, one_composed
from infercost.serving.tracing import ReplayTracer
from probes import nodes

BASE = ("workload=azure-2023-conversation", "plan.tp=8")
SERVICES = (
    (),
    ("economics=rental", "serving=prefill-first", "serving.replicas=2"),
    ("+direction=hbf", "direction.hbf.price=4 USD/GB", "economics=hyperscaler"),
    ("hardware=mi300x", "hardware.tdp=600 W", "plan.spares=1"),
    ("serving=disaggregated", "prefill.hardware=b200-sxm", "prefill.economics=rental"),
    ("serving=edge-router", "edge.hardware=apple-m4-max-40c", "edge.model=llama-3.1-8b",
     "edge.plan.tp=1", "edge.economics.utilisation=0.1"),
    ("serving=edge-cascade", "serving.edge.share=0.5", "edge.hardware=apple-m4-max-40c",
     "edge.model=llama-3.1-8b", "edge.plan.tp=1"),
)  # fmt: skip


@cache
def tracer(overrides: tuple[str, ...]) -> ReplayTracer:
    words = [*BASE, *overrides]
    service, requests = asked_service(words, (), 40, 4.0, 0)
    return ReplayTracer(service, requests, 0, words, ())


@pytest.mark.parametrize("overrides", SERVICES, ids=lambda o: " ".join(o) or "defaults")
def test_every_figure_of_money_energy_and_carbon_comes_out(overrides: tuple[str, ...]) -> None:
    trace = tracer(overrides)
    assert len(trace.columns) == 5
    for column in trace.columns:
        tree = trace.trace(column)
        assert tree.value == trace.reported[column]
        assert tree.faults() == [], column


@pytest.mark.parametrize("overrides", SERVICES, ids=lambda o: " ".join(o) or "defaults")
def test_every_input_has_a_source_and_every_option_a_file(overrides: tuple[str, ...]) -> None:
    trace = tracer(overrides)
    stated = [*BASE, *(text.removeprefix("edge.").removeprefix("prefill.") for text in overrides)]
    for node in (node for column in trace.columns for node in nodes(trace.trace(column))):
        if node.source == "stated":
            assert node.file in stated
        elif node.how == "input":
            assert node.source, node.name
            if "." in node.name:
                assert Path(node.file.partition(":")[0]).suffix == ".yaml", node
        elif not node.terms:
            assert node.source, node.name


def test_a_tree_that_does_not_come_out_is_told() -> None:
    tree = tracer(()).trace("cost_per_mtoken_usd")
    assert replace(tree, value=tree.value * 1.001).faults()


def test_devices_are_paid_for_while_they_wait() -> None:
    """Eight devices at 2 USD an hour: 16 USD / 3600 a second over the whole horizon."""
    words = [
        *BASE,
        "economics=rental",
        "hardware.rental_price=2 USD/h",
        "economics.utilisation=0.5",
    ]
    service, requests = asked_service(words, (), 40, 0.2, 0)
    trace = ReplayTracer(service, requests, 0, words, ())
    horizon = trace.reported["horizon_s"]
    assert horizon > 39 / 0.2
    assert trace.usd().value == pytest.approx(16 / 3600 * horizon, rel=1e-12)


def test_a_column_without_a_tree_is_refused() -> None:
    with pytest.raises(SpecError, match="cost_per_mtoken_usd"):
        tracer(()).trace("cost_per_mtoken")


def test_the_command_prints_the_tree_of_the_figure_that_it_reports(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["replay", *BASE, "--requests", "20", "--rate", "2"]
    assert main([*command, "--json"]) == 0
    reported: list[dict[str, float]] = json.loads(capsys.readouterr().out)
    assert main([*command, "--trace", "energy_per_request_j", "--json"]) == 0
    tree: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert tree["value"] == reported[0]["energy_per_request_j"]
    assert main([*command, "--trace", "cost_per_mtoken_usd"]) == 0
    text = capsys.readouterr().out
    assert "h100-sxm.yaml:" in text
    assert "azure-llm-trace" in text


def test_a_trace_takes_one_rate(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["replay", *BASE, "--requests", "20", "--rate", "2,4", "--trace"]
    assert main([*command, "cost_per_mtoken_usd"]) != 0
    assert "takes one rate, not 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "override",
    [
        "hardware.price={uniform: [20000 USD, 40000 USD]}",
        "prefill.hardware.price={uniform: [20000 USD, 40000 USD]}",
        "direction.hbf.price={uniform: [1 USD/GB, 2 USD/GB]}",
        "draw=4",
    ],
)
def test_what_is_drawn_is_refused_with_what_to_do(
    override: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*BASE, "+direction=hbf", "serving=disaggregated", override]
    assert main(["replay", *words, "--requests", "20"]) != 0
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1
    assert "takes one value" in told
    assert "infercost evaluate draw=256" in told


def test_options_that_are_uncertain_are_replayed_at_their_nominal_value() -> None:
    """HBF states ranges of its own."""
    assert one_composed(["+direction=hbf"], ()).options["direction"] == "hbf"


def test_overrides_of_directions_count() -> None:
    """Four stacks of 512 GB: 2 USD/GB more are 4096 USD a device more."""
    low, high = (
        tracer(("+direction=hbf", f"direction.hbf.price={price} USD/GB")).main.tracer.price().value
        for price in (2, 4)
    )
    assert high - low == pytest.approx(4 * 512 * 2)
