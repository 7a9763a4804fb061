"""The sentences that answer a study's question, with numbers from its published rows."""

from __future__ import annotations

from typing import Any

from infercost.datasets import Version
from infercost.errors import SpecError
from infercost.specs.study import Study
from infercost.stages.aggregate import connect, query


def sentences(study: Study, version: Version) -> list[str]:
    """Each answer's template with the values that its query gives."""
    connection = connect(version, study)
    return [
        _told(study, number, answer.text, query(connection, f"answers[{number}]", answer.values))
        for number, answer in enumerate(study.answers)
    ]


def _told(study: Study, number: int, text: str, values: Any) -> str:
    place = f"study '{study.name}'"
    if len(values) != 1:
        raise SpecError(place, f"answers[{number}].values", f"gives {len(values)} rows, not one")
    row = {str(name): value for name, value in values.to_dict("records")[0].items()}
    try:
        return text.format(**row)
    except (KeyError, ValueError, TypeError) as error:
        raise SpecError(
            place,
            f"answers[{number}].text",
            f"cannot be filled: {error}",
            f"Values: {', '.join(row)}",
        ) from None
