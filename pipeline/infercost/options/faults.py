"""Faults of options and of their files in our words: place, key, fault and remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from infercost.errors import SpecError, as_written, closest, nearest
from infercost.options.elsewhere import other_place
from infercost.options.places import COMBINING, combination, mounted, option_file, with_line
from infercost.options.question import option_names
from infercost.options.witnesses import adapter, annotation_of, discriminators, entry_at, fields_at
from infercost.paths import shown
from infercost.specs.case import Case
from infercost.specs.fields import MOST
from infercost.units import UnitError

Raw = dict[str, Any]
Explained = tuple[str, str, str]

_UNKNOWN, _MISSING = "unknown key", "required key is missing"
_IS_TYPE = re.compile(r"\[key\]$|(list|dict)\[")
"""Branches of a union and keys of a mapping, which pydantic adds too."""
_NOT_KEYS = ("dict_type", "model_type", "model_attributes_type")
"""Pydantic's names for a value where a mapping belongs."""


def checked(group: str, content: Raw) -> tuple[Any, list[Explained]]:
    """An option's spec; or none, with key, fault and remedy of everything that is wrong with it."""
    try:
        return adapter(group).validate_python(content), []
    except ValidationError as error:
        faults = [_explained(group, fault, content) for fault in error.errors(include_url=False)]
        return None, _without_echoes(faults)


def spec_faults(group: str, content: Raw) -> list[Explained]:
    """Key, fault and remedy of everything that is wrong with an option."""
    return checked(group, content)[1]


def _without_echoes(faults: list[Explained]) -> list[Explained]:
    """One fault of each key. A misspelt one is unknown, and not missing by its right name too."""
    meant = {
        f"{key.rpartition('.')[0]}: {remedy}" for key, fault, remedy in faults if fault == _UNKNOWN
    }

    def echoes(key: str, fault: str) -> bool:
        parent, _, name = key.rpartition(".")
        return fault == _MISSING and f"{parent}: Did you mean '{name}'?" in meant

    found = [(key, fault, remedy) for key, fault, remedy in faults if not echoes(key, fault)]
    first = dict(reversed([(key, (key, fault, remedy)) for key, fault, remedy in found]))
    return list(reversed(first.values()))


def _explained(group: str, fault: Any, content: Raw) -> Explained:
    """One pydantic error in our words."""
    steps, found = _steps(fault["loc"], content)
    key, kind = ".".join(steps), str(fault["type"])
    if kind == "extra_forbidden":
        return key, _UNKNOWN, _spelling(group, steps, content)
    if kind.startswith("union_tag"):
        return _unknown_kind(key, fault)
    if kind == "value_error":
        return _refused(steps, fault["ctx"]["error"], found)
    if kind in _NOT_KEYS:
        names = ", ".join(sorted(fields_at(group, steps, None)))
        remedy = f"Write below it: {names}" if names else "Write keys below it"
        return key, f"{as_written(fault['input'])} stands where keys belong", remedy
    return (key, *_fault_and_remedy(kind, steps, fault))


def _steps(loc: tuple[object, ...], content: Any) -> tuple[list[str], Any]:
    """Keys of a location without what pydantic adds, and the content that stands there."""
    steps = []
    for step in loc:
        below = _below(content)
        if step not in below and (step in _tags() or _IS_TYPE.match(str(step))):
            continue
        steps.append(str(step))
        content = below.get(step)
    return steps, content


@cache
def _tags() -> set[str]:
    """Discriminators, which pydantic adds to the location of a fault."""
    return {*discriminators(Case), *discriminators(annotation_of("fleet"))}


def _below(content: Any) -> Mapping[Any, Any]:
    """What stands below a key: the values of a mapping, or those of a list by position."""
    if isinstance(content, Mapping):
        return content
    return dict(enumerate(content)) if isinstance(content, list) else {}


def _spelling(group: str, steps: list[str], content: Raw) -> str:
    """What an unknown key may have meant: a name that is not yet there, else all names."""
    *parents, name = steps
    known = fields_at(group, parents, content)
    beside: Any = content
    for step in parents:
        beside = entry_at(beside, step)
    absent = closest(name, known - set(beside))
    if absent:
        return f"Did you mean '{absent}'?"
    place = "" if parents else other_place(group, name)
    return place or f"Known: {', '.join(sorted(known))}"


def _refused(steps: list[str], error: Exception, found: Any) -> Explained:
    """A fault that a spec found. One that concerns several keys begins with the path of one."""
    if isinstance(error, UnitError):
        return ".".join(steps), error.fault, error.remedy
    text, _, remedy = str(error).partition(". ")
    path, _, rest = text.partition(" ")
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return ".".join(steps), text, remedy
        found = found[step]
    return ".".join((*steps, path)), rest, remedy


_WANTED = {
    "int_type": ("a whole number", "Write digits alone, such as 8"),
    "float_type": ("a number", "Write a bare number, without unit"),
    "string_type": ("text", "Put it in quotes"),
    "bool_type": ("true or false", "Write one of the two"),
    "list_type": ("a list", "Write it in brackets, as in [a, b]"),
    "finite_number": ("finite", "Write a bare number"),
}


def _fault_and_remedy(kind: str, steps: list[str], fault: Any) -> tuple[str, str]:
    given, context = as_written(fault["input"]), fault.get("ctx", {})
    if kind == "missing":
        return _MISSING, f"Add '{steps[-1]}:'"
    if kind == "literal_error":
        return f"{given} is not known", f"Expected {context['expected']}"
    if kind in _WANTED:
        wanted, remedy = _WANTED[kind]
        return f"{given} is not {wanted}", remedy
    if kind in ("too_short", "too_long"):
        limits = [context[name] for name in ("min_length", "max_length") if name in context]
        bound = "at least" if kind == "too_short" else "at most"
        return f"holds {context['actual_length']} entries", f"Expected {bound} {limits[0]}"
    if kind == "string_pattern_mismatch":
        return f"{given} does not have the form {context['pattern']}", "Write it in full"
    return (
        f"{given} is out of range",
        f"Expected a value {fault['msg'].removeprefix('Input should be ')}",
    )


def _unknown_kind(key: str, fault: Any) -> Explained:
    """A union whose discriminator is absent or not known."""
    context, given = fault.get("ctx", {}), fault["input"]
    tag = str(context.get("discriminator", "")).strip("'")
    known = str(context.get("expected_tags", "")).replace("'", "")
    said = given.get(tag) if isinstance(given, dict) else given
    place = f"{key}.{tag}" if key else tag
    if known:
        return place, f"'{said}' is not a known {tag}", f"Known: {known}"
    return place, _MISSING, f"Add '{tag}:'"


def file_fault(
    dirs: tuple[Path, ...], group: str, option: str, including: tuple[Path, ...] = ()
) -> SpecError | None:
    """What keeps an option's file, or one that its defaults list names, from being composed."""
    if group in COMBINING and not including:
        names = [name for name in combination(option) if name != option]
        faults = (file_fault(dirs, group, name) for name in names)
        return (
            next((fault for fault in faults if fault is not None), None)
            if names
            else (_file_fault(dirs, group, option, including))
        )
    return _file_fault(dirs, group, option, including)


def _file_fault(
    dirs: tuple[Path, ...], group: str, option: str, including: tuple[Path, ...]
) -> SpecError | None:
    file = option_file(dirs, group, option)
    if file is None:
        return None
    fault = _unreadable(file)
    if fault is not None:
        return fault
    for entry in mounted(file, group):
        place = with_line(file, f"defaults.{entry.position}")
        inner = option_file(dirs, entry.group, entry.option)
        if inner is None:
            return SpecError(place, "defaults", *_no_option(dirs, entry.group, entry.option))
        if inner in (file, *including):
            return SpecError(place, "defaults", "includes itself", "Name another option")
        fault = file_fault(dirs, entry.group, entry.option, (*including, file))
        if fault is not None:
            return fault
    return None


def _no_option(dirs: tuple[Path, ...], group: str, option: str) -> tuple[str, str]:
    """Fault and remedy of an option that no folder has."""
    names = option_names(dirs, group)
    if names:
        return f"there is no {group} '{option}'", nearest(option, names)
    groups = {folder.name for base in dirs for folder in base.iterdir() if folder.is_dir()}
    return f"there is no group '{group}'", nearest(group, groups)


def _unreadable(file: Path) -> SpecError | None:
    """What is wrong with a file before any key of it is looked at."""
    place = shown(file)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return SpecError(place, "", "is not UTF-8 text", "Save it as such")
    except yaml.YAMLError as error:
        return not_yaml(error, place)
    if content is not None and not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else as_written(content)
        return SpecError(place, "", f"holds {kind}, not keys", "Write lines of 'key: value'")
    repeated = _repeated(yaml.compose(file.read_text(encoding="utf-8")))
    if repeated is not None:
        line, key = repeated
        return SpecError(f"{place}:{line}", key, "stands here a second time", "Keep one of the two")
    defaults = (content or {}).get("defaults", [])
    for position, entry in enumerate(defaults if isinstance(defaults, list) else [defaults]):
        if not isinstance(entry, str | dict) or not isinstance(defaults, list):
            place = with_line(file, f"defaults.{position}")
            text = f"{as_written(entry)} is no entry of a list of options"
            return SpecError(place, "defaults", text, "Write '- name' or '- /group@key: name'")
    return None


def _repeated(node: Any, path: str = "") -> tuple[int, str] | None:
    """Line and dotted path of a key that stands twice; YAML itself would take the last."""
    if isinstance(node, yaml.SequenceNode):
        children = [(str(position), child) for position, child in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for label, _ in node.value:
            if label.value in seen:
                return label.start_mark.line + 1, f"{path}{label.value}"
            seen.add(str(label.value))
        children = [(str(label.value), child) for label, child in node.value]
    else:
        return None
    found = (_repeated(child, f"{path}{name}.") for name, child in children)
    return next((each for each in found if each is not None), None)


def unplain(dirs: tuple[Path, ...], group: str, option: str) -> SpecError:
    """Why an option that Hydra does not compose cannot be read from its file alone."""
    file = option_file(dirs, group, option)
    if file is None:
        return SpecError(f"{group}={option}", "", *_no_option(dirs, group, option))
    fault = file_fault(dirs, group, option)
    text = "is not made of plain keys"
    remedy = "Write values themselves, without '${...}' or '# @package'"
    return fault or SpecError(shown(file), "", text, remedy)


def not_yaml(error: yaml.YAMLError, place: str) -> SpecError:
    """A syntax error at its line."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or getattr(error, "reason", "cannot be read")
    place = place + (f":{mark.line + 1}" if mark else "")
    return SpecError(place, "", f"is not YAML: {text}", "Mind the brackets, quotes and indents")


def checked_batch(value: object) -> int:
    """A batch, if it is a count. Raises `SpecError` with what to write instead."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        fault, remedy = f"{as_written(value)} is not a whole number above 0", "a count such as 8"
        if isinstance(value, Sequence) and not isinstance(value, str):
            remedy = "an axis without brackets: batch=8,64"
        if isinstance(value, Mapping):
            fault, remedy = "is chosen, not drawn", "an axis such as batch=8,64"
        raise SpecError(f"override 'batch={value}'", "batch", fault, f"Write {remedy}")
    if value > MOST:
        fault = f"is more than {MOST:.0e} sequences"
        raise SpecError(f"override 'batch={value}'", "batch", fault, "Write a count such as 8")
    return value
