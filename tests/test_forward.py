"""One pass: fixed times of its phase, rates of its operators, and what a power limit adds."""

from __future__ import annotations

from functools import cache

import pytest

from infercost.cost import Evaluation
from probes import number, point

PROMPT = 1000
FREE = (
    "calibration=ideal",
    "model=llama-3.1-8b",
    "plan=single-device",
    "workload=fixed-lengths",
    f"workload.prompt_tokens={PROMPT}",
    "workload.output_tokens=200",
    "batch=16",
    "hardware.memory.hbm.bandwidth=1e30 B/s",
)
"""Bytes take no time."""
UNLIMITED = "hardware.tdp=1e9 W"
PEAK = 989e12
LAYERS = 32 * (4096 * 128 * (32 + 2 * 8) + 4096 * 4096 + 3 * 4096 * 14336)
HEAD = 4096 * 128_256


@cache
def at(*overrides: str) -> Evaluation:
    return point(*FREE, *overrides)


def times(*overrides: str) -> tuple[float, float]:
    """Of a decode pass and of the prefill of a prompt."""
    found = at(UNLIMITED, *overrides)
    return number(found.decode.time.total), number(found.prefill.time.total)


def added(*overrides: str) -> tuple[float, float]:
    """What overrides add to both."""
    before, after = times(), times(*overrides)
    return after[0] - before[0], after[1] - before[1]


@pytest.mark.parametrize(
    ("name", "value", "decode", "prefill"),
    [
        ("calibration.step_overhead", "1 ms", 1e-3, 1e-3),
        ("calibration.sequence_overhead", "10 us", 16 * 10e-6, 0.0),
        ("+calibration.layer_launch", "1 s", 32.0, 32.0),  # less what devices work meanwhile
    ],
)
def test_fixed_times_of_a_pass(name: str, value: str, decode: float, prefill: float) -> None:
    found = added(f"{name}={value}")
    hidden = times() if "launch" in name else (0.0, 0.0)
    assert found[0] == pytest.approx(decode - hidden[0], rel=1e-9)
    assert found[1] == pytest.approx(prefill - hidden[1], rel=1e-9)


def test_launches_are_those_of_their_phase() -> None:
    decode, prefill = added("calibration.decode_overhead=1 us")
    assert (decode > 0, prefill) == (True, 0)
    decode, prefill = added("calibration.prefill_overhead=1 us")
    assert (decode, prefill > 0) == (0, True)


def test_few_tokens_run_slow_in_prefill_alone() -> None:
    """Half of the rate at 1000 tokens: the FLOPs of all products again, the head's 1000 times."""
    decode, prefill = added("calibration.half_rate_tokens=1000")
    assert decode == 0
    again = 2 * (PROMPT * LAYERS + 1000 * HEAD)
    assert prefill == pytest.approx(again / PEAK, rel=1e-9)


def test_few_rows_run_slow_in_both_phases() -> None:
    """Half of the rate at 16 rows: a decode of 16 takes twice as long, a prompt 16 rows more."""
    decode, prefill = added("calibration.half_rate_rows=16")
    assert decode == pytest.approx(2 * 16 * (LAYERS + HEAD) / PEAK, rel=1e-9)
    assert prefill == pytest.approx(2 * 16 * (LAYERS + HEAD) / PEAK, rel=1e-9)


def test_a_power_limit_lengthens_both_bounds_of_a_pass() -> None:
    """All hidden, none hidden and what is between wait alike for the limit."""
    plain, capped = at(UNLIMITED).decode, at("hardware.tdp=100 W").decode
    waits = number(capped.time["power"])
    assert waits > 0
    assert number(plain.lower) == number(plain.upper) == number(plain.time.total) > 0
    assert number(capped.lower) == pytest.approx(number(plain.lower) + waits, rel=1e-12)
    assert number(capped.upper) == pytest.approx(number(plain.upper) + waits, rel=1e-12)
    assert number(capped.time.total) == pytest.approx(number(plain.time.total) + waits, rel=1e-12)


@pytest.mark.parametrize("rate", ["1e15 B/s", "1 GB/s"])
def test_the_lower_bound_of_a_pass_hides_the_shorter_of_work_and_messages(rate: str) -> None:
    """Block by block, so that it is no less than all of either; the upper one hides neither."""
    words = ("model=llama-3.1-8b", "plan.tp=8", "batch=16", "calibration=ideal", UNLIMITED)
    found = point(*words, f"hardware.scale_up.bandwidth_out={rate}").decode
    work, messages = number(found.work), number(found.communication)
    assert number(found.upper) == pytest.approx(work + messages, rel=1e-12)
    lower = number(found.lower)
    assert max(work, messages) * (1 - 1e-12) <= lower < number(found.upper) * (1 - 1e-6)
    assert (messages > work) == (rate == "1 GB/s")
