"""What a single point took in place of uncertain numbers: the middle, said where it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infercost.compose import ComposedCase, Options

Row = dict[str, Any]
_SHOWN = 3
"""Inputs that a line names at most."""


def nominal_inputs(options: Options, composed: ComposedCase) -> list[Row]:
    """The numbers of a case that its options or overrides state as uncertain, in SI units.

    An input that an override of one value settles is not among them.
    """
    from infercost.options.witnesses import field_unit, value_at

    settled = {path for axis in options.question.axes for path in axis.values}
    return [
        {
            "input": path,
            "unit": field_unit(group, path.split(".")[1:]),
            "nominal": float(value_at(composed.case, path)),
            "distribution": drawn.kind,
            "values": list(drawn.values),
        }
        for (group, option), inputs in options.uncertain.items()
        if composed.options.get(group) == option
        for path, drawn in inputs.items()
        if path not in settled
    ]


def told(rows: list[Row]) -> str:
    """One line that names uncertain inputs with what was taken and what they may be."""
    named = ", ".join(_told(row) for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"uncertain, taken at nominal: {named}{more}; 'infercost evaluate draw=256' draws them"


def _told(row: Row) -> str:
    from infercost.units import show

    unit = "" if row["unit"] == "1" else row["unit"]
    values = [show(value, unit) for value in row["values"]]
    span = ", ".join(values) if row["distribution"] == "choices" else f"{values[0]} to {values[-1]}"
    return f"{row['input']} {show(row['nominal'], unit)} ({row['distribution']}, {span})"
