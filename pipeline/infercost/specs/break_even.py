"""Break-even: the value of one input at which two designs tie."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from infercost.specs.fields import Spec

Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]


class Tie(Spec):
    """Two options of the study's group, the input to vary, and the range to look in."""

    between: Pair
    input: str
    """Dotted path; what only one design has moves only that one."""
    range: Pair
    """Low and high end, both above 0."""


class BreakEven(Spec):
    """Ties to look for, by name. The metric is what the study minimises."""

    of: str
    """Group whose options are the designs: `direction`, `hardware`, `plan`, ..."""
    ties: Annotated[dict[str, Tie], Field(min_length=1)]
