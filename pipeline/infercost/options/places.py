"""Where in which file a configured value stands, for errors that point at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infercost.paths import shown


@dataclass(frozen=True)
class Mounted:
    """An entry of a defaults list: an option, and the dotted path at which it is mounted."""

    group: str
    option: str
    mount: str
    position: int
    """Place in the list, from 0."""


def option_files(dirs: tuple[Path, ...], group: str, option: str) -> list[Path]:
    """The files of an option, in the order of search: Hydra takes the first.

    None of a path: the same file by another name would be another option.
    """
    if "/" in option:
        return []
    files = [folder / group / f"{option}.yaml" for folder in dirs]
    return [file for file in files if file.is_file()]


def option_file(dirs: tuple[Path, ...], group: str, option: str) -> Path | None:
    """The file of an option, in the first folder that has it."""
    return next(iter(option_files(dirs, group, option)), None)


COMBINED = "+"
"""Joins the options of one combination."""

COMBINING = ("direction", "mitigation")
"""Groups of which a case takes several options at once, in listed order."""


def combination(option: str) -> dict[str, str]:
    """The options of a combination such as `hbf@worst+pnm`, each with its end or none."""
    named = (part.partition("@") for part in option.split(COMBINED))
    return {name: end for name, _, end in named}


def in_order(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The contents of combinations with their parts in listed order, which JSON does not keep."""
    return {
        option: {name: content[name] for name in combination(option) if name in content}
        for option, content in options.items()
    }


def place_of(dirs: tuple[Path, ...], group: str, option: str, key: str) -> tuple[str, str]:
    """`file:line` and the key inside that file where `key` of an option is, or ought to be.

    A key that the option's own file lacks is sought in the options that its defaults list mounts
    at a parent of the key. Falls back to the option's own file.
    """
    if group in COMBINING and option_file(dirs, group, option) is None:
        option, _, key = key.partition(".")
    file = option_file(dirs, group, option)
    if file is None:
        return f"{group}={option}", key
    found = _found(dirs, group, file, key, depth=0)
    if found is not None:
        return found
    parent = key.rpartition(".")[0]
    return with_line(file, parent), key


_DEEPEST = 8
"""Defaults lists of defaults lists that are followed: more is a circle."""


def _found(
    dirs: tuple[Path, ...], group: str, file: Path, key: str, depth: int
) -> tuple[str, str] | None:
    if line_of(file, key) is not None:
        return with_line(file, key), key
    for entry in mounted(file, group) if depth < _DEEPEST else ():
        below = f"{entry.mount}." if entry.mount else ""
        inside = option_file(dirs, entry.group, entry.option)
        if inside is not None and key.startswith(below):
            found = _found(dirs, entry.group, inside, key[len(below) :], depth + 1)
            if found is not None:
                return found
    return None


def mounted(file: Path, group: str) -> Iterator[Mounted]:
    """The options that the defaults list of a file of `group` mounts; nothing where it is none."""
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return
    entries = content.get("defaults") if isinstance(content, dict) else None
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, str) and entry != "_self_":
            path, _, mount = entry.partition("@")
            yield Mounted(*_absolute(path, group), mount, position)
        elif isinstance(entry, dict):
            for target, option in entry.items():
                if str(target).startswith("optional "):
                    continue
                path, _, mount = str(target).split(" ")[-1].partition("@")  # after 'override'
                yield Mounted(*_absolute(f"{path}/{option}", group), mount, position)


def _absolute(path: str, group: str) -> tuple[str, str]:
    """Group and option of a path in a defaults list, which is relative unless it begins with /."""
    inner, _, option = path.rpartition("/")
    if path.startswith("/"):
        return inner.strip("/"), option
    return f"{group}/{inner}".strip("/"), option


def with_line(file: Path, key: str) -> str:
    """The file as a user would type it, with the line of a dotted key where it is in there."""
    line = line_of(file, key) if key else None
    return shown(file) + (f":{line}" if line is not None else "")


def line_of(file: Path, key: str) -> int | None:
    """Line of a dotted key in a YAML file, or None."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    line: int | None = None
    for name in key.split("."):
        if isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
            node = node.value[int(name)]
            line = node.start_mark.line + 1
            continue
        if not isinstance(node, yaml.MappingNode):
            return None
        for label, value in node.value:
            if label.value == name:
                node, line = value, label.start_mark.line + 1
                break
        else:
            return None
    return line
