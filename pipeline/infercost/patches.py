"""Values set inside options, and directions as Hydra composes them: one by one, then combined."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from infercost.errors import SpecError, SpecErrors, nearest
from infercost.faults import Raw, spec_faults
from infercost.places import combination, place_of
from infercost.question import ENDS, Axis, Question
from infercost.witnesses import fields_at


def with_values(content: Any, values: Raw, group: str) -> Raw:
    """A copy of an option with values set at dotted paths that exist in it, or may."""
    if not values:
        return dict(content)
    changed: Raw = copy.deepcopy(content)
    for path, value in values.items():
        steps = path.split(".")
        node: Any = changed
        for position, step in enumerate(steps):
            last = position == len(steps) - 1
            known = fields_at(group, steps[:position], changed)
            if not isinstance(node, dict) or step not in (known if last else node):
                fault = "is not set" if step in known else "unknown key"
                raise SpecError(
                    f"override '{group}.{path}={value}'",
                    f"{group}.{path}",
                    f"{fault} '{step}'",
                    nearest(step, _names_in(node)),
                )
            if last:
                node[step] = value
            else:
                node = node[step]
    return changed


def _names_in(node: Any) -> list[str]:
    """Keys of a mapping, and the short names that a direction has for some paths below them."""
    if not isinstance(node, dict):
        return []
    parameters = node.get("parameters")
    return [*node, *(parameters if isinstance(parameters, dict) else ())]


def mounts(directions: list[str]) -> list[str]:
    """Hydra's overrides that compose each direction at a place of its own."""
    return [f"+direction@direction.at{i}={name}" for i, name in enumerate(directions)]


def plain_directions(composed: Any, directions: list[str]) -> dict[str, Raw]:
    """Plain content of each direction that `mounts` had composed."""
    from omegaconf import OmegaConf

    found: dict[str, Raw] = {}
    for i, name in enumerate(directions):
        content: Any = OmegaConf.to_container(composed.direction[f"at{i}"], resolve=True)
        found[name] = content
    return found


def combined(option: str, single: dict[str, Raw], dirs: tuple[Path, ...]) -> Raw:
    """The content of a combination: its directions by name, each at its end of what is known."""
    return {
        name: _at_end(name, single[name], end, dirs) for name, end in combination(option).items()
    }


def _at_end(name: str, content: Raw, end: str, dirs: tuple[Path, ...]) -> Raw:
    """A direction with all numbers about which sources disagree at one end, or as it stands.

    Both ends are checked where a direction is taken: a fault in a range is no surprise of later.
    """
    ranges = content.get("ranges")
    if not isinstance(ranges, dict) or spec_faults("direction", {name: content}):
        return content  # the faults are told where the option is typed
    at: dict[str, Raw] = {}
    for which in ENDS:
        values: Raw = {}
        for key, entry in ranges.items():
            low_is_best = entry["best"] == "low"
            taken = "low" if low_is_best == (which == "best") else "high"
            values[f"{name}.{in_full(content, key)}"] = entry[taken]
        at[which] = with_values({name: content}, values, "direction")
        faults = spec_faults("direction", at[which])
        if faults:
            raise SpecErrors(
                SpecError(*place_of(dirs, "direction", name, "ranges"), f"{key} {fault}", remedy)
                for key, fault, remedy in faults
            )
    return at[end][name] if end else content


def in_full(content: Raw, key: str) -> str:
    """A dotted path below a direction, whose first step may be one of its parameters."""
    parameters = content.get("parameters")
    head, _, rest = key.partition(".")
    if not isinstance(parameters, dict) or head not in parameters:
        return key
    return f"{parameters[head]}.{rest}".rstrip(".")


def named_in_full(question: Question, combinations: dict[str, Raw]) -> Question:
    """The question with parameters of directions in its axes replaced by their paths.

    Raises `SpecError` for an axis over a direction that no case takes.
    """
    known: dict[str, Raw] = {}
    for content in combinations.values():
        known |= content

    def path_of(path: str) -> str:
        group, _, inner = path.partition(".")
        if group != "direction":
            return path
        name, _, key = inner.partition(".")
        if name not in known:
            fault, remedy = f"no case takes direction '{name}'", f"Add direction={name}"
            raise SpecError(f"override '{path}'", path, fault, remedy)
        return f"direction.{name}.{in_full(known[name], key)}"

    def named(axis: Axis) -> Axis:
        values = {path_of(path): given for path, given in axis.values.items()}
        return Axis(path_of(axis.name) if axis.name in axis.values else axis.name, values)

    return replace(
        question,
        labels=tuple(named(axis) for axis in question.labels),
        axes=tuple(named(axis) for axis in question.axes),
    )


def concerning(values: Raw, option: str) -> Raw:
    """The values at paths of directions that a combination takes."""
    names = combination(option)
    return {path: v for path, v in values.items() if path.partition(".")[0] in names}
