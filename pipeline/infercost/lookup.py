"""What options there are and what they state: search by words, values with witnesses, fields."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from infercost.compose import Options
from infercost.errors import SpecError, nearest
from infercost.options.places import COMBINING, option_file, place_of
from infercost.options.question import ask, option_names
from infercost.options.resolve import content_of
from infercost.options.witnesses import annotation_of, covering, field_unit, is_unchecked, witness
from infercost.paths import CONF
from infercost.specs.annotations import members
from infercost.specs.case import GROUPS

_BARE = ("sources", "name")


@dataclass(frozen=True)
class Entry:
    """An option as a search shows it."""

    group: str
    name: str
    title: str
    about: str
    """A claim's sentence, a study's question, else the comment above the option, or nothing."""
    text: str
    """What a search looks at: everything but sources."""


@dataclass(frozen=True)
class Stated:
    """A value of an option: as written, where it stands, and who says so."""

    path: str
    value: str
    witness: str
    place: str

    @property
    def unchecked(self) -> bool:
        """Whether the figure is assumed, or recalled without a look at its source."""
        return is_unchecked(self.witness)


def entries(dirs: tuple[Path, ...], groups: Iterable[str] = GROUPS) -> Iterator[Entry]:
    """Every option, group by group."""
    for group in groups:
        for name in option_names(dirs, group):
            file = option_file(dirs, group, name)
            if file is not None:
                yield _entry(group, name, file.read_text(encoding="utf-8"))


def _entry(group: str, name: str, text: str) -> Entry:
    comment = []
    for line in text.splitlines():
        if not line.startswith("#") or line.startswith("# @"):
            break
        comment.append(line.lstrip("# "))
    said = text.partition("\nsources:")[0]
    title = _line(said, "name") or name
    about = _line(said, "claim") or _line(said, "question") or " ".join(comment)
    return Entry(group, name, title, about, f"{group} {name} {said}".casefold())


def _line(text: str, key: str) -> str:
    """What a key at the margin states, on its line or folded below it; empty without that key."""
    found = re.search(rf"^{key}:[ ]*(?:[>|]-?\n)?(.*(?:\n[ ]+\S.*)*)", text, re.MULTILINE)
    return " ".join(found[1].split()).strip("\"'") if found else ""


def matching(found: Iterator[Entry], words: list[str]) -> list[Entry]:
    """Options in whose group, name or text every word occurs, in whatever case."""
    wanted = [word.casefold() for word in words]
    return [entry for entry in found if all(word in entry.text for word in wanted)]


def cited(witnesses: Iterable[str], known: Iterable[str]) -> list[str]:
    """Keys of sources that witnesses name, at their head or in the arithmetic of a derivation."""
    named = {key for text in witnesses for key in re.findall(r"[a-z0-9][a-z0-9.-]*", text)}
    return sorted(named & set(known))


def statements(dirs: tuple[Path, ...], group: str, name: str) -> list[Stated]:
    """Every value that an option comes to, its parents' included, with witness and place."""
    if name not in option_names(dirs, group):
        known = option_names(dirs, group)
        raise SpecError("catalogue", f"{group}/{name}", "no such option", nearest(name, known))
    if group not in GROUPS:
        return _of_no_case(dirs, group, name)
    question = ask([f"{group}={name}"], tuple(str(d) for d in dirs[1:]))
    composed = next(Options(question).cases())
    raw, spec = composed.raw[group], getattr(composed.case, group)
    if group in COMBINING:
        raw, spec = raw[name], spec[name]
    return [
        Stated(path, _written(value), _witness(spec, path), place_of(dirs, group, name, path)[0])
        for path, value in _leaves(raw, "")
    ]


def _of_no_case(dirs: tuple[Path, ...], group: str, name: str) -> list[Stated]:
    """Values of an option that others mount, and of one that is no part of a case."""
    content = content_of(dirs, group, name)
    if content is None:
        place = place_of(dirs, group, name, "")[0]
        raise SpecError(place, "", "mounts options of other groups", "Read the file itself")
    return [
        Stated(path, _written(value), _said(content, path), place_of(dirs, group, name, path)[0])
        for path, value in _leaves(content, "")
    ]


def _said(content: Mapping[str, Any], path: str) -> str:
    """The witness of a value, from the nearest `sources` around it."""
    found, node, steps = "", content, path.split(".")
    for position, step in enumerate(steps):
        found = covering(node.get("sources", {}), ".".join(steps[position:])) or found
        node = node.get(step, {}) if isinstance(node.get(step), Mapping) else {}
    return found


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if key in _BARE:
            continue
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, inner)
        else:
            yield inner, value


def _written(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip("'\"")


def _witness(spec: Any, path: str) -> str:
    try:
        return witness(spec, path)
    except (AttributeError, KeyError, TypeError):  # text and lists, which need no witness
        return ""


@dataclass(frozen=True)
class FieldMeaning:
    """A field that options may state: its SI unit, what it means, and what stands below it."""

    path: str
    unit: str
    meaning: str
    below: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    """Kinds of the option that have it, where others have not."""
    entries: tuple[tuple[str, str], ...] = ()
    """Of a mapping by name: the kinds that an entry may have, and what each is."""


def field_meaning(path: str, dirs: tuple[Path, ...] = (CONF,)) -> FieldMeaning:
    """What a dotted path such as `hardware.memory.hbm.bandwidth` means."""
    group, *steps = path.split(".")
    if group not in GROUPS:
        raise SpecError("catalogue", path, f"'{group}' is no group", nearest(group, GROUPS))
    target = _parameter(dirs, group, steps)
    if target:
        meant = field_meaning(f"hardware.{target.removeprefix('multiply.')}")
        said = f"Parameter of {group} {steps[0]}: stands for its {target}. {meant.meaning}"
        unit = "1" if target.startswith("multiply.") else meant.unit
        return FieldMeaning(path, unit, said, ())
    kinds = list(members(annotation_of(group)))
    told, having = _docs(kinds), set[str]()
    for position, step in enumerate(steps):
        found = list(_step_into(kinds, step))
        if not found:
            known = {name for kind in kinds for name in _fields_of(kind)}
            place = ".".join([group, *steps[:position]])
            fault = f"{place} has no field '{step}'"
            raise SpecError("catalogue", path, fault, nearest(step, known))
        having = set() if len(found) == len(kinds) else _tags(kinds, step)
        kinds = [kind for _, annotation in found for kind in members(annotation)]
        entry = _valued(kinds)
        told = [doc for doc, _ in found if doc] or _docs(kinds) or _docs(entry)[: len(entry) == 1]
    below = tuple(sorted({name for kind in kinds for name in _fields_of(kind)} - {"sources"}))
    fields = {name for spec in _valued(kinds) for name in _fields_of(spec)} - {"sources"}
    below = below or tuple(f"NAME.{name}" for name in sorted(fields))
    unit = field_unit(group, steps) if steps and not below else ""
    said = "\n".join(dict.fromkeys(told))
    return FieldMeaning(path, unit, said, below, tuple(sorted(having)), _entries_of(kinds))


def _entries_of(kinds: list[Any]) -> tuple[tuple[str, str], ...]:
    """Kinds of an entry of a mapping, with what each says of itself first."""
    return tuple(
        (str(tag), " ".join(doc.partition("\n\n")[0].split()))
        for spec in _valued(kinds)
        if "kind" in _fields_of(spec)
        for tag in get_args(spec.model_fields["kind"].annotation)
        for doc in _docs([spec])
    )


def _valued(kinds: list[Any]) -> list[Any]:
    """What may stand at a name of a mapping."""
    mappings = [kind for kind in kinds if get_origin(kind) is dict]
    return [spec for kind in mappings for spec in members(get_args(kind)[1])]


def _docs(kinds: list[Any]) -> list[str]:
    """What specs say of themselves."""
    specs = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
    return [inspect.cleandoc(spec.__doc__ or "") for spec in specs]


def _tags(kinds: list[Any], step: str) -> set[str]:
    """Values of `kind` of those specs that have a field."""
    fields = [k.model_fields for k in kinds if step in _fields_of(k) and "kind" in _fields_of(k)]
    return {str(tag) for field in fields for tag in get_args(field["kind"].annotation)}


def _parameter(dirs: tuple[Path, ...], group: str, steps: list[str]) -> str:
    """The path that a parameter of a direction stands for; empty where that is none."""
    if group != "direction" or len(steps) != 2 or steps[0] not in option_names(dirs, group):
        return ""
    content = content_of(dirs, group, steps[0])
    return str((content or {}).get("parameters", {}).get(steps[1], ""))


def _step_into(kinds: list[Any], step: str) -> Iterator[tuple[str, Any]]:
    """Docstring and annotation of a field in each kind that has it; any name is in a mapping."""
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if step in kind.model_fields:
                yield _attribute_docs(kind).get(step, ""), kind.model_fields[step].annotation
        elif get_origin(kind) is dict:
            yield "", get_args(kind)[1]


def _fields_of(kind: Any) -> tuple[str, ...]:
    is_spec = isinstance(kind, type) and issubclass(kind, BaseModel)
    return tuple(kind.model_fields) if is_spec else ()


@cache
def _attribute_docs(spec: type[BaseModel]) -> Mapping[str, str]:
    """The docstring below each field of a spec and of its bases."""
    docs: dict[str, str] = {}
    for base in reversed(spec.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        except (OSError, TypeError):  # made at run time
            continue
        for field, text in itertools.pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(about))):
                    docs[name] = inspect.cleandoc(about)
    return docs


def sources(dirs: tuple[Path, ...]) -> dict[str, dict[str, str]]:
    """Every source by its key: title, url, licence, version."""
    found: dict[str, dict[str, str]] = {}
    for folder in dirs:
        file = folder / "sources.yaml"
        if file.is_file():
            found |= yaml.safe_load(file.read_text(encoding="utf-8"))
    return found
