"""Pydantic's errors in our words: key, fault and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from infercost.errors import nearest
from infercost.witnesses import adapter, fields_at

Raw = dict[str, Any]


def spec_faults(group: str, content: Raw) -> list[tuple[str, str, str]]:
    """Key, fault and remedy of everything that is wrong with an option."""
    try:
        adapter(group).validate_python(content)
    except ValidationError as error:
        return [_explained(group, fault, content) for fault in error.errors(include_url=False)]
    return []


_TAGS = {"gqa", "mla", "dense", "moe", "trace", "fixed", "snapshot", "owner", "rental"}
"""Discriminators, which pydantic adds to the location of a fault."""

Explained = tuple[str, str, str]


def _explained(group: str, fault: Any, content: Raw) -> Explained:
    """One pydantic error in our words."""
    steps = [str(step) for step in fault["loc"] if step not in _TAGS or _has(content, fault["loc"])]
    steps = [step for step in steps if step != "[key]"]
    kind: str = fault["type"]
    if kind == "extra_forbidden":
        remedy = nearest(steps[-1], fields_at(group, steps[:-1], content))
        return ".".join(steps), "unknown key", remedy
    if kind.startswith("union_tag"):
        return _unknown_kind(".".join(steps), fault)
    return (".".join(steps), *_fault_and_remedy(kind, steps, fault))


def _fault_and_remedy(kind: str, steps: list[str], fault: Any) -> tuple[str, str]:
    given, context = fault["input"], fault.get("ctx", {})
    if kind == "missing":
        return "required key is missing", f"Add '{steps[-1]}:'"
    if kind == "value_error":
        text, _, remedy = str(context["error"]).partition(". ")
        return text, remedy
    if kind == "literal_error":
        return f"'{given}' is not known", f"Expected {context['expected']}"
    wanted = {"int_type": "a whole number", "float_type": "a number", "string_type": "text"}
    if kind in wanted:
        return f"{given!r} is not {wanted[kind]}", ""
    return (
        f"{given!r} is out of range",
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
    return place, "required key is missing", f"Add '{tag}:'"


def _has(content: Any, loc: tuple[object, ...]) -> bool:
    """Whether every step of a location is a key of the content (a tag of a union is not)."""
    for step in loc:
        if isinstance(content, Mapping) and step in content:
            content = content[step]
        elif step in _TAGS:
            return False
    return True
