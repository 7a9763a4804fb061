"""The public table as an examination: readings, the groups that they belong to, their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infercost.arrays import FloatArray
from infercost.calibrate.cases import Cases, calibration, case_of, cases_of
from infercost.calibrate.examine import Examination, block_weight, own_weight
from infercost.calibrate.features import features
from infercost.calibrate.fit import LEVELS, Groups
from infercost.errors import SpecError
from infercost.measurements.published import read_table
from infercost.measurements.readings import Reading, Unread, read
from infercost.paths import ROOT
from infercost.specs.case import Case, stored_format

MEASURED = ROOT / "data" / "reference" / "measured.csv"


@dataclass(frozen=True)
class Public:
    """Rows of a table that could be read, beside what they are examined by."""

    examination: Examination
    rows: tuple[Mapping[str, str], ...]
    unread: tuple[Unread, ...]
    experts: tuple[str, ...] = ()
    """The format of each row's routed experts."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The readings, in the order of `rows`."""
        return self.examination.features.readings

    def column(self, name: str) -> list[str]:
        """A column of the table for the rows that could be read."""
        return [row[name] for row in self.rows]

    def phases(self) -> list[str]:
        """What each row speaks of: decode, prefill, end-to-end, max-load."""
        return [reading.phase for reading in self.readings]


OWN = "own: "
"""Before the ids of a user's rows, so that they meet none of the public table."""


def load(
    file: Path = MEASURED, dirs: tuple[str, ...] = (), own: Path | None = None, name: str = ""
) -> Public:
    """A table of measurements, ready to be fitted to or examined on.

    Rows of the table `own` join it as a stack of their own, called `name`.
    """
    table = {row["id"]: row for row in read_table(file)}
    if own is not None:
        mine = read_table(own)
        table |= {OWN + row["id"]: {**row, "id": OWN + row["id"], "block": name} for row in mine}
    found = [read(row, dirs) for row in table.values()]
    readings = [entry for entry in found if isinstance(entry, Reading)]
    if not readings:
        raise SpecError(
            str(own or file),
            "",
            "has no row that can be read",
            f"{found[0].id}: {_reason(found[0])}",
        )
    unread = [entry for entry in found if isinstance(entry, Unread)]
    cases = cases_of(readings, dirs)
    stacked, refused = features(readings, cases, calibration("typical", dirs))
    kept = stacked.readings
    groups = Groups.of(_labels(kept, cases, name))
    rows = tuple(table[r.id] for r in kept)
    weights = block_weights([row.get("block") or row["hardware"] for row in rows])
    theirs = np.array([r.id.startswith(OWN) for r in kept])
    if theirs.any():
        weights[theirs] = own_weight(float(theirs.sum()))
    base = calibration("ideal", dirs)
    # The host's part cannot be told from launches in any table; it is stated, not fitted.
    base = base.model_copy(update={"step_overhead": STEP_OVERHEAD})
    experts = tuple(stored_format(case_of(cases, r), "experts") for r in kept)
    return Public(Examination(stacked, base, groups, weights), rows, (*unread, *refused), experts)


def _labels(readings: Sequence[Reading], cases: Cases, own: str) -> dict[str, list[str]]:
    """The label of each reading at each level of a fit; rows of one's own are a stack `own`."""
    found: dict[str, list[str]] = {level.name: [] for level in LEVELS}
    for reading in readings:
        case = case_of(cases, reading)
        stack = stack_name(case.hardware.family, reading.era)
        stack = own if reading.id.startswith(OWN) else stack
        for level, label in labels_at(case, stack, reading.era).items():
            found[level].append(label)
    return found


def labels_at(case: Case, stack: str, era: str) -> dict[str, str]:
    """What a case under a stack of an era's software belongs to at each level of a fit."""
    hardware = case.hardware
    return {
        "family": hardware.family,
        "software": era,
        "architecture": hardware.architecture or hardware.name,
        "pace": stack,
        "stack": stack,
        "format": f"{stack}{OF_FORMAT}{stored_format(case, 'weights')}",
    }


OF_FORMAT = "|"
"""Between a stack and a number format in the labels of a fit."""
STEP_OVERHEAD = 100e-6
"""Host time of one pass in every fitted calibration, in s; assumed."""


def _reason(entry: Reading | Unread) -> str:
    return entry.reason if isinstance(entry, Unread) else ""


def stack_name(family: str, era: str) -> str:
    """The calibration option of a family's devices under an era's software."""
    return f"{family}-{era}"


def block_weights(blocks: Sequence[str]) -> FloatArray:
    """The weight of each row by the rows of its block."""
    _, inverse, count = np.unique(np.asarray(blocks), return_inverse=True, return_counts=True)
    return np.asarray(block_weight(count[inverse].astype(np.float64)))
