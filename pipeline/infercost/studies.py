"""Studies: from a YAML file to the parts that have to be computed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from infercost import break_even
from infercost.compose import Options, compose_study
from infercost.cuts import cut
from infercost.effects import refuse_chosen
from infercost.errors import SpecError, nearest
from infercost.options.places import place_of
from infercost.options.question import (
    Axis,
    Question,
    ask,
    checked_options,
    is_label,
    key_of,
    option_named,
    refuse_repeats,
    winning,
)
from infercost.parts import inner_axes
from infercost.paths import config_dirs
from infercost.provenance import canonical, code_digest, digest
from infercost.registry import metrics
from infercost.specs.break_even import BreakEven
from infercost.specs.case import GROUPS
from infercost.specs.draws import Draws
from infercost.specs.study import OTHER_POINTS, Fleets, Measurements, Replays, Study, by_path
from infercost.uncertainty.draws import described, draws_of, full_path
from infercost.uncertainty.samples import check
from infercost.versions.landing import land_text

Plain = dict[str, Any]


@dataclass(frozen=True)
class StudyPlan:
    """A study with everything resolved: its parts by label, and their digests."""

    study: Study
    options: Options | None
    """What is searched; nothing where the points are measurements."""
    parts: dict[str, Plain]
    overrides: tuple[str, ...]

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of each part: of its description and of the code that computes it."""
        code = code_digest(code_of(self.study))
        return {label: digest(canonical(p), code) for label, p in self.parts.items()}

    @cached_property
    def digest(self) -> str:
        """Digest of the whole question: all parts, and how the study tells its answer."""
        return digest(canonical(self.study.model_dump()), *self.digests.values())

    def points_of(self, label: str) -> int:
        """Points that one part looks at, about: joint axes are counted for its first case."""
        part = self.parts[label]
        if self.options is None:
            return int(part["rows"])
        count = 1
        for entry in (*part["labels"], *part["axes"]):
            count *= len(next(iter(entry["values"].values())))
        for names in part["chosen"].values():
            count *= len(names)
        count *= draws_of(part["draws"]) if "draws" in part else 1
        if part.get("sample"):
            count *= part["stretch"][1] - part["stretch"][0]
        if self.study.optimise is not None:
            first = next(Options(self.options.question, part).cases())
            for axis in inner_axes(self.options, first, self.study.optimise):
                count *= axis.size
        return count


def code_of(study: Study) -> str:
    """The module that computes a study's parts."""
    if study.break_even is not None:
        return "infercost.break_even"
    if study.fleet is not None:
        return "infercost.fleet.part"
    if study.replays is not None:
        return "infercost.serving.study"
    return "infercost.parts" if study.measurements is None else "infercost.measured"


def load_study(name: str, dirs: tuple[str, ...] = ()) -> Study:
    """A study by name, checked. Raises `SpecError`."""
    folders = config_dirs(dirs)
    checked_options("study", (name,), folders, f"study '{name}'")
    study = compose_study(name, folders)
    if study.name != name:
        place = place_of(folders, "study", name, "name")
        raise SpecError(*place, f"is '{study.name}' in a file named '{name}'", "Name both alike")
    _check_names(study, folders)
    return study


def _check_names(study: Study, folders: tuple[Path, ...]) -> None:
    """What the schema cannot know: metrics, the axis of the parts, paths that are not axes."""
    if any(getattr(study, kind) is not None for kind in OTHER_POINTS):
        return
    for faults in (_axis_faults, _searched_faults, _metric_faults, _keep_faults):
        for key, fault, remedy in faults(study):
            raise SpecError(*place_of(folders, "study", study.name, key), fault, remedy)


def _axis_faults(study: Study) -> Iterator[tuple[str, str, str]]:
    if study.break_even is not None:
        if study.break_even.of not in GROUPS:
            of = study.break_even.of
            yield "break_even.of", f"'{of}' is no group", nearest(of, GROUPS)
    elif study.split not in study.axes:
        yield "split", f"'{study.split}' is not an axis", nearest(study.split, study.axes)
    for path, values in study.axes.items():
        if study.sample is not None and path in study.sample.over:
            yield f"sample.over.{path}", "is an axis too", "Take one of them out"
        written, times = Counter(map(str, values)).most_common(1)[0]
        if times > 1:
            yield "axes", f"{path} names {written} twice", "Name each value once"
    for text in study.overrides:
        if key_of(text) in study.axes:
            fault = f"'{text}' sets what axes.{key_of(text)} varies"
            yield "overrides", fault, "Take one of them out"


def _metric_faults(study: Study) -> Iterator[tuple[str, str, str]]:
    drawn, searched = study.draws, study.optimise
    columns = () if drawn is None else (*drawn.columns, *drawn.sensitivity)
    wanted = [("draws.columns", column) for column in columns]
    wanted += [("optimise.minimise", c) for c in (() if searched is None else searched.objectives)]
    for key, column in wanted:
        if column not in metrics():
            yield key, f"no metric '{column}'", nearest(column, metrics())


def _keep_faults(study: Study) -> Iterator[tuple[str, str, str]]:
    if study.break_even is not None:
        return
    if study.optimise is None and study.keep != "all":
        yield "keep", f"'{study.keep}' needs something to optimise over", "Take 'all'"
    if study.optimise is not None and study.keep == "all":
        yield "keep", "'all' goes without 'optimise'", "Take 'best' or 'pareto'"


def _searched_faults(study: Study) -> Iterator[tuple[str, str, str]]:
    """What is searched over and asked for: the search would replace what was asked."""
    asked = {*study.axes, *(() if study.sample is None else study.sample.over)}
    for path in () if study.optimise is None else by_path(study.optimise.over):
        if path in asked:
            fault = "is an axis of the study too"
            yield f"optimise.over.{path}", fault, "Take one of them out"


def plan_study(name: str, overrides: tuple[str, ...] = (), dirs: tuple[str, ...] = ()) -> StudyPlan:
    """Resolve a study and cut it into parts. `overrides` add to the study's own and win."""
    study = load_study(name, dirs)
    if study.measurements is not None:
        return _measured(study, study.measurements, overrides, dirs)
    if study.fleet is not None:
        return _fleets(study, study.fleet, overrides, dirs)
    if study.replays is not None:
        return _replayed(study, study.replays, overrides, dirs)
    refuse_repeats(study.overrides)
    fixed = ask(winning(study.overrides, overrides), dirs)
    if fixed.draws is not None and study.draws is None:
        raise SpecError(f"study '{name}'", "draw", "is asked by an override", "Add 'draws:' to it")
    if fixed.axes or fixed.labels:
        swept = (*fixed.axes, *fixed.labels)[0].name
        raise SpecError(
            f"study '{name}'", swept, "is swept by an override", "Add an axis to the study"
        )
    for text in fixed.fixed:
        if key_of(text) in study.axes:
            fault = f"is an axis of study '{name}'"
            raise SpecError(f"override '{text}'", "", fault, "Change the study's file")
    question = _with_ties(study, _with_axes(study, fixed))
    if study.optimise is not None:
        refuse_chosen(question, study.optimise.over, f"study '{name}'")
    options = Options(question)
    for composed in options.cases():  # every combination is typed and checked before any job starts
        assert composed.case is not None
        if study.sample is not None:
            check(options, composed, study.sample)
    draws = None
    if study.draws is not None:
        wanted = study.draws if fixed.draws is None else _redrawn(study.draws, fixed.draws)
        paths = [path for axis in (*question.axes, *question.labels) for path in axis.values]
        draws = described(options, wanted, paths)
    if study.break_even is not None:
        return StudyPlan(study, options, _ties(study, study.break_even, options, draws), overrides)
    whole = {
        _label(value): _part(study, options, value, draws)
        for value in _split_values(study, options)
    }
    parts = {n: piece for label, part in whole.items() for n, piece in cut(label, part, study.part)}
    return StudyPlan(study, options, parts, overrides)


def _measured(
    study: Study, measurements: Measurements, overrides: tuple[str, ...], dirs: tuple[str, ...]
) -> StudyPlan:
    """A study whose points are a table of measurements: one part."""
    from infercost.measured import LABEL, described

    if overrides:
        raise SpecError(
            f"study '{study.name}'",
            overrides[0],
            "overrides nothing: the points are measurements",
            "Each is predicted as its row states it",
        )
    return StudyPlan(study, None, {LABEL: described(measurements, dirs)}, overrides)


def _fleets(
    study: Study, fleets: Fleets, overrides: tuple[str, ...], dirs: tuple[str, ...]
) -> StudyPlan:
    """A study of fleets: a part per scenario."""
    from infercost.fleet.part import described
    from infercost.fleet.scenario import expanded

    if study.overrides or overrides:
        given = [*study.overrides, *overrides]
        remedy = "Write them into the fleet's own 'overrides'"
        raise SpecError(f"study '{study.name}'", given[0], "overrides nothing", remedy)
    names = expanded(fleets.scenarios, dirs)
    parts = {_label(name): described(name, dirs) for name in names}
    return StudyPlan(study, None, parts, overrides)


def _replayed(
    study: Study, replays: Replays, overrides: tuple[str, ...], dirs: tuple[str, ...]
) -> StudyPlan:
    """A study whose points are replays of services: one part per case."""
    from infercost.serving.study import described

    added = replays.model_copy(update={"overrides": winning(replays.overrides, overrides)})
    parts = {_label(name): part for name, part in described(added, dirs).items()}
    return StudyPlan(study, None, parts, overrides)


def _with_axes(study: Study, question: Question) -> Question:
    options = dict(question.options)
    labels: list[Axis] = []
    axes: list[Axis] = []
    for path, values in study.axes.items():
        if path in GROUPS:
            if path in options and len(options[path]) > 1:
                raise SpecError(f"study '{study.name}'", f"axes.{path}", "is an override too")
            if path not in options:
                names = tuple(option_named(v, path) for v in values)
                place = place_of(question.dirs, "study", study.name, f"axes.{path}")[0]
                options[path] = checked_options(path, names, question.dirs, place)
            continue
        axis = Axis(path, {path: tuple(values)})
        (labels if any(is_label(v) for v in values) else axes).append(axis)
    return replace(question, options=options, labels=tuple(labels), axes=tuple(axes))


def _split_values(study: Study, options: Options) -> list[Any]:
    if study.split in GROUPS:
        return list(options.chosen[study.split])
    return list(study.axes[study.split])


def _label(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", str(value))


def _with_ties(study: Study, question: Question) -> Question:
    """The question with the designs of a break-even as options of their group."""
    if study.break_even is None:
        return question
    of, place = study.break_even.of, f"study '{study.name}'"
    designs = [option_named(d, of) for tie in study.break_even.ties.values() for d in tie.between]
    names = checked_options(of, tuple(dict.fromkeys(designs)), question.dirs, place)
    return replace(question, options={**question.options, of: names})


def _ties(study: Study, ties: BreakEven, options: Options, draws: Plain | None) -> dict[str, Plain]:
    """The plain description of the part of each tie."""
    question = options.question
    found = {}
    for name, tie in ties.ties.items():
        named = tie.model_copy(update={"input": full_path(options, tie.input)})
        told = break_even.described(options, ties.of, name, named)
        found[_label(name)] = {
            **options.to_plain(ties.of, tuple(told["between"])),
            "labels": [_entry(axis, "", None) for axis in question.labels],
            "axes": [_entry(axis, "", None) for axis in question.axes],
            **({} if draws is None else {"draws": draws}),
            "optimise": None if study.optimise is None else study.optimise.model_dump(),
            "keep": study.keep,
            "break_even": told,
        }
    return found


def _redrawn(draws: Draws, asked: Draws) -> Draws:
    """A study's draws with the number and seed that overrides ask for."""
    return draws.model_copy(update={"count": asked.count, "seed": asked.seed})


def _part(study: Study, options: Options, value: Any, draws: Plain | None) -> Plain:
    """The plain description of the part at one value of the split axis."""
    question = options.question
    mine = study.split in GROUPS
    plain = options.to_plain(study.split, (value,)) if mine else options.to_plain()
    return {
        **plain,
        "labels": [_entry(axis, study.split, value) for axis in question.labels],
        "axes": [_entry(axis, study.split, value) for axis in question.axes],
        **({} if draws is None else {"draws": draws}),
        "optimise": None if study.optimise is None else study.optimise.model_dump(),
        "keep": study.keep,
        **_sampled(study),
    }


def _sampled(study: Study) -> Plain:
    """The sample of a part; nothing where the study has none."""
    if study.sample is None:
        return {}
    return {"sample": study.sample.model_dump(), "stretch": [0, study.sample.count]}


def _entry(axis: Axis, split: str, value: Any) -> Plain:
    values = {
        path: [value] if path == split else list(given) for path, given in axis.values.items()
    }
    return {"name": axis.name, "values": values}


def write_specs(plan: StudyPlan, folder: Path) -> dict[str, Path]:
    """The description of each part as a file named by its digest; what is there stays untouched."""
    files = {}
    for label, plain in plan.parts.items():
        file = folder / f"{plan.digests[label]}.json"
        if not file.is_file():
            land_text(file, canonical(plain))
        files[label] = file
    return files
