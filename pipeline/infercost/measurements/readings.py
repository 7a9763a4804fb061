"""Published measurements as readings: which point each row is, and which time it states.

A reading says how many prefills and decode steps make up the time that a row states, so that any
calibration can predict it from the same two passes. A row that cannot be read has a reason.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache

from infercost.errors import closest
from infercost.measurements.layouts import Layout, layout_of
from infercost.measurements.loads import MOST_IN_FLIGHT, Load, devices_of, load_of
from infercost.measurements.published import Fault, Row, beams, era_of, lengths, number, stated
from infercost.measurements.spelling import tidied
from infercost.options.question import option_names
from infercost.paths import config_dirs
from infercost.specs.formats import BITS

STATIC_CHUNK = 1e9
"""Static batching: a prefill is one pass, however long."""
CHUNKS = {"llama-cpp-2024": 512.0, "llama-cpp-metal": 512.0, "llama-cpp-2025": 2048.0}
"""Tokens per pass of stacks that cut a prompt; in-flight batching takes 8192."""
IN_FLIGHT_CHUNK = 8192.0
SCENARIOS = ("prefill", "decode", "latency", "offline", "server", "closed loop")
"""What a row may be a measurement of; words may follow, as in `server (interactive)`."""
ROLLING = "llama-cpp-2025"
"""Software whose caches of windows hold a pass of prefill more than the window (llama.cpp,
`llama-kv-cache-iswa.cpp`); attention reads all of it and masks what has left the window."""

STAGING = {"deepspeed": 1.0, "llama-cpp-2024": 64.0}
"""Software that widens weights in memory before a product, from how many rows on. DeepSpeed always
(`quantized_gemm` of `pt_binding.cpp`: `launch_dequantize`, then `cublas_gemm_ex`); llama.cpp with
CUDA above `MMQ_MAX_BATCH_SIZE` rows, until pull request 8075 of June 2024."""


@dataclass(frozen=True)
class Reading:
    """One row as a point and a time: `time_s` = `prefills` prefills and `steps` decode steps.

    What a calibration decides (a batch that a rate or a limit of latency implies) is left open
    here; `calibrate.settle` settles it.
    """

    id: str
    hardware: str
    model: str
    weights: str
    kv: str
    era: str
    tp: int
    pp: int
    dp: int
    ep: int
    batch: float
    """Sequences per replica; NaN where the stack fills its memory, or a rate decides."""
    prompt: float
    output: float
    chunk: float
    prefills: float
    """Prefills of `batch` prompts each."""
    steps: float
    time_s: float
    """What the row states, as the time of that work; per request where `filled`."""
    value: float
    per_time: bool
    """Whether the row states a rate rather than a time."""
    phase: str
    cores_per_device: int = 1
    filled: bool = False
    """The stack takes as many sequences as fit, `limit` at most."""
    limit: float = MOST_IN_FLIGHT
    tpot_limit: float = math.inf
    """Mean TPOT that a filled stack keeps to, in s."""
    rate: float = math.nan
    """Requests per second and replica that arrive by themselves; NaN in a closed loop."""
    stale: float = 0.0
    """Tokens that a cache of a window holds, and attention reads, beyond the window."""
    depth: float = 0.0
    """Tokens in the cache before the prompts, which attend to them."""
    dense: str = ""
    """Number format of what is not a routed expert, where it differs from `weights`."""
    dispatch: str = "native"
    """Number format of activations on their way to experts."""
    exchange: str = "copies"
    """How tokens reach experts on other devices: `plan.exchange`."""
    staged: float | None = None
    """Rows from which products read weights widened in memory: `plan.staged_rows`."""
    beams: int = 1
    """Sequences that each request decodes (beam search); they share its prompt's cache. `batch`
    and `limit` count requests, `output` the tokens of the one that is kept."""
    devices: int = 0
    """Devices of the system where nobody says how the model lies on them; else 0."""


@dataclass(frozen=True)
class Unread:
    """A row that cannot be read, and why."""

    id: str
    reason: str


def read(row: Row, dirs: tuple[str, ...] = ()) -> Reading | Unread:
    """One row as a reading, or why it is none."""
    try:
        return _read(row, dirs)
    except Fault as fault:
        return Unread(row["id"], str(fault))


def _read(row: Row, dirs: tuple[str, ...]) -> Reading:
    row = tidied(row, dirs)
    row = {**row, **{name: format_of(row[name]) for name in ("weight_format", "kv_format")}}
    _check_options(row, dirs)
    devices, value = devices_of(row), number(row, "value")
    if not 0 < value < math.inf:
        raise Fault(f"value {row['value']!r} is not a positive number")
    if re.search(r"\bMTP\b[^.]*\bON\b", row.get("notes") or ""):
        raise Fault("speculative decoding, with an acceptance that is not stated")
    prompt, output = lengths(row)
    load = load_of(row, prompt)
    era = era_of(row["framework"], row.get("date") or "", load.filled)
    weights, dense = _weights(row, era)
    layout = layout_of(row, devices)
    work = _work(row, load, output)
    replicas: float = layout.dp if layout.ep == 1 else 1
    if load.batch < replicas and not load.per_device:
        replicas = load.batch  # the others have nothing to do
    output = 2.0 if math.isnan(output) else output
    batch = load.batch * layout.devices if load.per_device else load.batch / replicas
    group = max(layout.devices / devices, 1.0)  # a figure may be of one node of a larger group
    seconds = _seconds(
        row, value, _Shape(batch, prompt, output, load, replicas / group, devices), work
    )
    if not 0 < seconds < math.inf:
        raise Fault(f"output_tokens {row['output_tokens']!r} leave no work to time")
    in_flight = load.filled or load.steady
    return Reading(
        id=row["id"],
        hardware=row["hardware"],
        model=row["model"],
        weights=weights,
        kv=row["kv_format"] or _unstated_kv(row, era),
        era=era,
        tp=layout.tp,
        pp=layout.pp,
        dp=1 if layout.ep == 1 else layout.dp,
        ep=layout.ep,
        batch=batch,
        prompt=max(prompt, 1.0),
        output=max(output, 2.0),
        chunk=IN_FLIGHT_CHUNK if in_flight else CHUNKS.get(era, STATIC_CHUNK),
        prefills=work.prefills * _interrupting(work, batch, layout),
        steps=work.steps,
        time_s=seconds,
        value=value,
        per_time="per_s" in row["metric"],
        phase=work.phase,
        cores_per_device=layout.cores,
        filled=load.filled,
        limit=load.limit,
        tpot_limit=load.tpot_limit,
        rate=load.rate / replicas,
        stale=CHUNKS[era] if era == ROLLING else 0.0,
        depth=_depth(row),
        dense=dense,
        dispatch=_dispatch(row, era, weights),
        exchange=_exchange(row, era),
        staged=STAGING.get(era),
        beams=beams(row),
        devices=devices if layout.open else 0,
    )


@cache
def _known(group: str, dirs: tuple[str, ...]) -> frozenset[str]:
    return frozenset(option_names(config_dirs(dirs), group))


ALIASES = {
    **{"float16": "fp16", "half": "fp16", "f16": "fp16", "bfloat16": "bf16", "float32": "fp32"},
    **{"w4a16": "int4", "awq": "int4", "gptq": "int4", "w8a8": "int8", "f32": "fp32"},
    **{"fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "fp8-e4m3": "fp8", "w8a8-fp8": "fp8"},
}
"""Other names of number formats. AWQ and GPTQ are methods, published in 4 bits as a rule."""


def format_of(name: str) -> str:
    """A number format's own name, in small letters; a name that nobody knows stays as it is."""
    small = (name or "").lower()
    return small if small in BITS else ALIASES.get(small, name)


def _check_options(row: Row, dirs: tuple[str, ...]) -> None:
    for group in ("hardware", "model"):
        if row[group] not in _known(group, dirs):
            near = closest(row[group], sorted(_known(group, dirs)))
            remedy = f". Did you mean '{near}'?" if near else ""
            raise Fault(f"no {group} option '{row[group]}'{remedy}")
    for column in ("weight_format", "kv_format"):
        if row[column] and row[column] not in BITS:
            raise Fault(f"{column} '{row[column]}' is no known number format")
    if row["scenario"].partition(" (")[0] not in SCENARIOS:
        raise Fault(f"scenario '{row['scenario']}' is none of {', '.join(SCENARIOS)}")


def _weights(row: Row, era: str) -> tuple[str, str]:
    """Formats of a row's weights and, where it differs, of what is not a routed expert.

    gpt-oss is published in MXFP4 experts and bf16 for the rest (gpt-oss-repo), which llama.cpp's
    files keep in Q8_0 (11.27 GiB) and Ollama's in bf16 (its size is recalled). Hopper has no FP4
    unit: a table's FP8 column holds the same checkpoint, whose experts the kernel widens to bf16
    (recalled).
    """
    weights = row["weight_format"] or "native"
    if not row["model"].startswith("gpt-oss"):
        return weights, ""
    dense = "q8_0" if era.startswith("llama-cpp") else "native"
    return ("mxfp4" if weights == "fp8" else weights), dense


GATHERING = ("trt-llm", "vllm", "sglang")
"""Software that, without DeepEP, gathers tokens of all data-parallel groups before experts, then
reduces and scatters their results: TensorRT-LLM 1.x where `moe_ep_size <= top_k` or memory is not
shared over NVLink (`modeling_llama.py`, `modeling_deepseekv3.py`), vLLM's default
`allgather_reducescatter`, SGLang's attention DP without an all-to-all backend (recalled)."""
QUANTISING = "trt-llm"
"""Software that quantises what it gathers (TensorRT-LLM: "post-quant all-gather", recalled)."""


def _dispatch(row: Row, era: str, weights: str) -> str:
    """Format of activations on their way to experts: TensorRT-LLM quantises before it gathers."""
    if _deep_ep(row):
        return "fp8"
    quantised = era.startswith(QUANTISING) and weights in ("fp8", "nvfp4")
    return weights if quantised else "native"


def _exchange(row: Row, era: str) -> str:
    """How tokens reach experts on other devices."""
    return "gather" if era.startswith(GATHERING) and not _deep_ep(row) else "copies"


def _deep_ep(row: Row) -> bool:
    """Whether experts are reached through DeepEP: FP8 out, bf16 back (DeepSeek-V3 report)."""
    words = f"{row['framework']} {row.get('notes') or ''}"
    return "deepep" in words.lower() or words.lower().startswith("deepseek in-house")


def _unstated_kv(row: Row, era: str) -> str:
    """The cache of FP8 and NVFP4 checkpoints is in FP8 under TensorRT-LLM.

    Its documents build FP8 engines with an FP8 cache from v0.5 on (batch 1,024 of Llama 2 13B on
    one H200 would not fit otherwise), and ModelOpt's checkpoints ask for it; MLPerf's harness too.
    """
    quantised = row["weight_format"] in ("fp8", "nvfp4")
    return "fp8" if quantised and era.startswith("trt-") and era != "trt-edge-llm" else "native"


def _depth(row: Row) -> float:
    """Context that a prefill of llama-bench finds in the cache: `pp2048 at depth 4096`."""
    depth = stated(row, "notes", r"\bpp\d+ at depth (\d+)")
    return depth if row["scenario"] == "prefill" and depth > 0 else 0.0


@dataclass(frozen=True)
class _Work:
    prefills: float
    steps: float
    phase: str


_OF_PREFILL = ("ttft_s", "prefill_time_s", "prefill_tokens_per_s")


def _work(row: Row, load: Load, output: float) -> _Work:
    """Prefills and decode steps behind a row's time, and the phase it speaks of."""
    scenario, metric = row["scenario"], row["metric"]
    if load.steady and metric == "tpot_s":
        # While a sequence decodes, every one is replaced once: B prefills in its steps, of which
        # `_interrupting` keeps those of others.
        return _Work(1.0 / max(output - 1.0, 1.0), 1.0, "served")
    if scenario == "prefill" or metric in _OF_PREFILL:
        return _Work(1.0, 0.0, "served" if load.steady else "prefill")
    if scenario == "decode" or metric in ("tpot_s", "decode_step_time_s"):
        whole = metric == "e2e_latency_s"
        return _Work(0.0, output if whole else 1.0, "decode")
    if math.isnan(output):
        raise Fault(f"output_tokens {row['output_tokens']!r} is not a number of a known data set")
    if load.filled or load.steady:
        return _Work(1.0, output, "max-load")
    return _Work(1.0, max(output - 1.0, 1.0), "end-to-end")


@dataclass(frozen=True)
class _Shape:
    """What turns a rate into a time."""

    batch: float
    prompt: float
    output: float
    load: Load
    replicas: float
    """Replicas that share a rate; below 1 where the rate is of a part of one replica."""
    devices: int


def _interrupting(work: _Work, batch: float, layout: Layout) -> float:
    """Share of the prefills behind a row that count: of a TPOT those of others, if they are known.

    One runs in one group and one stage after the other: dp · pp of B sequences are served in its
    time. Of requests at a rate, how many others there are is settled later.
    """
    if work.phase != "served" or work.steps == 0 or math.isnan(batch):
        return 1.0
    dp = 1 if layout.ep == 1 else layout.dp
    return max(1.0 - dp * layout.pp / batch, 0.0)


_TIMES = ("tpot_s", "decode_step_time_s", "ttft_s", "prefill_time_s", "e2e_latency_s")


def _seconds(row: Row, value: float, shape: _Shape, work: _Work) -> float:
    """The time of the work behind a row. For a filled batch, of one request's share of it."""
    metric = row["metric"]
    if metric in _TIMES:
        return value
    if metric == "seconds_per_output_token":
        return value * shape.batch
    per_step = 1.0 if work.phase == "decode" else shape.output
    if metric == "output_tokens_per_s_per_user":
        return per_step / value
    tokens = {
        "output_tokens_per_s": per_step,
        "prefill_tokens_per_s": shape.prompt,
        "total_tokens_per_s": shape.prompt + shape.output,
        "samples_per_s": 1.0,
    }.get(metric.removesuffix("_per_device"))
    if tokens is None:
        raise Fault(f"metric '{metric}' is not one that is predicted")
    rate = value * (shape.devices if metric.endswith("_per_device") else 1.0) / shape.replicas
    return tokens / rate * (1.0 if shape.load.filled else shape.batch)
