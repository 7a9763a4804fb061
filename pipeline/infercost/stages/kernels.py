"""Fit calibrations of current stacks to operator measurements, examine them by system left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from infercost.arrays import BoolArray
from infercost.calibrate.cases import calibration
from infercost.kernels import fits
from infercost.kernels.tables import SYSTEMS, Cell, cells, with_static_scales
from infercost.specs.calibration import Calibration

FAMILIES = ("nvidia-datacentre", "nvidia-workstation")
STACKS = {"trtllm": "trt-llm-2026", "vllm": "vllm-2026", "sglang": "sglang-2026"}
FORMATS = ("fp8", "nvfp4")
EXPERT_FORMATS = ("bfloat16", "fp8", "nvfp4", "mxfp4")
HOST = "nvidia-datacentre-trt-llm-2025"
"""The newest stack in the public table: its work per sequence stands for that of newer ones."""
ELEMENTWISE = 3.5e-6
"""Of a normalisation and the small kernel near it, in s; assumed."""

Masks = dict[str, BoolArray]


def run(folder: Path, options: Path, report: Path) -> None:
    """Write `<family>-<stack>` options into `options`, and all errors into `report`."""
    rows: list[dict[str, Any]] = []
    for family in FAMILIES:
        for framework, era in STACKS.items():
            found = {cell.name: cell for cell in cells(folder, framework, family)}
            served = dict(found)
            if "GEMM fp8" in found:  # what a checkpoint runs; the examination is of the table
                served["GEMM fp8"] = with_static_scales(found["GEMM fp8"], folder, framework)
            fitted = _fitted(served, _screened(served), frozenset())
            mine = list(_examined(found, framework))
            rows += mine
            option = options / f"{family}-{era}.yaml"
            if option.is_file() and "Written by `make calibrate`" in option.read_text():
                continue  # end-to-end measurements of the stack tell more than its operators
            option.write_text(_text(family, era, fitted, found, mine))
    content = {
        "source": "aiconfigurator-kernels",
        "systems": sorted(SYSTEMS.values()),
        "rows": rows,
    }
    report.write_text(json.dumps(content, indent=1) + "\n")


def base() -> Calibration:
    """The physical floor, and the gap between kernels of a graph."""
    return calibration("ideal").model_copy(
        update={"decode_overhead": fits.LAUNCH, "prefill_overhead": fits.LAUNCH}
    )


def _screened(found: dict[str, Cell]) -> Masks:
    """Rows that are no faster than physics allows."""
    ideal = calibration("ideal")
    return {name: cell.seconds >= fits.predicted(ideal, cell) for name, cell in found.items()}


def _fitted(found: dict[str, Cell], kept: Masks, left_out: frozenset[str]) -> dict[str, Any]:
    """Calibrations by weight format, fitted to all systems but those left out."""
    use = {
        name: kept[name] & ~np.isin(np.array(cell.system), list(left_out))
        for name, cell in found.items()
    }
    common: dict[str, float] = {}
    special: dict[str, dict[str, float]] = {}
    for group, (names, parameters) in fits.GROUPS.items():
        mine = [found[name] for name in names if name in found and use[name].any()]
        if not mine:
            continue
        bases = [base()] * len(mine)
        values = fits.fit(bases, parameters, mine, [use[c.name] for c in mine])
        if group in FORMATS:
            special[group] = values
        else:
            common |= values
    calibrations = {"bfloat16": base().model_copy(update=common)}
    for group, values in special.items():
        calibrations[group] = calibrations["bfloat16"].model_copy(update=values)
    experts: dict[str, dict[str, float]] = {}
    for name in EXPERT_FORMATS:
        cell = found.get(f"experts {name}")
        if cell is not None and use[cell.name].any():
            own = calibrations.get(name, calibrations["bfloat16"])
            experts[name] = fits.fit([own], fits.EXPERTS, [cell], [use[cell.name]])
            calibrations[cell.name] = own.model_copy(update=experts[name])
    common |= experts.get("bfloat16", {})
    return {
        "calibrations": calibrations,
        "common": common,
        "special": special,
        "experts": {name: values for name, values in experts.items() if name != "bfloat16"},
    }


def _of_cell(fitted: dict[str, Any], cell: Cell) -> Calibration:
    found: dict[str, Calibration] = fitted["calibrations"]
    if cell.name in found:
        return found[cell.name]
    return found.get(cell.name.split()[1], found["bfloat16"])


def three_constants() -> Calibration:
    """A roofline with 0.8 of bandwidth, 0.75 of FLOPs and 3 us for everything."""
    shares = {
        name: 0.75 if "compute" in name else 0.8
        for name in fits.SHARES
        if name.endswith("_efficiency") and name != "expert_efficiency"
    }
    times = {"decode_overhead": 3e-6, "prefill_overhead": 3e-6, "collective_overhead": 3e-6}
    return calibration("ideal").model_copy(update={**shares, **times})


def _examined(found: dict[str, Cell], framework: str) -> Iterator[dict[str, Any]]:
    """Median errors of each cell and system: two plain rooflines, and ours without the system."""
    kept = _screened(found)
    systems = list(dict.fromkeys(s for cell in found.values() for s in cell.system))
    ideal, three = calibration("ideal"), three_constants()
    inside = _fitted(found, kept, frozenset())
    for system in systems:
        if len(systems) == 1:
            return
        fitted = _fitted(found, kept, frozenset({system}))
        for name, cell in found.items():
            mine = kept[name] & (np.array(cell.system) == system)
            if not mine.any() or not (kept[name] & ~mine).any():
                continue
            pair = [
                _median(calibration, cell, mine)
                for calibration in (ideal, three, _of_cell(inside, cell), _of_cell(fitted, cell))
            ]
            yield {
                "framework": framework,
                "operator": name,
                "system": system,
                "rows": int(mine.sum()),
                "too_fast": int(((np.array(cell.system) == system) & ~kept[name]).sum()),
                "roofline_percent": pair[0],
                "three_constants_percent": pair[1],
                "in_sample_percent": pair[2],
                "left_out_percent": pair[3],
                "p90_left_out_percent": _median(_of_cell(fitted, cell), cell, mine, 0.9),
            }


def _median(calibration: Calibration, cell: Cell, mine: BoolArray, share: float = 0.5) -> float:
    error = np.abs(fits.predicted(calibration, cell)[mine] / cell.seconds[mine] - 1.0)
    return round(100.0 * float(np.quantile(error, share)), 1)


def _text(
    family: str,
    era: str,
    fitted: dict[str, Any],
    found: dict[str, Cell],
    examined: Sequence[dict[str, Any]],
) -> str:
    """One option as YAML."""
    host = calibration(HOST)
    content: dict[str, Any] = {"name": f"{family}-{era}"}
    common: dict[str, float] = fitted["common"]
    plain = {**dict.fromkeys(_REQUIRED, 0.0), **_UNTOLD, **common}
    plain |= {"decode_overhead": fits.LAUNCH, "prefill_overhead": fits.LAUNCH}
    plain |= {"elementwise_overhead": ELEMENTWISE, "sequence_overhead": host.sequence_overhead}
    plain |= {
        "pipeline_overlap": 1.0,
        "step_overhead": host.step_overhead,
        "memory_utilisation": 0.9,
    }
    content |= {name: _plain(name, value) for name, value in plain.items()}
    for field, numbers in (("formats", fitted["special"]), ("experts", fitted["experts"])):
        if numbers:
            content[field] = {
                group: {name: _plain(name, value) for name, value in values.items()}
                for group, values in numbers.items()
            }
    rows = sum(cell.seconds.size for cell in found.values())
    errors = [row["left_out_percent"] for row in examined]
    content["sources"] = {
        "default": (
            f"derived: fitted to {rows} operators of aiconfigurator-kernels; median error of a cell"
            f" {np.median(errors):.0f} % with its system left out"
        ),
        "formats.fp8": (
            "derived: as above, less the kernel that finds the scale of an input"
            " (aiconfigurator-kernels, quantize), which published FP8 checkpoints carry"
        ),
        "decode_overhead": "assumed: gap between two kernels of a CUDA graph",
        "prefill_overhead": "assumed: as in decode",
        "elementwise_overhead": "assumed: two kernels of 2.5 us for each one that is listed",
        "sequence_overhead": f"derived: {HOST}",
        "pipeline_overlap": "assumed: stages follow one another as closely as they can",
        "step_overhead": "assumed: not separable from launches in any table",
        "memory_utilisation": "assumed: the default of vLLM and TensorRT-LLM",
    }
    if "fp8" not in fitted["special"]:
        del content["sources"]["formats.fp8"]
    content["sources"] |= {
        name: "assumed: no operator of these tables tells" for name in _UNTOLD if name not in common
    }
    head = f"# Written by `make kernels`; {family}-{era} is chosen by name or by its era.\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=100)


_REQUIRED = ("kv_rereads", "half_rate_tokens", "rank_overhead", "score_bytes")
_UNTOLD = {
    "memory_efficiency": 0.8,
    "compute_efficiency": 0.75,
    "attention_memory_efficiency": 0.9,
    "attention_compute_efficiency": 0.6,
    "expert_efficiency": 0.7,
    "network_efficiency": 0.75,
}


def _plain(name: str, value: float) -> Any:
    number = float(f"{value:.3g}")
    if not any(getattr(m, "unit", "") == "s" for m in Calibration.model_fields[name].metadata):
        return number
    return f"{float(f'{value * 1e6:.3g}'):.10g} us"
