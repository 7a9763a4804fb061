"""Predictions against a table of measurements: error by kind, interval by prediction.

Each row is predicted with the calibration nearest to it: its stack of software on its family of
devices, else its family, else the common one. The interval comes from errors of such predictions
on blocks that their fit had not seen.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.calibrate.cases import calibration
from infercost.calibrate.features import calibration_at
from infercost.calibrate.options import option_of
from infercost.calibrate.public import OF_FORMAT, Public, load
from infercost.passes import specialised
from infercost.paths import ROOT, config_dirs
from infercost.question import option_names
from infercost.readings import Reading
from infercost.specs.calibration import PARAMETERS

REPORT = ROOT / "data" / "reference" / "calibration_report.json"
BATCHES = (1, 8, 64, 512)


def validate(file: Path, dirs: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every row with its prediction, the rows that could not be read, and a summary of errors."""
    public = load(file, dirs)
    known = frozenset(option_names(config_dirs(dirs), "calibration"))
    family = public.examination.groups.of_rows("family")
    chosen = [option_of(f, r.era, known) for f, r in zip(family, public.readings, strict=True)]
    times = _predicted(public, [name for name, _ in chosen], dirs)
    floor = public.examination.features.predicted(lambda _: calibration("ideal"))
    rows = [
        _row(public, index, chosen[index], times[index], floor[index])
        for index in range(len(public.readings))
    ]
    return {
        "rows": rows,
        "unmapped": [{"id": u.id, "reason": u.reason} for u in public.unread],
        "summary": _summary(rows, public),
    }


def _predicted(public: Public, names: list[str], dirs: tuple[str, ...]) -> FloatArray:
    """Time of each row under the calibration of that name."""
    groups = public.examination.groups
    kinds = list(zip(names, groups.of_rows("architecture"), groups.of_rows("format"), strict=True))
    found = {
        kind: specialised(calibration(kind[0], dirs), kind[1], kind[2].split(OF_FORMAT)[1])
        for kind in dict.fromkeys(kinds)
    }
    values = {
        parameter: np.array([getattr(found[kind], parameter) for kind in kinds])
        for parameter in (*PARAMETERS, "step_overhead")
    }
    base = public.examination.base
    return public.examination.features.predicted(calibration_at(base, values))


@cache
def _intervals() -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = json.loads(REPORT.read_text())["intervals"]
    return found


def _row(
    public: Public, index: int, chosen: tuple[str, str], time: float, floor: float
) -> dict[str, Any]:
    """One row: what was stated, what is predicted, and between what it should lie."""
    reading, table = public.readings[index], public.rows[index]
    name, level = chosen
    known = _intervals()
    by_phase = known.get(level, known["stack"])
    low, high = by_phase.get(reading.phase, by_phase["any"])
    low, high = min(low, 1.0), max(high, 1.0)  # the prediction is always within
    predicted, ideal = _stated(reading, time), _stated(reading, floor)
    ends = sorted((_stated(reading, time * low), _stated(reading, time * high)))
    return {
        "id": reading.id,
        "measured": reading.value,
        "predicted": predicted,
        "low": ends[0],
        "high": ends[1],
        "ideal": ideal,
        "error": predicted / reading.value - 1.0,
        "hardware": reading.hardware,
        "model": reading.model,
        "phase": reading.phase,
        "metric": table["metric"],
        "tier": table.get("tier", ""),
        "batch": float(round(1 / public.examination.features.scale[index]))
        if not np.isfinite(reading.batch)
        else reading.batch,
        "source": table.get("source", ""),
        "calibration": name,
        "level": level,
    }


def _stated(reading: Reading, time: float) -> float:
    """A predicted time in the terms of the row: the time itself, or a rate."""
    ratio = time / reading.time_s
    return float(reading.value / ratio if reading.per_time else reading.value * ratio)


def _summary(rows: list[dict[str, Any]], public: Public) -> dict[str, Any]:
    total = len(rows) + len(public.unread)
    return {
        "rows": len(rows),
        "unmapped": len(public.unread),
        "mapped_share": len(rows) / total if total else 0.0,
        "reasons": dict(Counter(u.reason for u in public.unread).most_common()),
        "all": errors_of(rows),
        **{
            f"by_{key}": {
                str(value): errors_of([r for r in rows if _kind(r, key) == value])
                for value in dict.fromkeys(_kind(r, key) for r in rows)
            }
            for key in ("phase", "tier", "hardware", "model", "calibration", "source", "batch")
        },
    }


def _kind(row: dict[str, Any], key: str) -> Any:
    if key != "batch":
        return row[key]
    edges = [b for b in BATCHES if b <= row["batch"]]
    return f"from {edges[-1]}" if edges else "below 1"


def errors_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Bias; median, mean, p90 of absolute relative errors; shares within bounds; coverage."""
    if not rows:
        return {"rows": 0}
    error = np.array([row["error"] for row in rows])
    ideal = np.array([row["ideal"] / row["measured"] - 1.0 for row in rows])
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
