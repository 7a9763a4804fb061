"""What must fit on a device, and which limit a point breaks first, by hand."""

from __future__ import annotations

import pytest

from infercost.cost import Evaluation
from infercost.placement import LIMITS
from probes import number, point

MODEL = ("calibration=ideal", "model=llama-3.1-8b")
FIXED = ("workload=fixed-lengths", "workload.prompt_tokens=1000", "workload.output_tokens=200")
ROW = 4 * 4096 + 2 * 14336
"""Elements per token: the stream and its copies, what enters and leaves the widest block."""


def broken(at: Evaluation) -> str:
    """The limit that a point breaks; empty where it breaks none."""
    return LIMITS[int(number(at.broken))]


# --- Activations ----------------------------------------------------------------------------------


def test_activations_of_a_decode_step() -> None:
    """64 tokens of 45,056 elements of 2 B; on 8 devices an eighth of the block alone."""
    snapshot = (*MODEL, "workload=snapshot", "batch=64")
    assert number(point(*snapshot, "plan=single-device").memory.activations) == 64 * ROW * 2
    shared = number(point(*snapshot, "plan.tp=8").memory.activations)
    assert shared == 64 * (4 * 4096 + 2 * 1792) * 2


@pytest.mark.parametrize(
    ("overrides", "tokens"),
    [
        ((), 1199),  # a preempted request is computed again, but for its last token
        (("plan.prefill_batch=2",), 2398),
        (("plan.prefill_chunk=256",), 256),
        (("plan.prefill_chunk=256", "batch=300"), 300),  # decode is wider
        (("plan.dp=2", "plan.pp=2", "plan.prefill_chunk=1", "batch=300"), 75),
    ],
)
def test_activations_of_a_prefill_or_of_decode_whichever_is_wider(
    overrides: tuple[str, ...], tokens: int
) -> None:
    at = point(*MODEL, *FIXED, "plan=single-device", "batch=64", *overrides)
    assert number(at.memory.activations) == tokens * ROW * 2


# --- Limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "limit"),
    [
        (("plan.tp=32",), ""),
        (("plan.tp=64",), "plan"),  # 32 heads
        (("plan.pp=32",), ""),
        (("plan.pp=33",), "plan"),  # 32 layers
        (("plan.ep=2", "plan.tp=2"), "plan"),  # no experts
        (("model=mixtral-8x7b", "plan.tp=8", "plan.ep=8"), ""),
        (("model=mixtral-8x7b", "plan.tp=2", "plan.dp=4", "plan.ep=4"), ""),
        (("model=mixtral-8x7b", "plan.tp=4", "plan.dp=4", "plan.ep=2"), "plan"),  # a part of dp
        (("model=mixtral-8x7b", "plan.tp=3", "plan.dp=2", "plan.ep=4"), "plan"),  # 4 on 6
        (("model=mixtral-8x7b", "plan.tp=16", "plan.ep=16"), "plan"),  # 8 experts
    ],
)
def test_a_plan_divides_its_model(overrides: tuple[str, ...], limit: str) -> None:
    assert broken(point(*MODEL, *FIXED, "hardware=mi300x", "batch=1", *overrides)) == limit


@pytest.mark.parametrize(("prompt", "limit"), [(131_071, ""), (131_072, "context")])
def test_a_request_stays_within_the_context_of_its_model(prompt: int, limit: str) -> None:
    """Two tokens of output: the last one is never read again."""
    words = (f"workload.prompt_tokens={prompt}", "workload.output_tokens=2")
    at = point(*MODEL, *FIXED[:1], *words, "hardware=mi300x", "plan=single-device", "batch=1")
    assert broken(at) == limit


@pytest.mark.parametrize(("devices", "limit"), [(32, ""), (31, "reach")])
def test_a_replica_reaches_as_far_as_its_network(devices: int, limit: str) -> None:
    """8 x 4 devices over a scale-out network of so many."""
    words = ("plan.tp=8", "plan.pp=4", f"hardware.scale_out.domain={devices}", "batch=1")
    assert broken(point(*MODEL, *FIXED, *words)) == limit


def test_a_footprint_fills_its_room_to_the_last_byte() -> None:
    plain = (*MODEL, *FIXED, "plan=single-device", "batch=8")
    memory = point(*plain).memory
    used, share = number(memory.used), number(memory.room) / 80e9
    for room, limit in ((used * (1 + 1e-9), ""), (used * (1 - 1e-9), "capacity")):
        capacity = f"hardware.memory.hbm.capacity={room / share / 1e9!r} GB"
        assert broken(point(*plain, capacity)) == limit


def test_the_first_limit_is_named() -> None:
    """A plan that does not divide its model is told before a memory that is too small."""
    words = ("plan.tp=64", "hardware.memory.hbm.capacity=1 MB")
    assert broken(point(*MODEL, *FIXED, *words)) == "plan"


def test_a_pool_that_cannot_serve_breaks_the_point() -> None:
    """Llama-3.1-70B in 16 bits, 141 GB, does not fit on the one device of its prefill pool."""
    words = ("model=llama-3.1-70b", "plan.tp=8", "+mitigation=disaggregation", "batch=1", *FIXED)
    assert broken(point(*words)) == ""
    assert broken(point(*words, "+mitigation.disaggregation.tp=1")) == "capacity"
    assert broken(point(*words, "+mitigation.disaggregation.tp=65")) == "plan"
    # What decode breaks is told first.
    small = ("plan.tp=1", "+mitigation.disaggregation.tp=65")
    assert broken(point(*words, *small)) == "capacity"
