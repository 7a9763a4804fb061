"""Scenarios of fleets by name: as a file states them, at one end of a range, or with overrides."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from infercost.compose import compose_fleet
from infercost.errors import SpecError, nearest
from infercost.options.faults import spec_faults
from infercost.options.question import checked_options, read_value
from infercost.paths import config_dirs
from infercost.specs.fleet import Fleet

Plain = dict[str, Any]
AT = "@"
EVERY = "ends"
"""`NAME@ends` stands for the scenario at both ends of each of its ranges."""


def content_of(name: str, dirs: tuple[str, ...] = (), overrides: Sequence[str] = ()) -> Plain:
    """What a scenario states, checked. Raises `SpecError`.

    `NAME@RANGE-low` and `-high` take one end of one of its ranges; overrides are `path=value`.
    """
    base, _, end = name.partition(AT)
    folders = config_dirs(dirs)
    checked_options("fleet", (base,), folders, f"fleet '{base}'")
    content = compose_fleet(base, folders)
    if end:
        content = _changed(content, _ends(content, base)[_known(content, base, end)], name)
    return _changed(content, dict(map(_read, overrides)), "override") if overrides else content


def expanded(names: Sequence[str], dirs: tuple[str, ...] = ()) -> list[str]:
    """Scenarios, `NAME@ends` replaced by the scenario at each end of each range."""
    found: list[str] = []
    for name in names:
        base, _, end = name.partition(AT)
        if end == EVERY:
            found += [f"{base}{AT}{key}" for key in _ends(content_of(base, dirs), base)]
        else:
            found.append(name)
    return list(dict.fromkeys(found))


def load_fleet(name: str, dirs: tuple[str, ...] = (), overrides: Sequence[str] = ()) -> Fleet:
    """A scenario by name, checked. Raises `SpecError`."""
    return Fleet.model_validate(content_of(name, dirs, overrides))


def _ends(content: Plain, base: str) -> dict[str, Mapping[str, Any]]:
    ranges = content.get("ranges") or {}
    if not ranges:
        raise SpecError(f"fleet '{base}'", "ranges", "are not stated", f"Take '{base}' as it is")
    return {f"{key}-{end}": ends[end] for key, ends in ranges.items() for end in ("low", "high")}


def _known(content: Plain, base: str, end: str) -> str:
    ends = _ends(content, base)
    if end not in ends:
        remedy = nearest(end, ends) or f"Known: {', '.join(ends)}"
        raise SpecError(f"fleet '{base}'", "ranges", f"there is no end '{end}'", remedy)
    return end


def _read(text: str) -> tuple[str, Any]:
    path, sign, value = text.lstrip("+").partition("=")
    if not sign or not path:
        raise SpecError(f"override '{text}'", "", "sets nothing", "Write path=value")
    return path, read_value(text, value)


def _changed(content: Plain, values: Mapping[str, Any], place: str) -> Plain:
    """Content with other values at some paths, checked anew."""
    changed = copy.deepcopy(content)
    for path, value in values.items():
        *parents, last = path.split(".")
        inner = changed
        for step in parents:
            if not isinstance(inner.get(step), dict):
                remedy = nearest(step, inner) or f"Known: {', '.join(map(str, inner))}"
                raise SpecError(f"fleet {place}", path, f"there is no '{step}'", remedy)
            inner = inner[step]
        inner[last] = value
    for key, fault, remedy in spec_faults("fleet", changed):
        raise SpecError(f"fleet {place}", key, fault, remedy)
    return changed
