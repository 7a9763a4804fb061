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
    "draw": ("", "Number of the draw of uncertain inputs, the same for every design"),
    "feasible": ("", "Whether the point fits and keeps its limits"),
    "limited_by": ("", "What ran out, where the point is infeasible"),
    "bound": (
        "",
        "Resource with the largest share of the cost per output token; empty if infeasible",
    ),
    "best": ("", "The operating point that the study's objective chooses"),
    "objective": ("", "Column that the operating point makes least, where a study has several"),
    "objective_value": ("", "Value of that column, in its unit"),
}


_STATED = "in the row's own unit (column unit)"
_OF_ROW = "time of the work that the row states"
_ERROR = "Error of predicted over stated time, less 1: positive is too slow"
_MEASURED = {
    "id": ("1", "Row of the table of measurements"),
    "source": ("1", "Who published the measurement, and where"),
    "block": ("1", "Rows that belong together; examinations leave out whole blocks"),
    "family": ("1", "Class of systems that the hardware belongs to; empty where unmapped"),
    "weight_format": ("1", "Number format of the weights; empty where not stated"),
    "framework": ("1", "Serving software and version, as published"),
    "era": ("1", "Era of software that the framework belongs to (eras.csv)"),
    "calibration": ("1", "Calibration that predicts the row; empty where unmapped"),
    "level": ("1", "How near that calibration is: stack, family and software, family, or none"),
    "phase": ("1", "What the row speaks of: decode, prefill, end-to-end, max-load"),
    "metric": ("1", "What was published, with its unit"),
    "tier": ("1", "A states its whole configuration; B lacks the batch, or is second-hand"),
    "unit": ("1", "Unit of measured, predicted, low, high and ideal: s or token/s"),
    "batch": ("1", "Sequences in flight per replica; as many as fit where not stated"),
    "prompt_tokens": ("1", "Tokens of a prompt, as published"),
    "output_tokens": ("1", "Output tokens of a request, as published"),
    "devices": ("1", "Devices of the system, as published"),
    "weights_b": ("B", "Weights of the whole model in the row's formats"),
    "measured": ("column unit", f"Published value, {_STATED}"),
    "predicted": ("column unit", f"Prediction, {_STATED}"),
    "low": ("column unit", f"Low end of the 80 % interval, {_STATED}"),
    "high": ("column unit", f"High end of the 80 % interval, {_STATED}"),
    "ideal": ("column unit", f"Physical floor (calibration=ideal), {_STATED}"),
    "measured_s": ("s", f"Published {_OF_ROW}; a rate is turned into one"),
    "predicted_s": ("s", f"Predicted {_OF_ROW}"),
    "low_s": ("s", f"Short end of the 80 % interval of the {_OF_ROW}"),
    "high_s": ("s", f"Long end of the 80 % interval of the {_OF_ROW}"),
    "ideal_s": ("s", f"Physical floor of the {_OF_ROW}"),
    "error": ("1", f"{_ERROR}; the fit had seen rows of the public table"),
    "ideal_error": ("1", f"{_ERROR}; without any calibration"),
    "inside": ("1", "Whether the published value lies in the 80 % interval"),
    "error_out_of_block": ("1", f"{_ERROR}; by a fit without the row's block"),
    "error_out_of_system": ("1", f"{_ERROR}; by a fit without the row's hardware"),
    "error_out_of_model": ("1", f"{_ERROR}; by a fit without the row's model"),
    "error_out_of_stack": ("1", f"{_ERROR}; by a fit without the row's family and era of software"),
    "error_out_of_stack_but_three": (
        "1",
        f"{_ERROR}; by a fit with only three rows of the row's family and era of software",
    ),
    "level_out_of_block": ("1", "What is left of the row's kind without its block: see level"),
    "inside_out_of_block": (
        "1",
        "Whether the published value lies in the 80 % interval of other blocks of its kind",
    ),
    "unmapped": ("1", "Why the row cannot be read and has no prediction; empty where it has one"),
}
"""Columns of a study of measurements that no other study has, or has with another meaning."""


def measured_quantity(column: str) -> Quantity:
    """The meaning of a column of a study of measurements."""
    if column not in _MEASURED:
        return quantity(column)
    unit, meaning = _MEASURED[column]
    return Quantity(column, unit, "", meaning)


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


def quantities() -> list[Quantity]:
    """Every column that results may have, but options and swept fields: keys, then metrics."""
    return [quantity(column) for column in (*_KEYS, *metrics())]


def unit_of_path(path: str) -> str:
    """SI unit of the numeric field at a dotted path of a case."""
    from infercost.options.witnesses import field_unit

    group, _, key = path.partition(".")
    return field_unit(group, key.split(".")) if group in GROUPS and key else "1"


def field_of(column: str, kind: pa.DataType, about: Quantity | None = None) -> pa.Field:
    """The Arrow field of a column, with its meaning as metadata."""
    import pyarrow as pa

    about = about or quantity(column)
    return pa.field(
        column,
        kind,
        metadata={"unit": about.unit, "symbol": about.symbol, "meaning": about.meaning},
    )
