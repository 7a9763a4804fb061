"""Narrow weights that are widened in memory before a product reads them."""

from __future__ import annotations

import pytest

import infercost
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.operators.stack import blocks
from infercost.options.question import ask

POINT = [
    "hardware=a100-sxm-80gb",
    "model=llama-2-7b",
    "workload=fixed-lengths",
    "plan=base",
    "plan.formats.weights=int8",
    "plan.formats.compute=fp16",
    "calibration=ideal",
    "batch=1",
]


def traffic(*overrides: str) -> dict[str, tuple[float, float]]:
    """Bytes of weights that each operator of a decode pass reads or writes, and how often."""
    point = Evaluation(next(Options(ask([*POINT, *overrides])).cases()).case)
    return {
        operator.name: (float(operator.traffic.get("weights", 0.0)), float(operator.count))
        for block in blocks(point.layout, point.decode_pass)
        for operator in block.operators
    }


def test_a_weight_of_one_byte_moves_five_times() -> None:
    """Read in 1 byte, written in 2, read in 2: of 5 bytes the product's own are the last 2."""
    on_chip, staged = traffic(), traffic("+plan.staged_rows=1")
    name = "feed-forward up"
    stored = on_chip[name][0]
    assert staged[name][0] == pytest.approx(2 * stored)
    assert staged[f"{name}, widened"][0] == pytest.approx(3 * stored)


def test_small_products_unpack_on_chip() -> None:
    """A decode step of one sequence has one row: below 64 nothing is widened."""
    below = traffic("+plan.staged_rows=64")
    plain = traffic()
    assert {name: below[name] for name in plain} == plain
    assert all(count == 0 for name, (_, count) in below.items() if name.endswith("widened"))


def test_wide_weights_need_no_widening() -> None:
    assert traffic("+plan.staged_rows=1", "plan.formats.weights=fp16").keys() == traffic().keys()


def test_a_step_takes_the_time_of_its_traffic() -> None:
    """32 layers of 4 x 4096^2 + 3 x 4096 x 11008 weights and a head of 32000 x 4096 are 6.607e9:
    4 more bytes of each take 26.43 GB / 2.039 TB/s = 12.96 ms more."""
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    once, staged = (step([]), step(["+plan.staged_rows=1"]))
    assert staged - once == pytest.approx(4 * weights / 2.039e12, rel=1e-3)


def step(overrides: list[str]) -> float:
    return float(infercost.evaluate([*POINT, *overrides]).iloc[0].decode_step_s)
