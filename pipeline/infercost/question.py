"""What a list of overrides asks: options of each group, single values, and axes.

Overrides follow Hydra's grammar, sweeps included: `hardware=h100-sxm,b200-sxm`, `batch=1,8,64`,
`plan.tp=choice(1,2,4)`, `batch=range(1,65,8)`, `model=glob(llama-3*)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from infercost.errors import SpecError, nearest
from infercost.paths import config_dirs
from infercost.places import option_file
from infercost.specs.case import GROUPS

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

ROOT_KEYS = ("batch",)
"""Keys of a case that are values, not options."""


@dataclass(frozen=True)
class Axis:
    """One swept dimension: values of one dotted path, or of several that vary together."""

    name: str
    values: Mapping[str, tuple[object, ...]]

    @property
    def size(self) -> int:
        """Number of points along the axis."""
        return len(next(iter(self.values.values())))


@dataclass(frozen=True)
class Question:
    """What a list of overrides asks: one option or several of each group, and numeric axes."""

    options: Mapping[str, tuple[str, ...]]
    fixed: tuple[str, ...] = ()
    """Overrides of single values, applied to every option they concern."""
    labels: tuple[Axis, ...] = ()
    """Axes over text, such as number formats: each value is a case of its own."""
    axes: tuple[Axis, ...] = ()
    """Axes over numbers, each a dimension of the grid."""
    dirs: tuple[Path, ...] = field(default_factory=config_dirs)

    @property
    def size(self) -> int:
        """Number of points."""
        sizes = [len(names) for names in self.options.values()]
        sizes += [axis.size for axis in (*self.labels, *self.axes)]
        product = 1
        for size in sizes:
            product *= size
        return product


def ask(overrides: list[str], dirs: tuple[str, ...] = ()) -> Question:
    """The question that overrides pose. Raises `SpecError` for what cannot be read."""
    parsed = _parsed(overrides)
    searchpath: list[str] = []
    for override in parsed:
        if override.key_or_group == "hydra.searchpath":
            listed = override.value()
            searchpath += [str(p) for p in (listed if isinstance(listed, list) else [listed])]
    folders = config_dirs((*dirs, *(p.removeprefix("file://") for p in searchpath)))
    for folder in folders:
        if not folder.is_dir():
            raise SpecError(str(folder), "", "is not a folder of options")
    options: dict[str, tuple[str, ...]] = {}
    fixed: list[str] = []
    labels: list[Axis] = []
    axes: list[Axis] = []
    for override in parsed:
        key = override.get_key_element()
        if key == "hydra.searchpath":
            continue
        if override.key_or_group in GROUPS and override.package is None:
            options[override.key_or_group] = _option_names(override, folders)
        elif override.is_sweep_override():
            values = _sweep_values(override)
            axis = Axis(key, {key: values})
            (labels if any(is_label(v) for v in values) else axes).append(axis)
        else:
            fixed.append(override.input_line or "")
    return Question(options, tuple(fixed), tuple(labels), tuple(axes), folders)


def _parsed(overrides: list[str]) -> list[Override]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            fault = str(error).splitlines()[0]
            raise SpecError(
                f"override '{text}'", "", fault, "Write key=value, for example batch=1,8,64"
            ) from None
        if override.is_delete():
            raise SpecError(
                f"override '{text}'", "", "deletes a key that every case needs", "Set it instead"
            )
        parsed.append(override)
    return parsed


def _sweep_values(override: Override) -> tuple[object, ...]:
    """Every value of a sweep over a field."""
    place = f"override '{override.input_line}'"
    kind = type(override._value).__name__
    if kind == "IntervalSweep":
        raise SpecError(place, "", "an interval has no values", "Write a list or range(a, b, step)")
    if kind == "Glob":
        raise SpecError(place, "", "glob(...) chooses options, not values", "Write a list")
    values = tuple(override.sweep_iterator())
    if not values:
        raise SpecError(place, "", "has no values", "Write at least one")
    return values


_NUMBER = re.compile(r"\s*[+-]?\.?\d")


def is_label(value: object) -> bool:
    """Whether a value names something, such as a format, rather than stands on a numeric axis."""
    return isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.match(value))


def option_names(dirs: tuple[Path, ...], group: str) -> list[str]:
    """All options of a group."""
    return sorted({file.stem for folder in dirs for file in (folder / group).glob("*.yaml")})


def _option_names(override: Override, dirs: tuple[Path, ...]) -> tuple[str, ...]:
    group = override.key_or_group
    known = option_names(dirs, group)
    if type(override._value).__name__ == "Glob":
        names: tuple[str, ...] = tuple(override._value.filter(known))  # type: ignore[union-attr]
        if not names:
            raise SpecError(
                f"override '{override.input_line}'", "", "matches no option", nearest("", known)
            )
    elif override.is_sweep_override():
        names = tuple(str(v) for v in _sweep_values(override))
    else:
        names = (str(override.value()),)
    return checked_options(group, names, dirs, f"override '{override.input_line}'")


def checked_options(
    group: str, names: tuple[str, ...], dirs: tuple[Path, ...], place: str
) -> tuple[str, ...]:
    """`names`, each of which must be an option of `group`, once."""
    for name in names:
        if option_file(dirs, group, name) is None:
            raise SpecError(
                place,
                group,
                f"there is no {group} '{name}'",
                nearest(name, option_names(dirs, group)),
            )
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise SpecError(place, group, f"names '{repeated[0]}' twice", "Name each option once")
    return names
