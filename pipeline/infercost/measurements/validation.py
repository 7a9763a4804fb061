"""Predictions against a table of measurements: error by kind, interval by prediction.

Each row is predicted with the calibration nearest to it: its stack of software on its family of
devices, else its family, else the common one. The interval comes from errors of such predictions
on blocks that their fit had not seen. Errors are of time, predicted over stated less one: a rate is
turned into the time that it stands for, so that a positive error is a prediction too slow.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.calibrate.cases import calibrations, families
from infercost.calibrate.examine import FAMILY, SOFTWARE
from infercost.calibrate.features import calibration_at
from infercost.calibrate.options import COMMON_NAME, option_of, taken_over
from infercost.calibrate.public import OF_FORMAT, Public, load
from infercost.measurements.published import read_table
from infercost.measurements.readings import Reading, Unread, read
from infercost.options.question import option_names
from infercost.passes.reached import factored, specialised
from infercost.paths import ROOT, config_dirs
from infercost.specs.calibration import NUMBERS, Calibration

REPORT = ROOT / "data" / "reference" / "calibration_report.json"
BATCHES = {1: "1 to 7", 8: "8 to 63", 64: "64 to 511", 512: "512 and more"}
"""Ranges of the batch by where they begin."""
KINDS = {
    "phase": "phase",
    "tier": "tier",
    "batch": "batch",
    "system": "hardware",
    "model": "model",
    "calibration": "calibration",
    "source": "source",
}
"""What errors are summed up by -> key of a row."""
IDEAL = "ideal"
BEYOND = 0.1
"""Error of the ideal floor beyond which a stated time cannot be true: no device is as fast. Of the
public table no row is, by 5 % at most where lengths are assumed."""

Row = dict[str, Any]


def validate(file: Path, dirs: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every row with its prediction, the rows that could not be read, and a summary of errors.

    `beyond_floor` are the ids of rows that state what no device reaches.
    """
    rows, unread = predictions(file, dirs)
    stated = {row["id"]: row for row in read_table(file)}
    unmapped = [
        {
            "id": entry.id,
            "reason": entry.reason,
            **{key: stated[entry.id].get(key, "") for key in ("hardware", "model", "source")},
        }
        for entry in unread
    ]
    beyond = [row["id"] for row in rows if row["ideal_error"] > BEYOND]
    return {
        "rows": rows,
        "unmapped": unmapped,
        "beyond_floor": beyond,
        "summary": _summary(rows, unmapped),
    }


def predictions(file: Path, dirs: tuple[str, ...] = ()) -> tuple[list[Row], list[Unread]]:
    """Every row that can be read, with what is predicted for it and how surely; and the others."""
    found = [read(row, dirs) for row in read_table(file)]
    if not any(isinstance(entry, Reading) for entry in found):
        return [], [entry for entry in found if isinstance(entry, Unread)]
    public = load(file, dirs)
    chosen = chosen_calibrations(public.readings, dirs)
    names = [name for name, _ in chosen]
    specs = calibrations([*names, COMMON_NAME, IDEAL], dirs)
    chosen = [
        (
            name,
            SOFTWARE if level == FAMILY and taken_over(name, r.era, specs[COMMON_NAME]) else level,
        )
        for (name, level), r in zip(chosen, public.readings, strict=True)
    ]
    times = _predicted(public, names, specs)
    floor = public.examination.features.predicted(lambda _: specs[IDEAL])
    rows = [
        _row(public, index, chosen[index], float(times[index]), float(floor[index]))
        for index in range(len(public.readings))
    ]
    return rows, list(public.unread)


def chosen_calibrations(
    readings: Iterable[Reading], dirs: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """The calibration nearest to each reading, and how near: its stack's, its family's, or none."""
    readings = list(readings)
    known = frozenset(option_names(config_dirs(dirs), "calibration"))
    family = families([r.hardware for r in readings], dirs)
    return [option_of(f, r.era, known) for f, r in zip(family, readings, strict=True)]


def _predicted(public: Public, names: list[str], specs: Mapping[str, Calibration]) -> FloatArray:
    """Time of each row under the calibration of that name."""
    of_rows = public.examination.groups.of_rows
    levels = [of_rows(level) for level in ("architecture", "format", "software")]
    levels.append(list(public.experts))
    kinds = list(zip(names, *levels, strict=True))
    found = {kind: _chosen(specs, *kind) for kind in dict.fromkeys(kinds)}
    values = {
        parameter: np.array([getattr(found[kind], parameter) for kind in kinds])
        for parameter in NUMBERS
    }
    base = public.examination.base
    return public.examination.features.predicted(calibration_at(base, values))


def _chosen(
    specs: Mapping[str, Calibration],
    name: str,
    architecture: str,
    of_format: str,
    era: str,
    experts: str,
) -> Calibration:
    """A calibration for an architecture and formats; of a family, also for its software."""
    spec = specialised(specs[name], architecture, of_format.split(OF_FORMAT)[1], experts)
    return factored(spec, taken_over(name, era, specs[COMMON_NAME]))


@cache
def _intervals() -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = json.loads(REPORT.read_text())["intervals"]
    return found


def interval_of(level: str, phase: str) -> tuple[float, float]:
    """Factors on a predicted time between which four in five stated ones lie."""
    known = _intervals()
    by_phase = known.get(level, known["stack"])
    low, high = by_phase.get(phase, by_phase["any"])
    return min(low, 1.0), max(high, 1.0)  # the prediction is always within


def _row(public: Public, index: int, chosen: tuple[str, str], time: float, floor: float) -> Row:
    """One row: what was stated, what is predicted, and between what it should lie."""
    reading, table = public.readings[index], public.rows[index]
    name, level = chosen
    low, high = interval_of(level, reading.phase)
    fastest = max(time * low, min(floor, time))  # nothing is faster than its floor
    ends = sorted((_stated(reading, fastest), _stated(reading, time * high)))
    filled = not np.isfinite(reading.batch)
    batch = round(1 / public.examination.features.scale[index]) if filled else reading.batch
    return {
        "id": reading.id,
        "measured": reading.value,
        "predicted": _stated(reading, time),
        "low": ends[0],
        "high": ends[1],
        "ideal": _stated(reading, floor),
        "error": time / reading.time_s - 1.0,
        "ideal_error": floor / reading.time_s - 1.0,
        "hardware": reading.hardware,
        "model": reading.model,
        "phase": reading.phase,
        "metric": table["metric"],
        "tier": table.get("tier") or "",
        "batch": float(batch),
        "source": table.get("source") or "",
        "calibration": name,
        "level": level,
    }


def _stated(reading: Reading, time: float) -> float:
    """A predicted time in the terms of the row: the time itself, or a rate."""
    ratio = time / reading.time_s
    return float(reading.value / ratio if reading.per_time else reading.value * ratio)


def _summary(rows: list[Row], unmapped: list[dict[str, str]]) -> dict[str, Any]:
    total = len(rows) + len(unmapped)
    return {
        "rows": len(rows),
        "unmapped": len(unmapped),
        "mapped_share": len(rows) / total if total else 0.0,
        "reasons": dict(Counter(entry["reason"] for entry in unmapped).most_common()),
        "all": errors_of(rows),
        **{f"by_{kind}": by_kind(rows, kind) for kind in KINDS},
    }


def by_kind(rows: list[Row], kind: str) -> dict[str, dict[str, float]]:
    """Errors of the rows of each kind, the kinds in alphabetical order, batches by size."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        label = batch_range(row["batch"]) if kind == "batch" else str(row[KINDS[kind]])
        groups.setdefault(label, []).append(row)
    known = list(BATCHES.values())
    order = known.index if kind == "batch" else str.casefold
    return {label: errors_of(groups[label]) for label in sorted(groups, key=order)}


def batch_range(batch: float) -> str:
    """The range of batches that one belongs to; less than one sequence per replica counts as 1."""
    return next((BATCHES[b] for b in reversed(BATCHES) if b <= batch), BATCHES[1])


def errors_of(rows: list[Row]) -> dict[str, float]:
    """Bias; median, mean, p90 of absolute errors of time; shares within bounds; coverage."""
    if not rows:
        return {"rows": 0}
    error = np.array([row["error"] for row in rows])
    ideal = np.array([row["ideal_error"] for row in rows])
    size = np.abs(error)
    inside = [row["low"] <= row["measured"] <= row["high"] for row in rows]
    return {
        "rows": len(rows),
        "bias": float(np.median(error)),
        "median": float(np.median(size)),
        "mean": float(size.mean()),
        "p90": float(np.quantile(size, 0.9)),
        "within_10": float((size <= 0.10).mean()),
        "within_25": float((size <= 0.25).mean()),
        "inside_interval": float(np.mean(inside)),
        "ideal_median": float(np.median(np.abs(ideal))),
    }
