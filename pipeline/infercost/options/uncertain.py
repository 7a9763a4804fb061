"""Uncertain numbers of options: a distribution in place of a number, its nominal value, its ends.

`price: {uniform: [20000 USD, 30000 USD]}` stands wherever a number may. Without draws its nominal
value is taken: what `nominal` says, else the middle (uniform), the geometric middle (loguniform),
the mode (triangular), the median (lognormal) or the first (choices). The `ranges` of a direction
or a mitigation are uncertain too: evenly in the logarithm between their ends, as sources disagree
by factors, with the option's own value as the nominal one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from infercost.errors import SpecError, as_written
from infercost.options.faults import Raw, checked, spec_faults
from infercost.options.patches import in_full, with_values
from infercost.options.places import COMBINING, combination, place_of
from infercost.options.question import Axis, Question
from infercost.options.witnesses import field_unit, value_at
from infercost.specs.draws import Distributed, Distribution
from infercost.units import is_number

KINDS: tuple[str, ...] = get_args(Distributed)
_BESIDE = ("nominal", "weights", "source")
"""What a distribution may state beside its values."""
_ENDS = {"uniform": 2, "loguniform": 2, "triangular": 3, "lognormal": 2}
_FORM = {
    "uniform": "Write [low, high]",
    "loguniform": "Write [low, high], both above 0",
    "triangular": "Write [low, mode, high]",
    "lognormal": "Write its [10th, 90th] percentile, both above 0",
    "choices": "Write a list of values",
}


def is_distribution(value: object) -> bool:
    """Whether a value is a distribution in place of a number."""
    return isinstance(value, Mapping) and any(kind in value for kind in KINDS)


def settled(
    group: str, option: str, content: Raw, dirs: tuple[Path, ...]
) -> tuple[Raw, dict[str, Distribution]]:
    """An option with nominal values in place of its distributions, and these by dotted path."""
    written = dict(_written(content, ""))
    if not written:
        return content, {}
    first: Raw = copy.deepcopy(content)
    for path, value in written.items():
        _put(first, path, _values(value)[0])
    found: dict[str, Distribution] = {}
    for path, value in written.items():
        place = place_of(dirs, group, option, path)
        found[path], nominal = read(group, first, path, value, place)
        _put(first, path, nominal)
    return first, found


def settled_axes(
    question: Question, raw: Mapping[str, dict[str, Raw]]
) -> tuple[Question, dict[tuple[str, str], dict[str, Distribution]]]:
    """A question without the overrides that make a number of a combined option uncertain.

    `raw` gets nominal values in their place; the distributions come by group and option.
    """
    kept: list[Axis] = []
    found: dict[tuple[str, str], dict[str, Distribution]] = {}
    for axis in question.axes:
        values = axis.values.get(axis.name, ())
        stated, path = values[0] if len(values) == 1 else None, axis.name
        group, _, inner = path.partition(".")
        if group not in COMBINING or not isinstance(stated, Mapping):
            kept.append(axis)
            continue
        place = (f"override '{path}={as_written(stated)}'", path)
        for option, content in raw[group].items():
            if inner.partition(".")[0] in content:
                changed = copy.deepcopy(content)
                drawn, nominal = read(group, content, inner, stated, place)
                _put(changed, inner, nominal)
                raw[group][option] = changed
                found.setdefault((group, option), {})[path] = drawn
    return replace(question, axes=tuple(kept)), found


def read(
    group: str, content: Raw, path: str, value: Mapping[str, Any], place: tuple[str, str]
) -> tuple[Distribution, Any]:
    """A distribution at a path of an option, each value read as if it stood there, and its nominal.

    Raises `SpecError` at `place` for what cannot stand there.
    """
    kinds = [kind for kind in KINDS if kind in value]
    unknown = [key for key in value if key not in (*KINDS, *_BESIDE)]
    if unknown or len(kinds) != 1:
        fault = f"unknown key '{unknown[0]}'" if unknown else f"is {' and '.join(kinds)} at once"
        raise SpecError(*place, fault, f"Write one of {', '.join(KINDS)}, and {_BESIDE[0]}")
    kind, listed = kinds[0], _values(value)
    if not isinstance(value[kind], list) or len(listed) != _ENDS.get(kind, len(listed)):
        raise SpecError(*place, f"{kind} holds {as_written(value[kind])}", _FORM[kind])
    typed = [_typed(group, content, path, entry, place) for entry in listed]
    if None in typed:  # another fault of the option, told where it is typed
        values = tuple(float(position + 1) for position in range(len(listed)))
        return Distribution(kind=kind, values=values), listed[0]  # type: ignore[arg-type]
    numbers = tuple(float(entry or 0) for entry in typed)
    positive = kind in ("loguniform", "lognormal")
    if kind != "choices" and (
        list(numbers) != sorted(numbers)
        or numbers[0] == numbers[-1]
        or (positive and numbers[0] <= 0)
    ):
        raise SpecError(*place, f"{kind} goes from {listed[0]} to {listed[-1]}", _FORM[kind])
    if kind != "choices" and any(isinstance(entry, int) for entry in typed):
        raise SpecError(*place, "is a whole number", "Write choices: [a, b, c]")
    weights = _weights(value, numbers, place)
    distribution = Distribution(kind=kind, values=numbers, weights=weights)  # type: ignore[arg-type]
    if "nominal" in value:
        _typed(group, content, path, value["nominal"], place)
        return distribution, value["nominal"]
    if kind == "choices":
        return distribution, listed[0]
    middle, unit = _middle(distribution), field_unit(group, path.split("."))
    return distribution, middle if unit == "1" else f"{middle!r} {unit}"


def of_ranges(group: str, option: str, content: Raw) -> dict[str, Distribution]:
    """The ranges of the options of a combination, but for those that are taken at one end."""
    found: dict[str, Distribution] = {}
    for name, end in combination(option).items():
        ranges = content.get(name, {}).get("ranges")
        if end or not isinstance(ranges, dict) or spec_faults(group, content):
            continue  # faults are told where the option is typed
        for key, entry in ranges.items():
            path = f"{name}.{in_full(content[name], key)}"
            place = (f"{group} '{name}'", f"ranges.{key}")
            ends = [_typed(group, content, path, entry[e], place) or 0.0 for e in ("low", "high")]
            if ends[0] > ends[1]:
                raise SpecError(*place, "has its low end above its high end", "Exchange them")
            kind: Distributed = "loguniform" if min(ends) > 0 else "uniform"
            found[path] = Distribution(kind=kind, values=tuple(sorted(map(float, ends))))
    return found


def _written(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every distribution of an option with its dotted path."""
    if is_distribution(node) and path:
        yield path, node
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from _written(child, f"{path}.{key}" if path else str(key))


def _values(value: Mapping[str, Any]) -> list[Any]:
    listed = next(value[kind] for kind in KINDS if kind in value)
    return listed if isinstance(listed, list) and listed else [listed]


def _put(content: Raw, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for step in parents:
        content = content[step]
    content[last] = value


def _typed(
    group: str, content: Raw, path: str, value: Any, place: tuple[str, str]
) -> float | int | None:
    """The number that a value is at a path, in SI units; none where the option has other faults."""
    changed = with_values(content, {path: value}, group)
    spec, faults = checked(group, changed)
    for key, fault, remedy in faults:
        if key == path or key.startswith(f"{path}."):
            raise SpecError(*place, fault, remedy)
    if faults:
        return None
    number: float | int = value_at(spec, path)
    if not is_number(number):
        raise SpecError(*place, f"{as_written(value)} is not a number", "Draw numbers only")
    return number


def _weights(
    value: Mapping[str, Any], numbers: tuple[float, ...], place: tuple[str, str]
) -> tuple[float, ...]:
    given = value.get("weights")
    if given is None:
        return ()
    fits = isinstance(given, list) and len(given) == len(numbers) and "choices" in value
    if not fits or not all(isinstance(w, int | float) and w >= 0 for w in given) or sum(given) <= 0:
        raise SpecError(
            *place, f"weights are {as_written(given)}", "Write one per choice, none < 0"
        )
    return tuple(float(w) / sum(given) for w in given)


def _middle(distribution: Distribution) -> float:
    values = distribution.values
    if distribution.kind == "triangular":
        return values[1]
    if distribution.kind == "uniform":
        return (values[0] + values[1]) / 2
    return math.sqrt(values[0] * values[1])
