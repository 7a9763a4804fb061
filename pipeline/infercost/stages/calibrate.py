"""Fit all calibrations to the public table, examine the fit, and write both down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from infercost.arrays import BoolArray, FloatArray
from infercost.calibrate.cases import calibration
from infercost.calibrate.examine import FAMILY, KNOWN, SOFTWARE, Examined, covered, interval
from infercost.calibrate.fit import Fit
from infercost.calibrate.options import write_options
from infercost.calibrate.public import Public, load
from infercost.calibrate.record import LEFT_OUT, Record, rounded, write_record
from infercost.measurements.published import UNKNOWN_ERA

FEWEST = 20
"""Units left out that an interval of a phase needs, so that no end hangs on a single one. With
fewer it is taken from all phases together."""
COLUMN_OF = {"block": "block", "system": "hardware", "model": "model"}
"""What is left out -> column of the public table that names it; a stack has no column."""

KEPT = {"stack_but_three": 3}
"""Rows of what is left out that a fit may see all the same."""


def run(options: Path, report: Path, examination: Path, workers: int) -> None:
    """Write the options into `options`, each reading's errors into `examination`, and tables and
    intervals that follow from these into `report`."""
    public = load()
    fitted = public.examination.fitted(np.ones(len(public.rows), dtype=bool))
    stale = [f for f in options.glob("*.yaml") if "Written by `make calibrate`" in f.read_text()]
    for file in stale:
        file.unlink()
    write_options(public, fitted, options)
    record = examined(public, fitted, workers)
    report.parent.mkdir(parents=True, exist_ok=True)
    write_record(record, examination)
    content = {"rows": record.size, "unread": len(public.unread), **told(record)}
    report.write_text(json.dumps(content, indent=1) + "\n")


def examined(public: Public, fitted: Fit, workers: int) -> Record:
    """Errors of every reading by every fit that it is held against."""
    groups = public.examination.groups
    family, stack = groups.of_rows("family"), groups.of_rows("stack")
    without = {
        what: public.examination.leaving_out(
            public.column(COLUMN_OF[what]) if what in COLUMN_OF else stack,
            workers,
            KEPT.get(what, 0),
        )
        for what in LEFT_OUT
    }
    texts = {
        "id": public.column("id"),
        "tier": public.column("tier"),
        "phase": public.phases(),
        "family": family,
        "stack": stack,
        "block": _numbered(public.column("block")),
        **{f"level_out_of_{what}": without[what].level for what in ("block", "stack")},
    }
    errors = {
        "ideal": _errors_under(public, "ideal"),
        "typical": _errors_under(public, "typical"),
        "in_sample": public.examination.errors(fitted),
        **{f"out_of_{what}": found.error for what, found in without.items()},
    }
    record = rounded(texts, errors)
    inside = covered(out_of(record, "block"), public.phases(), record.texts["block"])
    return replace(record, covered=inside.astype(bool))


def _numbered(names: list[str]) -> list[str]:
    """Names as numbers, in the order of their first appearance."""
    numbers = {name: str(number) for number, name in enumerate(dict.fromkeys(names), start=1)}
    return [numbers[name] for name in names]


def out_of(record: Record, what: str) -> Examined:
    """Errors by fits without each reading's block or stack, with their levels."""
    return Examined(record.errors[f"out_of_{what}"], record.texts[f"level_out_of_{what}"])


def told(record: Record) -> dict[str, Any]:
    """Tables of errors, coverage and intervals: all that follows from the record."""
    by_block, by_stack = out_of(record, "block"), out_of(record, "stack")
    phases = record.texts["phase"]
    return {
        **{name: list(table(record, name)) for name in ("ideal", "typical", "in_sample")},
        "leave_out": {what: list(table(record, f"out_of_{what}")) for what in LEFT_OUT},
        "coverage": float(record.covered.mean()),
        "intervals": {
            **intervals(_with_software(by_stack, record), phases, record.texts["stack"]),
            KNOWN: intervals(_known(by_block), phases, record.texts["block"])[KNOWN],
        },
    }


def _errors_under(public: Public, name: str) -> FloatArray:
    """Log errors of all rows under one calibration for all, that nothing was fitted for."""
    features, spec = public.examination.features, calibration(name)
    return np.asarray(np.log(features.predicted(lambda _: spec) / features.seconds))


def _with_software(examined: Examined, record: Record) -> Examined:
    """Levels that tell apart of which stacks' software a fit had seen rows on other families."""
    pairs = list(zip(record.texts["family"], record.texts["stack"], strict=True))
    eras = [stack.removeprefix(f"{family}-") for family, stack in pairs]
    families: dict[str, set[str]] = {}
    for era, (family, _) in zip(eras, pairs, strict=True):
        families.setdefault(era, set()).add(family)
    met = [era != UNKNOWN_ERA and len(families[era]) > 1 for era in eras]
    levels = zip(examined.level, met, strict=True)
    told = tuple(SOFTWARE if level == FAMILY and known else level for level, known in levels)
    return Examined(examined.error, told)


def _known(examined: Examined) -> Examined:
    """The errors of rows whose stack the fit had seen; others are NaN."""
    seen = np.array(examined.level) == KNOWN
    return Examined(np.where(seen, examined.error, np.nan), (KNOWN,) * len(examined.level))


def table(record: Record, name: str) -> Iterator[dict[str, Any]]:
    """Median, p90 and bias of absolute errors by tier and phase, in per cent."""
    everything = np.ones(record.size, dtype=bool)
    yield {"tier": "all", "phase": "all", **summary(record, name, everything)}
    for tier in sorted(set(record.texts["tier"])):
        for phase in dict.fromkeys((*PHASES, *record.texts["phase"])):
            mine = record.where(tier=tier, phase=phase)
            if mine.any():
                yield {"tier": tier, "phase": phase, **summary(record, name, mine)}


PHASES = ("decode", "prefill", "end-to-end", "max-load", "served")
"""What a row may speak of, in the order of tables; others follow."""


def summary(record: Record, name: str, mine: BoolArray) -> dict[str, float]:
    """Errors of predicted over stated time; out of block also how often an interval holds."""
    error = record.errors[name][mine]
    error = error[np.isfinite(error)]
    if not error.size:
        return {"rows": 0}
    size = np.abs(np.expm1(error))
    found = {
        "rows": int(error.size),
        "median_percent": round(100 * float(np.median(size)), 1),
        "p90_percent": round(100 * float(np.quantile(size, 0.9)), 1),
        "bias_percent": round(100 * float(np.expm1(np.median(error))), 1),
    }
    if name == "out_of_block":
        found["covered_percent"] = round(100 * float(record.covered[mine].mean()), 1)
    return found


def intervals(
    examined: Examined, phases: Sequence[str], units: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Factors on a predicted time by level and phase, from errors with whole units left out."""
    level, phase, unit = np.array(examined.level), np.array(phases), np.array(units)
    known = np.isfinite(examined.error)
    found: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys(examined.level):
        whole = (level == name) & known
        kinds = {"any": whole} | {p: whole & (phase == p) for p in dict.fromkeys(phases)}
        units_of = {kind: np.unique(unit[mine]).size for kind, mine in kinds.items()}
        found[name] = {
            kind: [round(v, 3) for v in interval(examined.error[mine], units_of[kind])]
            for kind, mine in kinds.items()
            if kind == "any" or units_of[kind] >= FEWEST
        }
    return found
