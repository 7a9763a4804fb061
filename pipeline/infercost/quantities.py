"""What every column of a result means: unit, symbol, meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infercost.registry import metrics
from infercost.specs.case import GROUPS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Quantity:
    """A column in words."""

    column: str
    unit: str
    symbol: str
    meaning: str


_KEYS = {
    "batch": ("B", "Sequences in flight per replica"),
    "tp": ("TP", "Tensor parallel degree"),
    "pp": ("PP", "Pipeline stages"),
    "dp": ("DP", "Data-parallel groups of attention inside a replica"),
    "ep": ("EP", "Expert parallel degree"),
    "feasible": ("", "Whether the point fits and keeps its limits"),
    "limited_by": ("", "What ran out, where the point is infeasible"),
    "bound": (
        "",
        "Resource with the largest share of the cost per output token; empty if infeasible",
    ),
    "best": ("", "The operating point that the study's objective chooses"),
}


def quantity(column: str) -> Quantity:
    """The meaning of a column of a result: a metric, a key, or a swept field by its path."""
    known = metrics()
    if column in known:
        entry = known[column]
        return Quantity(column, entry.unit, entry.symbol, entry.meaning)
    if column in _KEYS:
        symbol, meaning = _KEYS[column]
        unit = "USD" if column.endswith("_usd") else "1"
        return Quantity(column, unit, symbol, meaning)
    if column in GROUPS:
        return Quantity(column, "1", "", f"Option of the group {column}")
    return Quantity(column, unit_of_path(column), "", f"Swept field {column}, in SI units")


def unit_of_path(path: str) -> str:
    """SI unit of the numeric field at a dotted path of a case."""
    from infercost.witnesses import field_unit

    group, _, key = path.partition(".")
    return field_unit(group, key.split(".")) if group in GROUPS and key else "1"


def field_of(column: str, kind: pa.DataType) -> pa.Field:
    """The Arrow field of a column, with its meaning as metadata."""
    import pyarrow as pa

    about = quantity(column)
    return pa.field(
        column,
        kind,
        metadata={"unit": about.unit, "symbol": about.symbol, "meaning": about.meaning},
    )
