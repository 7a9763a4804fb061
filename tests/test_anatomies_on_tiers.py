"""States, sparse caches, encoders and denoising steps on memory tiers and under directions.

All at the physical floor, on one device. Amounts are per device and pass.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.operators.base import Operator
from infercost.operators.stack import blocks
from infercost.options.question import ask
from infercost.passes.phases import encoder_passes
from probes import number

FLOOR = ("calibration=ideal", "plan=single-device", "hardware=h200-sxm")
LONG = ("workload=snapshot", "workload.context=8192", "batch=4")


@cache
def point(*overrides: str) -> Evaluation:
    return Evaluation(next(iter(Options(ask([*FLOOR, *overrides])).cases())).case)


def decode_operator(at: Evaluation, block: str, name: str) -> Operator:
    (found,) = (
        op for b in blocks(at.layout, at.decode_pass) if b.name == block for op in b.operators
        if op.name == name
    )  # fmt: skip
    return found


def test_a_step_writes_every_state_whole() -> None:
    """Mamba-2 2.7B: 64 layers, each sequence's 80 x 64 x 128 elements in fp32 and the past of its
    convolution, 3 x (5120 + 2 x 128) in 2 B: half of what is moved is written."""
    update = decode_operator(point("model=mamba-2-2.7b", *LONG), "all", "state update")
    state = 80 * 64 * 128 * 4 + 3 * (5120 + 2 * 128) * 2
    assert number(update.written["kv"]) == 4 * state
    assert number(update.traffic["kv"]) == 2 * 4 * state
    assert number(update.run) == state


def test_states_belong_to_each_request_and_attention_shares_the_context() -> None:
    """Jamba: attention's cache of the shared tokens moves to the context, its states stay."""
    alone = point("model=jamba-1.5-large", *LONG)
    shared = point("model=jamba-1.5-large", *LONG, "plan.placement.shared_context=8192")
    attention = 9 * 2 * 8 * 128 * 2 * 8192  # layers x K, V x heads x width x bf16 x tokens
    assert number(shared.memory.context) == attention
    assert number(alone.memory.kv) - number(shared.memory.kv) == pytest.approx(4 * attention)
    assert number(shared.memory.kv) > 0


def test_states_on_flash_wear_it_out() -> None:
    """Every step rewrites every state; 4 x 512 GB of flash bear 1e5 writes of each cell."""
    on_flash = "+plan.placement.order={weights: [hbm], kv: [hbf]}"
    at = point("model=mamba-2-2.7b", *LONG, "direction=hbf", on_flash)
    assert at.placed is not None
    written = 64 * 4 * (80 * 64 * 128 * 4 + 3 * (5120 + 2 * 128) * 2)
    assert number(at.decode.tiers[1].written) == pytest.approx(written)
    assert number(at.memory_life) < 5 * 365.25 * 86400


def test_chosen_tokens_are_read_page_by_page() -> None:
    """DeepSeek-V3.2: 2048 latents of 576 x 2 B apart, each a page of 4 KiB on flash; index keys
    lie in blocks of 16 x 132 B."""
    at = point("model=deepseek-v3.2", *LONG, "plan.formats.kv=bf16", "direction=hbf")
    core = decode_operator(at, "moe", "attention core")
    scores = decode_operator(at, "moe", "index scores")
    assert number(core.run) == 576 * 2
    assert number(scores.run) == 16 * 132


def test_chosen_tokens_are_shared_in_proportion_and_read_by_each() -> None:
    """6144 of 8192 tokens are one context: 3/4 of the choice, read by each of 4 sequences even
    where attention that sees all would read it once for all."""
    once = ("plan.placement.shared_context=6144", "plan.placement.context_rereads=0")
    at = point("model=deepseek-v3.2", *LONG, *once, "plan.formats.kv=bf16")
    core = decode_operator(at, "moe", "attention core")
    assert number(core.shared) == pytest.approx(0.75)
    assert number(core.traffic["kv"]) == pytest.approx(4 * (2048 + 1) * 576 * 2)
    scores = decode_operator(at, "moe", "index scores")
    assert number(scores.traffic["kv"]) == pytest.approx((6144 + 4 * 2048 + 4) * 132)


def test_keys_of_a_denoising_step_lie_where_activations_lie() -> None:
    """No cache is kept: what a step makes stays beside its activations, and off what wears out."""
    at = point("model=flux.1-dev", "workload=image-1024", "batch=1", "direction=hbf")
    assert at.placed is not None
    shares = at.placed.routes.shares
    assert [number(s) for s in shares["kv"]] == [number(s) for s in shares["activations"]]
    assert number(at.decode.tiers[1].written) == 0


def test_encoders_read_their_weights_where_weights_lie() -> None:
    """On flash all weights are read at 4 x 1.6 TB/s, so that towers move nothing but activations
    over the device's own memory."""
    on_flash = "+plan.placement.order={weights: [hbf], activations: [hbm], kv: [hbm]}"
    at = point("model=qwen2-vl-72b", "trend=multimodal", "batch=1", "direction=hbf", on_flash)
    (cost,) = at.encoders
    (step,) = encoder_passes(at.layout)
    weights = sum(
        number(o.count) * number(o.traffic.get("weights", 0.0))
        for b in blocks(at.layout, step)
        for o in b.operators
    )
    assert number(cost.tiers[1].moved) == pytest.approx(weights)


def test_two_streams_cross_to_units_near_memory_as_two_products() -> None:
    """Of n units each set of weights fills half: 2 M sqrt(K N n / 2), above M (K + N)."""
    at = point("model=flux.1-dev", "workload=image-1024", "batch=1")
    (projection,) = (
        o for b in blocks(at.layout, at.decode_pass) for o in b.operators
        if b.name == "double" and o.name == "output projection"
    )  # fmt: skip
    rows, size = number(projection.rows), 3072 * 3072
    assert projection.exchange is not None
    expected = rows * 2 * np.sqrt(size * 64 / 2) * 2
    assert number(projection.exchange(64.0)) == pytest.approx(expected)


@pytest.mark.parametrize("direction", ["hbf", "pnm", "pim-bank", "3d-stack", "low-latency"])
@pytest.mark.parametrize(
    "asked",
    [
        ("model=zamba2-2.7b", *LONG[:1], "workload.context=2048"),
        ("model=llada-8b", "workload=fixed-lengths", "workload.prompt_tokens=128"),
        ("model=flux.1-dev", "workload=image-1024"),
        ("model=qwen2-vl-72b", "trend=multimodal", "hardware=b200-sxm"),
    ],
    ids=["hybrid", "text diffusion", "pictures", "vision"],
)
def test_every_direction_takes_every_anatomy(asked: tuple[str, ...], direction: str) -> None:
    """A step's terms are times, and sum to it."""
    at = point(*asked, f"direction={direction}", "batch=2")
    terms = [number(term) for term in at.decode.time.values()]
    assert all(term >= 0 for term in terms)
    assert np.isfinite(sum(terms))
    assert sum(terms) == pytest.approx(number(at.step_time))
