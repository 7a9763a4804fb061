"""Where in which file a configured value stands, for errors that point at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from infercost.paths import shown


def option_file(dirs: tuple[Path, ...], group: str, option: str) -> Path | None:
    """The file of an option, in the first folder that has it."""
    for folder in dirs:
        file = folder / group / f"{option}.yaml"
        if file.is_file():
            return file
    return None


def place_of(dirs: tuple[Path, ...], group: str, option: str, key: str) -> tuple[str, str]:
    """`file:line` and the key inside that file where `key` of an option is, or ought to be.

    A key that the option's own file lacks is sought in the options that its defaults list mounts
    at a parent of the key. Falls back to the option's own file.
    """
    file = option_file(dirs, group, option)
    if file is None:
        return f"{group}={option}", key
    line = _line(file, key)
    if line is not None:
        return f"{shown(file)}:{line}", key
    for mounted, mount in _mounted(dirs, group, file):
        if key == mount or not key.startswith(f"{mount}." if mount else ""):
            continue
        inner = key[len(mount) + 1 :] if mount else key
        line = _line(mounted, inner)
        if line is not None:
            return f"{shown(mounted)}:{line}", inner
    parent = key.rpartition(".")[0]
    line = _line(file, parent) if parent else None
    return shown(file) + (f":{line}" if line is not None else ""), key


def _mounted(dirs: tuple[Path, ...], group: str, file: Path) -> Iterator[tuple[Path, str]]:
    """Files of a defaults list, each with the dotted path at which it is mounted."""
    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError:
        return
    for entry in (content or {}).get("defaults", []):
        if isinstance(entry, str):
            found = option_file(dirs, group, entry)
            mount = ""
        else:
            (target, option), *_ = entry.items()
            place, _, mount = target.partition("@")
            found = option_file(dirs, place.strip("/"), str(option))
        if found is not None:
            yield found, mount


def _line(file: Path, key: str) -> int | None:
    """Line of a dotted key in a YAML file, or None."""
    try:
        node = yaml.compose(file.read_text())
    except yaml.YAMLError:
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
