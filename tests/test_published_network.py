"""Published numbers of networks: measured collectives, exchanges of experts, partitions on tori.

Each test shows the arithmetic of its source. Measurements with small messages carry tolerances of
their own, stated in the test.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import infercost
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.equations import collectives, moe, roofline, sharding
from infercost.operators.stack import blocks
from infercost.options.question import ask


def evaluated(*overrides: str) -> Any:
    """A decode step at the physical floor, communication in sight."""
    return infercost.evaluate(["calibration=ideal", "workload=snapshot", *overrides])


# --- All-reduces on NVLink ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "setup", "time"),
    [
        ("ll", "6.6 us", 15.0e-6),  # 6.6 + 14 · 0.6
        ("ll", "6.8 us", 15.2e-6),  # the tree, a chain inside a node: 6.8 + 14 · 0.6
        ("ll128", "14 us", 40.6e-6),  # 14 + 14 · 1.9
        ("simple", "8.4 us", 56.0e-6),  # 8.4 + 14 · 3.4
    ],
)
def test_the_time_by_which_nccl_chooses(protocol: str, setup: str, time: float) -> None:
    """Base latency and 2 (n - 1) steps over 8 GPUs; 2 KiB add 25 ns at most.

    Channels have no part in it.
    """
    frame = evaluated(
        f"link@hardware.scale_up=nvlink-4-nccl-{protocol}",
        f"hardware.scale_up.setup={setup}",
        *(["hardware.scale_up.channels=null"] if protocol == "ll" else []),
        "model=qwen3-0.6b",
        "batch=1",
    )
    assert frame.decode_all_reduce_s[0] == pytest.approx(time, rel=0.01)


def test_why_rings_fail_at_the_scale_of_a_rack() -> None:
    """72 ranks: 6.6 + 142 · 0.6 = 91.8 µs."""
    frame = evaluated(
        "link@hardware.scale_up=nvlink-4-nccl-ll",
        "hardware.scale_up.domain=72",
        "hardware.scale_up.channels=null",
        "model=llama-3.1-405b",
        "plan.tp=72",
        "batch=1",
    )
    assert frame.decode_all_reduce_s[0] == pytest.approx(91.8e-6, rel=0.01)


SIZES = "batch=1,4,16,64,512"
"""Rows of 1024 elements of two bytes: 2, 8, 32, 128 KiB and 1 MiB."""


def test_small_all_reduces_of_mscclpp() -> None:
    """Measured 5.9, 6.0, 7.2, 8.8 and 14.0 µs over 8 GPUs; the first and last set the link's two
    times, the others follow from bytes and the choice between one shot and two."""
    frame = evaluated("link@hardware.scale_up=nvlink-4-mscclpp", "model=qwen3-0.6b", SIZES)
    measured = [5.9e-6, 6.0e-6, 7.2e-6, 8.8e-6, 14.0e-6]
    assert frame.decode_all_reduce_s.tolist() == pytest.approx(measured, rel=0.15)


def test_small_all_reduces_of_nccl() -> None:
    """Measured 16.8, 17.2, 19.6, 20.1 and 27.0 µs over 8 GPUs.

    6.6 + 14 · 0.6 = 15.0 µs, and 7/4 of the message at 19.6 GB/s a channel: one up to 32 KiB
    (0.2, 0.7 and 2.9 µs), four at 128 KiB (2.9 µs), and 141 GB/s at 1 MiB (13.0 µs).
    """
    frame = evaluated("link@hardware.scale_up=nvlink-4-nccl-ll", "model=qwen3-0.6b", SIZES)
    found = frame.decode_all_reduce_s.tolist()
    assert found == pytest.approx([16.8e-6, 17.2e-6, 19.6e-6, 20.1e-6, 27.0e-6], rel=0.15)
    by_hand = [15.2e-6, 15.7e-6, 17.9e-6, 17.9e-6, 28.0e-6]
    assert found == pytest.approx(by_hand, rel=0.005)


@pytest.mark.parametrize(
    ("alpha", "spent"), [("15 us", 3.78e-3), ("6 us", 1.51e-3), ("2.37 us", 0.60e-3)]
)
def test_what_all_reduces_add_to_a_token_of_llama_405b(alpha: str, spent: float) -> None:
    """2 · 126 of 15, 6 or 2.37 µs against 405e9 B / 8 / 8e12 = 6.33 ms of weights: 60 % more."""
    frame = evaluated(
        "hardware=b200-sxm",
        "hardware.memory.hbm.bandwidth=8 TB/s",
        "model=llama-3.1-405b",
        "plan.formats.weights=fp8",
        "plan.formats.kv=fp8",
        f"hardware.scale_up.alpha={alpha}",
        "hardware.scale_up.collectives=[one_shot]",
        "hardware.scale_up.bandwidth_out=1000 TB/s",
        "workload.context=1",
        "batch=1",
    )
    (row,) = frame.itertuples()
    assert row.decode_communication_exposed_s == pytest.approx(spent, rel=0.01)
    weights = row.decode_stress_weights * row.decode_step_s
    assert weights == pytest.approx(6.33e-3, rel=0.01)


# --- DeepEP ---------------------------------------------------------------------------------------

RANKS = (8, 16, 32, 64, 128, 256)
DISPATCH = {
    8: (77, 98),
    16: (118, 63),
    32: (155, 48),
    64: (173, 43),
    128: (192, 39),
    256: (194, 39),
}
COMBINE = {
    8: (114, 127),
    16: (195, 74),
    32: (273, 53),
    64: (314, 46),
    128: (369, 39),
    256: (360, 40),
}
"""Latency in µs and bandwidth in GB/s by ranks, of the low-latency kernels (DeepEP, legacy.md)."""


def dispatched() -> float:
    """128 tokens to 8 experts, 7168 bytes and a scale of 4 B for each 128 of them: 7,569,408 B."""
    return float(moe.exchanged_bytes(128, 8, 7168, 1 + 4 / 128))


def combined() -> float:
    """128 · 8 · 7168 · 2 = 14,680,064 B."""
    return float(moe.exchanged_bytes(128, 8, 7168, 2))


def test_bytes_of_an_exchange() -> None:
    assert (dispatched(), combined()) == (7_569_408, 14_680_064)


def test_tokens_are_gathered_once_or_copied_to_each_expert() -> None:
    """Two groups of 32 tokens of 2,048 x 2 B, 48 layers there and back: to the other group
    48 x 2 x 131,072 = 12,582,912 B, or half of eight copies each, four times that."""
    plan = ["plan=base", "plan.tp=1", "plan.dp=2", "plan.ep=2", "batch=64", "model=qwen3-30b-a3b"]
    sent = {
        how: sum(
            float(np.sum(message.sent * message.count))
            for block in blocks(point.layout, point.decode_pass)
            for message in block.messages
        )
        for how in ("gather", "copies")
        for point in [
            Evaluation(next(iter(Options(ask([*plan, f"plan.exchange={how}"])).cases())).case)
        ]
    }
    assert sent["gather"] == 12_582_912
    assert sent["copies"] == pytest.approx(4 * 12_582_912)


@pytest.mark.parametrize("ranks", RANKS)
def test_the_bandwidth_column_of_deepep(ranks: int) -> None:
    """Bytes over latency: 7,569,408 / 77 µs = 98.3 GB/s, where the table has 98."""
    for size, (latency, bandwidth) in (
        (dispatched(), DISPATCH[ranks]),
        (combined(), COMBINE[ranks]),
    ):
        assert size / (latency * 1e-6) == pytest.approx(bandwidth * 1e9, rel=0.03)


def test_the_floor_of_the_network_interface() -> None:
    """At 50 GB/s 151 and 294 µs. 32 ranks were measured at 155 and 273, some of them at hand."""
    floors = [collectives.bandwidth_time(size, 50e9, 1.0) for size in (dispatched(), combined())]
    assert floors == pytest.approx([151e-6, 294e-6], rel=0.01)
    assert floors[0] < DISPATCH[32][0] * 1e-6
    assert floors[1] * 24 / 32 < COMBINE[32][0] * 1e-6


def test_an_exchange_of_deepep_through_the_model() -> None:
    """32 ranks of 8 to a node with one 50 GB/s interface each: three quarters of 7.57 MB leave
    the node, 113.5 µs and the step's latency; DeepEP, which takes the network for all, 155 µs."""
    rows = infercost.evaluate(
        [
            "calibration=ideal",
            "workload=snapshot",
            "hardware=h800-sxm",
            "hardware.scale_out.alpha=0 s",
            "hardware.scale_out.bandwidth_out=50 GB/s",
            "model=deepseek-v3",
            "plan=single-device",
            "plan.dp=32",
            "plan.ep=32",
            "plan.formats.dispatch=fp8",
            f"batch={32 * 128}",
        ]
    )
    exchanged = 0.75 * 128 * 8 * 7168 * (1 + 2) / 50e9
    assert rows.decode_communication_s[0] == pytest.approx(58 * exchanged, rel=1e-6)


# --- Pope et al.: PaLM-540B on 64 TPU v4 ----------------------------------------------------------

CHIPS, WIDTH, LAYERS, PARAMS = 64, 18432, 118, 540e9
PEAK, MEMORY, LINK = 275e12, 1.2e12, 270e9
COMPUTE, HBM, NETWORK, PASS = 0.775, 0.8, 0.29, 14e-3
"""One calibration for all four cases: what products reach of peak (the 76 % of the large prefill),
what streams reach of HBM (`calibration=typical`), what collectives reach of the links, and fixed
time per pass, 17 µs for each of seven operators a layer. The last two are fitted to the four."""


def rows_of(tokens: float) -> float:
    """Bytes of `tokens` hidden states in bf16."""
    return tokens * WIDTH * 2


def pass_time(tokens: float, weights: float, cache: float, sent: float) -> float:
    """Products or their weights, whichever takes longer; cache; links; fixed time."""
    products = roofline.compute_time(2 * PARAMS * tokens / CHIPS, PEAK, COMPUTE)
    reading = roofline.transfer_time(weights / CHIPS, MEMORY, HBM)
    attention = roofline.transfer_time(cache / CHIPS, MEMORY, HBM)
    links = collectives.bandwidth_time(LAYERS * sent, LINK, NETWORK)
    return float(max(products, reading) + attention + links + PASS)


CACHED = 2 * 256 * 2 * LAYERS
"""Bytes per token of one KV head of 256, in bf16."""


def time_of_palm(tokens: int, weights: float, sequences: int, gathered: bool) -> float:
    """A pass of PaLM; decode reads 2048 cached tokens of each sequence."""
    if gathered:
        sent = sharding.weight_gathered_bytes(rows_of(tokens), WIDTH * 4 * WIDTH * 2, CHIPS)
    else:
        sent = sharding.weight_stationary_2d_bytes(rows_of(tokens), CHIPS)
    return pass_time(tokens, weights, sequences * 2048 * CACHED, float(sent))


@pytest.mark.parametrize(
    ("tokens", "weights", "sequences", "gathered", "time"),
    [
        (2048, 540e9, 0, False, 0.29),  # prefill, one sequence
        (64, 540e9, 64, False, 1.82 / 64),  # decode, 64 sequences, int8
        (512 * 2048, 1080e9, 0, True, 85.2),  # prefill, 512 sequences, bf16
        (512, 1080e9, 512, False, 6.0 / 64),  # decode, 512 sequences
    ],
)
def test_four_cases_of_palm_with_one_calibration(
    tokens: int, weights: float, sequences: int, gathered: bool, time: float
) -> None:
    """Table 2, 64 chips: 0.29 s, 28.4 ms a token, 85.2 s and 93.8 ms a token, within 25 %.

    Two-dimensional weight-stationary partitions, or weights gathered for the large prefill.
    Decode reads 2048 cached tokens of each sequence, split by sequence.
    """
    found = time_of_palm(tokens, weights, sequences, gathered)
    assert found == pytest.approx(time, rel=0.25)


def test_two_dimensions_send_less_beyond_16_chips() -> None:
    """8 T E / √n against 2 T E: equal at 16 chips, half at 64."""
    rows = rows_of(1.0)
    assert sharding.weight_stationary_2d_bytes(rows, 16.0) == (
        sharding.weight_stationary_1d_bytes(rows)
    )
    assert sharding.weight_stationary_2d_bytes(rows, 64.0) == rows


POPE = (
    "hardware=tpu-v4",
    "hardware.memory.hbm.capacity=32 GiB",
    "model=palm-540b",
    "model.max_context=1000000",
    "plan.overlap=1",
)
ROOM = 0.3 * 32 * 2**30
"""Bytes of each chip's HBM that the paper gives to the cache."""


@pytest.mark.parametrize(("batch", "limit"), [(128, 43_000), (512, 10_700)])
def test_the_longest_context_with_a_cache_split_by_sequence(batch: int, limit: int) -> None:
    """0.3 · 64 · 32 GiB / (batch · 2 · 256 · 2 B · 118): 42,654 and 10,663.

    The model's cache on each of 64 chips, split by batch over 16 of tensor and 4 of data
    parallelism, at the context that it says.
    """
    frame = evaluated(
        *POPE,
        "plan.tp=16",
        "plan.dp=4",
        "plan.kv_sharding=batch",
        "workload.context=1000",
        f"batch={batch}",
    )
    assert 1000 * ROOM / frame.kv_memory_b[0] == pytest.approx(limit, rel=0.015)


@pytest.mark.parametrize(("batch", "limit"), [(128, 660), (512, 165)])
def test_the_longest_context_with_a_cache_on_every_chip(batch: int, limit: int) -> None:
    """One KV head for all 64 query heads is kept whole by each: 666 and 167 tokens."""
    frame = evaluated(
        *POPE,
        "model.mixers.full.n_q_heads=64",
        "plan.tp=64",
        "plan.kv_sharding=heads",
        "workload.context=100",
        f"batch={batch}",
    )
    assert 100 * ROOM / frame.kv_memory_b[0] == pytest.approx(limit, rel=0.015)


@pytest.mark.parametrize(("batch", "limit"), [(128, 1320), (512, 330)])
def test_the_longest_context_with_a_head_per_query(batch: int, limit: int) -> None:
    """64 heads of 128, one to a chip: 2 · 128 · 2 B · 118 a token: 1,333 and 333."""
    frame = evaluated(
        *POPE,
        "model.mixers.full.n_q_heads=64",
        "model.mixers.full.n_kv_heads=64",
        "model.mixers.full.d_head=128",
        "plan.tp=64",
        "workload.context=1000",
        f"batch={batch}",
    )
    assert 1000 * ROOM / frame.kv_memory_b[0] == pytest.approx(limit, rel=0.015)


def test_the_calibration_is_within_reason() -> None:
    """17 µs for each operator of seven a layer is what stacks of 2022 took."""
    assert math.isclose(PASS / (LAYERS * 7), 17e-6, rel_tol=0.01)
