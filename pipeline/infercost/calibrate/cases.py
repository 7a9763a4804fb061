"""Cases of readings: options by name, with the number formats and cores that a reading states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.compose import Options
from infercost.measurements.readings import Reading
from infercost.options.question import Question
from infercost.paths import config_dirs
from infercost.specs.calibration import Calibration
from infercost.specs.case import Case

Cases = dict[tuple[str, str], Case]
"""A case by the names of its hardware and model."""


def calibration(name: str, dirs: tuple[str, ...] = ()) -> Calibration:
    """A calibration option by name."""
    return calibrations([name], dirs)[name]


def calibrations(names: Sequence[str], dirs: tuple[str, ...] = ()) -> dict[str, Calibration]:
    """Calibration options by name."""
    question = Question({"calibration": tuple(dict.fromkeys(names))}, dirs=config_dirs(dirs))
    return {c.options["calibration"]: c.case.calibration for c in Options(question).cases()}


def families(hardware: Sequence[str], dirs: tuple[str, ...] = ()) -> list[str]:
    """The family of each device."""
    names = tuple(dict.fromkeys(hardware))
    if not names:
        return []
    options = Options(Question({"hardware": names}, dirs=config_dirs(dirs)))
    known = {c.options["hardware"]: c.case.hardware.family for c in options.cases()}
    return [known[name] for name in hardware]


def with_calibration(case: Case, chosen: Calibration) -> Case:
    """A case under another calibration."""
    return case.model_copy(update={"calibration": chosen})


def cases_of(readings: Sequence[Reading], dirs: tuple[str, ...]) -> Cases:
    """A case of every hardware and model that the readings name."""
    names = {
        "hardware": tuple(dict.fromkeys(r.hardware for r in readings)),
        "model": tuple(dict.fromkeys(r.model for r in readings)),
        "workload": ("fixed-lengths",),
        "plan": ("base",),
        "calibration": ("ideal",),
    }
    options = Options(Question(names, dirs=config_dirs(dirs)))
    return {(c.options["hardware"], c.options["model"]): c.case for c in options.cases()}


def formats_of(r: Reading) -> dict[str, str]:
    """The number formats that a reading sets."""
    chosen = {"weights": r.dense or r.weights, "experts": r.weights, "dispatch": r.dispatch}
    if r.kv != "native":
        chosen["kv"] = r.kv
    if r.weights in ("fp8", "int8", "nvfp4") and r.staged is None:
        chosen["compute"] = {"nvfp4": "fp4"}.get(r.weights, r.weights)
    elif r.weights != "native":
        chosen["compute"] = "fp16" if r.weights == "fp16" else "bf16"
    return chosen


def case_of(cases: Cases, reading: Reading) -> Case:
    """The case of one reading, its numbers aside: formats, and cores as devices where they rank."""
    case = cases[reading.hardware, reading.model]
    formats = case.plan.formats.model_copy(update=formats_of(reading))
    plan = {"formats": formats, "exchange": reading.exchange, "staged_rows": reading.staged}
    changes: dict[str, Any] = {"plan": case.plan.model_copy(update=plan)}
    if reading.cores_per_device > 1:
        changes["hardware"] = _core(case.hardware, reading.cores_per_device)
    return case.model_copy(update=changes)


def _core(hardware: Any, cores: int) -> Any:
    """One of `cores` equal cores of a device, as a device."""
    tier_name, tier = next(iter(hardware.memory.items()))
    part = tier.model_copy(
        update={"capacity": tier.capacity / cores, "bandwidth": tier.bandwidth / cores}
    )
    link = hardware.scale_up.model_copy(
        update={
            # Of a ring's hops one in `cores` leaves the device, others go through its memory.
            "alpha": hardware.scale_up.alpha / cores,
            "bandwidth_out": hardware.scale_up.bandwidth_out / cores,
            "domain": hardware.scale_up.domain * cores,
        }
    )
    return hardware.model_copy(
        update={
            "peak_dense": {name: peak / cores for name, peak in hardware.peak_dense.items()},
            "memory": {tier_name: part},
            "on_chip": hardware.on_chip / cores,
            "scale_up": link,
        }
    )


def bound(case: Case, readings: Sequence[Reading], batch: FloatArray) -> Case:
    """The case with one entry per reading in each of its numbers; `batch` counts requests."""

    def column(values: Sequence[float] | FloatArray) -> FloatArray:
        return np.asarray(values, dtype=np.float64).reshape(-1, 1)

    beams = np.array([r.beams for r in readings])
    plan = case.plan.model_copy(
        update={
            "tp": column([r.tp for r in readings]),
            "pp": column([r.pp for r in readings]),
            "dp": column([r.dp for r in readings]),
            "ep": column([r.ep for r in readings]),
            "prefill_batch": column(np.maximum(batch / [r.dp for r in readings], 1.0)),
            "prefill_chunk": column([r.chunk for r in readings]),
        }
    )
    workload = case.workload.model_copy(
        update={
            "prompt_tokens": column([r.prompt for r in readings]),
            "output_tokens": column([r.output for r in readings]),
        }
    )
    return case.model_copy(
        update={"plan": plan, "workload": workload, "batch": column(batch * beams)}
    )
