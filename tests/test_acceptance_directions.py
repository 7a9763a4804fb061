"""Every published value that the four hardware directions are held to, in one table.

Value, tolerance and source of each; how it comes about is shown by the tests of the same quantity
in the modules that helpers are imported from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import pytest

import test_memory_studies as memory_studies
import test_network_studies as network_studies
import test_published_network as network
import test_tiers as rungs
from infercost.equations import collectives, memory, moe, near_memory, roofline
from test_directions import H3, row

TP_LIMIT_MODEL = 8192
"""Width of the model in the book's example; the limit does not depend on it."""


class Accepted(NamedTuple):
    """A published value, and how near ours has to be."""

    name: str
    published: float
    tolerance: float
    source: str
    ours: Callable[[], Any]


# --- ours


@cache
def liminal(devices: int, context: int) -> float:
    table = network_studies.aggregates("limit-study")["published"].set_index(["tp", "context"])
    found: Any = table.loc[(devices, context), "user_throughput_per_s"]
    return float(found)


def bound_by_experts(link: float) -> float:
    """Two exchanges in each of 61 layers, of 32 tokens at 9 experts in 1 and 2 bytes."""
    exchanged = moe.exchanged_bytes(32, 9, 7000, 1 + 2)
    return float(2 * 61 * collectives.bandwidth_time(exchanged, link, 1.0))


def all_reduce(link: str, *overrides: str) -> Any:
    option = f"link@hardware.scale_up=nvlink-4-{link}"
    return network.evaluated(option, *overrides).decode_all_reduce_s


def chosen_by(protocol: str, setup: str) -> float:
    """Time by which NCCL chooses: its constants, no channels."""
    channels = ["hardware.scale_up.channels=null"] if protocol == "ll" else []
    setup = f"hardware.scale_up.setup={setup}"
    found = all_reduce(f"nccl-{protocol}", setup, *channels, "model=qwen3-0.6b", "batch=1")
    return float(found[0])


def chosen_on_a_rack() -> float:
    rack = ["hardware.scale_up.domain=72", "hardware.scale_up.channels=null", "plan.tp=72"]
    return float(all_reduce("nccl-ll", *rack, "model=llama-3.1-405b", "batch=1")[0])


@cache
def all_sizes(link: str) -> list[float]:
    found: list[float] = all_reduce(link, "model=qwen3-0.6b", network.SIZES).tolist()
    return found


def measured(link: str, place: int) -> float:
    return all_sizes(link)[place]


def rate_of(size: Callable[[], float], microseconds: float) -> float:
    return size() / (microseconds * US)


def devices_of_h3(direction: str, tokens: int) -> float:
    context = f"workload.context={tokens * 2**20}"
    return float(
        row(*H3, f"direction={direction}", context, "plan.tp=1", "batch=1")["minimum_devices"]
    )


def gain_of_h3(gain: str, tokens: int) -> float:
    """Arithmetic left out, and flash at the rate that is solved from the two throughputs."""
    table = memory_studies.aggregates("h3-published")["gains"]
    fitted = ~table.arithmetic & (table.flash_gb_per_s == 303) & (table.context_m == tokens)
    return float(table[fitted][gain].item())


def path_of_attacc(steps: int) -> float:
    ladder = [rungs.CELL, rungs.ACCESS, rungs.GROUP, rungs.BUS, rungs.VIA, rungs.INTERPOSER]
    return float(near_memory.path_energy(*ladder[:steps], *[0.0] * (6 - steps)))


def limit_of_tensor_parallelism(d_ff: int, batch: int) -> float:
    """Devices at which weights in bf16 take as long as activations on an eighth of the rate."""
    weights = roofline.transfer_time(2 * TP_LIMIT_MODEL * d_ff, 8.0, 1.0)
    return float(weights / collectives.bandwidth_time(2 * batch * TP_LIMIT_MODEL, 1.0, 1.0))


def product_on_32_chips(part: str) -> float:
    """D 8192, F 28672, B 64 on v5e."""
    times = {
        "link": collectives.bandwidth_time(2 * 64 * 8192, 9e10, 1.0),
        "memory": roofline.transfer_time(2 * 8192 * 28672 / 32, 8.1e11, 1.0),
        "arithmetic": roofline.compute_time(2 * 64 * 8192 * 28672 / 32, 1.97e14, 1.0),
    }
    return float(times[part])


def context_of_palm(sharding: str, heads: int, width: int, batch: int) -> float:
    """Longest context in 30 % of memory. Split by heads, the query heads are padded to 64."""
    full = "model.mixers.full."
    split = ["plan.tp=16", "plan.dp=4"] if sharding == "batch" else ["plan.tp=64"]
    padded = [] if sharding == "batch" else [f"{full}n_q_heads=64"]
    kv = [f"{full}n_kv_heads={heads}", f"{full}d_head={width}", f"plan.kv_sharding={sharding}"]
    frame = network.evaluated(
        *network.POPE, *split, *padded, *kv, "workload.context=1000", f"batch={batch}"
    )
    return float(1000 * network.ROOM / frame.kv_memory_b[0])


def pass_of_palm(tokens: int, weights: float, sequences: int, gathered: bool) -> float:
    return float(network.time_of_palm(tokens, weights, sequences, gathered))


def swept(held: float, bandwidth: float) -> float:
    return float(roofline.transfer_time(held, bandwidth, 1.0))


# --- published

US, MS = 1e-6, 1e-3
LIMINAL, DEEPSEEK, DEEPEP = "arXiv:2507.14397", "arXiv:2505.09343, 2.3.2", "DeepEP, legacy.md"
TUNER, MEASURED = "NCCL, src/graph/tuning.cc", "SGLang pull request 22734"
PAPER_H3 = "H3, 10.1109/LCA.2026.3660969"
ATTACC, BOOK = "AttAcc, ASPLOS 2024", "How to Scale Your Model"
POPE, TIERS = "arXiv:2211.05102", "Groq, Cerebras, d-Matrix data sheets"
SMALL = ("2 KiB", "8 KiB", "32 KiB", "128 KiB", "1 MiB")

ACCEPTED = [
    *(
        Accepted(
            f"LIMINAL, {tp} devices, {context}",
            rate,
            0.01,
            LIMINAL,
            partial(liminal, tp, context),
        )
        for (tp, context), rate in network_studies.CELLS.items()
    ),
    Accepted(
        "expert parallelism, InfiniBand", 14.76 * MS, 0.01, DEEPSEEK, lambda: bound_by_experts(50e9)
    ),
    Accepted(
        "expert parallelism, NVL72", 0.82 * MS, 0.01, DEEPSEEK, lambda: bound_by_experts(900e9)
    ),
    *(
        Accepted(
            f"{name} over {n} ranks",
            rate * 1e9,
            0.03,
            DEEPEP,
            partial(rate_of, size, time),
        )
        for name, size, rows in (
            ("dispatch", network.dispatched, network.DISPATCH),
            ("combine", network.combined, network.COMBINE),
        )
        for n, (time, rate) in rows.items()
    ),
    Accepted("floor of dispatch", 151 * US, 0.01, DEEPEP, lambda: network.dispatched() / 50e9),
    Accepted("floor of combine", 294 * US, 0.01, DEEPEP, lambda: network.combined() / 50e9),
    Accepted("LL ring", 15.0 * US, 0.01, TUNER, lambda: chosen_by("ll", "6.6 us")),
    Accepted("LL tree", 15.2 * US, 0.01, TUNER, lambda: chosen_by("ll", "6.8 us")),
    Accepted("LL128 ring", 40.6 * US, 0.01, TUNER, lambda: chosen_by("ll128", "14 us")),
    Accepted("Simple ring", 56.0 * US, 0.01, TUNER, lambda: chosen_by("simple", "8.4 us")),
    Accepted("LL ring, 72 ranks", 91.8 * US, 0.01, TUNER, chosen_on_a_rack),
    *(
        Accepted(f"{link}, {size}", time * US, 0.15, MEASURED, partial(measured, link, i))
        for link, times in (
            ("nccl-ll", (16.8, 17.2, 19.6, 20.1, 27.0)),
            ("mscclpp", (5.9, 6.0, 7.2, 8.8, 14.0)),
        )
        for i, (size, time) in enumerate(zip(SMALL, times, strict=True))
    ),
    *(
        Accepted(
            f"devices, {direction}, {m}M tokens",
            n,
            0,
            PAPER_H3,
            partial(devices_of_h3, direction, m),
        )
        for direction, m, n in (
            ("none", 1, 8),
            ("none", 10, 32),
            ("hbf-daisy-chain", 1, 1),
            ("hbf-daisy-chain", 10, 2),
        )
    ),
    Accepted("buffer", 40e6, 0.01, PAPER_H3, lambda: memory.latency_hiding_buffer(1e12, 20 * US)),
    # One free number, the rate of flash, is solved from the two throughputs.
    *(
        Accepted(f"{gain}, {m}M tokens", value, 0.03, PAPER_H3, partial(gain_of_h3, gain, m))
        for gain, m, value in (
            ("batch_gain", 1, 2.6),
            ("batch_gain", 10, 18.8),
            ("throughput_gain", 1, 1.25),
            ("throughput_gain", 10, 6.14),
        )
    ),
    *(
        Accepted(f"pJ/bit, {steps} steps", energy, 0.01, ATTACC, partial(path_of_attacc, steps))
        for steps, energy in ((2, 0.55), (3, 1.56), (5, 3.29), (6, 3.59))
    ),
    Accepted("limit of TP, 16384", 64, 0.1, BOOK, lambda: limit_of_tensor_parallelism(16384, 32)),
    Accepted("limit of TP, 28672", 56, 0.1, BOOK, lambda: limit_of_tensor_parallelism(28672, 64)),
    Accepted("product, link", 11 * US, 0.1, BOOK, lambda: product_on_32_chips("link")),
    Accepted("product, memory", 18 * US, 0.1, BOOK, lambda: product_on_32_chips("memory")),
    # 4.77 us, which the book cuts to 4.
    Accepted("product, arithmetic", 4 * US, 0.2, BOOK, lambda: product_on_32_chips("arithmetic")),
    Accepted(
        "corner to corner",
        194 * US,
        0.1,
        BOOK,
        lambda: collectives.point_to_point_time(8 * 128 * 8192 * 2, 6, 1 * US, 2 * 4.5e10),
    ),
    Accepted(
        "tiny all-gather",
        2 * US,
        0.1,
        BOOK,
        lambda: collectives.ring_all_gather_time(1024, 4, 1 * US, 9e10),
    ),
    *(
        Accepted(f"PaLM, {name}", time, 0.25, POPE, partial(pass_of_palm, *case))
        for name, time, case in (
            ("prefill of one", 0.29, (2048, 540e9, 0, False)),
            ("decode of 64", 1.82 / 64, (64, 540e9, 64, False)),
            ("prefill of 512", 85.2, (512 * 2048, 1080e9, 0, True)),
            ("decode of 512", 6.0 / 64, (512, 1080e9, 512, False)),
        )
    ),
    *(
        Accepted(
            f"context, {name}, {case[-1]}", tokens, 0.015, POPE, partial(context_of_palm, *case)
        )
        for name, tokens, case in (
            ("head per query", 1320, ("heads", 64, 128, 128)),
            ("head per query", 330, ("heads", 64, 128, 512)),
            ("one head, by heads", 660, ("heads", 1, 256, 128)),
            ("one head, by heads", 165, ("heads", 1, 256, 512)),
            ("one head, by batch", 43_000, ("batch", 1, 256, 128)),
            ("one head, by batch", 10_700, ("batch", 1, 256, 512)),
        )
    ),
    Accepted(
        "Groq, chips of 70B", 305, 0.02, TIERS, lambda: memory.devices_for_capacity(70e9, 230e6)
    ),
    Accepted("Groq, sweep", 2.9 * US, 0.02, TIERS, lambda: swept(230e6, 80e12)),
    Accepted("WSE-3, wafers of 405B", 9.2, 0.02, TIERS, lambda: 405e9 / 44e9),
    Accepted("WSE-3, wafers of 70B", 1.6, 0.02, TIERS, lambda: 70e9 / 44e9),
    Accepted("WSE-3, sweep", 2.1 * US, 0.02, TIERS, lambda: swept(44e9, 21e15)),
    # The rest of a published time per token is communication and pipeline: 99.9 and 98.6 %.
    Accepted("Groq, share of its 3 ms", 0.00097, 0.02, TIERS, lambda: swept(230e6, 80e12) / 3e-3),
    Accepted(
        "Corsair, share of its 1 ms",
        0.014,
        0.02,
        TIERS,
        lambda: swept(1e9 + 16 * 67e6, 150e12) / 1e-3,
    ),
    Accepted("Corsair, 8B", 14 * US, 0.02, TIERS, lambda: swept(1e9 + 16 * 67e6, 150e12)),
]


@pytest.mark.parametrize("value", ACCEPTED, ids=lambda value: value.name)
def test_a_published_value_is_reached(value: Accepted) -> None:
    assert value.ours() == pytest.approx(value.published, rel=value.tolerance), value.source
