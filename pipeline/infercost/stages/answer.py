"""The sentences that answer a study's question, with numbers from its published rows.

A number that stands for an absolute time or price ends its format in `~` (`{price:.2f~}`): where
measurements speak of the study's calibration, the range of their errors follows it in brackets.
"""

from __future__ import annotations

from typing import Any

from infercost.calibrate.record import read_record
from infercost.datasets import Version
from infercost.errors import SpecError
from infercost.specs.study import Study
from infercost.stages.aggregate import connect, query
from infercost.stages.trust import Span, span

RANGED = "~"
"""Ends the format of a number that is told with its range."""


class _Number(float):
    """A number that a format may ask the range of."""

    span: Span | None = None

    def __format__(self, form: str) -> str:
        if not form.endswith(RANGED):
            return super().__format__(form)
        form = form.removesuffix(RANGED)
        if self.span is None:
            return super().__format__(form)
        low, high = (format(float(self) * end, form) for end in (self.span.low, self.span.high))
        return f"{super().__format__(form)} ({low} to {high})"


def sentences(study: Study, version: Version) -> list[str]:
    """Each answer's template with the values that its query gives."""
    connection = connect(version, study)
    ranged = any(f"{RANGED}}}" in answer.text for answer in study.answers)
    known = span(version.manifest().get("options", {}), read_record()) if ranged else None
    told = [
        _told(
            study,
            number,
            answer.text,
            query(connection, f"answers[{number}]", answer.values),
            known,
        )
        for number, answer in enumerate(study.answers)
    ]
    return told if known is None else [*told, known.told]


def _told(study: Study, number: int, text: str, values: Any, known: Span | None) -> str:
    place = f"study '{study.name}'"
    if len(values) != 1:
        raise SpecError(place, f"answers[{number}].values", f"gives {len(values)} rows, not one")
    row = {str(name): _ranged(v, known) for name, v in values.to_dict("records")[0].items()}
    try:
        return text.format(**row)
    except (KeyError, ValueError, TypeError) as error:
        raise SpecError(
            place,
            f"answers[{number}].text",
            f"cannot be filled: {error}",
            f"Values: {', '.join(row)}",
        ) from None


def _ranged(value: Any, known: Span | None) -> Any:
    if not isinstance(value, float):
        return value
    number = _Number(value)
    number.span = known
    return number
