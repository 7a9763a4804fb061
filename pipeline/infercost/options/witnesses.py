"""Where a spec's numbers come from, and which fields a spec has at a dotted path."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from infercost.specs.annotations import members
from infercost.specs.case import Case
from infercost.specs.fields import Quantity, SourcedSpec
from infercost.units import is_number


@cache
def adapter(group: str) -> TypeAdapter[Any]:
    """The validator of a group's options."""
    if group not in Case.model_fields:
        return TypeAdapter(annotation_of(group))
    field = Case.model_fields[group]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, field] if field.discriminator else annotation)


def annotation_of(group: str) -> Any:
    """The type of a group's options; what is no part of a case is imported when it is asked for."""
    if group in Case.model_fields:
        return Case.model_fields[group].annotation
    return getattr(import_module(f"infercost.specs.{group}"), group.capitalize())


def missing_witnesses(spec: BaseModel, content: Mapping[str, Any]) -> list[str]:
    """Dotted keys of numbers that the option states and no `sources` entry covers."""
    return [path for path, covered in _numbers(spec, content, "", ()) if not covered]


def witness(spec: Any, path: str) -> str:
    """The witness of the number at a dotted path, from the nearest spec that names one."""
    found, enclosing, walked = "", [], ""
    for step in path.split("."):
        if isinstance(spec, SourcedSpec):
            enclosing.append((spec.sources, walked))
        spec = spec[step] if isinstance(spec, dict) else getattr(spec, step)
        walked = f"{walked}.{step}" if walked else step
    for sources, base in enclosing:
        found = covering(sources, path[len(base) :].lstrip(".")) or found
    return found


def is_unchecked(text: object) -> bool:
    """Whether a witness rests, wholly or in part, on what is assumed or recalled from memory."""
    return any(mark in str(text) for mark in ("assumed", "(recalled)"))


def covering(sources: Mapping[str, str], path: str) -> str:
    """The entry of the longest parent of `path`, else the default, else nothing."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        parent = ".".join(parts[:length])
        if parent in sources:
            return sources[parent]
    return sources.get("default", "")


def _numbers(
    value: Any, content: Any, path: str, enclosing: tuple[tuple[Mapping[str, str], str], ...]
) -> Iterator[tuple[str, bool]]:
    """Every number that `content` states below `value`, and whether a source covers it."""
    if isinstance(value, BaseModel):
        if isinstance(value, SourcedSpec):
            enclosing = (*enclosing, (value.sources, path))
        children = ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, dict):
        children = ((str(name), child) for name, child in value.items())
    else:
        if is_number(value):
            yield path, any(covering(s, path[len(base) :].lstrip(".")) for s, base in enclosing)
        return
    for name, child in children:
        if name != "sources" and isinstance(content, Mapping) and name in content:
            yield from _numbers(child, content[name], f"{path}.{name}".lstrip("."), enclosing)


def value_at(spec: Any, path: str) -> Any:
    """What stands at a dotted path of a spec."""
    for step in path.split("."):
        spec = spec[step] if isinstance(spec, Mapping) else getattr(spec, step)
    return spec


def fields_at(group: str, steps: list[str], content: Any) -> set[str]:
    """Names that may stand below a dotted path of a group's option."""
    kinds, inner = _kinds_at(group, steps, content)
    names: set[str] = set()
    for kind in kinds:
        if get_origin(kind) is dict:
            names |= set(inner or ()) | set(get_args(get_args(kind)[0]))
        else:
            names |= set(kind.model_fields)
    return {str(name) for name in names}


def switches_at(group: str, steps: list[str], content: Any) -> dict[str, tuple[float, ...]]:
    """Numbers that mean something of their own, by field below a dotted path of an option."""
    found: dict[str, tuple[float, ...]] = {}
    for kind in _kinds_at(group, steps, content)[0]:
        found |= getattr(kind, "SWITCHES", {})
    return found


def entry_at(content: Any, step: str) -> Any:
    """What stands below one step of a path, a key or a position of a list; nothing where none."""
    if isinstance(content, list):
        return content[int(step)] if step.isdigit() and int(step) < len(content) else None
    return content.get(step) if isinstance(content, Mapping) else None


def _kinds_at(group: str, steps: list[str], content: Any) -> tuple[list[Any], Any]:
    """Types that may stand at a dotted path of an option, and the content that does."""
    kinds = list(members(annotation_of(group)))
    for step in steps:
        content = entry_at(content, step)
        annotations = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                if step in kind.model_fields:
                    annotations.append(kind.model_fields[step].annotation)
            elif get_origin(kind) in (dict, list):
                annotations.append(get_args(kind)[-1])
        kinds = [inner for annotation in annotations for inner in members(annotation)]
    tag = content.get("kind", content.get("basis")) if isinstance(content, Mapping) else None
    specs = [
        kind
        for kind in kinds
        if isinstance(kind, type)
        and issubclass(kind, BaseModel)
        and (tag is None or _tag_fits(kind, tag))
    ]
    return [*specs, *(kind for kind in kinds if get_origin(kind) is dict)], content


def discriminators(annotation: Any) -> Iterator[str]:
    """Every word that tells specs of one place apart, in an annotation and below it."""
    for kind in members(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if name in ("kind", "basis"):
                    yield from get_args(field.annotation)
                else:
                    yield from discriminators(field.annotation)
        elif get_origin(kind) is dict:
            yield from discriminators(get_args(kind)[1])


def _tag_fits(kind: type[BaseModel], tag: object) -> bool:
    for name in ("kind", "basis"):
        if name in kind.model_fields:
            return tag in get_args(kind.model_fields[name].annotation)
    return True


def field_unit(group: str, steps: list[str]) -> str:
    """SI unit of the quantity at a dotted path of a group, `1` for counts and ratios."""
    kinds = list(members(annotation_of(group)))
    unit = "1"
    for step in steps:
        found: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                if step in kind.model_fields:
                    field = kind.model_fields[step]
                    unit = _unit_in([*field.metadata, *_metadata(field.annotation)])
                    found.append(field.annotation)
            elif get_origin(kind) is dict:
                value = get_args(kind)[1]
                unit = _unit_in(list(get_args(value)[1:])) if get_origin(value) else "1"
                found.append(value)
        kinds = [inner for annotation in found for inner in members(annotation)]
    return unit


def _metadata(annotation: Any) -> Iterator[Any]:
    """What `Annotated` says inside a union, as of a quantity that may be absent."""
    if get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            if get_origin(part) is Annotated:
                yield from get_args(part)[1:]


def _unit_in(metadata: list[Any]) -> str:
    return next((m.unit for m in metadata if isinstance(m, Quantity)), "1")
