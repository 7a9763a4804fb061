"""A hardware direction: a patch that applies to any device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model

from infercost.specs.annotations import members
from infercost.specs.fields import NonNegativeField, PositiveField, SourcedSpec, Spec
from infercost.specs.hardware import Hardware
from infercost.specs.memory import Memory

MAIN = "main"
"""The name by which a direction speaks of a device's main memory, whatever it is."""

_PATCH = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


def _is_spec(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def factors_of(spec: type[BaseModel]) -> type[BaseModel]:
    """A spec's shape with a factor, or nothing, for each of its numbers.

    One factor stands for all numbers of a mapping of numbers. Only stacks may be taken away whole.
    """
    fields: dict[str, Any] = {}
    for name, field in spec.model_fields.items():
        for part in members(field.annotation):
            inner = list(members(get_args(part)[1])) if get_origin(part) is dict else []
            if _is_spec(part):
                fields[name] = (factors_of(part), None)
            elif inner and _is_spec(inner[0]):
                fields[name] = (dict[str, factors_of(inner[0])], None)  # type: ignore[misc]
            elif part in (float, int) or (inner and inner[0] in (float, int)):
                fields[name] = (NonNegativeField if name == "stacks" else PositiveField, None)
    return create_model(f"{spec.__name__}Factors", __config__=_PATCH, **fields)


def values_of(spec: type[BaseModel]) -> type[BaseModel]:
    """A spec's shape with each of its values, or nothing. What may be absent is given whole."""
    fields: dict[str, Any] = {}
    for name, field in spec.model_fields.items():
        if name == "sources":
            continue
        annotation: Any = field.annotation
        whole = Annotated[annotation, *field.metadata] if field.metadata else annotation
        if _is_spec(annotation):
            whole = values_of(annotation)
        elif get_origin(annotation) is dict:
            key, value = get_args(annotation)
            inner = next(members(value))
            whole = dict[key, values_of(inner) if _is_spec(inner) else value]  # type: ignore[valid-type,misc]
        fields[name] = (whole, None)
    return create_model(f"{spec.__name__}Values", __config__=_PATCH, **fields)


if TYPE_CHECKING:
    HardwareFactors = BaseModel
    HardwareValues = BaseModel
else:
    HardwareFactors = factors_of(Hardware)
    HardwareValues = values_of(Hardware)


class Range(Spec):
    """The ends between which sources disagree about one number."""

    low: str | float | int
    high: str | float | int
    best: Literal["low", "high"]
    """The end that speaks for the direction."""


class Direction(SourcedSpec):
    """Changes to a device: memory tiers that it adds, factors, and values that it sets.

    Tiers are added first, then numbers are multiplied, then values replaced. In `memory`, `main` is
    the device's main tier. Directions apply in the order in which they are listed.
    """

    name: str
    memory: dict[str, Memory] = {}
    """Tiers that it adds, per device."""
    multiply: HardwareFactors | None = None
    replace: HardwareValues | None = None
    parameters: dict[str, str] = {}
    """Short names of what one wants to vary, each a dotted path below this direction."""
    ranges: dict[str, Range] = {}
    """Numbers about which sources disagree, by short name or path; `name@best` and `name@worst`
    take all of them at one end."""
