"""Fits of a calibration's numbers to cells of operator measurements, by system left out or none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.optimize import least_squares

from infercost.arrays import Array, BoolArray, FloatArray
from infercost.kernels.tables import Cell
from infercost.passes.forward import launch_overhead, message_terms, operator_time
from infercost.specs.calibration import EXPERT_NUMBERS, Calibration

LAUNCH = 1.5e-6
"""Gap between two kernels of a CUDA graph, in s; assumed. Fixed times beyond it are fitted."""

SHARES = (
    "memory_efficiency",
    "compute_efficiency",
    "attention_memory_efficiency",
    "attention_compute_efficiency",
    "expert_efficiency",
    "expert_streaming",
    "network_efficiency",
    "group_rereads",
)

START = {
    "memory_efficiency": 0.8,
    "compute_efficiency": 0.75,
    "matmul_overhead": 2e-6,
    "depth_overhead": 2e-10,
    "half_rate_rows": 60.0,
    "input_passes": 1.0,
    "attention_memory_efficiency": 0.9,
    "attention_overhead": 7e-6,
    "context_tile": 64.0,
    "group_rereads": 0.07,
    "kv_ramp": 15e-6,
    "kv_ramp_half": 15e-6,
    "attention_compute_efficiency": 0.6,
    "prefill_attention_overhead": 30e-6,
    "half_rate_prompt": 300.0,
    "half_rate_head": 35.0,
    "expert_efficiency": 0.7,
    "expert_streaming": 0.5,
    "expert_overhead": 10e-6,
    "half_rate_group": 10.0,
    "network_efficiency": 0.77,
    "rank_overhead": 0.1e-6,
    "collective_overhead": 0.5e-6,
    "collective_ramp": 10.0,
    "collective_ramp_half": 8.0,
}
"""Where a fit starts, and what it is held near to where the rows do not tell."""

GEMM = ("memory_efficiency", "compute_efficiency", "matmul_overhead", "depth_overhead")
DECODE = ("attention_memory_efficiency", "attention_overhead", "context_tile", "group_rereads")
PROMPT = ("attention_compute_efficiency", "prefill_attention_overhead", "half_rate_prompt")
LINK = ("network_efficiency", "rank_overhead", "collective_overhead", "collective_ramp")
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bf16": (("GEMM bfloat16",), (*GEMM, "half_rate_rows")),
    "fp8": (("GEMM fp8",), (*GEMM, "half_rate_rows", "input_passes")),
    "nvfp4": (("GEMM nvfp4",), (*GEMM, "half_rate_rows", "input_passes")),
    "decode attention": (
        ("decode attention, KV > 50 MB", "decode attention, KV <= 50 MB"),
        (*DECODE, "kv_ramp", "kv_ramp_half"),
    ),
    "prefill attention": (("prefill attention > 10 GFLOP",), (*PROMPT, "half_rate_head")),
    "all-reduce": (("all-reduce in one node",), (*LINK, "collective_ramp_half")),
}
"""Parameters that are fitted together, and the cells that tell them."""
EXPERTS = EXPERT_NUMBERS

_SPREAD, _KNEE = 1.0, 0.1
"""Deviation of a transformed parameter from its start; log error that counts linearly."""


def predicted(calibration: Calibration, cell: Cell) -> FloatArray:
    """Time of each row of a cell, by the equations that evaluate a point."""
    total: Array = 0.0
    for operator in cell.operators:
        time = operator_time(calibration, operator, cell.bandwidth, cell.decode)
        launch = launch_overhead(calibration, operator, cell.bandwidth, cell.decode)
        total = total + time.terms.total + launch
    if cell.messages:
        ways = (message_terms(calibration, way).total for way in cell.messages)
        total = total + reduce(np.minimum, ways)
    return np.asarray(total)


def fit(
    bases: Sequence[Calibration],
    names: Sequence[str],
    cells: Sequence[Cell],
    kept: Sequence[BoolArray],
) -> dict[str, float]:
    """`names` fitted to the rows `kept` of each cell, in log error and robustly.

    What is not fitted is taken from the cell's base.
    """
    weights = [_weights(cell.generation[rows]) for cell, rows in zip(cells, kept, strict=True)]
    start = np.array([_line(name, START[name]) for name in names])

    def changed(line: FloatArray) -> dict[str, float]:
        return {name: _plain(name, float(v)) for name, v in zip(names, line, strict=True)}

    def residuals(line: FloatArray) -> FloatArray:
        values = changed(line)
        errors = [
            np.log(predicted(base.model_copy(update=values), cell) / cell.seconds)[rows] * weight
            for base, cell, rows, weight in zip(bases, cells, kept, weights, strict=True)
        ]
        return np.concatenate([*errors, 0.01 * (line - start) / _SPREAD])

    scale = _KNEE / np.sqrt(max(rows.sum() for rows in kept))
    found = least_squares(residuals, start, loss="soft_l1", f_scale=scale, max_nfev=60)
    return changed(np.asarray(found.x))


def _weights(generation: FloatArray) -> FloatArray:
    """Weights by which all generations of a cell count alike, and all cells."""
    _, place, count = np.unique(generation, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / np.sqrt(count[place] * count.size))


def _line(name: str, value: float) -> float:
    return float(np.log(value / (1.0 - value)) if name in SHARES else np.log(value))


def _plain(name: str, value: float) -> float:
    return float(1.0 / (1.0 + np.exp(-value)) if name in SHARES else np.exp(value))
