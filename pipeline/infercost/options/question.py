"""What a list of overrides asks: options of each group, single values, and axes.

Overrides follow Hydra's grammar, sweeps included: `hardware=h100-sxm,b200-sxm`, `batch=1,8,64`,
`plan.tp=choice(1,2,4)`, `batch=range(1,65,8)`, `model=glob(llama-3*)`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from infercost.errors import SpecError, nearest
from infercost.options.overrides import LONGEST_RANGE, PlainOverride, plain_override
from infercost.options.places import COMBINED, COMBINING, combination, option_files
from infercost.paths import config_dirs, shown
from infercost.specs.case import GROUPS
from infercost.specs.draws import Draws

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    Read: TypeAlias = Override | PlainOverride
NO_DIRECTION = "none"
"""The direction, or mitigation, that a case takes where nothing is said."""

ENDS = ("best", "worst")
"""Ends of what sources say about a direction's numbers."""

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
    draws: Draws | None = None
    """Draws of uncertain inputs, one more dimension of the grid."""

    @property
    def size(self) -> int:
        """Number of points."""
        sizes = [len(names) for names in self.options.values()]
        sizes += [axis.size for axis in (*self.labels, *self.axes)]
        sizes.append(1 if self.draws is None else self.draws.count)
        product = 1
        for size in sizes:
            product *= size
        return product


def ask(overrides: list[str], dirs: tuple[str, ...] = ()) -> Question:
    """The question that overrides pose. Raises `SpecError` for what cannot be read."""
    parsed = _parsed(overrides)
    folders = config_dirs((*dirs, *_search_path(parsed)))
    options: dict[str, tuple[str, ...]] = {}
    fixed: list[str] = []
    labels: list[Axis] = []
    axes: list[Axis] = []
    draws = _draws(parsed)
    for key, override in parsed.items():
        if key == _SEARCH_PATH or key.partition(".")[0] == DRAW:
            continue
        place = f"override '{override.input_line}'"
        if key in GROUPS:
            options[key] = _option_names(override, folders)
            continue
        _check_key(key, override, folders)
        if key.partition(".")[0] in COMBINING and not override.is_sweep_override():
            # Combinations are composed apart from the rest, so that Hydra cannot set their values.
            value = override.value()
            axis = Axis(key, {key: (value,)})
            (labels if is_label(value) or isinstance(value, list) else axes).append(axis)
        elif override.is_sweep_override():
            if override.package is not None:
                remedy = f"Lists are for options of {', '.join(GROUPS)}"
                raise SpecError(place, key, "mounts one option at a time", remedy)
            values = _sweep_values(override)
            axis = Axis(key, {key: values})
            is_text = key not in ROOT_KEYS and any(is_label(v) for v in values)
            (labels if is_text else axes).append(axis)
        else:
            fixed.append(override.input_line or "")
    return Question(options, tuple(fixed), tuple(labels), tuple(axes), folders, draws)


_SEARCH_PATH = "hydra.searchpath"

DRAW = "draw"
"""The override that asks for draws: `draw=256`, with `draw.seed` and `draw.inputs` beside it."""


def _draws(parsed: Mapping[str, Read]) -> Draws | None:
    """The draws that overrides ask for; nothing where none does."""
    given = {key: o for key, o in parsed.items() if key.partition(".")[0] == DRAW}
    if not given:
        return None
    known = {DRAW: "count", f"{DRAW}.seed": "seed", f"{DRAW}.inputs": "inputs"}
    content: dict[str, object] = {}
    for key, override in given.items():
        place = f"override '{override.input_line}'"
        if key not in known:
            raise SpecError(place, key, "unknown key", nearest(key, known))
        if override.is_sweep_override():
            raise SpecError(place, key, "takes one value", "Write draw=256, or draw.inputs=[a,b]")
        content[known[key]] = override.value()
        try:
            Draws.model_validate({"count": 1, **content})
        except ValueError:
            remedy = "Write draw=256, draw.seed=1, draw.inputs=[hardware.price]"
            raise SpecError(place, key, "cannot be read", remedy) from None
    if "count" not in content:
        raise SpecError("override", DRAW, "is missing", "Add for example draw=256")
    return Draws.model_validate(content)


def _search_path(parsed: Mapping[str, Read]) -> tuple[str, ...]:
    """Folders that an override of Hydra's search path names."""
    override = parsed.get(_SEARCH_PATH)
    if override is None:
        return ()
    if override.is_sweep_override():
        place = f"override '{override.input_line}'"
        raise SpecError(place, "", "takes one list", f"Write {_SEARCH_PATH}=[one,other]")
    listed = override.value()
    folders = listed if isinstance(listed, list) else [listed]
    return tuple(str(folder).removeprefix("file://") for folder in folders)


def _check_key(key: str, override: Read, dirs: tuple[Path, ...]) -> None:
    """Refuse an override that concerns no part of a case, or that mounts an unknown option."""
    place = f"override '{override.input_line}'"
    option, _, mount = key.rpartition("@")
    group = mount.partition(".")[0]
    if group not in (*GROUPS, *ROOT_KEYS):
        remedy = nearest(group, [*GROUPS, *ROOT_KEYS])
        if any((folder / group).is_dir() for folder in dirs):
            value = str(override.input_line).partition("=")[2]
            remedy = f"Say where to mount it: {group}@path={value}"
        else:
            from infercost.options.elsewhere import where_it_belongs

            remedy = where_it_belongs(mount) or remedy
        raise SpecError(place, key, f"unknown key '{group}'", remedy)
    if group in ROOT_KEYS and mount != group:
        raise SpecError(place, key, "is one value, without keys", f"Set {group} itself")
    if group in COMBINING:
        _check_combining(key, option, mount, place)
    if option and not override.is_sweep_override():
        checked_options(option, (str(override.value()),), dirs, place)


def _check_combining(key: str, option: str, mount: str, place: str) -> None:
    """Refuse to mount inside a direction or mitigation, or to make another kind of it."""
    group, _, inner = mount.partition(".")
    name, _, path = inner.partition(".")
    if option:
        fault = f"{group} '{name}' mounts its own {option}, which no override replaces"
        remedy = f"Write DIR/{group}/mine.yaml with '- /{option}@{path}: NAME'; --config-dir DIR"
        raise SpecError(place, key, fault, remedy)
    if path == "kind":
        remedy = f"Take another {group}: infercost options {group}"
        raise SpecError(place, key, f"what '{name}' is, is no dose of it", remedy)


_LEADING_DIGITS = re.compile(r"(?<=\.)(?=\d+[A-Za-z_-])")
"""Where a name such as 3d-stack begins, which Hydra's grammar takes for a number."""


def _override(text: str) -> Read:
    """One override as Hydra's grammar reads it, which is asked only where it has to be."""
    plain = plain_override(text)
    if plain is not None:
        return plain
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = text.partition("=")
    named = _LEADING_DIGITS.sub("_", key)
    try:
        override = OverridesParser.create().parse_override(f"{named}{equals}{value}")
        if named != key:
            override.input_line, override.key_or_group = text, key.lstrip("+")
        return override
    except HydraException as error:
        # The grammar's tokens after 'expecting' mean nothing to a reader.
        fault = str(error).splitlines()[0].partition(" expecting ")[0]
        raise SpecError(f"override '{text}'", "", fault, _FORM) from None


def winning(overrides: Iterable[str], later: Iterable[str]) -> list[str]:
    """Overrides with `later` ones in place of those of the same key."""
    later = list(later)
    keys = {key_of(text) for text in later}
    return [*(text for text in overrides if key_of(text) not in keys), *later]


def key_of(text: str) -> str:
    """The key that an override sets, without Hydra's signs."""
    return text.partition("=")[0].lstrip("+").strip()


def read_value(override: str, value: str) -> Any:
    """The value of an override of what Hydra does not compose, written as in YAML."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        fault, remedy = f"'{value}' is no YAML value", "Mind the brackets and quotes"
        raise SpecError(f"override '{override}'", "", fault, remedy) from None


def refuse_repeats(overrides: Iterable[str]) -> None:
    """Raise `SpecError` where two overrides that stand in one file or text set one key."""
    for first, text in _repeats(overrides):
        fault = f"'{first}' sets {key_of(text)} already"
        raise SpecError(f"override '{text}'", "", fault, _ONE)


def replaced(overrides: Iterable[str]) -> list[str]:
    """One line for each override that a later one of the same key replaces."""
    return [f"override '{a}' sets nothing: '{b}' follows" for a, b in _repeats(overrides)]


def _repeats(overrides: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each override of a key that an earlier one sets, behind the earlier one."""
    last: dict[str, str] = {}
    for text in overrides:
        key = key_of(text)
        if key in last:
            yield last[key], text
        last[key] = text


_ONE = "Leave one of them out; several values make an axis: key=1,2"


def _parsed(overrides: list[str]) -> dict[str, Read]:
    """Overrides by the key they set; a later one of the same key replaces an earlier one."""
    parsed: dict[str, Read] = {}
    for text in overrides:
        override = _override(text)
        if override.is_delete():
            raise SpecError(
                f"override '{text}'", "", "deletes a key that every case needs", "Set it instead"
            )
        key = override.key_or_group
        if not key:
            raise SpecError(f"override '{text}'", "", "names no key", _FORM)
        if override.package is not None:
            key = f"{key}@{override.package}"
        parsed.pop(key, None)
        parsed[key] = override
    return parsed


_FORM = "Write key=value, for example batch=1,8,64"


def _sweep_values(override: Read) -> tuple[object, ...]:
    """Every value of a sweep over a field."""
    place = f"override '{override.input_line}'"
    if isinstance(override, PlainOverride):
        values: tuple[object, ...] = override.written
    else:
        values = _values_by_hydra(override, place)
    if not values:
        raise SpecError(place, "", "has no values", "Write at least one")
    written, times = Counter(map(str, values)).most_common(1)[0]
    if times > 1:
        raise SpecError(place, "", f"names {written} twice", "Name each value once")
    return values


def _values_by_hydra(override: Override, place: str) -> tuple[object, ...]:
    kind = type(override._value).__name__
    if kind == "IntervalSweep":
        raise SpecError(place, "", "an interval has no values", "Write a list or range(a, b, step)")
    if kind == "Glob":
        raise SpecError(place, "", "glob(...) chooses options, not values", "Write a list")
    if kind == "RangeSweep":
        _check_range(override._value, place)
    try:
        return tuple(override.sweep_iterator(override._convert_value))
    except ValueError as error:  # range(1, 9, 0)
        raise SpecError(place, "", str(error), "Write a list or range(a, b, step)") from None


def _check_range(sweep: Any, place: str) -> None:
    """Refuse a range of more values than fit: they would be written out before anything else."""
    start, stop, step = (float(getattr(sweep, end)) for end in ("start", "stop", "step"))
    count = (stop - start) / step if step else 0.0
    if not count <= LONGEST_RANGE:
        fault = f"has {count:.4g} values, more than {LONGEST_RANGE:,}"
        raise SpecError(place, "", fault, "Write a wider step: range(a, b, step)")


_NUMBER = re.compile(r"\s*[+-]?\.?\d")


def is_label(value: object) -> bool:
    """Whether a value names something, such as a format, rather than stands on a numeric axis."""
    return isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.match(value))


def option_names(dirs: tuple[Path, ...], group: str) -> list[str]:
    """All options of a group. A name that starts with `_` is for others to build on."""
    files = (file for folder in dirs for file in (folder / group).glob("[!_]*.yaml"))
    return sorted({file.stem for file in files if file.is_file()})


def _option_names(override: Read, dirs: tuple[Path, ...]) -> tuple[str, ...]:
    group = override.key_or_group
    known = option_names(dirs, group)
    wanted = getattr(override, "_value", None)
    if type(wanted).__name__ == "Glob":
        names: tuple[str, ...] = tuple(wanted.filter(known))  # type: ignore[union-attr]
        if not names:
            raise SpecError(
                f"override '{override.input_line}'", "", "matches no option", nearest("", known)
            )
    elif override.is_sweep_override():
        names = tuple(option_named(v, group) for v in _sweep_values(override))
    else:
        names = (option_named(override.value(), group),)
        _check_one(group, names[0], override.value(), known, f"override '{override.input_line}'")
    return checked_options(group, names, dirs, f"override '{override.input_line}'")


def _check_one(group: str, name: str, value: object, known: list[str], place: str) -> None:
    """Refuse several options of a group of which a case takes one."""
    listed = value if isinstance(value, list) else name.split(COMBINED)
    named = isinstance(value, list) or (len(listed) > 1 and set(listed) <= set(known))
    if group in COMBINING or not named:
        return
    remedy = f"Write {group}={','.join(map(str, listed))} for an axis, or set single keys of it"
    raise SpecError(place, group, f"a case takes one {group}", remedy)


def option_named(value: object, group: str) -> str:
    """An option as it is named; a list of directions or mitigations is one combination."""
    if group in COMBINING and isinstance(value, list):
        return COMBINED.join(str(name) for name in value) if value else NO_DIRECTION
    return "null" if value is None else str(value)


def checked_options(
    group: str, names: tuple[str, ...], dirs: tuple[Path, ...], place: str
) -> tuple[str, ...]:
    """`names`, each of which must be an option of `group`, once."""
    single = [part for name in names for part in _parts(group, name, place)]
    for name in single:
        if not option_files(dirs, group, name):
            remedy = nearest(name, option_names(dirs, group))
            if "/" in name:
                remedy = f"Name it without folders, as '{Path(name).stem}', below --config-dir DIR"
            raise SpecError(place, group, f"there is no {group} '{name}'", remedy)
        files = {file.resolve(): file for file in option_files(dirs, group, name)}
        if len(files) > 1:
            fault = f"{' and '.join(shown(file) for file in files.values())} bear one name"
            raise SpecError(place, group, fault, "Rename your own")
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise SpecError(place, group, f"names '{repeated[0]}' twice", "Name each option once")
    return names


def _parts(group: str, name: str, place: str) -> list[str]:
    """The options of one name: itself, or those of a combination."""
    if group not in COMBINING:
        return [name]
    for part in name.split(COMBINED):
        end = part.partition("@")[2]
        if "@" in part and end not in ENDS:
            raise SpecError(
                place, group, f"'{part}' has no end '{end}'", f"Known: {', '.join(ENDS)}"
            )
    parts = list(combination(name))
    if len(parts) < len(name.split(COMBINED)):
        raise SpecError(place, group, f"'{name}' names a {group} twice", "Name each once")
    if NO_DIRECTION in parts and len(parts) > 1:
        others = COMBINED.join(part for part in name.split(COMBINED) if part != NO_DIRECTION)
        fault = f"'{name}' has '{NO_DIRECTION}' beside others"
        raise SpecError(place, group, fault, f"Write '{others}', or '{NO_DIRECTION}' alone")
    return parts
