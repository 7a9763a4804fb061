"""Where a word that stands at no key may belong: paths that end in it, kinds that have it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from infercost.errors import closest
from infercost.options.witnesses import annotation_of
from infercost.paths import CONF
from infercost.specs.annotations import members
from infercost.specs.case import GROUPS

_MOST = 4
"""Paths that a remedy names at most."""
_NEAR = 0.75
"""How alike a word must be to one that it may mean: a wrong hint is worse than none."""
_DEEPEST = 6
_NAME = "NAME"
"""Stands in a path for a name that options choose, as of a memory."""


def where_it_belongs(word: str) -> str:
    """The dotted paths of a case that an unknown word may mean; empty where there is none."""
    if closest(word.partition(".")[0], GROUPS, _NEAR):
        return ""  # a group, misspelt
    found = _ending_in(word)
    if not found:
        last = word.rpartition(".")[2]
        ends = {path.rpartition(".")[2] for path in _paths()}
        near = {closest(last, ends, _NEAR)} | {end for end in ends if end.startswith(f"{last}_")}
        found = [path for path in _paths() if path.rpartition(".")[2] in near]
    return _meant(found)


def deeper(group: str, field: str) -> str:
    """The paths of a group that end in a field which does not stand right below it."""
    return _meant([path for path in _ending_in(field) if path.startswith(f"{group}.")])


def _ending_in(word: str) -> list[str]:
    return [path for path in _paths() if path.endswith(f".{word}")]


def _meant(paths: list[str]) -> str:
    """The shortest of some paths as a question."""
    if not paths:
        return ""
    named = sorted(paths, key=lambda path: (path.count("."), path))[:_MOST]
    quoted = " or ".join(f"'{path}'" for path in named)
    return f"Did you mean {quoted}{' and others' if len(paths) > _MOST else ''}?"


@cache
def _paths() -> tuple[str, ...]:
    """Every dotted path of a case that an option may state."""
    return tuple(path for group in GROUPS for path in _below(annotation_of(group), group, 0))


def _below(annotation: Any, path: str, depth: int) -> Iterator[str]:
    seen = set()
    for kind in members(annotation) if depth < _DEEPEST else ():
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if name not in ("sources", "name", "kind") and name not in seen:
                    seen.add(name)
                    yield f"{path}.{name}"
                    yield from _below(field.annotation, f"{path}.{name}", depth + 1)
        elif get_origin(kind) is dict:
            yield from _below(get_args(kind)[1], f"{path}.{_NAME}", depth + 1)


def other_place(group: str, field: str) -> str:
    """Where an unknown field of a group stands: in options of another kind, or deeper."""
    return _other_kind(group, field) or deeper(group, field)


def _other_kind(group: str, field: str) -> str:
    """What kind of a group's options has a field that others lack, with one such option."""
    having = [
        tag
        for kind in members(annotation_of(group))
        if isinstance(kind, type) and issubclass(kind, BaseModel) and field in kind.model_fields
        if "kind" in kind.model_fields
        for tag in get_args(kind.model_fields["kind"].annotation)
    ]
    if not having:
        return ""
    files = (CONF / group).glob("*.yaml")
    for file in sorted(files, key=lambda f: (not any(f.stem.startswith(t) for t in having), f)):
        tag = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("kind")
        if tag in having:
            return f"Only kind '{tag}' has it, as {group}={file.stem}"
    return f"Only kind '{having[0]}' has it"
