"""Operator measurements of AIConfigurator as operators and messages of ours, sampled and screened.

The tables come with `aiconfigurator-core` from PyPI (Apache-2.0); they are read, never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import parquet

from infercost.arrays import BoolArray, FloatArray, Seconds
from infercost.compose import Options
from infercost.equations.moe import expected_distinct_experts
from infercost.network import Message, Network
from infercost.operators.base import Kind, Operator
from infercost.paths import config_dirs
from infercost.question import Question
from infercost.specs.hardware import Hardware

SYSTEMS = {
    "a100_sxm": "a100-sxm-80gb",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200-sxm",
    "b300_sxm": "b300-sxm",
    "gb200": "gb200-nvl72",
    "gb300": "gb300-nvl72",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000-blackwell",
    "b60": "arc-pro-b60",
}
"""Folder of a system's tables, and the hardware option that it stands for."""

EXPERT_SHAPE = (
    "system",
    "moe_dtype",
    "num_tokens",
    "hidden_size",
    "inter_size",
    "topk",
    "num_experts",
    "moe_tp_size",
    "moe_ep_size",
    "distribution",
)

SMALL = "min_latency"
"""In the name of TensorRT-LLM's kernel for few tokens, which the tables of B300 and GB300 lack: at
the same shapes they are 1.3 times slower than B200's at the median, and equal by the other kernel.
"""
MXFP4 = ["w4a16_mxfp4", "w4a8_mxfp4_mxfp8"]
"""What the tables call experts in MXFP4, by the format of their inputs."""

REFUSED = ("a100_sxm", "trtllm", "generation_attention_perf.parquet")
"""A table with hundreds of rows that are faster than memory allows."""

WHOLE = 0.5
"""Share of the rows of the largest version from which on a table is whole: some bring parts."""

ROWS = 500
"""Rows drawn from each system's part of a cell."""

BYTES = {"bfloat16": 2.0, "fp8": 1.0, "nvfp4": 0.5625, "mxfp4": 0.53125}
PEAK = {"bfloat16": "bf16", "fp8": "fp8", "nvfp4": "fp4", "mxfp4": "bf16"}
"""Of MXFP4 experts what published checkpoints state: Hopper widens them, Blackwell multiplies them
by inputs in MXFP8, where the efficiency says by how much that is faster."""


@dataclass(frozen=True)
class Cell:
    """Measurements of one kind of operator in one stack: `operators` run one after the other."""

    name: str
    operators: tuple[Operator, ...]
    messages: tuple[Message, ...]
    """One message by each choice of algorithms, of which a stack takes the fastest."""
    bandwidth: FloatArray
    system: tuple[str, ...]
    generation: FloatArray
    """Number of the fabric between devices, which comes with each generation of them."""
    seconds: FloatArray
    decode: bool = True


def cells(folder: Path, framework: str, family: str) -> Iterator[Cell]:
    """All cells of one framework on a family of devices, from the newest whole tables."""
    hardware = {name: spec for name, spec in _hardware().items() if spec.family == family}
    for name, (kind, file, build, keep) in CELLS.items():
        frame = _table(folder, kind, file, framework, frozenset(hardware))
        if frame.empty:
            continue
        frame = frame[keep(frame)]
        drawn = [
            part.sample(min(ROWS, len(part)), random_state=1) for _, part in frame.groupby("system")
        ]
        if drawn:
            yield build(name, pd.concat(drawn, ignore_index=True), hardware)


def _hardware() -> dict[str, Hardware]:
    names = tuple(SYSTEMS.values())
    options = Options(Question({"hardware": names}, dirs=config_dirs(())))
    return {c.options["hardware"]: c.case.hardware for c in options.cases()}


def with_static_scales(cell: Cell, folder: Path, framework: str) -> Cell:
    """FP8 products whose inputs have scales of their checkpoint: less the kernel that finds them.

    The tables time the kernel that finds the scale of an input, at the same sizes, apart; published
    FP8 checkpoints do not need it. Where a stack has no such table nothing changes.
    """
    frame = _table(
        folder, "quantize", "computescale_perf.parquet", framework, frozenset(cell.system)
    )
    if framework != "trtllm" or frame.empty:
        return cell
    known = {
        (row.system, row.m, row.k): row.seconds
        for row in frame.drop_duplicates(["system", "m", "k"]).itertuples()
    }
    operator = cell.operators[0]
    keys = zip(cell.system, np.asarray(operator.rows), np.asarray(operator.depth), strict=True)
    spared = np.array([known.get(key, np.nan) for key in keys])
    return replace(cell, seconds=cell.seconds - spared)


def _table(
    folder: Path, kind: str, file: str, framework: str, wanted: frozenset[str]
) -> pd.DataFrame:
    """The newest whole table of each system, with our names of systems and times in seconds."""
    frames = []
    for place, system in SYSTEMS.items():
        versions = list((folder / place / kind / framework).glob(f"*/{file}"))
        if not versions or system not in wanted or (place, framework, file) == REFUSED:
            continue
        most = max(map(_rows, versions))
        whole = [file for file in versions if _rows(file) >= WHOLE * most]
        newest = max(whole, key=lambda f: _version(f.parent.name))
        frames.append(pd.read_parquet(newest).assign(system=system))
    if not frames:
        return pd.DataFrame({"system": []})
    frame = pd.concat(frames, ignore_index=True)
    return fastest_experts(frame.assign(seconds=frame["latency"] * 1e-3))


def fastest_experts(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each shape of experts: of several kernels for it, a stack takes the fastest.

    Inputs of MXFP4 experts are narrow too where the device has such a kernel for their width. A
    table of NVFP4 experts without the kernel for few tokens that the stack has on devices alike is
    of another stack.
    """
    if "moe_dtype" not in frame:
        return frame
    fast = (frame["moe_dtype"] == "nvfp4") & frame["kernel_source"].str.contains(SMALL)
    if fast.any():
        lacking = ~frame["system"].isin(frame["system"][fast])
        frame = frame[~((frame["moe_dtype"] == "nvfp4") & lacking)]
    own = frame["system"] + frame["hidden_size"].astype(str)
    widened, narrow = (frame["moe_dtype"] == name for name in MXFP4)
    frame = frame[~(widened & own.isin(own[narrow]))]
    frame = frame.assign(moe_dtype=frame["moe_dtype"].replace(MXFP4, "mxfp4"))
    nongated = frame["kernel_source"].str.contains("nongated")
    shape = [frame[name] for name in EXPERT_SHAPE] + [nongated]
    return frame.loc[frame.groupby(shape)["seconds"].idxmin()]


def _rows(file: Path) -> int:
    return int(parquet.read_metadata(file).num_rows)


def _version(text: str) -> list[int]:
    return [int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")]


def _of(frame: pd.DataFrame, value: Callable[[Hardware], float], hardware: Any) -> FloatArray:
    found = {name: value(spec) for name, spec in hardware.items()}
    return np.array([found[name] for name in frame["system"]], dtype=np.float64)


def _numbers(frame: pd.DataFrame, *columns: str) -> list[FloatArray]:
    return [frame[name].to_numpy(dtype=np.float64) for name in columns]


def _peak(frame: pd.DataFrame, hardware: Any, kind: str) -> FloatArray:
    def of(spec: Hardware) -> float:
        peaks: dict[str, float] = dict(spec.peak_dense)  # type: ignore[arg-type]
        return peaks.get(PEAK[kind], peaks["bf16"])

    return _of(frame, of, hardware)


def _cell(
    name: str,
    frame: pd.DataFrame,
    hardware: Any,
    operators: tuple[Operator, ...],
    messages: tuple[Message, ...] = (),
    decode: bool = True,
) -> Cell:
    bandwidth = _of(frame, lambda spec: spec.tier.bandwidth, hardware)
    system, seconds = tuple(frame["system"]), frame["seconds"].to_numpy(dtype=np.float64)
    fabrics = sorted({spec.scale_up.technology for spec in hardware.values()})
    generation = _of(frame, lambda spec: fabrics.index(spec.scale_up.technology), hardware)
    return Cell(name, operators, messages, bandwidth, system, generation, seconds, decode)


def _operator(
    kind: Kind, flops: FloatArray, peak: FloatArray, traffic: dict[str, Any], **shape: Any
) -> Operator:
    whole = {"weights": 0.0, "kv": 0.0, "activations": 0.0, **traffic}
    return Operator("", 1.0, flops, whole, peak, kind, **shape)


def _matmul(name: str, frame: pd.DataFrame, hardware: Any) -> Cell:
    kind = name.split()[1]
    m, n, k = _numbers(frame, "m", "n", "k")
    bits = BYTES[kind]
    traffic = {"weights": bits * n * k, "activations": bits * m * k + 2.0 * m * n}
    peak = _peak(frame, hardware, kind)
    operator = _operator("matmul", 2.0 * m * n * k, peak, traffic, rows=m, depth=k)
    return _cell(name, frame, hardware, (operator,))


def _decode_attention(name: str, frame: pd.DataFrame, hardware: Any) -> Cell:
    batch, q, kv, d, step, new = _numbers(
        frame, "batch_size", "num_heads", "num_key_value_heads", "head_dim", "step", "isl"
    )
    context = step + new
    peak = _peak(frame, hardware, "bfloat16")
    operator = _operator(
        "decode_attention",
        4.0 * batch * context * q * d,
        peak,
        {"kv": 4.0 * batch * context * kv * d},
        sharing=q / kv,
        depth=d,
        context=context,
    )
    return _cell(name, frame, hardware, (operator,))


def _prefill_attention(name: str, frame: pd.DataFrame, hardware: Any) -> Cell:
    batch, q, kv, d, prompt = _numbers(
        frame, "batch_size", "num_heads", "num_key_value_heads", "head_dim", "isl"
    )
    operator = _operator(
        "prefill_attention",
        2.0 * batch * prompt * (prompt + 1.0) * q * d,
        _peak(frame, hardware, "bfloat16"),
        {"kv": 4.0 * batch * prompt * kv * d, "activations": 4.0 * batch * prompt * q * d},
        depth=d,
        context=prompt,
    )
    return _cell(name, frame, hardware, (operator,), decode=False)


def _experts(name: str, frame: pd.DataFrame, hardware: Any) -> Cell:
    kind = name.split()[1]
    m, d_model, d_ff, k, e, tp, ep = _numbers(
        frame,
        "num_tokens",
        "hidden_size",
        "inter_size",
        "topk",
        "num_experts",
        "moe_tp_size",
        "moe_ep_size",
    )
    width, visits = d_ff / tp, m * k / ep
    touched = expected_distinct_experts(m, e, k) / ep
    bits, peak = BYTES[kind], _peak(frame, hardware, kind)
    sizes = ((d_model * width * 2.0, d_model, 2.0 * width), (d_model * width, width, d_model))
    operators = tuple(
        _operator(
            "experts",
            2.0 * visits * elements,
            peak,
            {"weights": touched * elements * bits, "activations": visits * (bits * ins + 2 * outs)},
            rows=m * k / (touched * ep),
            depth=ins,
        )
        for elements, ins, outs in sizes
    )
    return _cell(name, frame, hardware, operators)


def _all_reduce(name: str, frame: pd.DataFrame, hardware: Any) -> Cell:
    n, elements = _numbers(frame, "num_gpus", "message_size")
    found: list[tuple[BoolArray, tuple[tuple[Seconds, Seconds], ...]]] = []
    for system in frame["system"].unique():
        mine = (frame["system"] == system).to_numpy()
        sent = Network(hardware[system]).all_reduce("", 1.0, 2.0 * elements[mine], n[mine])
        found.append((mine, sent.ways))
    messages = []
    for k in range(max(len(ways) for _, ways in found)):
        latency, moving = np.empty(n.size), np.empty(n.size)
        for mine, ways in found:
            latency[mine], moving[mine] = ways[min(k, len(ways) - 1)]
        messages.append(Message("", 1.0, latency, moving, 0.0, 0.0, n))
    return _cell(name, frame, hardware, (), tuple(messages))


def _gemm(kind: str, keep: Callable[[Any], Any] = lambda f: f["m"] > 0) -> tuple[Any, ...]:
    def rows(f: pd.DataFrame) -> Any:
        large = (f["n"] >= 1024) & (f["k"] >= 1024)
        return (f["gemm_dtype"] == kind) & large & keep(f)

    return "gemm", "gemm_perf.parquet", _matmul, rows


def _plain(f: pd.DataFrame) -> Any:
    window = f["window_size"].fillna(0) if "window_size" in f else 0 * f["head_dim"]
    return (window == 0) & (f["kv_cache_dtype"] == "bfloat16") & (f["head_dim"] == 128)


def _kv(f: pd.DataFrame) -> Any:
    tokens = f["batch_size"] * (f["step"] + f["isl"])
    return 4.0 * tokens * f["num_key_value_heads"] * f["head_dim"]


def _long_prompts(f: pd.DataFrame) -> Any:
    flops = 2.0 * f["batch_size"] * f["isl"] * (f["isl"] + 1.0) * f["num_heads"] * f["head_dim"]
    window = f["window_size"].fillna(0) if "window_size" in f else 0 * f["head_dim"]
    return (window == 0) & (f["attn_dtype"] == "bfloat16") & (flops > 10e9)


def _moe(kind: str) -> tuple[Any, ...]:
    def rows(f: pd.DataFrame) -> Any:
        gated = ~f["kernel_source"].str.contains("nongated") & (f["moe_ep_size"] == 1)
        return (
            f["moe_dtype"].isin([kind, f"{kind}_block"]) & (f["distribution"] != "balanced") & gated
        )

    return "moe", "moe_perf.parquet", _experts, rows


GENERATION, CONTEXT = "generation_attention_perf.parquet", "context_attention_perf.parquet"
CELLS: dict[str, tuple[Any, ...]] = {
    "GEMM bfloat16": _gemm("bfloat16"),
    "GEMM fp8": _gemm("fp8"),
    "GEMM nvfp4": _gemm("nvfp4"),
    "decode attention, KV > 50 MB": (
        "attention",
        GENERATION,
        _decode_attention,
        lambda f: _plain(f) & (_kv(f) > 50e6),
    ),
    "decode attention, KV <= 50 MB": (
        "attention",
        GENERATION,
        _decode_attention,
        lambda f: _plain(f) & (_kv(f) <= 50e6),
    ),
    "prefill attention > 10 GFLOP": ("attention", CONTEXT, _prefill_attention, _long_prompts),
    "all-reduce in one node": (
        "comm",
        "custom_allreduce_perf.parquet",
        _all_reduce,
        lambda f: ~f["kernel_source"].str.contains("eager") & (f["num_gpus"] <= 8),
    ),
    "experts bfloat16": _moe("bfloat16"),
    "experts fp8": _moe("fp8"),
    "experts nvfp4": _moe("nvfp4"),
    "experts mxfp4": _moe("mxfp4"),
}
"""Name of each cell, its table, how rows become operators, and which rows belong to it."""
