"""What the operators of a decode pass move besides weights and caches, by hand.

Nothing stays on the chip, but for one byte of each operator. 16 rows of 2-byte elements: what goes
into a product and what comes out of it, a gate and its product being one with the projection.
"""

from __future__ import annotations

import pytest

from infercost.cost import Evaluation
from infercost.operators.stack import blocks
from probes import number, point

ROWS = 16
DECODE = ("calibration=ideal", "workload=snapshot", "workload.context=1000", f"batch={ROWS}")


def decode(*overrides: str) -> Evaluation:
    return point(*DECODE, "hardware.on_chip=1 B", *overrides)


def widths(at: Evaluation, block: str) -> dict[str, float]:
    """Elements per row that each operator of a block moves, by name."""
    (found,) = (b for b in blocks(at.layout, at.decode_pass) if b.name == block)
    moved = {
        o.name: o.traffic["activations"] for o in found.operators if "activations" in o.traffic
    }
    return {name: (number(amount) + 1) / ROWS / 2 for name, amount in moved.items()}


@pytest.mark.parametrize("tp", [1, 8])
def test_rows_of_a_dense_layer(tp: int) -> None:
    """Llama-3.1-8B: 32 query and 8 KV heads of 128, a block of 14336, the last two split by tp."""
    found = widths(decode("model=llama-3.1-8b", f"plan.tp={tp}"), "all")
    assert found == {
        "normalisation": 4 * 4096,
        "qkv projection": 4096 + (32 + 2 * 8) * 128 / tp,
        "attention core": 2 * 32 * 128 / tp,
        "output projection": 32 * 128 / tp + 4096,
        "feed-forward up": 4096 + 14336 / tp,
        "feed-forward down": 14336 / tp + 4096,
    }


def test_rows_of_the_head() -> None:
    """128,256 tokens of which each device of four knows a quarter."""
    found = widths(decode("model=llama-3.1-8b", "plan.tp=4"), "head")
    assert found["language model head"] == 4096 + 128_256 / 4
    assert found["normalisation"] == 4 * 4096


@pytest.mark.parametrize(("tp", "dp", "ep"), [(1, 1, 1), (4, 1, 4), (2, 2, 4)])
def test_rows_of_experts(tp: int, dp: int, ep: int) -> None:
    """Mixtral: a row visits 2 of 8 experts of 14336; a stage of tp · dp devices shares all rows.

    A stage of two groups has 32 rows of which each device works on a quarter.
    """
    plan = (f"plan.tp={tp}", f"plan.dp={dp}", f"plan.ep={ep}")
    at = decode("model=mixtral-8x7b", *plan) if dp == 1 else grouped(*plan, dp=dp)
    found = widths(at, "all")
    assert found["router"] == 4096 + 8
    visits = ROWS * dp * 2 / (tp * dp) / ROWS
    assert found["routed experts up"] == visits * (4096 + 14336)
    assert found["routed experts down"] == visits * (14336 + 4096)


def grouped(*plan: str, dp: int) -> Evaluation:
    """As many rows in each data-parallel group."""
    words = [word for word in DECODE if not word.startswith("batch=")]
    return point(*words, f"batch={ROWS * dp}", "hardware.on_chip=1 B", "model=mixtral-8x7b", *plan)


def test_flops_of_experts_are_those_of_their_visits() -> None:
    """DeepSeek-V3: 16 rows visit 8 of 256 experts of 2048 on 8 devices; one more is split."""
    at = decode("model=deepseek-v3", "plan.tp=8", "plan.ep=8")
    (moe,) = (b for b in blocks(at.layout, at.decode_pass) if b.name == "moe")
    flops = {o.name: number(o.flops) for o in moe.operators}
    visits = ROWS * 8 / 8
    assert flops["routed experts up"] == 2 * visits * 2 * 7168 * 2048
    assert flops["routed experts down"] == 2 * visits * 2048 * 7168
    assert flops["shared experts up"] == 2 * ROWS * 2 * 7168 * 2048 / 8
    assert flops["router"] == 2 * ROWS * 7168 * 256
    found = widths(at, "moe")
    assert found["routed experts up"] == 7168 + 2048
    assert found["shared experts up"] == 7168 + 2048 / 8
    assert found["latent projection"] == 7168 + 1536 + 512 + 64
    assert found["output projection"] == 16 * 128 + 7168
