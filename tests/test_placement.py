"""What must fit on a device, and which limit a point breaks first, by hand."""

from __future__ import annotations

import pytest

from infercost.cost import Evaluation
from infercost.placement import LIMITS, kv_bytes_per_sequence
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


def test_activations_of_a_picture_are_those_of_all_its_tokens() -> None:
    """1024 x 1024 are 4096 tokens. FLUX.1-dev has 512 of text beside them, SD3.5 154, and runs each

    picture twice, with its text and without.
    """
    words = ("calibration=ideal", "workload=image-1024", "plan=single-device", "batch=2")
    flux = number(point(*words, "model=flux.1-dev").memory.activations)
    assert flux == 2 * (4096 + 512) * (4 * 3072 + 2 * 12288) * 2
    twice = number(point(*words, "model=sd3.5-large").memory.activations)
    assert twice == 2 * 2 * (4096 + 154) * (4 * 2432 + 2 * 9728) * 2


# --- Caches ---------------------------------------------------------------------------------------

TOKEN = 32 * 2 * 8 * 128 * 2
"""Bytes of a token in all layers of Llama-3.1-8B."""
EIGHT = (*MODEL, *FIXED, "plan=single-device", "batch=8")


def tokens_kept(*overrides: str) -> tuple[float, float]:
    """Tokens in the caches of requests, and of the context that they share."""
    memory = point(*EIGHT, *overrides).memory
    return number(memory.kv) / TOKEN, number(memory.context) / TOKEN


def test_caches_of_requests_in_flight() -> None:
    """They hold 1000 + 1 to 199 tokens, 1100 in the mean, of deviation √((199² - 1) / 12) = 57.4.

    Room is kept for 8 of the mean and some deviations of their sum, no more than 8 of the longest.
    """
    assert tokens_kept("plan.admission_sigma=0") == (8800, 0)
    deviation = ((199**2 - 1) / 12) ** 0.5
    assert tokens_kept("plan.admission_sigma=2")[0] == pytest.approx(8800 + 2 * deviation * 8**0.5)
    assert tokens_kept("plan.admission_sigma=20") == (8 * 1199, 0)


@pytest.mark.parametrize(
    ("shared", "kept", "computed"), [(600, (8 * 500, 600), 400), (5000, (8 * 100, 1000), 1)]
)
def test_a_shared_context_is_kept_once(
    shared: int, kept: tuple[float, float], computed: int
) -> None:
    """It is at most the prompt, of which one token is computed all the same."""
    words = ("plan.admission_sigma=0", f"plan.placement.shared_context={shared}")
    assert tokens_kept(*words) == kept
    assert number(point(*EIGHT, *words).prefilled) == computed


@pytest.mark.parametrize(
    ("shared", "own", "once"), [(950, 150 + 128, 950), (1000, 100 + 100, 1000 + 28)]
)
def test_a_window_sees_the_end_of_a_shared_context(shared: int, own: int, once: int) -> None:
    """gpt-oss-20b: 12 layers of all 1100 tokens, 12 of the last 128.

    These begin 972 tokens in: nothing of 950 shared ones, 28 of 1000.
    """
    words = ("plan.admission_sigma=0", f"plan.placement.shared_context={shared}")
    at = point("calibration=ideal", "model=gpt-oss-20b", *EIGHT[2:], *words)
    layer = 2 * 8 * 64 * 2
    assert number(at.memory.kv) == 8 * 12 * own * layer
    assert number(at.memory.context) == 12 * once * layer


@pytest.mark.parametrize(
    ("sharding", "tp", "batch", "rows"),
    [
        ("heads", 16, 7, 7 * 1100),  # each of 8 heads is kept twice
        ("batch", 16, 7, 4 * 1100),  # two devices of a head take 4 and 3 sequences
        ("sequence", 16, 7, 7 * 550),  # or half of each
        ("batch", 8, 7, 7 * 1100),
        ("sequence", 8, 7, 7 * 1100),
    ],
)
def test_devices_beyond_heads_keep_copies_or_parts(
    sharding: str, tp: int, batch: int, rows: int
) -> None:
    """Llama-3.1-70B: one of 8 KV heads on a device, 80 layers of 2 x 128 x 2 B a token."""
    words = ("model=llama-3.1-70b", *FIXED, f"plan.tp={tp}", f"batch={batch}")
    at = point(*words, "plan.admission_sigma=0", f"plan.kv_sharding={sharding}")
    head = 80 * 2 * 128 * 2
    assert number(at.memory.kv) == rows * head
    parts = 2 if tp == 16 and sharding != "heads" else 1
    assert number(kv_bytes_per_sequence(at.layout, at.lengths)) == 1100 * head / parts


def test_a_drafter_keeps_weights_and_caches_of_its_own() -> None:
    """Llama-3.2-3B beside Llama-3.1-70B: 28 layers of 2 x 8 x 128 x 2 B for each token."""
    words = ("model=llama-3.1-70b", *FIXED, "plan.tp=8", "batch=8", "plan.admission_sigma=0")
    plain, drafted = (point(*words, *more) for more in ((), ("+mitigation=speculation-model",)))
    assert drafted.drafter is not None
    assert drafted.drafter.case.model.name == "Llama-3.2-3B"
    extra = number(drafted.memory.kv) - number(plain.memory.kv)
    assert extra == pytest.approx(8 * 1100 * 28 * 2 * 8 * 128 * 2 / 8, rel=0.01)
    assert number(drafted.memory.weights) > number(plain.memory.weights)
    assert number(drafted.memory.room) == number(plain.memory.room)


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
