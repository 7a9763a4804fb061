"""From Hydra options to typed cases: each option is composed once, products are taken in memory.

A Hydra compose takes 50 to 100 ms, so that a study of thousands of cases composes each of its
options once and builds the cases from the typed parts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.errors import SpecError, SpecErrors, nearest
from infercost.options.elsewhere import other_place, where_it_belongs
from infercost.options.faults import (
    Explained,
    Raw,
    checked,
    checked_batch,
    file_fault,
    not_yaml,
    spec_faults,
)
from infercost.options.patches import (
    combinations_of,
    combined,
    concerning,
    mounts,
    named_in_full,
    plain_options,
    single_options,
    with_cases_apart,
    with_values,
)
from infercost.options.places import COMBINED, COMBINING, in_order, option_file, place_of
from infercost.options.question import ROOT_KEYS, Axis, Question
from infercost.options.resolve import content_of, told_options
from infercost.options.uncertain import of_ranges, settled, settled_axes
from infercost.options.witnesses import fields_at, missing_witnesses, value_at
from infercost.paths import CONF, shown
from infercost.specs.case import GROUPS, Case
from infercost.specs.draws import Distribution

if TYPE_CHECKING:
    from infercost.specs.study import Study


@dataclass(frozen=True)
class ComposedCase:
    """A typed case, its option names, the values of its text axes, and the raw data behind it."""

    case: Case
    options: Mapping[str, str]
    labels: Mapping[str, object]
    raw: Raw


class Options:
    """Composes options, each once, and checks them on their own right."""

    def __init__(self, question: Question, plain: Raw | None = None) -> None:
        """Compose the options of `question`, or take them from `plain`, as `to_plain` gave them."""
        self.question = question
        self.uncertain: dict[tuple[str, str], dict[str, Distribution]] = {}
        """Of each group and option, the numbers that are uncertain, by full path; `raw` has their
        nominal values."""
        self._parts: dict[tuple[str, str, str], tuple[Any, Raw]] = {}
        """Spec and content by group, option and the values of text axes that are set in it."""
        _check_paths(question)
        if plain is None:
            self.raw, self.chosen = self._without_hydra() or self._compose()
            self._settle()
            question, found = settled_axes(named_in_full(question, self.raw), self.raw)
            self.question = with_cases_apart(question, self.raw)
            for key, drawn in found.items():
                self.uncertain[key] = self.uncertain.get(key, {}) | drawn
        else:
            given = plain["options"]
            self.raw = given | {g: in_order(given[g]) for g in COMBINING if g in given}
            self.chosen = {group: tuple(names) for group, names in plain["chosen"].items()}

    def to_plain(self, group: str = "", names: tuple[str, ...] = ()) -> Raw:
        """Everything resolved, as plain data; of `group` only the options `names`."""
        chosen = {g: list(names if g == group else kept) for g, kept in self.chosen.items()}
        options = {g: {name: self.raw[g][name] for name in kept} for g, kept in chosen.items()}
        return {"chosen": chosen, "options": options}

    def _without_hydra(
        self,
    ) -> tuple[dict[str, dict[str, Raw]], dict[str, tuple[str, ...]]] | None:
        """What `_compose` gives, where neither files nor overrides need Hydra; else nothing."""
        question = self.question
        single = {group: tuple(single_options(question, group)) for group in COMBINING}
        told = told_options(question.dirs, GROUPS, {**question.options, **single}, question.fixed)
        if told is None:
            return None
        raw, root = told
        raw["."] = {".": {key: root[key] for key in ROOT_KEYS}}
        for group in COMBINING:
            single_raw = raw.pop(group)
            raw[group] = self._combined(group, single_raw, combinations_of(question, group))
        return raw, {group: tuple(options) for group, options in raw.items()}

    def _compose(self) -> tuple[dict[str, dict[str, Raw]], dict[str, tuple[str, ...]]]:
        from hydra import compose, initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra

        question = self.question
        base, path = question.dirs[0], _search_path(question.dirs)
        raw: dict[str, dict[str, Raw]] = {}
        chosen: dict[str, tuple[str, ...]] = {}
        widest = max((len(names) for names in question.options.values()), default=1)
        named = {group: single_options(question, group) for group in COMBINING}
        single: dict[str, dict[str, Raw]] = {}
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(base), version_base="1.3"), _Readable(question) as readable:
            for turn in range(widest):
                picked = {
                    group: names[turn]
                    for group, names in question.options.items()
                    if turn < len(names) and group not in COMBINING
                }
                told = self._told(picked) if turn else {}
                for group, content in told.items():
                    raw.setdefault(group, {})[picked[group]] = content
                    chosen[group] = (*chosen.get(group, ()), picked[group])
                picked = {group: name for group, name in picked.items() if group not in told}
                if turn and not picked:
                    continue
                readable.picked = picked
                overrides = [f"{group}={name}" for group, name in picked.items()]
                if turn == 0:
                    overrides += [o for group in COMBINING for o in mounts(group, named[group])]
                    joined = {group: COMBINED.join(names) for group, names in named.items()}
                    readable.picked = {**picked, **joined}
                concerned = [
                    text for text in question.fixed if turn == 0 or _concerns(text, picked)
                ]
                composed = compose(
                    "config", overrides=[*path, *overrides, *concerned], return_hydra_config=True
                )
                options = _plain_options(composed, question, picked if turn else None)
                for group, (name, content) in options.items():
                    raw.setdefault(group, {})[name] = content
                    chosen[group] = (*chosen.get(group, ()), name)
                if turn == 0:
                    single = {g: plain_options(composed, g, names) for g, names in named.items()}
        for group in COMBINING:
            chosen[group] = combinations_of(question, group)
            raw[group] = self._combined(group, single[group], chosen[group])
        return raw, chosen

    def _combined(
        self, group: str, single: dict[str, Raw], combinations: tuple[str, ...]
    ) -> dict[str, Raw]:
        """Combinations of a group, nominal values in place of what is uncertain."""
        dirs, found = self.question.dirs, {}
        for name, content in single.items():
            named, found[name] = settled(group, name, {name: content}, dirs)
            single[name] = named[name]
        raw = {option: combined(group, option, single, dirs) for option in combinations}
        for option, content in raw.items():
            inputs = of_ranges(group, option, content)
            for name in content:
                inputs |= found.get(name, {})
            self._keep(group, option, inputs)
        return raw

    def _settle(self) -> None:
        """Take nominal values in place of distributions, and keep these."""
        for group, options in self.raw.items():
            for option, content in options.items():
                if group in GROUPS and group not in COMBINING:
                    try:
                        options[option], found = settled(group, option, content, self.question.dirs)
                    except SpecError as error:
                        text = _overridden(self.question, group, error.key)
                        if not text:
                            raise
                        place = (f"override '{text}'", f"{group}.{error.key}")
                        raise SpecError(*place, error.fault, error.remedy) from None
                    self._keep(group, option, found)

    def _keep(self, group: str, option: str, found: dict[str, Distribution]) -> None:
        if found:
            self.uncertain[group, option] = {f"{group}.{path}": d for path, d in found.items()}

    def _told(self, picked: Mapping[str, str]) -> dict[str, Raw]:
        """By group, the content of options for which neither file nor override needs Hydra."""
        found = {
            group: content_of(self.question.dirs, group, name)
            for group, name in picked.items()
            if not any(_concerns(text, {group: name}) for text in self.question.fixed)
        }
        return {group: content for group, content in found.items() if content is not None}

    def cases(self) -> Iterator[ComposedCase]:
        """Every combination of options and text-axis values, in the order of the question."""
        question = self.question
        root = {key: self.raw["."]["."][key] for key in ROOT_KEYS}
        groups = [self.chosen[group] for group in GROUPS]
        parts = self._parts
        for labels in itertools.product(*(_points(axis) for axis in question.labels)):
            settings = {path: value for point in labels for path, value in point.items()}
            for names in itertools.product(*groups):
                values: Raw = {key: settings.get(key, value) for key, value in root.items()}
                typed: Raw = dict(values)
                for group, name in zip(GROUPS, names, strict=True):
                    mine = _below(settings, group)
                    if group in COMBINING:
                        mine = concerning(mine, name)
                    key = (group, name, repr(mine))
                    if key not in parts:
                        content = with_values(self.raw[group][name], mine, group)
                        parts[key] = (self._typed(group, name, content, mine), content)
                    typed[group], values[group] = parts[key]
                options = dict(zip(GROUPS, names, strict=True))
                typed["batch"] = checked_batch(values["batch"])
                case = Case.model_construct(**typed)
                yield ComposedCase(case, options, settings, values)

    def _typed(self, group: str, name: str, content: Raw, labels: Raw) -> Any:
        if not content:
            file = place_of(self.question.dirs, group, name, "")[0]
            raise SpecError(file, "", "is empty", "Write its keys")
        spec, faults = checked(group, content)
        if faults:
            raise file_fault(self.question.dirs, group, name) or SpecErrors(
                _blame(fault, self.question, group, name, labels) for fault in faults
            )
        bare = [
            SpecError(
                *place_of(self.question.dirs, group, name, key),
                "has no source",
                "Name one under 'sources', or write 'assumed: why'",
            )
            for key in missing_witnesses(spec, content)
            if not _overridden(self.question, group, key)
        ]
        if bare:
            raise SpecErrors(bare)
        return spec

    def with_value(self, composed: ComposedCase, path: str, value: object) -> Any:
        """The typed value that `value` has at `path` of a case: parsed and checked in place."""
        group, _, key = path.partition(".")
        if group in ROOT_KEYS and not key:
            return checked_batch(value)
        if group in COMBINING and not concerning({key: value}, composed.options[group]):
            return self._elsewhere(composed, group, key, value, path)
        content = with_values(composed.raw.get(group), {key: value}, group)
        spec, faults = checked(group, content)
        if faults:
            raise SpecErrors(
                SpecError(f"override '{path}={value}'", f"{group}.{at}".rstrip("."), fault, remedy)
                for at, fault, remedy in faults
            )
        return value_at(spec, key)

    def _elsewhere(
        self, composed: ComposedCase, group: str, key: str, value: object, path: str
    ) -> Any:
        """The typed value at a path of an option that another combination takes."""
        name = key.partition(".")[0]
        for option, content in self.raw[group].items():
            if name in content:
                options = {**composed.options, group: option}
                other = replace(composed, options=options, raw={group: content})
                return self.with_value(other, path, value)
        raise SpecError(f"override '{path}={value}'", path, f"no case takes {group} '{name}'")


def compose_study(name: str, dirs: tuple[Path, ...]) -> Study:
    """A study's file, composed and checked on its own right."""
    study: Study = _composed_alone("study", name, dirs)[0]
    return study


def compose_fleet(name: str, dirs: tuple[Path, ...]) -> Raw:
    """The content of a fleet's file, composed and checked on its own right."""
    fleet, content = _composed_alone("fleet", name, dirs)
    bare = missing_witnesses(fleet, content)
    if bare:
        place = place_of(dirs, "fleet", name, bare[0])
        raise SpecError(*place, "has no source", "Name one under 'sources', or 'assumed: why'")
    return content


def _composed_alone(group: str, name: str, dirs: tuple[Path, ...]) -> tuple[Any, Raw]:
    """The spec and the content of an option that stands alone, outside any case."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    question = Question({group: (name,)}, dirs=dirs)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(dirs[0]), version_base="1.3"), _Readable(question):
        composed = compose("config", overrides=[*_search_path(dirs), f"+{group}={name}"])
    content: Any = OmegaConf.to_container(composed[group], resolve=True)
    spec, faults = checked(group, content)
    if faults:
        blamed = [_blame(fault, question, group, name, {}) for fault in faults]
        raise file_fault(dirs, group, name) or SpecErrors(blamed)
    return spec, content


def _search_path(dirs: tuple[Path, ...]) -> list[str]:
    """Hydra's override that adds the folders after the first."""
    quoted = ",".join("'file://{}'".format(str(folder).replace("'", "\\'")) for folder in dirs[1:])
    return [f"hydra.searchpath=[{quoted}]"] if quoted else []


def _check_paths(question: Question) -> None:
    """Refuse an axis over no part of a case; `ask` refuses such overrides before."""
    known = (*GROUPS, *ROOT_KEYS)
    for axis in (*question.labels, *question.axes):
        for path in axis.values:
            group = path.partition(".")[0]
            if group not in known:
                remedy = where_it_belongs(path) or nearest(group, known)
                raise SpecError(f"axis '{path}'", path, f"unknown key '{group}'", remedy)


def _blame(fault: Explained, question: Question, group: str, name: str, labels: Raw) -> SpecError:
    """A fault at the override or text axis that causes it, else in the option's file."""
    key, text, remedy = fault
    for path, value in labels.items():
        if f"{path}.".startswith(f"{key}." if key else "") or key.startswith(f"{path}."):
            place = f"override '{group}.{path}={value}'"
            return SpecError(place, f"{group}.{key}".rstrip("."), text, remedy)
    override = _overridden(question, group, key) or _cause(fault, question, group, name)
    if override:
        return SpecError(f"override '{override}'", f"{group}.{key}".rstrip("."), text, remedy)
    return SpecError(*place_of(question.dirs, group, name, key), text, remedy)


def _target(override: str) -> str:
    """The dotted path that an override sets, or at which it mounts an option."""
    key = override.lstrip("+").partition("=")[0]
    return key.rpartition("@")[2]


def _overridden(question: Question, group: str, key: str) -> str:
    """The override that set a key, or nothing."""
    for text in question.fixed:
        if f"{group}.{key}.".startswith(f"{_target(text)}."):
            return text
    return ""


def _cause(fault: Explained, question: Question, group: str, name: str) -> str:
    """The override without which the fault would not be there, or nothing."""
    for text in question.fixed:
        if not _concerns(text, {group: name}):
            continue
        others = tuple(other for other in question.fixed if other != text)
        without = Question({group: (name,)}, others, dirs=question.dirs)
        try:
            faults = spec_faults(group, Options(without).raw[group][name])
        except SpecError:
            continue
        if fault not in faults:
            return text
    return ""


def _concerns(text: str, picked: Mapping[str, str]) -> bool:
    return _target(text).partition(".")[0] in picked


def _points(axis: Axis) -> list[Raw]:
    return [
        {path: values[index] for path, values in axis.values.items()} for index in range(axis.size)
    ]


def _below(settings: Raw, group: str) -> Raw:
    prefix = f"{group}."
    return {path[len(prefix) :]: v for path, v in settings.items() if path.startswith(prefix)}


def _plain_options(
    composed: Any, question: Question, picked: Mapping[str, str] | None
) -> dict[str, tuple[str, Raw]]:
    """Name and plain content of the composed groups: of `picked` ones, or of all and the root."""
    from omegaconf import OmegaConf

    choices = composed.hydra.runtime.choices
    options: dict[str, tuple[str, Raw]] = {}
    for group in (g for g in (GROUPS if picked is None else picked) if g not in COMBINING):
        name = str(choices[group])
        if group not in composed:
            file = place_of(question.dirs, group, name, "")[0]
            raise SpecError(file, "", f"puts nothing under '{group}'", "Remove its '# @package'")
        content: Any = OmegaConf.to_container(composed[group], resolve=True)
        if not isinstance(content, dict):
            raise file_fault(question.dirs, group, name) or SpecError(name, "", "holds no keys")
        options[group] = (name, content)
    if picked is None:
        options["."] = (".", {key: composed[key] for key in ROOT_KEYS})
    return options


_TWICE = "Multiple values for"
"""What Hydra says of an option that is mounted where one stands."""


class _Readable:
    """Turns what Hydra, OmegaConf and YAML raise into one line: the file or override, the fault."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.picked = {group: names[0] for group, names in question.options.items()}

    def __enter__(self) -> _Readable:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        if not isinstance(error, Exception) or isinstance(error, SpecError):
            return
        for group, name in self.picked.items():
            fault = file_fault(self.question.dirs, group, name)
            if fault is not None:
                raise fault from None
        if isinstance(error, YAMLError):
            mark = getattr(error, "problem_mark", None)
            raise not_yaml(error, shown(Path(mark.name)) if mark else "configuration") from None
        if isinstance(error, HydraException | OmegaConfBaseException):
            raise self._explained(str(error)) from None

    def _explained(self, message: str) -> SpecError:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        lines = lines or ["cannot be resolved, mind the braces of '${...}'"]
        merged = lines[0].removeprefix("Error merging override ")
        if merged in self.question.fixed:
            place = (f"override '{merged}'", _target(merged))
            return SpecError(*place, "a value stands where keys belong", "Set the keys one by one")
        full_key = re.search(r"full_key: (\S+)", message)
        key = full_key.group(1) if full_key else ""
        for text in self.question.fixed:
            target, written = _target(text), text.lstrip("+").partition("=")[0]
            twice = f"{_TWICE} {written}."
            if f"{key}.".startswith(f"{target}.") or any(
                f"'{written}'" in line or twice in line for line in lines
            ):
                return self._overriding(text, key or written, lines)
        group, _, inner = key.partition(".")
        if group in self.picked:
            place = place_of(self.question.dirs, group, self.picked[group], inner)
            return SpecError(*place, lines[0], "Write the value itself")
        fault = re.sub(r"^In '[^']*': ", "", lines[0]).rstrip(".")
        return SpecError(self._likely_file(), "", fault, " ".join(lines[1:2]))

    def _overriding(self, text: str, key: str, lines: list[str]) -> SpecError:
        """What is wrong with an override that Hydra refuses."""
        place, line = f"override '{text}'", lines[0].rstrip(".")
        if "already at" in line or _TWICE in line:
            return SpecError(place, key, "is set already", "Leave out the '+'")
        if "nterpolation" in line:
            return SpecError(place, key, line, "Write the value itself")
        if "@" in key:
            return SpecError(place, key, line, lines[1])
        name, step, known = _absent_step(self.question, key)
        if not step:
            return SpecError(place, key, line, "Set one key at a time")
        if step in known:
            return SpecError(place, key, f"is not set in '{name}'", f"Write '+{text}' to add it")
        remedy = other_place(key.partition(".")[0], key.partition(".")[2]) or nearest(step, known)
        return SpecError(place, key, f"unknown key '{step}'", remedy)

    def _likely_file(self) -> str:
        """The user's own option where one is picked: the project's are tested."""
        files = [option_file(self.question.dirs, *pick) for pick in self.picked.items()]
        own = [shown(file) for file in files if file and not file.is_relative_to(CONF)]
        return own[0] if own else "configuration"


def _absent_step(question: Question, target: str) -> tuple[str, str, set[str]]:
    """The option that lacks a step of a dotted target, the step, and what may be there."""
    group, _, key = target.partition(".")
    steps = key.split(".")
    plain = Options(replace(question, fixed=(), labels=(), axes=()))
    for name in plain.chosen[group]:
        content: Any = plain.raw[group][name]
        for position, step in enumerate(steps):
            if not isinstance(content, Mapping) or step not in content:
                return name, step, fields_at(group, steps[:position], plain.raw[group][name])
            content = content[step]
    return "", "", set()
