"""The record of the examinations: each reading's error by every fit that it was held against.

`make calibrate` writes it (data/reference/examination.csv); every table of accuracy comes from it.
Errors are logarithms of predicted over stated time, kept to four decimals: a hundredth of a per
cent.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from infercost.arrays import BoolArray, FloatArray
from infercost.errors import SpecError, nearest
from infercost.paths import ROOT, shown

EXAMINATION = ROOT / "data" / "reference" / "examination.csv"
TEXTS = (
    *("id", "tier", "phase", "family", "stack", "block"),
    *("level_out_of_block", "level_out_of_stack"),
)
"""What a reading is (blocks by number), and how near to it the fits without its block and its stack
had been."""
LEFT_OUT = ("block", "system", "model", "stack", "stack_but_three")
"""What a fit had not seen; the last one had seen three rows of the stack, whose own errors are NaN.
"""
ERRORS = ("ideal", "typical", "in_sample", *(f"out_of_{what}" for what in LEFT_OUT))
"""Calibrations that saw no row, the fit to all rows, and fits to all but a whole of each kind."""
COVERED = "covered"
DIGITS = 4


@dataclass(frozen=True)
class Record:
    """A column per property and per error, one entry per reading."""

    texts: Mapping[str, tuple[str, ...]]
    errors: Mapping[str, FloatArray]
    covered: BoolArray
    """Whether the stated time lies in the 80 % interval that other blocks of its kind give."""

    @property
    def size(self) -> int:
        """Readings."""
        return int(self.covered.size)

    def where(self, **wanted: str) -> BoolArray:
        """Readings whose properties have these values."""
        found = np.ones(self.size, dtype=bool)
        for column, value in wanted.items():
            found &= np.array(self.texts[column]) == value
        return found

    def place_of(self) -> dict[str, int]:
        """Where each reading stands, by its id."""
        return {name: place for place, name in enumerate(self.texts["id"])}


def rounded(texts: Mapping[str, Sequence[str]], errors: Mapping[str, FloatArray]) -> Record:
    """A record with errors as they are kept; what is covered is not known yet."""
    return Record(
        {name: tuple(texts[name]) for name in TEXTS},
        # + 0.0: one zero.
        {name: np.round(errors[name], DIGITS) + 0.0 for name in ERRORS},
        np.zeros(len(texts["id"]), dtype=bool),
    )


def write_record(record: Record, file: Path) -> None:
    """The record as CSV, in the order of its readings."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*TEXTS, *ERRORS, COVERED])
        for row in range(record.size):
            writer.writerow(
                [
                    *(record.texts[name][row] for name in TEXTS),
                    *(f"{record.errors[name][row]:.{DIGITS}f}" for name in ERRORS),
                    int(record.covered[row]),
                ]
            )


@cache
def read_record(file: Path = EXAMINATION) -> Record:
    """The record that `make calibrate` wrote. Raises `SpecError` for a missing file or column."""
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
        raise SpecError(shown(file), "", fault, "Run 'make calibrate'") from None
    names = list(rows[0]) if rows else []
    for column in (*TEXTS, *ERRORS, COVERED):
        if column not in names:
            raise SpecError(shown(file), column, "column is missing", nearest(column, names))
    return Record(
        {name: tuple(row[name] for row in rows) for name in TEXTS},
        {name: np.array([float(row[name]) for row in rows]) for name in ERRORS},
        np.array([row[COVERED] == "1" for row in rows]),
    )
