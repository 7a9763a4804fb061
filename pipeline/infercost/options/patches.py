"""Values set inside options, and groups of which a case takes several options: composed by Hydra
one by one, then combined.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from infercost.errors import SpecError, SpecErrors, nearest
from infercost.options.elsewhere import other_place
from infercost.options.faults import Raw, spec_faults
from infercost.options.places import COMBINING, combination, place_of
from infercost.options.question import ENDS, NO_DIRECTION, Axis, Question
from infercost.options.witnesses import covering, fields_at, switches_at
from infercost.units import is_number


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
                remedy = (position == 0 and other_place(group, step)) or nearest(
                    step, _names_in(node)
                )
                place = f"override '{group}.{path}={value}'"
                raise SpecError(place, f"{group}.{path}", f"{fault} '{step}'", remedy)
            if last:
                node[step] = value
            else:
                node = node[step]
    return changed


def _names_in(node: Any) -> list[str]:
    """Keys of a mapping, and the short names that an option has for some paths below them."""
    if not isinstance(node, dict):
        return []
    parameters = node.get("parameters")
    return [*node, *(parameters if isinstance(parameters, dict) else ())]


def single_options(question: Question, group: str) -> list[str]:
    """Every option of a combining group that a question names, alone or in a combination."""
    combinations = combinations_of(question, group)
    return list(dict.fromkeys(d for name in combinations for d in combination(name)))


def combinations_of(question: Question, group: str) -> tuple[str, ...]:
    """The combinations of a group that a question asks for."""
    return question.options.get(group, (NO_DIRECTION,))


def mounts(group: str, names: list[str]) -> list[str]:
    """Hydra's overrides that compose each option of a group at a place of its own."""
    return [f"+{group}@{group}.at{i}={name}" for i, name in enumerate(names)]


def plain_options(composed: Any, group: str, names: list[str]) -> dict[str, Raw]:
    """Plain content of each option that `mounts` had composed."""
    from omegaconf import OmegaConf

    found: dict[str, Raw] = {}
    for i, name in enumerate(names):
        content: Any = OmegaConf.to_container(composed[group][f"at{i}"], resolve=True)
        found[name] = content
    return found


def combined(group: str, option: str, single: dict[str, Raw], dirs: tuple[Path, ...]) -> Raw:
    """The content of a combination: its options by name, each at its end of what is known."""
    return {
        name: _at_end(group, name, single[name], end, dirs)
        for name, end in combination(option).items()
    }


def _at_end(group: str, name: str, content: Raw, end: str, dirs: tuple[Path, ...]) -> Raw:
    """An option with all numbers about which sources disagree at one end, or as it stands.

    Both ends are checked where an option is taken: a fault in a range is no surprise of later. So
    are short names: one that names nothing would be found by whoever sweeps it.
    """
    _check_parameters(group, name, content, dirs)
    ranges = content.get("ranges")
    if not isinstance(ranges, dict) or spec_faults(group, {name: content}):
        return content  # the faults are told where the option is typed
    at: dict[str, Raw] = {}
    for which in ENDS:
        values: Raw = {}
        for key, entry in ranges.items():
            low_is_best = entry["best"] == "low"
            taken = "low" if low_is_best == (which == "best") else "high"
            values[f"{name}.{in_full(content, key)}"] = entry[taken]
        at[which] = with_values({name: content}, values, group)
        faults = spec_faults(group, at[which])
        if faults:
            raise SpecErrors(
                SpecError(*place_of(dirs, group, name, "ranges"), f"{key} {fault}", remedy)
                for key, fault, remedy in faults
            )
    return _with_witnesses(at[end][name], ranges) if end else content


def _with_witnesses(content: Raw, ranges: Raw) -> Raw:
    """An option at one end of its ranges, which are the source of what it takes there."""
    sources = content.get("sources")
    if not isinstance(sources, dict):
        return content
    taken = {in_full(content, key): covering(sources, f"ranges.{key}") for key in ranges}
    return {**content, "sources": {**sources, **{key: text for key, text in taken.items() if text}}}


def _check_parameters(group: str, name: str, content: Raw, dirs: tuple[Path, ...]) -> None:
    parameters = content.get("parameters")
    if not isinstance(parameters, dict) or spec_faults(group, {name: content}):
        return
    for key, path in parameters.items():
        try:
            with_values({name: content}, {f"{name}.{path}": None}, group)
        except SpecError as error:
            place = place_of(dirs, group, name, f"parameters.{key}")
            raise SpecError(*place, f"'{path}': {error.fault}", error.remedy) from None


def in_full(content: Raw, key: str) -> str:
    """A dotted path below an option, whose first step may be one of its parameters."""
    parameters = content.get("parameters")
    head, _, rest = key.partition(".")
    if not isinstance(parameters, dict) or head not in parameters:
        return key
    return f"{parameters[head]}.{rest}".rstrip(".")


def named_in_full(question: Question, raw: dict[str, dict[str, Raw]]) -> Question:
    """The question with parameters of combined options in its axes replaced by their paths.

    Raises `SpecError` for an axis over an option that no case takes.
    """
    known: dict[str, Raw] = {}
    for group in COMBINING:
        known[group] = {}
        for content in raw[group].values():
            known[group] |= content

    def path_of(path: str) -> str:
        group, _, inner = path.partition(".")
        if group not in COMBINING:
            return path
        name, _, key = inner.partition(".")
        if name not in known[group]:
            fault, remedy = f"no case takes {group} '{name}'", f"Add {group}={name}"
            raise SpecError(f"override '{path}'", path, fault, remedy)
        return f"{group}.{name}.{in_full(known[group][name], key)}"

    def named(axis: Axis) -> Axis:
        values = {path_of(path): given for path, given in axis.values.items()}
        return Axis(path_of(axis.name) if axis.name in axis.values else axis.name, values)

    return replace(
        question,
        labels=tuple(named(axis) for axis in question.labels),
        axes=tuple(named(axis) for axis in question.axes),
    )


def concerning(values: Raw, option: str) -> Raw:
    """The values at paths of options that a combination takes."""
    names = combination(option)
    return {path: v for path, v in values.items() if path.partition(".")[0] in names}


def with_cases_apart(question: Question, raw: Mapping[str, Mapping[str, Raw]]) -> Question:
    """The question with a case per value where one value of an axis switches something off."""
    apart = [axis for axis in question.axes if _switches(axis, raw)]
    axes = tuple(axis for axis in question.axes if axis not in apart)
    return replace(question, labels=(*question.labels, *apart), axes=axes)


def _switches(axis: Axis, raw: Mapping[str, Mapping[str, Raw]]) -> bool:
    """Whether a value of an axis means something of its own, and others do not."""
    for path, values in axis.values.items():
        group, _, key = path.partition(".")
        *steps, name = key.split(".")
        numbers = {value for value in values if is_number(value)}
        if len(numbers) > 1:
            for content in raw.get(group, {}).values():
                if numbers & set(switches_at(group, steps, content).get(name, ())):
                    return True
    return False
