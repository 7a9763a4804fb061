"""Laws that every point of the cost model keeps: floors, sums, slopes, limits, conservation.

Random cases vary the numbers of a few options through the typed specs. The floors are counted
here from the anatomy of the model, apart from the operators of the package.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import infercost
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.equations import money, serving
from infercost.grid import Grid, GridAxis, replaced
from infercost.metrics import latency
from infercost.operators.base import stored_format
from infercost.operators.stack import parameters
from infercost.options.question import ask
from infercost.paths import data_file
from infercost.registry import metrics
from infercost.specs.case import Case
from infercost.specs.economics import Ownership
from infercost.specs.formats import bytes_per_element
from infercost.specs.hardware import Reliability
from infercost.specs.link import Endpoint, Straggling, Topology
from infercost.specs.workload import FixedLengths, Snapshot, TraceLengths
from infercost.table import columns
from probes import examples

LAW = settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

MODELS = (
    "llama-3.1-8b",  # dense
    "llama-3.1-70b",  # dense, grouped queries
    "opt-66b",  # every head its own cache, learned positions, no gate
    "falcon-180b",  # one all-reduce per layer
    "gemma-3-27b",  # windows
    "mixtral-8x7b",  # experts
    "gpt-oss-20b",  # experts and windows, two formats of weights
    "deepseek-v3",  # latent attention, shared experts
)
HARDWARE = ("h100-sxm", "tpu-v5e", "gb200-nvl72", "mi300x")
WORKLOADS = ("snapshot", "fixed-lengths", "azure-2023-conversation")
TRACES = ("azure-2023-conversation", "azure-2023-code", "mooncake-conversation")


@cache
def composed(group: str, name: str) -> Any:
    """One option, composed once."""
    question = ask([f"{group}={name}"])
    return getattr(next(iter(Options(question).cases())).case, group)


@cache
def base_case() -> Case:
    return next(iter(Options(ask(["plan=single-device", "calibration=ideal"])).cases())).case


def changed(case: Case, values: Mapping[str, object]) -> Case:
    """The case with other values at dotted paths."""
    for path, value in values.items():
        case = replaced(case, path.split("."), value)
    return case


def case_of(
    model: str = "llama-3.1-8b",
    hardware: str = "h100-sxm",
    workload: str = "fixed-lengths",
    calibration: str = "ideal",
    **values: object,
) -> Case:
    """A case of named options; `values` are paths with `__` for the dot."""
    options = {"model": model, "hardware": hardware, "workload": workload}
    parts = {group: composed(group, name) for group, name in options.items()}
    parts["calibration"] = composed("calibration", calibration)
    dotted = {path.replace("__", "."): value for path, value in values.items()}
    return changed(base_case(), {**parts, **dotted})


def scaled(case: Case, field: str, factor: float) -> Case:
    """The case with a resource `factor` times as large, on every level where it occurs."""
    hardware, calibration = case.hardware, case.calibration
    up, out = hardware.scale_up, hardware.scale_out
    values: dict[str, dict[str, object]] = {
        "bandwidth": {"hardware.memory.hbm.bandwidth": hardware.tier.bandwidth * factor},
        "peak": {"hardware.peak_dense": {f: p * factor for f, p in hardware.peak_dense.items()}},
        "link": {
            "hardware.scale_up.bandwidth_out": up.bandwidth_out * factor,
            "hardware.scale_out.bandwidth_out": out.bandwidth_out * factor,
        },
        "alpha": {
            "hardware.scale_up.alpha": up.alpha * factor,
            "hardware.scale_out.alpha": out.alpha * factor,
            "calibration.rank_overhead": calibration.rank_overhead * factor,
        },
        "overhead": {
            "calibration.decode_overhead": calibration.decode_overhead * factor,
            "calibration.prefill_overhead": calibration.prefill_overhead * factor,
            "calibration.sequence_overhead": calibration.sequence_overhead * factor,
            "calibration.step_overhead": calibration.step_overhead * factor,
        },
    }
    return changed(case, values[field])


UNLIMITED_POWER = {"hardware.tdp": 1e9}
"""The power limit lifted: under it other resources cease to matter."""


@st.composite
def workloads(draw: st.DrawFn) -> Any:
    workload = composed("workload", draw(st.sampled_from(WORKLOADS)))
    if isinstance(workload, Snapshot):
        return replaced(workload, ["context"], draw(st.floats(1, 100_000)))
    if isinstance(workload, FixedLengths):
        prompt, output = draw(st.integers(1, 30_000)), draw(st.integers(2, 3000))
        return workload.model_copy(
            update={"prompt_tokens": float(prompt), "output_tokens": float(output)}
        )
    return workload


@st.composite
def cases(draw: st.DrawFn, *, even: bool = False) -> Case:
    """A random case; `even` fills every pass of every group alike."""
    model = composed("model", draw(st.sampled_from(MODELS)))
    tp, pp, dp = (
        draw(st.sampled_from(ways)) for ways in ((1, 2, 4, 8, 16), (1, 1, 2, 4), (1, 1, 2, 3, 8))
    )
    experts = [f.n_experts for f in model.ffns.values() if f.kind == "moe"]
    spread = [dp * s for s in (1, 2, 4, 8, 16) if tp % s == 0 and dp * s <= min(experts or [0])]
    batch = draw(st.integers(1, 1500))
    factor = st.floats(0.2, 5.0)
    case = case_of(
        hardware=draw(st.sampled_from(HARDWARE)),
        calibration=draw(st.sampled_from(("ideal", "typical"))),
        plan__tp=tp,
        plan__pp=pp,
        plan__dp=dp,
        plan__ep=draw(st.sampled_from(spread)) if experts else 1,
        plan__overlap=draw(st.sampled_from((0.0, 0.5, 1.0)) | st.floats(0, 1)),
        plan__kv_sharding=draw(st.sampled_from(("heads", "batch", "sequence"))),
        plan__prefill_batch=draw(st.sampled_from((1, 1, 4))),
        plan__prefill_chunk=draw(st.sampled_from((512.0, 8192.0, 1e6))),
        plan__phases=draw(st.sampled_from(("colocated", "disaggregated"))),
        plan__formats__weights=draw(st.sampled_from(("native", "fp8", "int4"))),
        plan__formats__kv=draw(st.sampled_from(("native", "int8"))),
        economics=composed("economics", draw(st.sampled_from(("owner", "rental")))),
        batch=batch * dp * pp if even else batch,
    )
    case = changed(case, {"model": model, "workload": draw(workloads())})
    for field in ("bandwidth", "peak", "link", "alpha", "overhead"):
        case = scaled(case, field, draw(factor))
    return case


def value(array: Any) -> float:
    """The one number of a case without axes."""
    (number,) = np.asarray(array, dtype=float).reshape(-1)
    return float(number)


def worst(array: Any) -> float:
    return float(np.max(array))


# --- Floors, counted apart ------------------------------------------------------------------------


@dataclass(frozen=True)
class Floor:
    """What no machine can avoid for `tokens` query tokens of `rows` sequences."""

    flops: float
    weight_bytes: float
    kv_bytes: float


def element_bytes(case: Case, tensor: str) -> float:
    return bytes_per_element(stored_format(case, tensor))


def table_bytes(case: Case) -> float:
    """Bytes of an entry of embeddings, head or routers: narrow checkpoints leave them wide."""
    own, wide = case.model.formats.weights, case.model.formats.tables
    if wide is None or stored_format(case, "weights") != own:
        return element_bytes(case, "weights")
    return bytes_per_element(wide)


def distinct(tokens: float, experts: int, active: int) -> float:
    """Expected number of experts that some of the tokens visit."""
    return float(experts * (1 - (1 - active / experts) ** tokens))


def mixer_counts(case: Case, mixer: Any, *, decode: bool) -> tuple[float, float, float]:
    """Entries of the projections, FLOPs per query-key pair, cached elements per token."""
    width, heads = case.model.d_model, mixer.n_q_heads
    if mixer.kind == "gqa":
        entries = width * mixer.d_head * (2 * heads + 2 * mixer.n_kv_heads)
        return entries, 4 * heads * mixer.d_head, 2 * mixer.n_kv_heads * mixer.d_head
    latent = mixer.kv_rank + mixer.d_rope
    key = mixer.d_nope + mixer.d_rope
    entries = (
        width * (mixer.q_rank + latent)
        + (mixer.q_rank or width) * heads * key
        + mixer.kv_rank * heads * (mixer.d_nope + mixer.d_value)
        + heads * mixer.d_value * width
    )
    pair = 2 * heads * ((latent + mixer.kv_rank) if decode else (key + mixer.d_value))
    return entries, pair, latent


def floor(
    case: Case,
    tokens: float,
    rows: float,
    pairs: Callable[[float], float],
    seen: Callable[[float], float],
    *,
    decode: bool,
) -> Floor:
    """Every matrix multiplied with every token and read once; every cached token read once.

    `pairs(w)` and `seen(w)` are query-key pairs and cached tokens under a window w. Of experts,
    those that some token visits are read.
    """
    model = case.model
    weight, expert = element_bytes(case, "weights"), element_bytes(case, "experts")
    flops = 2.0 * rows * model.vocab * model.d_model
    weights = model.vocab * model.d_model * table_bytes(case)
    kv = 0.0
    for layer in model.layers.values():
        mixer, ffn = model.mixers[layer.mixer], model.ffns[layer.ffn]
        window = 1e15 if mixer.window is None else mixer.window
        entries, per_pair, cached = mixer_counts(case, mixer, decode=decode)
        matrix = model.d_model * (3 if ffn.gated else 2)
        router = 0.0
        if ffn.kind == "dense":
            visited, dense, experts = matrix * ffn.d_ff, matrix * ffn.d_ff, 0.0
        else:
            router, dense = model.d_model * ffn.n_experts, matrix * ffn.d_ff_shared
            visited = router + dense + ffn.n_active * matrix * ffn.d_ff
            experts = distinct(tokens, ffn.n_experts, ffn.n_active) * matrix * ffn.d_ff
        flops += layer.count * (2.0 * tokens * (entries + visited) + per_pair * pairs(window))
        weights += layer.count * ((entries + dense) * weight + experts * expert)
        weights += layer.count * router * table_bytes(case)
        kv += layer.count * seen(window) * cached * element_bytes(case, "kv")
    return Floor(flops, weights, kv)


def contexts(case: Case) -> NDArray[np.float64]:
    """Every context at which some decode step of the workload runs, one by one."""
    workload = case.workload
    if isinstance(workload, Snapshot):
        return np.array([workload.context])
    if isinstance(workload, FixedLengths):
        return workload.prompt_tokens + np.arange(1.0, workload.output_tokens)
    return trace_contexts(workload.file)


def recorded(case: Case) -> str:
    """The file of the case's trace."""
    assert isinstance(case.workload, TraceLengths)
    return case.workload.file


@cache
def trace(file: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prompts and outputs of every request of a trace."""
    table = pq.read_table(data_file(file))
    prompt, output = (table[name].to_numpy() for name in ("input_tokens", "output_tokens"))
    return prompt.astype(float), output.astype(float)


@cache
def trace_contexts(file: str) -> NDArray[np.float64]:
    steps = [p + np.arange(1.0, o) for p, o in zip(*trace(file), strict=True)]
    return np.concatenate(steps)


@cache
def trace_visible(file: str, window: float) -> float:
    return float(np.minimum(trace_contexts(file), window).mean())


def visible(case: Case, window: float) -> float:
    """Mean number of tokens that a decode step of one sequence sees."""
    if isinstance(case.workload, TraceLengths):
        return trace_visible(case.workload.file, window)
    return float(np.minimum(contexts(case), window).mean())


def decode_floor(case: Case) -> Floor:
    """One step of the whole batch."""

    def seen(window: float) -> float:
        return case.batch * visible(case, window)

    return floor(case, case.batch, case.batch, seen, seen, decode=True)


def prefill_floor(case: Case, prompt: float) -> Floor:
    """One prompt from an empty cache."""

    def pairs(window: float) -> float:
        near = min(prompt, window)
        return near * (near + 1) / 2 + (prompt - near) * near

    return floor(case, prompt, 1, pairs, lambda window: prompt, decode=False)


def devices(case: Case) -> int:
    return case.plan.tp * case.plan.pp * case.plan.dp


def peak(case: Case) -> float:
    return max(case.hardware.peak_dense.values())


SLACK = 1 - 1e-9


@LAW
@given(cases())
def test_no_decode_step_is_below_its_floor(case: Case) -> None:
    least, point = decode_floor(case), Evaluation(case)
    step = value(point.step_time)
    assert step >= SLACK * least.flops / (devices(case) * peak(case))
    bytes_moved = least.weight_bytes + least.kv_bytes
    assert step >= SLACK * bytes_moved / (devices(case) * case.hardware.tier.bandwidth)
    assert value(point.tpot) >= step


@LAW
@given(cases())
def test_devices_together_do_the_work_of_a_step(case: Case) -> None:
    """Each of dp groups makes pp passes a step, on tp devices of every stage."""
    least, point = decode_floor(case), Evaluation(case)
    together = devices(case)
    assert together * value(point.decode.flops) >= SLACK * least.flops
    bytes_moved = least.weight_bytes + least.kv_bytes
    assert together * value(point.decode.bytes_moved) >= SLACK * bytes_moved
    joules = bytes_moved * case.hardware.tier.access_energy
    spent = point.decode.energy["weights"] + point.decode.energy["kv"]
    assert together * value(spent) >= SLACK * joules


@LAW
@given(cases())
def test_devices_together_do_the_work_of_a_prefill(case: Case) -> None:
    """All dp groups take `prefill_batch` prompts at once, in passes on tp devices of every stage.

    Of experts, the tokens of all prompts of a chunk visit some.
    """
    assume(not isinstance(case.workload, TraceLengths))
    point, plan = Evaluation(case), case.plan
    least = prefill_floor(case, value(point.lengths.prompt))
    per_prompt = plan.tp * value(point.prompt_passes) / plan.prefill_batch
    assert per_prompt * value(point.prefill.flops) >= SLACK * least.flops
    all_prompts = per_prompt * plan.prefill_batch * plan.dp * value(point.prefill.bytes_moved)
    prompts = plan.prefill_batch * plan.dp
    assert all_prompts >= SLACK * (least.weight_bytes + prompts * least.kv_bytes)


@LAW
@given(cases())
def test_no_prefill_is_below_its_floor(case: Case) -> None:
    assume(not isinstance(case.workload, TraceLengths))
    point = Evaluation(case)
    least = prefill_floor(case, value(point.lengths.prompt))
    time = value(point.prefill_time)
    assert time >= SLACK * least.flops / (devices(case) * peak(case))
    bytes_moved = least.weight_bytes + least.kv_bytes
    assert time >= SLACK * bytes_moved / (devices(case) * case.hardware.tier.bandwidth)


@LAW
@given(cases())
def test_no_device_draws_more_than_its_limit(case: Case) -> None:
    point, hardware = Evaluation(case), case.hardware
    assert value(hardware.idle_power + point.dynamic_power) <= hardware.tdp / SLACK
    prefill = point.prefill.energy.total / point.prefill.time.total
    assert worst(hardware.idle_power + prefill) <= hardware.tdp / SLACK


@LAW
@given(cases())
def test_no_token_takes_less_energy_than_its_arithmetic_and_traffic(case: Case) -> None:
    least, point, hardware = decode_floor(case), Evaluation(case), case.hardware
    arithmetic = least.flops * hardware.compute_power / peak(case)
    traffic = (least.weight_bytes + least.kv_bytes) * hardware.tier.access_energy
    per_step = (arithmetic + traffic) * case.economics.pue
    steps_per_token = case.batch * value(point.lengths.tokens_per_step)
    assert value(point.decode_per_token.energy.total) >= SLACK * per_step / steps_per_token
    assert value(point.per_token.energy.total) >= value(point.decode_per_token.energy.total)


@LAW
@given(cases())
def test_no_device_exceeds_its_peaks(case: Case) -> None:
    point = Evaluation(case)
    for name in ("decode_mfu", "decode_mbu", "prefill_mfu"):
        assert 0 < value(metrics()[name].evaluate(point)) <= 1 / SLACK


def test_stages_at_work_on_one_prompt_do_not_exceed_their_peaks() -> None:
    """16 chunks follow one another through 4 stages in 16 + 3 turns of 64, on 4 times the devices.

    Were the FLOPs of all stages set against the time of the prompt on one, the share would be
    64 / 19 of what it is.
    """
    case = case_of(calibration="ideal", plan__pp=4, plan__prefill_chunk=512.0, batch=64)
    lengths = composed("workload", "fixed-lengths").model_copy(update={"prompt_tokens": 8192.0})
    point = Evaluation(changed(case, {"workload": lengths}))
    assert value(point.prefill_terms.total) / value(point.prefill_time) == pytest.approx(64 / 19)
    whole = value(point.prefill.flops * point.prompt_passes) / point.layout.peak
    reached = value(metrics()["prefill_mfu"].evaluate(point))
    assert reached == pytest.approx(whole * 19 / 64 / value(point.prefill_time))
    assert reached <= 1


@LAW
@given(cases())
def test_power_times_time_is_energy(case: Case) -> None:
    """Dynamic energy of a decoded token = dynamic power · step · devices at work / batch.

    Of pp stages as many are at work as a group has sequences.
    """
    point, plan = Evaluation(case), case.plan
    busy = min(plan.pp, math.ceil(case.batch / plan.dp)) / plan.pp
    per_token = value(point.dynamic_power * point.step_time) * devices(case) * busy / case.batch
    per_token /= value(point.lengths.tokens_per_step)
    hardware, idle = case.hardware, 1 / case.economics.utilisation
    at_rest = (hardware.idle_power + hardware.host_power) * idle
    at_rest *= value(point.decode_per_token.device_time.total)
    total = case.economics.pue * (per_token + at_rest)
    assert value(point.decode_per_token.energy.total) == pytest.approx(total, rel=1e-12)


@LAW
@given(cases())
def test_power_times_time_is_energy_in_prefill_too(case: Case) -> None:
    """Joules of a prefill over its seconds, times the device-seconds of prefill per token."""
    point, hardware = Evaluation(case), case.hardware
    joules = point.lengths.mean(point.prefill.energy.total * point.prompt_passes)
    seconds = point.prefill_terms.total
    at_rest = (hardware.idle_power + hardware.host_power) / case.economics.utilisation
    power = value(joules) / value(seconds) + at_rest
    total = case.economics.pue * power * value(point.prefill_per_token.device_time.total)
    assert value(point.prefill_per_token.energy.total) == pytest.approx(total, rel=1e-12)


FREE = {
    "hardware.on_chip": 1e15,
    "hardware.tdp": 1e9,
    "hardware.power": None,
    "hardware.scale_up.alpha": 0.0,
    "hardware.scale_up.bandwidth_out": 1e30,
    "hardware.scale_out.alpha": 0.0,
    "hardware.scale_out.bandwidth_out": 1e30,
}
"""Activations stay on chip, messages and power are free; draw is the floor of the work done."""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_unlimited_bandwidth_reaches_the_floor_of_arithmetic(model: str, workload: str) -> None:
    """One device, 64 sequences, one peak for all formats: step = FLOPs / peak, exactly."""
    case = case_of(model, workload=workload, batch=64)
    one_peak = dict.fromkeys(case.hardware.peak_dense, 1e15)
    case = changed(
        case, {**FREE, "hardware.peak_dense": one_peak, "hardware.memory.hbm.bandwidth": 1e30}
    )
    point = Evaluation(case)
    assert value(point.step_time) == pytest.approx(decode_floor(case).flops / 1e15, rel=1e-9)
    assert value(point.decode.flops) == pytest.approx(decode_floor(case).flops, rel=1e-9)
    joules = decode_floor(case).flops * case.hardware.compute_power / 1e15
    assert value(point.decode.energy["compute"]) == pytest.approx(joules, rel=1e-9)
    if not isinstance(case.workload, TraceLengths):
        least = prefill_floor(case, value(point.lengths.prompt))
        assert value(point.prefill_time) == pytest.approx(least.flops / 1e15, rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_unlimited_arithmetic_reaches_the_floor_of_bytes(model: str, workload: str) -> None:
    """One device: weights and cache once, plus the new tokens' cache and embedding rows."""
    case = case_of(model, workload=workload, batch=64)
    case = changed(
        case, {**FREE, "hardware.peak_dense": dict.fromkeys(case.hardware.peak_dense, 1e30)}
    )
    least = decode_floor(case)
    written = floor(
        case, case.batch, case.batch, lambda w: 0.0, lambda w: case.batch, decode=True
    ).kv_bytes
    rows = case.batch * case.model.d_model * table_bytes(case)
    total = least.weight_bytes + least.kv_bytes + written + rows
    point = Evaluation(case)
    assert value(point.decode.bytes_moved) == pytest.approx(total, rel=1e-9)
    joules = total * case.hardware.tier.access_energy
    memory = sum(value(point.decode.energy[r]) for r in ("weights", "kv", "activations"))
    assert memory == pytest.approx(joules, rel=1e-9)
    by_bandwidth = total / case.hardware.tier.bandwidth
    assert value(point.step_time) == pytest.approx(by_bandwidth, rel=1e-9)


def test_deepseek_v3_decodes_a_token_in_its_published_flops() -> None:
    """One token at 4096 tokens of context, absorbed:

    attention  61 · 2 · 187,105,280                       = 22.83 GFLOP
    core       61 · 2 · 128 · (576 + 512) · 4096          = 69.59 GFLOP
    dense       3 · 2 · 3 · 7168 · 18432                  =  2.38 GFLOP
    experts    58 · 2 · 3 · 7168 · 2048 · (8 + 1)         = 45.98 GFLOP
    router     58 · 2 · 7168 · 256                        =  0.21 GFLOP
    logits      2 · 129280 · 7168                         =  1.85 GFLOP
    """
    case = case_of("deepseek-v3", workload="snapshot", batch=1)
    attention = 61 * 2 * 187_105_280
    core = 61 * 2 * 128 * (576 + 512) * 4096
    dense = 3 * 2 * 3 * 7168 * 18432
    experts = 58 * 2 * 3 * 7168 * 2048 * 9
    router, logits = 58 * 2 * 7168 * 256, 2 * 129_280 * 7168
    by_hand = attention + core + dense + experts + router + logits
    assert by_hand == pytest.approx(142.8e9, rel=1e-3)
    assert value(Evaluation(case).decode.flops) == pytest.approx(by_hand, rel=1e-12)


def test_chunks_of_a_prompt_read_what_earlier_ones_cached() -> None:
    """8192 tokens in 8 chunks of 1024: chunk k reads k · 1024 cached tokens, 36,864 in all.

    Each token's cache is written once, 131,072 B; the weights are read in all 8 passes.
    """
    case = case_of("llama-3.1-8b", workload__prompt_tokens=8192.0, plan__prefill_chunk=1024.0)
    whole = changed(case, {**FREE, "plan.prefill_chunk": 1e6})
    chunked, once = Evaluation(changed(case, FREE)), Evaluation(whole)
    assert value(chunked.prompt_passes) == 8
    weights, kv = (
        8 * chunked.prefill.energy[r] / case.hardware.tier.access_energy for r in ("weights", "kv")
    )
    assert value(kv) == pytest.approx((36_864 + 8192) * 131_072, rel=1e-12)
    written_and_read = 2 * 8192 * 131_072
    assert value(once.prefill.energy["kv"]) == pytest.approx(
        written_and_read * case.hardware.tier.access_energy, rel=1e-12
    )
    assert value(weights) == pytest.approx(8 * 15.0e9, rel=0.01)
    assert value(8 * chunked.prefill.flops) == pytest.approx(value(once.prefill.flops), rel=1e-12)


# --- Messages, by hand ----------------------------------------------------------------------------

LINKS = {
    "hardware.scale_up.alpha": 2e-6,
    "hardware.scale_up.bandwidth_out": 400e9,
    "hardware.scale_up.domain": 8,
    "hardware.scale_up.collectives": ["ring"],
    "hardware.scale_out.alpha": 5e-6,
    "hardware.scale_out.bandwidth_out": 50e9,
    "hardware.scale_out.collectives": ["ring"],
}


def messages(model: str, batch: int, **plan: object) -> Evaluation:
    """A step on links of 2 µs and 400 GB/s within 8 devices, 5 µs and 50 GB/s beyond."""
    case = changed(case_of(model, workload="snapshot", batch=batch), LINKS)
    return Evaluation(changed(case, {f"plan.{name}": v for name, v in plan.items()}))


def test_all_reduces_inside_a_domain() -> None:
    """Llama-70B, 2 · 80 rings of 8 over 64 · 8192 · 2 B = 1.05 MB: 14 · 2 µs + 1.75 · S / W."""
    size = 64 * 8192 * 2
    ring = 14 * 2e-6 + 1.75 * size / 400e9
    step = messages("llama-3.1-70b", 64, tp=8).decode
    assert value(step.communication) == pytest.approx(160 * ring, rel=1e-12)
    assert value(step.bytes_sent) == pytest.approx(160 * 1.75 * size, rel=1e-12)


def test_one_all_reduce_serves_parallel_blocks() -> None:
    """Falcon-180B: 80 rings of 8, 14848 wide."""
    ring = 14 * 2e-6 + 1.75 * 64 * 14848 * 2 / 400e9
    step = messages("falcon-180b", 64, tp=8).decode
    assert value(step.communication) == pytest.approx(80 * ring, rel=1e-12)


def test_all_reduces_across_domains() -> None:
    """16 devices in two domains: a ring of 8 over S, and between the two a ring over S / 8."""
    size = 64 * 8192 * 2
    near = 14 * 2e-6 + 1.75 * size / 400e9
    far = 2 * 5e-6 + 1.0 * size / 8 / 50e9
    step = messages("llama-3.1-70b", 64, tp=16).decode
    assert value(step.communication) == pytest.approx(160 * (near + far), rel=1e-12)


@pytest.mark.parametrize(("tp", "alpha", "bandwidth"), [(2, 2e-6, 400e9), (8, 5e-6, 50e9)])
def test_stages_hand_over_inside_a_domain_or_beyond(
    tp: int, alpha: float, bandwidth: float
) -> None:
    """4 stages of 2 devices share a domain, 4 of 8 do not: 3 hand-overs of a device's share."""
    point = messages("llama-3.1-70b", 64, tp=tp, pp=4)
    size = 16 * 8192 * 2
    reduced = 160 * (2 * (tp - 1) * 2e-6 + 2 * (tp - 1) / tp * size / 400e9)
    handed = 3 * (alpha + size / tp / bandwidth)
    assert value(point.decode.communication) == pytest.approx(reduced + handed, rel=1e-12)


@pytest.mark.parametrize(("ep", "copies"), [(32, 8), (16, 16)])
def test_experts_are_reached_on_both_fabrics_at_once(ep: int, copies: int) -> None:
    """Mixtral's 2 of 8 experts made 8 of 256; 8 groups of 4 devices, two groups to a domain.

    A device sends its 16 / 4 rows to 8 experts, each on one device, or cut in two at ep = 16.
    Of 8 groups one is its own, one shares the domain, six lie beyond: 3 / 4 on the slower link,
    5 µs + 3 / 4 · S / 50 GB/s, while 1 / 8 passes on the faster. Twice a layer, 32 layers.
    """
    case = changed(case_of("mixtral-8x7b", workload="snapshot", batch=128), LINKS)
    experts = {"model.ffns.moe.n_experts": 256, "model.ffns.moe.n_active": 8}
    plan = {"plan.tp": 4, "plan.dp": 8, "plan.ep": ep}
    size = 16 / 4 * copies * 4096 * 2
    step = Evaluation(changed(case, {**experts, **plan})).decode
    reduced = 64 * (6 * 2e-6 + 1.5 * 16 * 4096 * 2 / 400e9)
    exchanged = 64 * (5e-6 + 0.75 * size / 50e9)
    assert value(step.communication) == pytest.approx(reduced + exchanged, rel=1e-12)
    sent = 64 * (1.5 * 16 * 4096 * 2 + 7 / 8 * size)
    assert value(step.bytes_sent) == pytest.approx(sent, rel=1e-12)


def test_copies_for_one_domain_cross_over_once() -> None:
    """As above with ep = 32: of 8 copies 4 (1 - (3/4)^8) = 3.6 domains get one, three in four far.

    5 µs + 3 / 4 · 3.6 / 8 · S / 50 GB/s; inside, of two groups to a domain half are handed on.
    """
    case = changed(case_of("mixtral-8x7b", workload="snapshot", batch=128), LINKS)
    experts = {"model.ffns.moe.n_experts": 256, "model.ffns.moe.n_active": 8}
    plan = {"plan.tp": 4, "plan.dp": 8, "plan.ep": 32, "plan.exchange": "merged"}
    step = Evaluation(changed(case, {**experts, **plan})).decode
    size, met = 16 / 4 * 8 * 4096 * 2, 4 * (1 - 0.75**8) / 8
    reduced = 64 * (6 * 2e-6 + 1.5 * 16 * 4096 * 2 / 400e9)
    exchanged = 64 * (5e-6 + 0.75 * met * size / 50e9)
    assert value(step.communication) == pytest.approx(reduced + exchanged, rel=1e-12)
    sent = 64 * (1.5 * 16 * 4096 * 2 + (0.75 * met + 0.5) * size)
    assert value(step.bytes_sent) == pytest.approx(sent, rel=1e-12)


def test_resharding_for_a_cache_split_by_batch() -> None:
    """16 devices, 8 KV heads: pairs swap half of their queries before the core and of its
    results after it, 2 · 80 messages of 64 · 8192 · 2 B / 16, of which half stays."""
    plain = messages("llama-3.1-70b", 64, tp=16).decode
    split = messages("llama-3.1-70b", 64, tp=16, kv_sharding="batch").decode
    size = 64 * 8192 * 2 / 16
    swapped = 160 * (2e-6 + 0.5 * size / 400e9)
    added = value(split.communication) - value(plain.communication)
    assert added == pytest.approx(swapped, rel=1e-9)


def test_sharing_a_cache_split_by_sequence() -> None:
    """16 devices, 8 KV heads: pairs hold half of each sequence's tokens. Before the core each
    gives its 4 query heads and half of a key and value, after it its part of the other's results:
    2 · 80 messages of 64 rows of 512 and 512 + 128 elements, and half of the key projection."""
    plain = messages("llama-3.1-70b", 64, tp=16).decode
    split = messages("llama-3.1-70b", 64, tp=16, kv_sharding="sequence").decode
    swapped = 80 * (2 * 2e-6 + 64 * (512 + 512 + 128) * 2 / 400e9)
    added = value(split.communication) - value(plain.communication)
    assert added == pytest.approx(swapped, rel=1e-9)
    saved = value(plain.flops) - value(split.flops)
    assert saved == pytest.approx(80 * 2 * 64 * 8192 * 128, rel=1e-9)


@pytest.mark.parametrize("batch", [1, 8, 64, 512, 4096])
def test_the_fastest_algorithm_is_taken(batch: int) -> None:
    algorithms = ["ring", "one_shot", "recursive_doubling"]
    case = changed(case_of("llama-3.1-70b", batch=batch, plan__tp=8), LINKS)
    path = "hardware.scale_up.collectives"
    alone = [
        value(Evaluation(changed(case, {path: [name]})).decode.communication) for name in algorithms
    ]
    together = value(Evaluation(changed(case, {path: algorithms})).decode.communication)
    assert together == min(alone)


# --- Sums -----------------------------------------------------------------------------------------


@LAW
@given(cases())
def test_terms_of_time_sum_to_the_overlapped_time(case: Case) -> None:
    """Time is (1 - φ) times all in a row, plus φ times the shorter hidden; both with throttling."""
    point, overlap = Evaluation(case), case.plan.overlap
    for phase in (point.decode, point.prefill):
        assert all(np.min(term) >= 0 for term in phase.time.values())
        between = (1 - overlap) * phase.upper + overlap * phase.lower
        total = sum(phase.time.values())
        np.testing.assert_allclose(total, between, rtol=1e-12)
        np.testing.assert_allclose(total, phase.time.total, rtol=1e-12)
    upper = value(point.decode.work) + value(point.decode.communication)
    upper += value(point.decode.time["power"])
    assert upper == pytest.approx(value(point.decode.upper), rel=1e-12)
    step = value(point.step_time)
    assert value(point.decode.lower) <= step / SLACK
    assert step <= value(point.decode.upper) / SLACK


@LAW
@given(cases())
def test_terms_of_money_energy_and_carbon_sum_to_their_totals(case: Case) -> None:
    """Totals computed apart: device time at its rate, energy at its price and its grid."""
    point, economics = Evaluation(case), case.economics
    seconds = value(point.device_seconds)
    joules = value(metrics()["energy_per_mtoken_j"].evaluate(point)) / 1e6
    price = economics.electricity_price if isinstance(economics, Ownership) else 0.0
    cost = seconds * value(point.device_rate) + joules * price
    assert sum(map(value, point.per_token_cost.values())) == pytest.approx(cost, rel=1e-12)
    assert value(metrics()["cost_per_mtoken_usd"].evaluate(point)) == pytest.approx(1e6 * cost)

    terms = point.operational_terms(point.per_token)
    total = economics.grid_carbon * joules
    assert sum(map(value, terms.values())) == pytest.approx(total, rel=1e-12)

    hardware = case.hardware
    made = hardware.embodied_carbon + hardware.tier.capacity * hardware.tier.embodied_carbon
    terms = point.embodied_terms(point.per_token)
    total = seconds * made / (economics.life * economics.utilisation)
    assert sum(map(value, terms.values())) == pytest.approx(total, rel=1e-12)


@LAW
@given(cases())
def test_shares_of_stress_sum_to_one(case: Case) -> None:
    point = Evaluation(case)
    for total in ("decode", "prefill", "energy", "cost"):
        shares = [
            value(entry.evaluate(point))
            for name, entry in metrics().items()
            if name.startswith(f"{total}_stress_")
        ]
        assert sum(shares) == pytest.approx(1, abs=1e-12)
        assert min(shares) >= 0


@LAW
@given(cases())
def test_replica_time_per_token_is_device_time_per_device(case: Case) -> None:
    """A step gives the whole batch a token; every finished request is prefilled anew."""
    point, plan = Evaluation(case), case.plan
    prefill = serving.prefill_occupancy(
        value(point.prefill_terms.total), plan.prefill_batch, plan.dp, plan.pp
    )
    lengths = point.lengths
    replica_time = value(point.step_time) / case.batch + value(lengths.prefills_per_step) * prefill
    replica_time /= value(lengths.tokens_per_step)
    assert value(point.device_seconds) == pytest.approx(devices(case) * replica_time, rel=1e-12)
    throughput = value(metrics()["throughput_per_s"].evaluate(point))
    assert throughput == pytest.approx(1 / replica_time, rel=1e-12)


@LAW
@given(cases())
def test_money_for_prompts_and_outputs_is_all_the_money(case: Case) -> None:
    """Cost per output = cost of decode + cost per prompt token times prompt tokens per output."""
    assume(not isinstance(case.workload, Snapshot))
    point = Evaluation(case)

    def priced(name: str) -> float:
        return value(metrics()[name].evaluate(point))

    prompts = value(point.lengths.prompt_mean) / value(point.lengths.output_mean)
    parts = priced("decode_cost_per_moutput_usd") + prompts * priced("prefill_cost_per_minput_usd")
    assert parts == pytest.approx(priced("cost_per_mtoken_usd"), rel=1e-12)
    assert priced("cost_per_mtotal_usd") * (1 + prompts) == pytest.approx(parts, rel=1e-12)


def test_a_rented_device_costs_its_rent() -> None:
    """A snapshot at 100 % use: device-seconds per token times the hourly rent, nothing else."""
    case = case_of(workload="snapshot", economics=composed("economics", "rental"))
    point = Evaluation(changed(case, {"economics.utilisation": 1.0}))
    rent = value(point.step_time) / case.batch * case.hardware.rental_price
    assert value(point.per_token_cost.total) == pytest.approx(rent, rel=1e-12)


def test_an_owned_device_costs_annuity_hosting_and_electricity() -> None:
    """An H100 of 38,580 USD, 5 years at 8 %, 1275 W at 150 USD/kW/month, used 60 % of the time.

    Yearly 38,580 · 0.08 / (1 - 1.08^-5) + 1.275 · 150 · 12 = 9662.6 + 2295 USD; per busy second
    of 0.6 · 8766 h: 0.6315 mUSD.
    """
    point = Evaluation(case_of(workload="snapshot"))
    yearly = 38_580 * 0.08 / (1 - 1.08**-5) + 1.275 * 150 * 12
    assert value(point.device_rate) == pytest.approx(
        yearly / (0.6 * money.SECONDS_PER_YEAR), rel=1e-6
    )


# --- Stress is elasticity -------------------------------------------------------------------------

BOUND_BY = {
    "bandwidth": ("weights", "kv", "activations"),
    "peak": ("compute",),
    "link": ("network_bandwidth",),
    "alpha": ("network_latency",),
    "overhead": ("overhead",),
}


def elasticity(case: Case, field: str, total: Callable[[Evaluation], Any]) -> tuple[float, float]:
    """d ln total / d ln scarcity from above and from below: of a time, or of one over a rate."""
    step = 1e-5
    power = 1 if field in ("alpha", "overhead") else -1
    more, here, less = (
        value(total(Evaluation(scaled(case, field, factor**power))))
        for factor in (1 + step, 1.0, 1 - step)
    )
    return (more / here - 1) / step, (1 - less / here) / step


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("field", BOUND_BY)
@settings(LAW, max_examples=examples(25))
@given(case=cases())
def test_stress_is_elasticity(field: str, overlap: float, case: Case) -> None:
    """A term is what its resource bounds: 1 % less of it makes the total (share) % longer.

    Away from kinks, where the bound changes hands; below the power limit, which bounds alone.
    """
    case = changed(case, {**UNLIMITED_POWER, "plan.overlap": overlap})
    point = Evaluation(case)
    totals: dict[str, Callable[[Evaluation], Any]] = {
        "decode": lambda p: p.decode.time.total,
        "prefill": lambda p: p.ttft_terms.total,
    }
    for name, total in totals.items():
        above, below = elasticity(case, field, total)
        assume(abs(above - below) < 1e-4)
        share = sum(
            value(metrics()[f"{name}_stress_{resource}"].evaluate(point))
            for resource in BOUND_BY[field]
        )
        assert share == pytest.approx((above + below) / 2, abs=1e-4)


# --- Monotone -------------------------------------------------------------------------------------

MORE = 1 + 1e-9


@pytest.mark.parametrize(
    ("field", "factor"), [("bandwidth", 2), ("peak", 2), ("link", 2), ("alpha", 0.5)]
)
@LAW
@given(case=cases())
def test_a_better_device_is_never_slower_or_dearer(field: str, factor: float, case: Case) -> None:
    """One algorithm per fabric: a faster link may change it for one that sends more bytes."""
    if field == "link":
        one = {"hardware.scale_up.collectives": ["ring"]}
        case = changed(case, {**one, "hardware.scale_out.collectives": ["ring"]})
    worse, better = Evaluation(case), Evaluation(scaled(case, field, factor))
    assert value(better.step_time) <= MORE * value(worse.step_time)
    assert np.all(better.prefill_time <= MORE * worse.prefill_time)
    assert value(better.tpot) <= MORE * value(worse.tpot)
    assert value(better.per_token_cost.total) <= MORE * value(worse.per_token_cost.total)


@LAW
@given(cases(), st.integers(1, 500))
def test_a_larger_batch_never_takes_a_shorter_step(case: Case, more: int) -> None:
    larger = Evaluation(changed(case, {"batch": case.batch + more}))
    smaller = Evaluation(case)
    assert value(larger.step_time) >= value(smaller.step_time) / MORE
    assert value(larger.memory.used) >= value(smaller.memory.used) / MORE


@LAW
@given(cases(), st.floats(0, 1))
def test_more_overlap_is_never_slower(case: Case, overlap: float) -> None:
    assume(overlap >= case.plan.overlap)
    more = Evaluation(changed(case, {"plan.overlap": overlap}))
    assert value(more.step_time) <= MORE * value(Evaluation(case).step_time)


@LAW
@given(cases(), st.floats(1, 50_000))
def test_longer_prompts_are_never_faster(case: Case, more: float) -> None:
    short = Evaluation(case)
    long = Evaluation(changed(case, {"trend.prompt_tokens": more}))
    assert value(long.step_time) >= value(short.step_time) / MORE
    assert np.all(long.prefill_time >= short.prefill_time / MORE)
    assert value(long.memory.used) >= value(short.memory.used) / MORE


@LAW
@given(cases())
def test_twice_the_tensor_parallelism_never_asks_more_of_a_device(case: Case) -> None:
    """Less memory and less work; messages may make up for it."""
    wide, narrow = Evaluation(changed(case, {"plan.tp": 2 * case.plan.tp})), Evaluation(case)
    assert value(wide.memory.weights) <= MORE * value(narrow.memory.weights)
    assert value(wide.memory.kv) <= MORE * value(narrow.memory.kv)
    assert value(wide.decode.work) <= MORE * value(narrow.decode.work)
    assert np.all(wide.prefill.work <= MORE * narrow.prefill.work)


# --- Limits ---------------------------------------------------------------------------------------


@LAW
@given(cases())
def test_one_device_sends_nothing(case: Case) -> None:
    point = Evaluation(changed(case, {"plan.tp": 1, "plan.pp": 1, "plan.dp": 1, "plan.ep": 1}))
    for phase in (point.decode, point.prefill):
        assert worst(phase.bytes_sent) == 0
        assert worst(phase.communication) == 0
        assert worst(phase.time["network_bandwidth"]) == worst(phase.time["network_latency"]) == 0


@LAW
@given(cases(), st.sampled_from(("rag", "reasoning", "long-context")))
def test_a_dose_of_nothing_changes_nothing(case: Case, trend: str) -> None:
    if isinstance(case.workload, Snapshot):
        trend = "rag"
    dosed = changed(composed("trend", trend), {"prompt_tokens": 0.0, "output_tokens": 0.0})
    point, same = Evaluation(case), Evaluation(changed(case, {"trend": dosed}))
    for entry in metrics().values():
        np.testing.assert_array_equal(entry.evaluate(point), entry.evaluate(same))


NEUTRAL: dict[str, dict[str, object]] = {
    "a switch": {"hardware.scale_up.topology": Topology(kind="switch")},
    "parts of alpha": {
        "hardware.scale_up.endpoint": Endpoint(nic=0.2, landing=0.3, wire=0.1),
        "hardware.scale_out.endpoint": Endpoint(nic=0.3, landing=0.1, wire=0.2),
    },
    "hops of no time": {
        "hardware.scale_out.topology": Topology(kind="fat_tree", hop="0 s", radix=1024),
        "hardware.scale_out.endpoint": Endpoint(),
    },
    "stragglers that never are": {
        "hardware.scale_up.straggling": Straggling(tail=0.0, timeout=3.0),
    },
    "no failures": {
        "hardware.reliability": Reliability(mtbf="1e30 s", repair="0 s", failover="0 s"),
    },
}


@pytest.mark.parametrize("change", NEUTRAL)
@LAW
@given(cases())
def test_a_neutral_interconnect_changes_nothing(change: str, case: Case) -> None:
    """But for the hops that a stated topology counts."""
    point, same = Evaluation(case), Evaluation(changed(case, NEUTRAL[change]))
    for name, entry in metrics().items():
        if not name.startswith("tp_"):
            np.testing.assert_array_equal(entry.evaluate(point), entry.evaluate(same), name)


def test_spares_are_paid_and_outages_too() -> None:
    """Eight devices and one that stands by, out for a tenth of their time: with q = 0.1,

    A = 0.9^9 + 9 · 0.1 · 0.9^8 = 0.7748; rent and device time grow by 9 / (8 A), latency does not.
    """
    case = case_of("llama-3.1-70b", plan__tp=8, economics=composed("economics", "rental"))
    spared = changed(
        case,
        {
            "plan.spares": 1,
            "hardware.reliability": Reliability(mtbf="9 s", repair="1 s", failover="0 s"),
        },
    )
    point, less = Evaluation(case), Evaluation(spared)
    available = 0.9**9 + 9 * 0.1 * 0.9**8
    grown = 9 / (8 * available)
    assert value(less.availability) == pytest.approx(available)
    assert value(less.tpot) == value(point.tpot)
    for name, factor in (
        ("cost_per_mtoken_usd", grown),
        ("embodied_carbon_per_mtoken_kgco2e", grown),
        ("throughput_per_device_per_s", 1 / grown),
        ("throughput_per_s", available),
    ):
        mine, other = (value(metrics()[name].evaluate(p)) for p in (less, point))
        assert mine == pytest.approx(factor * other), name


def test_a_dose_lengthens_every_request() -> None:
    """1000 + 24 prompt tokens and 200 + 56 outputs are 1024 and 256, whatever their origin."""
    plain = case_of(workload__prompt_tokens=1024.0, workload__output_tokens=256.0)
    dosed = case_of(
        workload__prompt_tokens=1000.0,
        workload__output_tokens=200.0,
        trend__prompt_tokens=24.0,
        trend__output_tokens=56.0,
    )
    for entry in metrics().values():
        mine, other = entry.evaluate(Evaluation(plain)), entry.evaluate(Evaluation(dosed))
        np.testing.assert_allclose(mine, other, rtol=1e-12)


@LAW
@given(cases(even=True), st.integers(2, 8))
def test_groups_of_a_dense_model_work_alike(case: Case, groups: int) -> None:
    """`groups` times the batch on `groups` times the devices: the same step, the same price."""
    assume(all(ffn.kind == "dense" for ffn in case.model.ffns.values()))
    case = changed(case, {"plan.dp": 1})
    more = Evaluation(changed(case, {"plan.dp": groups, "batch": case.batch * groups}))
    # Stages of a larger replica may lie in different scale-up domains.
    assume(case.plan.pp == 1)
    assert value(more.step_time) == pytest.approx(value(Evaluation(case).step_time), rel=1e-12)
    same = value(Evaluation(case).per_token_cost.total)
    assert value(more.per_token_cost.total) == pytest.approx(same, rel=1e-12)


@LAW
@given(cases(even=True), st.integers(2, 4))
def test_stages_of_a_pipeline_only_add_hand_over(case: Case, stages: int) -> None:
    """With free links, `stages` times the batch on as many devices: each pass takes as long."""
    flat = changed(case, {**FREE, "plan.pp": 1})
    deep = changed(flat, {"plan.pp": stages, "batch": flat.batch * stages})
    one, many = Evaluation(flat), Evaluation(deep)
    assert value(many.step_time) == pytest.approx(value(one.step_time), rel=1e-9)
    assert value(many.device_seconds) == pytest.approx(value(one.device_seconds), rel=1e-9)
    memory = value(one.memory.weights) / stages
    assert value(many.memory.weights) == pytest.approx(memory, rel=1e-12)


def test_one_token_reads_the_experts_it_visits() -> None:
    """Mixtral at batch 1: 2 of 8 experts of every layer, 32 · 3 · 4096 · 14336 · 2 B each."""
    expert = 32 * 3 * 4096 * 14336 * 2
    reads = [
        value(Evaluation(case_of("mixtral-8x7b", batch=batch)).decode.bytes_moved)
        for batch in (1, 10_000)
    ]
    case = case_of("mixtral-8x7b", batch=1)
    assert decode_floor(case).weight_bytes < reads[0] < decode_floor(case).weight_bytes * 1.02
    assert reads[1] > 8 * expert


def test_prefill_interrupts_decode_on_the_same_devices() -> None:
    """Outputs of 257 tokens at batch 32: a step waits for 31 / 256 of a prefill, or for none."""
    case = case_of(batch=32, workload__prompt_tokens=4096.0, workload__output_tokens=257.0)
    point = Evaluation(case)
    waited = value(point.step_time) + 31 / 256 * value(point.prefill_time)
    assert value(point.tpot) == pytest.approx(waited, rel=1e-12)
    apart = Evaluation(changed(case, {"plan.phases": "disaggregated"}))
    assert value(apart.tpot) == value(point.step_time)


@LAW
@given(cases())
def test_as_many_are_in_flight_as_the_batch_says(case: Case) -> None:
    """Little's law: requests per second times time in flight is the batch, where phases share

    devices and the batch holds at least the prompts that are prefilled at once.
    """
    plan = case.plan
    assume(not isinstance(case.workload, Snapshot) and plan.phases == "colocated")
    assume(case.batch >= plan.prefill_batch * plan.dp * plan.pp)
    point = Evaluation(case)
    requests = value(latency.throughput(point)) / value(point.lengths.output_mean)
    in_flight = requests * value(latency.e2e_latency(point))
    assert in_flight == pytest.approx(value(case.batch), rel=1e-9)


def test_a_request_alone_interrupts_itself_never() -> None:
    """Its prefill lies in front of its first token; so do those of all answers to one prompt."""
    alone = Evaluation(case_of(batch=1, workload="fixed-lengths"))
    assert value(alone.tpot) == value(alone.step_time)
    drawn = changed(case_of(batch=8, workload="fixed-lengths"), {"trend.branches": 8})
    assert value(Evaluation(drawn).tpot) == value(Evaluation(drawn).step_time)


@pytest.mark.parametrize(("hardware", "speed"), [("h100-sxm", 1979 / 989), ("a100-sxm-80gb", 1)])
def test_a_narrow_format_is_as_fast_as_the_device_has_units_for_it(
    hardware: str, speed: float
) -> None:
    """A prompt whose matrices are bound by arithmetic: fp8 on Hopper, on Ampere bf16 instead.

    The attention core stays in 16 bit; at 512 tokens it is 1 % of the FLOPs.
    """
    case = changed(case_of(hardware=hardware, workload__prompt_tokens=512.0), FREE)
    fast = changed(case, {"hardware.memory.hbm.bandwidth": 1e30})
    narrow = Evaluation(changed(fast, {"plan.formats.compute": "fp8"}))
    ratio = value(Evaluation(fast).prefill_time) / value(narrow.prefill_time)
    assert ratio == pytest.approx(speed, rel=0.02)


# --- Conservation ---------------------------------------------------------------------------------


@LAW
@given(cases())
def test_all_weights_are_somewhere(case: Case) -> None:
    """Devices together hold every parameter once at least, each in its format."""
    point, model = Evaluation(case), case.model
    experts = sum(
        layer.count * ffn.n_experts * ffn.d_ff * model.d_model * (3 if ffn.gated else 2)
        for layer in model.layers.values()
        if (ffn := model.ffns[layer.ffn]).kind == "moe"
    )
    routers = sum(
        layer.count * model.ffns[layer.ffn].n_experts * model.d_model
        for layer in model.layers.values()
        if model.ffns[layer.ffn].kind == "moe"
    )
    tables = model.vocab * model.d_model * (1 if model.tied_embeddings else 2) + routers
    others = value(parameters(point.layout)) - experts - tables
    total = others * element_bytes(case, "weights") + experts * element_bytes(case, "experts")
    total += tables * table_bytes(case)
    assert devices(case) * value(point.memory.weights) >= SLACK * total
    alone = changed(case, {"plan.tp": 1, "plan.pp": 1, "plan.dp": 1, "plan.ep": 1})
    assert value(Evaluation(alone).memory.weights) == pytest.approx(total, rel=1e-12)


@LAW
@given(cases())
def test_every_context_in_flight_has_room(case: Case) -> None:
    """Devices together keep room for the mean visible context of the whole batch at least."""
    point = Evaluation(case)
    assert devices(case) * value(point.memory.kv) >= SLACK * decode_floor(case).kv_bytes
    assert value(point.memory.used) == pytest.approx(
        value(point.memory.weights) + value(point.memory.kv) + worst(point.memory.activations)
    )


def test_a_cache_split_by_batch_is_kept_once() -> None:
    """16 devices, 8 KV heads, 32 sequences of 4096 tokens: 32 · 4096 · 327,680 B in all."""
    case = case_of(
        "llama-3.1-70b",
        workload="snapshot",
        batch=32,
        plan__tp=16,
        plan__kv_sharding="batch",
    )
    total = 32 * 4096 * 327_680
    assert 16 * value(Evaluation(case).memory.kv) == pytest.approx(total, rel=1e-12)
    twice = changed(case, {"plan.kv_sharding": "heads"})
    assert 16 * value(Evaluation(twice).memory.kv) == pytest.approx(2 * total, rel=1e-12)


def test_one_sequence_split_over_all_devices_is_kept_once() -> None:
    """One sequence of 4096 tokens on 32 devices of 8 KV heads: each keeps a quarter of a head's."""
    case = case_of(
        "llama-3.1-70b", workload="snapshot", batch=1, plan__tp=32, plan__kv_sharding="sequence"
    )
    point = Evaluation(case)
    assert 32 * value(point.memory.kv) == pytest.approx(4096 * 327_680, rel=1e-12)
    read = value(point.decode.bytes_moved) - value(
        Evaluation(changed(case, {"workload.context": 0.0})).decode.bytes_moved
    )
    assert 32 * read == pytest.approx(4096 * 327_680, rel=1e-6)


def test_a_latent_cache_split_by_batch_is_kept_once() -> None:
    """DeepSeek-V3 on 8 devices: every device keeps every latent vector, or those of 8 of 64."""
    case = case_of("deepseek-v3", workload="snapshot", batch=64, plan__tp=8)
    total = 64 * 4096 * 70_272
    assert value(Evaluation(case).memory.kv) == pytest.approx(total, rel=1e-12)
    split = changed(case, {"plan.kv_sharding": "batch"})
    assert 8 * value(Evaluation(split).memory.kv) == pytest.approx(total, rel=1e-12)


@LAW
@given(cases(even=True), st.integers(1, 100_000))
def test_a_batch_fits_up_to_the_batch_for_memory(case: Case, context: int) -> None:
    """All sequences at one context: what fits, and how many would fit, agree."""
    snapshot = replaced(composed("workload", "snapshot"), ["context"], float(context))
    case = changed(case, {"workload": snapshot, "plan.kv_sharding": "heads"})
    point = Evaluation(case)
    fits = value(point.memory.used) <= value(point.memory.room)
    assert fits == (case.batch <= value(metrics()["batch_for_memory"].evaluate(point)))


# --- Length distributions -------------------------------------------------------------------------


def trace_of(folder: Path, requests: list[tuple[int, int]], name: str = "trace") -> TraceLengths:
    """A trace of the given prompts and outputs."""
    file = folder / f"{name}.parquet"
    prompts, outputs = zip(*requests, strict=True)
    pq.write_table(pa.table({"input_tokens": prompts, "output_tokens": outputs}), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return TraceLengths(kind="trace", name=name, file=str(file), sha256=digest, sources={})


@pytest.mark.parametrize("count", [1, 7, 16, 500])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "gemma-3-27b", "deepseek-v3"])
def test_a_trace_of_identical_requests_is_a_fixed_length(
    model: str, count: int, tmp_path: Path
) -> None:
    recorded = trace_of(tmp_path, [(3000, 500)] * count)
    fixed = case_of(model, workload__prompt_tokens=3000.0, workload__output_tokens=500.0)
    mine, other = Evaluation(fixed), Evaluation(changed(fixed, {"workload": recorded}))
    for name, entry in metrics().items():
        np.testing.assert_allclose(
            value(entry.evaluate(mine)), value(entry.evaluate(other)), rtol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("trace_name", TRACES)
@pytest.mark.parametrize("model", ["llama-3.1-70b", "gemma-3-27b", "deepseek-v3"])
def test_sixteen_strata_give_the_mean_prefill_of_all_requests(model: str, trace_name: str) -> None:
    """Every prompt of the trace by itself, against the strata: within 0.5 %; p90 exactly."""
    case = case_of(model, calibration="typical", workload=trace_name, plan__tp=8)
    point = Evaluation(case)
    prompts, counts = np.unique(trace(recorded(case))[0], return_counts=True)
    each = changed(case, {"workload": composed("workload", "fixed-lengths")})
    grid = Grid((GridAxis("prompt", {"workload.prompt_tokens": prompts}),))
    times = grid.flat(Evaluation(grid.bind(each)).prefill_time)
    exact = float(times @ counts / counts.sum())
    assert value(point.lengths.mean(point.prefill_time)) == pytest.approx(exact, rel=0.005)
    rank = np.searchsorted(np.cumsum(counts), 0.9 * counts.sum())
    p90 = value(metrics()["ttft_p90_s"].evaluate(point))
    assert p90 == pytest.approx(times[rank], rel=1e-9)


@pytest.mark.parametrize("trace_name", TRACES)
@pytest.mark.parametrize("window", [128.0, 1024.0, 1e15])
def test_context_in_flight_equals_an_enumeration_of_every_step(
    trace_name: str, window: float
) -> None:
    """Millions of decode steps one by one: mean, spread and longest of what each sees."""
    case = case_of(workload=trace_name)
    lengths, steps = Evaluation(case).lengths, contexts(case)
    seen = np.minimum(steps, window)
    assert value(lengths.context(window)) == pytest.approx(seen.mean(), rel=1e-9)
    assert value(lengths.deviation(window)) == pytest.approx(seen.std(), rel=1e-6)
    assert value(lengths.longest) == steps.max()


@pytest.mark.parametrize(
    ("trace_name", "bias"),
    [("azure-2023-conversation", -0.027), ("mooncake-conversation", 0.075)],
)
def test_requests_in_flight_are_not_requests_that_arrive(trace_name: str, bias: float) -> None:
    """A long output is in flight for longer, so that mean prompt + half the mean output is off.

    In Azure's conversations long prompts get short answers; in Mooncake's the tail wins.
    """
    case = case_of(workload=trace_name)
    prompts, outputs = trace(recorded(case))
    naive = prompts.mean() + outputs.mean() / 2
    in_flight = value(Evaluation(case).lengths.context(1e15))
    assert in_flight / naive - 1 == pytest.approx(bias, abs=0.002)


def test_two_requests_by_hand(tmp_path: Path) -> None:
    """Prompts 10 and 100, outputs 3 and 2: steps see 11, 12 and 101 tokens, on average 124 / 3.

    Three steps end two requests and make five tokens.
    """
    case = case_of(workload="azure-2023-conversation")
    case = changed(case, {"workload": trace_of(tmp_path, [(10, 3), (100, 2)])})
    lengths = Evaluation(case).lengths
    assert value(lengths.context(1e15)) == pytest.approx(124 / 3)
    assert value(lengths.context(50)) == pytest.approx((11 + 12 + 50) / 3)
    assert value(lengths.prefills_per_step) == pytest.approx(2 / 3)
    assert value(lengths.tokens_per_step) == pytest.approx(5 / 3)
    assert value(lengths.longest) == 101


# --- Grids ----------------------------------------------------------------------------------------

AXES: dict[str, list[float]] = {
    "batch": [1, 7, 64, 500],
    "plan.tp": [1, 2, 8, 16],
    "plan.dp": [1, 4],
    "plan.pp": [1, 2],
    "plan.overlap": [0.0, 0.5, 1.0],
    "plan.prefill_chunk": [512.0, 8192.0],
    "hardware.memory.hbm.bandwidth": [1e12, 3.35e12, 2e13],
    "hardware.memory.hbm.capacity": [16e9, 1e12],
    "hardware.scale_up.alpha": [0.0, 1e-6, 1e-4],
    "hardware.scale_up.domain": [1, 8, 64],
    "hardware.tdp": [300.0, 700.0],
    "calibration.decode_overhead": [0.0, 1e-5],
    "calibration.kv_rereads": [0.0, 1.0],
    "calibration.half_rate_tokens": [0.0, 100.0],
    "calibration.rank_overhead": [0.0, 1e-5],
    "economics.utilisation": [0.1, 1.0],
    "trend.prompt_tokens": [0.0, 100.0, 20_000.0],
    "trend.output_tokens": [0.0, 50.0],
}


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    paths = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=3, unique=True))
    return Grid(
        tuple(GridAxis(path, {path: np.asarray(AXES[path], dtype=float)}) for path in paths)
    )


def table_of(case: Case, grid: Grid) -> dict[str, NDArray[np.float64]]:
    """Every metric, and the verdict, one value per point."""
    part = columns(Evaluation(grid.bind(case)), grid, {}, {})
    return {name: part.flat(name) for name in part.values} | {"limit": grid.flat(part.limit)}


def on_a_grid(case: Case) -> Case:
    """Everything fits, so that metrics are numbers. No trend lengthens a snapshot's outputs."""
    case = changed(case, {"hardware.memory.hbm.capacity": 1e15, "model.max_context": 10**9})
    if isinstance(case.workload, Snapshot):
        return changed(case, {"workload": composed("workload", "fixed-lengths")})
    return case


@settings(LAW, max_examples=examples(30))
@given(cases(), grids(), st.data())
def test_a_broadcast_point_equals_the_point_alone(
    case: Case, grid: Grid, data: st.DataObject
) -> None:
    case = on_a_grid(case)
    whole = table_of(case, grid)
    assume(np.any(whole["limit"] == 0))
    index = data.draw(st.integers(0, grid.size - 1))
    position = np.unravel_index(index, grid.shape)
    values = {
        path: float(v[i])
        for axis, i in zip(grid.axes, position, strict=True)
        for path, v in axis.values.items()
    }
    alone = table_of(changed(case, values), Grid(()))
    for name, column in whole.items():
        np.testing.assert_allclose(column[index], alone[name][0], rtol=1e-9, err_msg=name)


@settings(LAW, max_examples=examples(30))
@given(cases(), grids(), st.integers(1, 40))
def test_a_grid_in_blocks_equals_the_whole(case: Case, grid: Grid, most: int) -> None:
    case = on_a_grid(case)
    whole = table_of(case, grid)
    blocks = list(grid.blocks(most))
    assert max(block.size for block in blocks) <= most
    parts = [table_of(case, block) for block in blocks]
    for name, column in whole.items():
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(joined, column, err_msg=name)


def test_the_public_table_equals_its_points_one_by_one() -> None:
    overrides = ["model=mixtral-8x7b", "workload=fixed-lengths"]
    frame = infercost.evaluate([*overrides, "batch=4,64", "plan.tp=2,8"])
    rows = [
        infercost.evaluate([*overrides, f"batch={batch}", f"plan.tp={tp}"]).iloc[0]
        for batch in (4, 64)
        for tp in (2, 8)
    ]
    numbers = list(metrics())
    for (_, swept), alone in zip(frame.iterrows(), rows, strict=True):
        np.testing.assert_allclose(
            swept[numbers].to_numpy(float), alone[numbers].to_numpy(float), rtol=1e-12
        )
