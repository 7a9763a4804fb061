"""An option's content straight from its file, where the file asks for nothing that needs Hydra.

Hydra takes 150 ms to import and 50 to 100 ms for a composition, a YAML file a tenth of one. Most
options are keys and a defaults list of `/group@key: option`, most overrides a key and a value; what
they come to is told here. Anything else (an interpolation, a package directive, another form of
entry, an override that `overrides` does not read, a fault) is left to Hydra.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from infercost.options.overrides import PlainOverride, plain_override
from infercost.options.places import COMBINING, option_file

Raw = dict[str, Any]
_FOR_HYDRA = ("${", "???", "@package")
"""Texts in a file that only Hydra and OmegaConf understand."""
_MOUNT = re.compile(r"^/([a-z]\w*)@([a-z][\w-]*(?:\.[a-z][\w-]*)*)$")
_SIBLING = re.compile(r"^_?[a-z][\w.-]*$")
"""Another option of the same group, to build on."""
_DEEPEST = 8
"""Defaults lists of defaults lists that are followed: more is a circle."""


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
    if root is None or any(override is None or override.swept for override in overrides):
        return None
    settings = [o for o in overrides if o is not None and o.package is None]
    swaps = _swaps([o for o in overrides if o is not None and o.package is not None], groups)
    if swaps is None:
        return None
    defaults, values = root
    names = {group: chosen.get(group) or (defaults.get(group, ""),) for group in groups}
    told = {g: {name: content_of(dirs, g, name, swaps) for name in names[g]} for g in groups}
    contents = {
        g: {n: c for n, c in options.items() if c is not None} for g, options in told.items()
    }
    if contents != told:
        return None
    for override in settings:
        group, _, path = override.key_or_group.partition(".")
        concerned = list(contents[group].values()) if group in contents else [values]
        if not all(_overridden(each, path or group, override) for each in concerned):
            return None
    return contents, values


Swaps = Mapping[tuple[str, str], str]
"""By group and mount, the option to mount there instead."""


def _swaps(mounts: list[PlainOverride], groups: tuple[str, ...]) -> Swaps | None:
    """Options to mount; nothing where Hydra has to: what is added, or mounted beside others."""
    alone = [group for group in groups if group not in COMBINING]
    for mount in mounts:
        place = str(mount.package).partition(".")
        if mount.signs or not isinstance(mount.written, str) or place[0] not in alone:
            return None
    return {(mount.key_or_group, str(mount.package)): mount.written for mount in mounts}


def _root(dirs: tuple[Path, ...]) -> tuple[dict[str, str], Raw] | None:
    """The options that `config.yaml` chooses, by group, and its own keys; or nothing."""
    try:
        own = dict(_loaded(dirs[0] / "config.yaml"))
        *entries, last = own.pop("defaults")
        if last != "_self_":
            return None
        return {group: name for entry in entries for group, name in entry.items()}, own
    except (_Untold, OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError):
        return None


def _overridden(content: Raw, path: str, override: PlainOverride) -> bool:
    """Set a value, or add one, at a path; whether Hydra would do so without merging or a fault."""
    *steps, last = path.split(".")
    node: Any = content
    for step in steps:
        node = node.get(step) if isinstance(node, dict) else None
    if not isinstance(node, dict) or isinstance(node.get(last), dict):
        return False
    known, missing = last in node, node.get(last) is None
    if not {"": known, "+": missing, "++": True}[override.signs]:
        return False
    node[last] = copy.deepcopy(override.written)
    return True


class _Untold(Exception):
    """Something that is left to Hydra."""


def content_of(
    dirs: tuple[Path, ...], group: str, option: str, swaps: Swaps | None = None
) -> Raw | None:
    """What an option comes to, as Hydra would compose it; nothing where only Hydra can tell."""
    mine = {key: name for key, name in (swaps or {}).items() if key[1].startswith(f"{group}.")}
    taken: set[tuple[str, str]] = set()
    try:
        content = _content(dirs, group, option, _DEEPEST, group, mine, taken)
    except (_Untold, OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return content if taken == set(mine) else None


def _content(
    dirs: tuple[Path, ...],
    group: str,
    option: str,
    depth: int,
    at: str,
    swaps: Swaps,
    taken: set[tuple[str, str]],
) -> Raw:
    """An option's content, mounted `at` a path; `taken` gathers the swaps that found theirs."""
    file = option_file(dirs, group, option)
    if file is None or not depth:
        raise _Untold
    own = _loaded(file)
    entries = own.get("defaults", ["_self_"])
    if not isinstance(entries, list) or entries.count("_self_") != 1:
        raise _Untold
    found: Raw = {}
    for entry in entries:
        if entry == "_self_":
            _merge(found, {key: value for key, value in own.items() if key != "defaults"})
            continue
        if isinstance(entry, str) and _SIBLING.match(entry):
            _merge(found, _content(dirs, group, entry, depth - 1, at, swaps, taken))
            continue
        if not isinstance(entry, dict) or len(entry) != 1:
            raise _Untold
        key, inner = next(iter(entry.items()))
        place = _MOUNT.match(str(key))
        if place is None or not isinstance(inner, str):
            raise _Untold
        mount = place[1], f"{at}.{place[2]}"
        if mount in taken:
            raise _Untold
        if mount in swaps:
            taken.add(mount)
        named = swaps.get(mount, inner)
        content: Raw = _content(dirs, place[1], named, depth - 1, mount[1], swaps, taken)
        for step in reversed(place[2].split(".")):
            content = {step: content}
        _merge(found, content)
    return found


def _loaded(file: Path) -> Raw:
    return _parsed(file.read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Raw:
    """The content of a file, which is read once as long as it says the same. Not to be changed."""
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
    """Copy `content`; its keys win, mappings on both sides are merged, lists are replaced."""
    for key, value in content.items():
        if key in into and isinstance(value, dict) != isinstance(into[key], dict):
            raise _Untold
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = copy.deepcopy(value)


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
