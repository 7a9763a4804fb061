"""Tables of numbers as text, with units and meanings."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infercost.quantities import quantity
from infercost.registry import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 100
"""Rows of a table that the report prints; the dataset holds them all."""
UNITS = {suffix: unit for unit, suffix in SUFFIXES.items() if suffix} | {
    "per_s": "1/s",
    "b_per_s": "B/s",
    "flop_per_s": "FLOP/s",
}
WORDS = {"True": "yes", "False": "no", **dict.fromkeys(("None", "nan", "<NA>", "NaT"), "–")}


@dataclass(frozen=True)
class Column:
    """A column's name, unit and meaning, and whether it holds numbers."""

    name: str
    unit: str
    meaning: str
    numeric: bool


@dataclass(frozen=True)
class Table:
    """A table as text, cut to its first rows."""

    name: str
    columns: list[Column]
    rows: list[list[str]]
    total: int
    """Rows of the whole table."""


def table_of(name: str, frame: pd.DataFrame) -> Table:
    """The first rows of a frame as text."""
    kinds = frame.dtypes
    columns = [column_of(str(c), _is_numeric(kinds.iloc[n])) for n, c in enumerate(frame.columns)]
    head = frame.head(MOST_ROWS).itertuples(index=False, name=None)
    return Table(name, columns, [[number(v) for v in row] for row in head], len(frame))


def column_of(name: str, numeric: bool) -> Column:
    """What a column means: that of a result, or by the suffix that an aggregate gave it."""
    about = quantity(name)
    swept = about.meaning.startswith("Swept field")
    if not swept or "." in name:
        return Column(name, "" if about.unit == "1" else about.unit, about.meaning, numeric)
    suffix = next((s for s in sorted(UNITS, key=len, reverse=True) if name.endswith(f"_{s}")), "")
    return Column(name, UNITS.get(suffix, ""), "", numeric)


def _is_numeric(kind: object) -> bool:
    return getattr(kind, "kind", "O") in "iuf"


def number(value: object) -> str:
    """A value in four significant digits; whole numbers in full."""
    text = str(value)
    if text in WORDS:
        return WORDS[text]
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    return _real(float(value)) if isinstance(value, numbers.Real) else text


def _real(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = f"{value:.3e}"
    magnitude = int(digits.split("e")[1])
    if not -4 <= magnitude < 9:
        return digits
    return f"{float(digits):,.{max(0, 3 - magnitude)}f}"
