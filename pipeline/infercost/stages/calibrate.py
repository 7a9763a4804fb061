"""Fit all calibrations to the public table, examine the fit, and write both down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from infercost.arrays import BoolArray, FloatArray
from infercost.calibrate.cases import calibration
from infercost.calibrate.examine import KNOWN, Examined, covered, interval
from infercost.calibrate.options import write_options
from infercost.calibrate.public import Public, load

FEWEST = 8
"""Errors that an interval needs; with fewer it is taken from all phases together."""


def run(options: Path, report: Path, workers: int) -> None:
    """Write the options into `options`, and errors and intervals into `report`."""
    public = load()
    everything = np.ones(len(public.rows), dtype=bool)
    fitted = public.examination.fitted(everything)
    stale = [f for f in options.glob("*.yaml") if "Written by `make calibrate`" in f.read_text()]
    for file in stale:
        file.unlink()
    write_options(public, fitted, options)
    by_block = public.examination.leaving_out(public.column("block"), workers)
    stacks = public.examination.groups.of_rows("stack")
    by_stack = public.examination.leaving_out(stacks, workers)
    content = {
        "rows": len(public.rows),
        "unread": len(public.unread),
        "ideal": list(table(public, _errors_under(public, "ideal"))),
        "typical": list(table(public, _errors_under(public, "typical"))),
        "in_sample": list(table(public, public.examination.errors(fitted))),
        "leave_out": {
            "block": list(table(public, by_block.error)),
            "system": list(table(public, _left(public, "hardware", workers).error)),
            "model": list(table(public, _left(public, "model", workers).error)),
            "stack": list(table(public, by_stack.error)),
        },
        "coverage": float(covered(by_block, public.phases(), public.column("block")).mean()),
        "intervals": {
            **intervals(by_stack, public.phases()),
            KNOWN: intervals(_known(by_block), public.phases())[KNOWN],
        },
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(content, indent=1) + "\n")


def _errors_under(public: Public, name: str) -> FloatArray:
    """Log errors of all rows under one calibration for all, that nothing was fitted for."""
    features, spec = public.examination.features, calibration(name)
    return np.asarray(np.log(features.predicted(lambda _: spec) / features.seconds))


def _known(examined: Examined) -> Examined:
    """The errors of rows whose stack the fit had seen; others are NaN."""
    seen = np.array(examined.level) == KNOWN
    return Examined(np.where(seen, examined.error, np.nan), (KNOWN,) * len(examined.level))


def _left(public: Public, column: str, workers: int) -> Examined:
    return public.examination.leaving_out(public.column(column), workers)


def table(public: Public, error: FloatArray) -> Iterator[dict[str, Any]]:
    """Median, p90 and bias of absolute errors by tier and phase, in per cent."""
    tier, phase = np.array(public.column("tier")), np.array(public.phases())
    yield {"tier": "all", "phase": "all", **summary(error, np.ones(error.size, dtype=bool))}
    for t in ("A", "B"):
        for p in ("decode", "prefill", "end-to-end", "max-load", "served"):
            mine = (tier == t) & (phase == p)
            if mine.any():
                yield {"tier": t, "phase": p, **summary(error, mine)}


def summary(error: FloatArray, mine: BoolArray) -> dict[str, float]:
    """Errors of predicted over stated time."""
    size = np.abs(np.expm1(error[mine]))
    return {
        "rows": int(mine.sum()),
        "median_percent": round(100 * float(np.median(size)), 1),
        "p90_percent": round(100 * float(np.quantile(size, 0.9)), 1),
        "bias_percent": round(100 * float(np.expm1(np.median(error[mine]))), 1),
    }


def intervals(examined: Examined, phases: list[str]) -> dict[str, dict[str, list[float]]]:
    """Factors on a predicted time by level and phase, from errors out of block."""
    level, phase = np.array(examined.level), np.array(phases)
    found: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys(examined.level):
        whole = examined.error[(level == name) & np.isfinite(examined.error)]
        found[name] = {"any": [round(v, 3) for v in interval(whole)]}
        for p in dict.fromkeys(phases):
            mine = examined.error[(level == name) & (phase == p) & np.isfinite(examined.error)]
            if mine.size >= FEWEST:
                found[name][p] = [round(v, 3) for v in interval(mine)]
    return found
