"""AIConfigurator's end-to-end measurements in the columns of `data/reference/measured.csv`.

A final examination: no fit and no choice of this project sees them. Development only.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from infercost.kernels.tables import SYSTEMS
from infercost.measurements.published import COLUMNS

MODELS = {
    "DeepSeek-R1": "deepseek-r1",
    "DeepSeek-R1-NVFP4": "deepseek-r1",
    "DeepSeek-V3": "deepseek-v3",
    "DeepSeek-V3.1-NVFP4": "deepseek-v3",
    "MiniMax-M2.5": "minimax-m2.5",
    "gpt-oss-120b": "gpt-oss-120b",
    "Llama-3.1-70B": "llama-3.1-70b",
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Llama-3.1-8B-Instruct-FP8": "llama-3.1-8b",
    "Qwen3-32B": "qwen3-32b",
    "Qwen3-32B-NVFP4": "qwen3-32b",
    "Qwen3.5-397B-A17B": "qwen3.5-397b-a17b",
    "Qwen3-235B-A22B-FP8": "qwen3-235b-a22b",
    "Kimi-K2.5": "kimi-k2",
    "GLM-5": "glm-5",
}
"""Model of a path, after its owner. Kimi-K2.5 has the text layers of Kimi-K2."""

FORMATS = {"fp8": "fp8", "fp8_block": "fp8", "nvfp4": "nvfp4", "int4_wo": "int4"}
FRAMEWORKS = {"trtllm": "TensorRT-LLM", "vllm": "vLLM", "sglang": "SGLang"}
CURRENT = {"trtllm": "1.3", "vllm": "0.24", "sglang": "0.5.14"}
"""Versions of the operator tables, for builds of that time without a version."""
EXTRA = ("source", "tp", "pp", "dp", "ep", "parallelism", "notes", "tier", "block")
NODE = 8
"""Devices of one server; systems of a rack are not bound to it."""
RACKS = ("gb200", "gb300")


SPECULATIVE = "1.2.0rc6.post3"
"""TensorRT-LLM's image of DeepSeek-R1's runs with multi-token prediction alone: InferenceX's
`perf-changelog.yaml` moves `dsr1-fp4-b200-trt-mtp` to it (pull request 642), and the runs without
to post2 (594, 620). The sample does not say which is which."""


class Incomplete(ValueError):
    """Why a row does not state all that a prediction needs."""


def read(file: Path) -> tuple[list[dict[str, str]], dict[str, int]]:
    """Rows in our columns, and how many were left by reason. Disaggregated ones do not count."""
    rows: list[dict[str, str]] = []
    left: dict[str, int] = {}
    with file.open(newline="") as handle:
        for row in csv.DictReader(handle):
            if row["mode"] != "agg":
                continue
            try:
                rows.append(converted(row))
            except Incomplete as fault:
                left[str(fault)] = left.get(str(fault), 0) + 1
    return rows, left


def converted(row: Mapping[str, str]) -> dict[str, str]:
    """One row in our columns. Raises `Incomplete`."""
    tp, dp = _degrees(row)
    weights = FORMATS.get(row["gemm_quant_mode"], "")
    if not weights:
        raise Incomplete(f"gemm_quant_mode '{row['gemm_quant_mode']}' is not stated")
    name = row["model_path"].rpartition("/")[2]
    batch = _count(row, "batch_size")
    if not batch:
        raise Incomplete("batch_size is not stated")
    if "DeepSeek" in name and row["silicon_data_source"].endswith(SPECULATIVE):
        raise Incomplete("speculative decoding, with an acceptance that is not stated")
    value = float(row["silicon_tpot_ms"] or 0.0) * 1e-3
    if not value > 0:
        raise Incomplete("silicon_tpot_ms is not stated")
    native = name.startswith("gpt-oss") and weights == "nvfp4"  # MXFP4 weights, as published
    return {
        **dict.fromkeys((*COLUMNS, *EXTRA), ""),
        "id": row["id"],
        "source": "aiconfigurator-core 0.12.0, systems/silicon_sample.csv",
        "hardware": SYSTEMS.get(row["system"], row["system"]),
        "model": MODELS.get(name, name.lower()),
        "weight_format": "" if native else weights,
        "n_devices": str(tp * dp),
        "tp": str(tp),
        "pp": "1",
        "parallelism": f"DEP{dp}" if dp > 1 else f"TP{tp}",
        "framework": f"{FRAMEWORKS[row['backend']]} {_version(row)}",
        "scenario": "closed loop",
        "load": f"concurrency {batch}",
        "batch": "",  # the load says it: prompts are prefilled while others decode
        "prompt_tokens": row["isl"],
        "output_tokens": row["osl"],
        "metric": "tpot_s",
        "value": repr(value),
        "block": f"{row['model_path']}|{row['system']}|{row['backend']}",
    }


def _version(row: Mapping[str, str]) -> str:
    """The version, or the tag of the image that was run."""
    if row["backend_version"] and row["backend_version"][0].isdigit():
        return row["backend_version"]
    tag = re.search(r":v?(\d+\.\d[\w.]*)", row["silicon_data_source"].rpartition(";")[2])
    if tag:
        return tag[1]
    if re.search(r"measured=2026|20260\d", row["silicon_data_source"]):
        return f"{CURRENT[row['backend']]} (a build of 2026)"
    raise Incomplete("version of the framework is not stated")


def _degrees(row: Mapping[str, str]) -> tuple[int, int]:
    """Tensor parallelism and attention data parallelism."""
    tp, dp = _count(row, "tp_size"), _count(row, "attention_dp_size") or 1
    if (_count(row, "pp_size") or 1) > 1:
        raise Incomplete("pipeline stages are not read")
    if not tp:
        raise Incomplete("tp_size is not stated")
    if tp * dp > NODE and row["system"] not in RACKS:
        raise Incomplete(f"tp x attention dp exceeds the {NODE} devices of a server")
    experts = (_count(row, "moe_tp_size") or 1) * (_count(row, "moe_ep_size") or 1)
    if experts not in (1, tp * dp):
        raise Incomplete("tp x attention dp is not moe tp x moe ep")
    if dp > 1 and tp > 1:
        raise Incomplete("attention dp beside tp is not read")
    return tp, dp


def _count(row: Mapping[str, str], column: str) -> int:
    return int(float(row[column] or 0))


def write(rows: list[dict[str, str]], file: Path) -> None:
    """The rows as a table of measurements."""
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, (*COLUMNS, *EXTRA))
        writer.writeheader()
        writer.writerows(rows)


def lines(answered: list[dict[str, object]]) -> Iterator[str]:
    """Errors by hardware, model and calibration, as lines to print."""
    import numpy as np

    for key in ("hardware", "model", "calibration"):
        for name in sorted({str(row[key]) for row in answered}):
            error = np.array([float(str(r["error"])) for r in answered if r[key] == name])
            yield (
                f"  {key:12} {name:34} {error.size:5d} rows  median {np.median(abs(error)):6.1%}"
                f"  bias {np.median(error):+6.1%}"
            )
