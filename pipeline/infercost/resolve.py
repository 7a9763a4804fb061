"""An option's content straight from its file, where the file asks for nothing that needs Hydra.

Hydra takes 150 ms to import and 50 to 100 ms for a composition, a YAML file a tenth of one. Most
options are keys and a defaults list of `/group@key: option`, most overrides a key and a word, a
number or a list of option names; what they come to is told here. Anything else (an interpolation,
a package directive, another form of entry, a list of values, a quoted text, a fault) is left to
Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infercost.places import option_file

Raw = dict[str, Any]
_FOR_HYDRA = ("${", "???", "@package")
"""Texts in a file that only Hydra and OmegaConf understand."""
_MOUNT = re.compile(r"^/([a-z]\w*)@([a-z][\w-]*(?:\.[a-z][\w-]*)*)$")
_SIBLING = re.compile(r"^_?[a-z][\w.-]*$")
"""Another option of the same group, to build on."""
_DEEPEST = 8
"""Defaults lists of defaults lists that are followed: more is a circle."""


@dataclass(frozen=True)
class PlainOverride:
    """An override without a sweep, with those attributes of Hydra's that a question reads."""

    input_line: str
    key_or_group: str
    written: str | int | float | list[str]
    package: None = None

    def is_delete(self) -> bool:
        """It sets."""
        return False

    def is_sweep_override(self) -> bool:
        """It has one value."""
        return False

    def value(self) -> str | int | float | list[str]:
        """What it sets."""
        return self.written


_OVERRIDE = re.compile(
    r"^(?P<key>[a-z]\w*(?:\.[A-Za-z][\w-]*)*)="
    r"(?:(?P<int>0|[1-9]\d*)|(?P<float>\d+\.\d+)|(?P<word>[A-Za-z]\w*(?:[.-]\w+)*))$",
    re.ASCII,
)
_WORD = r"[A-Za-z]\w*(?:[.-]\w+)*"
_CHOICE = re.compile(
    rf"^\+?(?P<group>[a-z]\w*)=(?:\[(?P<list>{_WORD}(?:,{_WORD})*)\]|(?P<word>{_WORD}))$", re.ASCII
)
"""Options of a group by name, as `+mitigation=[w4,kv8]`."""
_NO_WORDS = ("true", "false", "null", "nan", "inf")


def plain_override(text: str) -> PlainOverride | None:
    """An override as Hydra's grammar reads it; nothing where it takes that grammar."""
    choice = _CHOICE.match(text)
    if choice is not None:
        names = (choice["list"] or choice["word"]).split(",")
        if any(name.lower() in _NO_WORDS for name in names):
            return None
        return PlainOverride(text, choice["group"], names if choice["list"] else names[0])
    found = _OVERRIDE.match(text)
    if found is None or (found["word"] or "").lower() in _NO_WORDS:
        return None
    if found["int"]:
        return PlainOverride(text, found["key"], int(found["int"]))
    return PlainOverride(
        text, found["key"], float(found["float"]) if found["float"] else found["word"]
    )


def told_options(
    dirs: tuple[Path, ...],
    groups: tuple[str, ...],
    chosen: Mapping[str, tuple[str, ...]],
    fixed: tuple[str, ...],
) -> tuple[dict[str, dict[str, Raw]], Raw] | None:
    """What the chosen options of each group come to, else the default one, and the root's keys.

    `fixed` are overrides. Nothing where any of this needs Hydra.
    """
    root, overrides = _root(dirs), [plain_override(text) for text in fixed]
    if root is None:
        return None
    defaults, values = root
    names = {group: chosen.get(group) or (defaults.get(group, ""),) for group in groups}
    told = {g: {name: content_of(dirs, g, name) for name in names[g]} for g in groups}
    contents = {
        g: {n: c for n, c in options.items() if c is not None} for g, options in told.items()
    }
    if contents != told:
        return None
    for override in overrides:
        if override is None or override.input_line.startswith("+"):
            return None
        group, _, path = override.key_or_group.partition(".")
        concerned = list(contents[group].values()) if group in contents else [values]
        if not all(_overridden(each, path or group, override.written) for each in concerned):
            return None
    return contents, values


def _root(dirs: tuple[Path, ...]) -> tuple[dict[str, str], Raw] | None:
    """The options that `config.yaml` chooses, by group, and its own keys; or nothing."""
    try:
        own = _loaded(dirs[0] / "config.yaml")
        entries = own.pop("defaults")
        if entries.pop() != "_self_":
            return None
        return {group: name for entry in entries for group, name in entry.items()}, own
    except (_Untold, OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError):
        return None


def _overridden(content: Raw, path: str, value: str | int | float | list[str]) -> bool:
    """Put a value in place of the one at a path; whether there is one, of the same plain kind."""
    *steps, last = path.split(".")
    node: Any = None if isinstance(value, list) else content
    for step in steps:
        node = node.get(step) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(node.get(last), str | int | float):
        return False
    node[last] = value
    return True


class _Untold(Exception):
    """Something that is left to Hydra."""


def content_of(dirs: tuple[Path, ...], group: str, option: str) -> Raw | None:
    """What an option comes to, as Hydra would compose it; nothing where only Hydra can tell."""
    try:
        return _content(dirs, group, option, _DEEPEST)
    except (_Untold, OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _content(dirs: tuple[Path, ...], group: str, option: str, depth: int) -> Raw:
    file = option_file(dirs, group, option)
    if file is None or not depth:
        raise _Untold
    own = _loaded(file)
    entries = own.pop("defaults", ["_self_"])
    if not isinstance(entries, list) or entries.count("_self_") != 1:
        raise _Untold
    found: Raw = {}
    for entry in entries:
        if entry == "_self_":
            _merge(found, own)
            continue
        if isinstance(entry, str) and _SIBLING.match(entry):
            _merge(found, _content(dirs, group, entry, depth - 1))
            continue
        if not isinstance(entry, dict) or len(entry) != 1:
            raise _Untold
        key, inner = next(iter(entry.items()))
        place = _MOUNT.match(str(key))
        if place is None or not isinstance(inner, str):
            raise _Untold
        content: Raw = _content(dirs, place[1], inner, depth - 1)
        for step in reversed(place[2].split(".")):
            content = {step: content}
        _merge(found, content)
    return found


def _loaded(file: Path) -> Raw:
    text = file.read_text(encoding="utf-8")
    if any(mark in text for mark in _FOR_HYDRA):
        raise _Untold
    content = yaml.load(text, _Loader)
    if not isinstance(content, dict):
        raise _Untold
    _check(content)
    return content


def _check(node: Any) -> None:
    """Refuse keys that are not text."""
    if isinstance(node, dict):
        if not all(isinstance(key, str) for key in node):
            raise _Untold
        for child in node.values():
            _check(child)


def _merge(into: Raw, content: Raw) -> None:
    """Keys of `content` win; mappings on both sides are merged, lists are replaced."""
    for key, value in content.items():
        there = into.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            _merge(there, value)
        elif key in into and isinstance(value, dict) != isinstance(there, dict):
            raise _Untold
        else:
            into[key] = value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML as OmegaConf does: `1e9` is a number, a date is text, a key stands once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [getattr(key, "value", None) for key, _ in node.value]
        if len(keys) != len({str(key) for key in keys}):
            raise _Untold
        return super().construct_mapping(node, deep)


_FLOAT = "tag:yaml.org,2002:float"
_OTHER = ("tag:yaml.org,2002:timestamp", _FLOAT)
_Loader.yaml_implicit_resolvers = {
    start: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHER]
    for start, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        |\.[0-9_]+(?:[eE][-+][0-9]+)?
        |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
        |[-+]?\.(?:inf|Inf|INF)
        |\.(?:nan|NaN|NAN))$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)
