"""How far to trust a study: what the examinations say of the regime that it stands in.

For each calibration of the study on each family of its systems, the readings of the public table
that speak of both; and in words what was never measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infercost.arrays import BoolArray, FloatArray
from infercost.calibrate.record import Record
from infercost.measurements.validation import interval_of

if TYPE_CHECKING:
    import pandas as pd

FLOOR = "ideal"
UNFITTED = (FLOOR, "typical")
"""Calibrations that no row was fitted to: every row examines them."""
COMMON = "common"
CASE = ("hardware", "model", "workload", "plan", "economics", "calibration", "reference", ".")
"""Groups whose options measurements can be of; the others change what was measured."""
SPANNED = 0.8
"""Share of measurements between the ends that an answer tells."""
NEUTRAL = "none"
"""The option of a group that changes nothing."""


@dataclass(frozen=True)
class Trust:
    """Sentences about a study's regime, and the numbers behind them."""

    sentences: list[str]
    table: pd.DataFrame | None


@dataclass(frozen=True)
class _Examined:
    """Readings that speak of a calibration on a family, and its errors on them."""

    calibration: str
    family: str
    place: NDArray[np.intp]
    """Where its readings stand in the record."""
    phases: tuple[str, ...]
    errors: FloatArray
    inside: BoolArray
    how: str

    @property
    def size(self) -> FloatArray:
        """Absolute errors of time."""
        return np.asarray(np.abs(np.expm1(self.errors)))


@dataclass(frozen=True)
class Span:
    """Between which factors of a prediction most measurements of a study's regime lie."""

    low: float
    high: float
    readings: int

    @property
    def told(self) -> str:
        """What the brackets of an answer mean."""
        return (
            f"In brackets: where {SPANNED:.0%} of {self.readings:,} published measurements on the "
            f"families of this study lie, {self.low:.2f} to {self.high:.2f} times what its "
            "calibration predicts. Ratios are surer: errors that systems share cancel in them."
        )


def span(options: Mapping[str, Mapping[str, Any]], record: Record) -> Span | None:
    """The span of a study's regime; nothing for a floor, or where no measurement speaks of it.

    Stated over predicted time is exp(-e), e the log error; prices go with times.
    """
    systems, names = options.get("hardware", {}), options.get("calibration", {})
    families = {str(content["family"]) for content in systems.values() if "family" in content}
    found = [
        examined
        for name in names
        for family in sorted(families)
        for examined in _examinations(record, name, family)
        if name != FLOOR
    ]
    if not found:
        return None
    place = np.concatenate([examined.place for examined in found])
    errors = np.concatenate([examined.errors for examined in found])
    _, once = np.unique(place, return_index=True)
    ends = np.quantile(np.exp(-errors[once]), [(1 - SPANNED) / 2, (1 + SPANNED) / 2])
    return Span(float(ends[0]), float(ends[1]), len(once))


def trust(
    options: Mapping[str, Mapping[str, Any]],
    changed: Sequence[str],
    record: Record,
    measured: frozenset[str],
) -> Trust:
    """What the record says of a study.

    `options` are the study's by group and name, `changed` the dotted paths that it sets or sweeps,
    `measured` the names of systems that some reading is of.
    """
    import pandas as pd

    systems = options["hardware"]
    families = sorted({str(content["family"]) for content in systems.values()})
    found: list[_Examined] = []
    never: list[tuple[str, str]] = []
    for calibration in options["calibration"]:
        for family in families:
            mine = list(_examinations(record, calibration, family))
            found += mine
            if not mine:
                never.append((calibration, family))
    rows = [row for examined in found for row in _rows(examined)]
    told = [
        *_overall(found),
        *_unexamined(never, options["calibration"], families, record),
        *_unmeasured(systems, measured),
        *_changes(options, changed),
    ]
    return Trust(told, pd.DataFrame(rows) if rows else None)


def _examinations(record: Record, calibration: str, family: str) -> Iterator[_Examined]:
    """How a calibration fares on a family's readings; nothing where it was never held to them."""
    mine = record.where(family=family)
    if calibration in UNFITTED:
        errors = record.errors[calibration]
        # The floor has no interval; a prediction by `typical` gets that of its family.
        nothing = np.zeros(0, dtype=bool)
        inside = nothing if calibration == FLOOR else _within(record, errors, "family")
        hows = {"no row was fitted to": mine}
    elif calibration in record.texts["stack"]:
        errors, inside = record.errors["out_of_block"], record.covered
        mine = mine & record.where(stack=calibration)
        seen = record.where(level_out_of_block="stack")
        hows = {
            "its block left out of the fit": mine & seen,
            "its block left out of the fit, and with it all of its stack": mine & ~seen,
        }
    elif calibration in (family, COMMON):
        level = "family" if calibration == family else COMMON
        errors = record.errors["out_of_stack"]
        inside = _within(record, errors, level)
        hows = {"its stack left out of the fit": mine & record.where(level_out_of_stack=level)}
    else:
        return
    for how, rows in hows.items():
        if rows.any():
            phases = tuple(np.array(record.texts["phase"])[rows])
            yield _Examined(
                calibration,
                family,
                np.flatnonzero(rows),
                phases,
                errors[rows],
                inside[rows] if inside.size else inside,
                how,
            )


def _within(record: Record, errors: FloatArray, level: str) -> BoolArray:
    """Whether each stated time lies in the interval that a prediction of that level gets."""
    ends = np.array([interval_of(level, phase) for phase in record.texts["phase"]])
    ratio = np.exp(-errors)
    return np.asarray((ends[:, 0] <= ratio) & (ratio <= ends[:, 1]))


def _rows(examined: _Examined) -> Iterator[dict[str, Any]]:
    """A line of the table for each phase."""
    for name in dict.fromkeys(examined.phases):
        mine = np.array(examined.phases) == name
        size = examined.size[mine]
        yield {
            "calibration": examined.calibration,
            "family": examined.family,
            "phase": str(name),
            "rows": int(mine.sum()),
            "bias_percent": _percent(np.expm1(np.median(examined.errors[mine]))),
            "median_percent": _percent(np.median(size)),
            "p90_percent": _percent(np.quantile(size, 0.9)),
            "within_25_percent": _percent((size <= 0.25).mean()),
            "interval_covers_percent": _share(examined.inside, mine),
            "examined_with": examined.how,
        }


def _share(inside: BoolArray, mine: BoolArray) -> float:
    return _percent(inside[mine].mean()) if inside.size else np.nan


def _percent(share: float | np.floating[Any]) -> float:
    return round(100.0 * float(share), 1)


MOST_NAMED = 3
"""Calibrations that get a sentence each; more are told together."""


def _overall(found: list[_Examined]) -> Iterator[str]:
    """Errors over all families and phases, calibration by calibration."""
    names = list(dict.fromkeys(examined.calibration for examined in found))
    if len(names) > MOST_NAMED:
        fitted = [examined for examined in found if examined.calibration not in UNFITTED]
        count = len({examined.calibration for examined in fitted})
        yield _told(f"The {count} fitted calibrations of this study were", fitted)
    else:
        for name in names:
            mine = [examined for examined in found if examined.calibration == name]
            yield _told(f"Calibration {name} was", mine)
    if names:
        yield (
            "Absolute times and prices can be off by as much; errors that systems have in common "
            "cancel in comparisons between them."
        )


def _told(subject: str, found: list[_Examined]) -> str:
    nearest = sorted(found, key=lambda examined: examined.calibration == examined.family)
    place = np.concatenate([examined.place for examined in nearest])
    _, once = np.unique(place, return_index=True)  # stacks first: a family's rows are theirs too
    size = np.concatenate([examined.size for examined in nearest])[once]
    medians = [row["median_percent"] for examined in found for row in _rows(examined)]
    spread = f" ({min(medians):.0f}% to {max(medians):.0f}% by family and phase)"
    return (
        f"{subject} held against {size.size:,} published measurements on the families here: the "
        f"error of predicted time is {np.median(size):.0%} at the median"
        f"{spread if len(medians) > 1 else ''} and {np.quantile(size, 0.9):.0%} at the 90th "
        "percentile, by fits that had not seen them."
    )


def _unexamined(
    never: list[tuple[str, str]],
    calibrations: Mapping[str, Any],
    families: list[str],
    record: Record,
) -> Iterator[str]:
    unseen = np.abs(np.expm1(record.errors["out_of_stack"]))
    typical, much = np.median(unseen), np.quantile(unseen, 0.9)
    for calibration in calibrations:
        mine = sorted(family for name, family in never if name == calibration)
        if not mine or (len(calibrations) > 1 and len(mine) == len(families) - 1):
            continue  # one stack among several: it is meant for its own family
        every = len(mine) == len(families)
        where = "any family of this study" if every else "the families " + ", ".join(mine)
        if not every and len(mine) == 1:
            where = f"the family {mine[0]}"
        yield (
            f"No published measurement at hand speaks of calibration {calibration} on {where}: "
            "these rows are no surer than software that nobody measured, where predicted time was "
            f"off by {typical:.0%} at the median and {much:.0%} at the 90th percentile."
        )


def _unmeasured(systems: Mapping[str, Any], measured: frozenset[str]) -> Iterator[str]:
    absent = sorted(name for name in systems if name not in measured)
    if not absent:
        return
    verb = "was" if len(absent) == 1 else "were"
    yield (
        f"{len(absent)} of {len(systems)} systems {verb} never measured and stand on data sheets "
        f"alone: {', '.join(absent)}."
    )


def _changes(options: Mapping[str, Mapping[str, Any]], changed: Sequence[str]) -> Iterator[str]:
    other = sorted(
        f"{group} {name}"
        for group, named in options.items()
        if group not in CASE
        for name in named
        if name != NEUTRAL
    )
    if other:
        yield f"No measurement speaks of: {', '.join(other)}. What they change is model, not data."
    moved = sorted({path for path in changed if path.startswith(("hardware.", "model."))})
    if moved:
        yield (
            f"The study changes {', '.join(moved)}: no system or model with these numbers was "
            "measured."
        )
