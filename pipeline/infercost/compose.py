"""From Hydra options to typed cases: each option is composed once, products are taken in memory.

A Hydra compose takes 50 to 100 ms, so that a study of thousands of cases composes each of its
options once and builds the cases from the typed parts.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infercost.errors import SpecError, SpecErrors, nearest
from infercost.faults import Raw, spec_faults
from infercost.paths import shown
from infercost.places import place_of
from infercost.question import ROOT_KEYS, Axis, Question
from infercost.specs.case import GROUPS, Case
from infercost.specs.study import Study
from infercost.witnesses import adapter, fields_at, missing_witnesses


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
        if plain is None:
            self.raw, self.chosen = self._compose()
        else:
            self.raw = plain["options"]
            self.chosen = {group: tuple(names) for group, names in plain["chosen"].items()}

    def to_plain(self, group: str = "", names: tuple[str, ...] = ()) -> Raw:
        """Everything resolved, as plain data; of `group` only the options `names`."""
        chosen = {g: list(names if g == group else kept) for g, kept in self.chosen.items()}
        options = {g: {name: self.raw[g][name] for name in kept} for g, kept in chosen.items()}
        return {"chosen": chosen, "options": options}

    def _compose(self) -> tuple[dict[str, dict[str, Raw]], dict[str, tuple[str, ...]]]:
        from hydra import compose, initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra

        question = self.question
        base, path = question.dirs[0], _search_path(question.dirs)
        raw: dict[str, dict[str, Raw]] = {}
        chosen: dict[str, tuple[str, ...]] = {}
        widest = max((len(names) for names in question.options.values()), default=1)
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(base), version_base="1.3"), _Readable(question):
            for turn in range(widest):
                picked = {
                    group: names[turn]
                    for group, names in question.options.items()
                    if turn < len(names)
                }
                overrides = [f"{group}={name}" for group, name in picked.items()]
                concerned = [
                    text for text in question.fixed if turn == 0 or _concerns(text, picked)
                ]
                composed = compose(
                    "config", overrides=[*path, *overrides, *concerned], return_hydra_config=True
                )
                options = _plain_options(composed, picked if turn else None)
                for group, (name, content) in options.items():
                    raw.setdefault(group, {})[name] = content
                    chosen[group] = (*chosen.get(group, ()), name)
        return raw, chosen

    def cases(self) -> Iterator[ComposedCase]:
        """Every combination of options and text-axis values, in the order of the question."""
        question = self.question
        root = {key: self.raw["."]["."][key] for key in ROOT_KEYS}
        groups = [self.chosen[group] for group in GROUPS]
        parts: dict[tuple[str, str, tuple[object, ...]], tuple[Any, Raw]] = {}
        for labels in itertools.product(*(_points(axis) for axis in question.labels)):
            settings = {path: value for point in labels for path, value in point.items()}
            for names in itertools.product(*groups):
                values: Raw = dict(root)
                typed: Raw = dict(root)
                for group, name in zip(GROUPS, names, strict=True):
                    mine = _below(settings, group)
                    key = (group, name, tuple(mine.items()))
                    if key not in parts:
                        content = _with_values(self.raw[group][name], mine, group, question)
                        parts[key] = (self._typed(group, name, content), content)
                    typed[group], values[group] = parts[key]
                options = dict(zip(GROUPS, names, strict=True))
                yield ComposedCase(self._case(typed), options, settings, values)

    def _case(self, typed: Raw) -> Case:
        batch = typed["batch"]
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise SpecError("override 'batch'", "batch", f"{batch!r} is not a whole number above 0")
        return Case.model_construct(**typed)

    def _typed(self, group: str, name: str, content: Raw) -> Any:
        faults = [
            _blame(fault, self.question, group, name) for fault in spec_faults(group, content)
        ]
        if faults:
            raise SpecErrors(faults)
        spec = adapter(group).validate_python(content)
        bare = missing_witnesses(spec, content)
        if bare:
            raise SpecErrors(
                SpecError(
                    *place_of(self.question.dirs, group, name, key),
                    "has no source",
                    "Name one under 'sources', or write 'assumed: why'",
                )
                for key in bare
                if not _overridden(self.question, group, key)
            )
        return spec

    def with_value(self, composed: ComposedCase, path: str, value: object) -> Any:
        """The typed value that `value` has at `path` of a case: parsed and checked in place."""
        group, _, key = path.partition(".")
        if group in ROOT_KEYS and not key:
            return self._case({**dict(composed.case), group: value}).batch
        content = _with_values(composed.raw[group], {key: value}, group, self.question)
        faults = spec_faults(group, content)
        if faults:
            raise SpecErrors(
                SpecError(f"override '{path}={value}'", at, fault, remedy)
                for at, fault, remedy in faults
            )
        spec = adapter(group).validate_python(content)
        for step in key.split("."):
            spec = spec[step] if isinstance(spec, dict) else getattr(spec, step)
        return spec


def compose_study(name: str, dirs: tuple[Path, ...]) -> Study:
    """A study's file, composed and checked on its own right."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    question = Question({}, dirs=dirs)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(dirs[0]), version_base="1.3"), _Readable(question):
        composed = compose("config", overrides=[*_search_path(dirs), f"+study={name}"])
    content: Any = OmegaConf.to_container(composed.study, resolve=True)
    faults = [_blame(fault, question, "study", name) for fault in spec_faults("study", content)]
    if faults:
        raise SpecErrors(faults)
    return Study.model_validate(content)


def _search_path(dirs: tuple[Path, ...]) -> list[str]:
    """Hydra's override that adds the folders after the first."""
    more = ",".join(f"file://{folder}" for folder in dirs[1:])
    return [f"hydra.searchpath=[{more}]"] if more else []


def _blame(fault: tuple[str, str, str], question: Question, group: str, name: str) -> SpecError:
    key, text, remedy = fault
    override = _overridden(question, group, key)
    if override:
        return SpecError(f"override '{override}'", f"{group}.{key}", text, remedy)
    return SpecError(*place_of(question.dirs, group, name, key), text, remedy)


def _overridden(question: Question, group: str, key: str) -> str:
    """The override that set a key, or nothing."""
    for text in question.fixed:
        target = text.lstrip("+").partition("=")[0]
        if target == f"{group}.{key}" or f"{group}.{key}".startswith(f"{target}."):
            return text
    return ""


def _concerns(text: str, picked: Mapping[str, str]) -> bool:
    target = text.lstrip("+").partition("=")[0]
    package = target.partition("@")[2] or target
    return package.partition(".")[0] in picked


def _points(axis: Axis) -> list[Raw]:
    return [
        {path: values[index] for path, values in axis.values.items()} for index in range(axis.size)
    ]


def _below(settings: Raw, group: str) -> Raw:
    prefix = f"{group}."
    return {path[len(prefix) :]: v for path, v in settings.items() if path.startswith(prefix)}


def _with_values(content: Raw, values: Raw, group: str, question: Question) -> Raw:
    """A copy of an option with values set at dotted paths that exist in it."""
    if not values:
        return content
    changed = copy.deepcopy(content)
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node: Any = changed
        for step in parents:
            node = _step(node, step, group, path, value)
        _step(node, leaf, group, path, value)
        node[leaf] = value
    return changed


def _step(node: Any, step: str, group: str, path: str, value: object) -> Any:
    if not isinstance(node, dict) or step not in node:
        known = node.keys() if isinstance(node, dict) else ()
        raise SpecError(
            f"override '{group}.{path}={value}'",
            f"{group}.{path}",
            f"unknown key '{step}'",
            nearest(step, [str(k) for k in known]),
        )
    return node[step]


def _plain_options(composed: Any, picked: Mapping[str, str] | None) -> dict[str, tuple[str, Raw]]:
    """Name and plain content of the composed groups: of `picked` ones, or of all and the root."""
    from omegaconf import OmegaConf

    choices = composed.hydra.runtime.choices
    groups = GROUPS if picked is None else tuple(picked)
    options = {
        group: (str(choices[group]), OmegaConf.to_container(composed[group], resolve=True))
        for group in groups
    }
    if picked is None:
        options["."] = (".", {key: composed[key] for key in ROOT_KEYS})
        known = {*GROUPS, *ROOT_KEYS, "hydra"}
        for key in composed:
            if key not in known:
                raise SpecError(
                    f"override '{key}'", str(key), "is not part of a case", nearest(str(key), known)
                )
    return options  # type: ignore[return-value]


class _Readable:
    """Turns Hydra's and OmegaConf's errors into one line that names the override or the file."""

    def __init__(self, question: Question) -> None:
        self.question = question

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        if isinstance(error, YAMLError):
            mark = getattr(error, "problem_mark", None)
            place = f"{shown(Path(mark.name))}:{mark.line + 1}" if mark else "configuration"
            raise SpecError(place, "", f"is not YAML: {getattr(error, 'problem', error)}") from None
        if isinstance(error, HydraException | OmegaConfBaseException):
            raise self._explained(str(error)) from None

    def _explained(self, message: str) -> SpecError:
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        for text in self.question.fixed:
            target = text.lstrip("+").partition("=")[0]
            if any(f"'{target}'" in line for line in lines):
                step, known = _unknown_step(self.question, target)
                return SpecError(
                    f"override '{text}'", target, f"unknown key '{step}'", nearest(step, known)
                )
        return SpecError("configuration", "", " ".join(lines[:2]))


def _unknown_step(question: Question, target: str) -> tuple[str, set[str]]:
    """The first step of a dotted target that is not there, and what is."""
    group, _, key = target.partition(".")
    if group not in GROUPS:
        return group, {*GROUPS, *ROOT_KEYS}
    plain = Options(replace(question, fixed=()))
    content: Any = plain.raw[group][plain.chosen[group][0]]
    steps = key.split(".")
    for position, step in enumerate(steps):
        if not isinstance(content, Mapping) or step not in content:
            known = fields_at(group, steps[:position], plain.raw[group][plain.chosen[group][0]])
            return step, known
        content = content[step]
    return steps[-1], set()
