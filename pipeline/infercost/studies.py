"""Studies: from a YAML file to the parts that have to be computed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from infercost.compose import Options, compose_study
from infercost.errors import SpecError, nearest
from infercost.parts import inner_axes
from infercost.paths import config_dirs
from infercost.provenance import canonical, code_digest, digest
from infercost.question import (
    Axis,
    Question,
    ask,
    checked_options,
    is_label,
    option_named,
)
from infercost.registry import metrics
from infercost.specs.case import GROUPS
from infercost.specs.study import Measurements, Replays, Study

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
        if self.study.optimise is not None:
            first = next(Options(self.options.question, part).cases())
            for axis in inner_axes(self.options, first, self.study.optimise):
                count *= axis.size
        return count


def code_of(study: Study) -> str:
    """The module that computes a study's parts."""
    if study.replays is not None:
        return "infercost.serving.study"
    return "infercost.parts" if study.measurements is None else "infercost.measured"


def load_study(name: str, dirs: tuple[str, ...] = ()) -> Study:
    """A study by name, checked. Raises `SpecError`."""
    folders = config_dirs(dirs)
    checked_options("study", (name,), folders, f"study '{name}'")
    study = compose_study(name, folders)
    _check_names(study)
    return study


def _check_names(study: Study) -> None:
    """What the schema cannot know: metrics, the axis of the parts, paths that are not axes."""
    place = f"study '{study.name}'"
    if study.measurements is not None or study.replays is not None:
        return
    if study.split not in study.axes:
        raise SpecError(
            place, "split", f"'{study.split}' is not an axis", nearest(study.split, study.axes)
        )
    if study.optimise is not None and study.optimise.minimise not in metrics():
        wanted = study.optimise.minimise
        raise SpecError(
            place, "optimise.minimise", f"no metric '{wanted}'", nearest(wanted, metrics())
        )
    if study.optimise is None and study.keep != "all":
        raise SpecError(
            place, "keep", f"'{study.keep}' needs something to optimise over", "Take 'all'"
        )
    if study.optimise is not None and study.keep == "all":
        raise SpecError(place, "keep", "'all' goes without 'optimise'", "Take 'best' or 'pareto'")


def plan_study(name: str, overrides: tuple[str, ...] = (), dirs: tuple[str, ...] = ()) -> StudyPlan:
    """Resolve a study and cut it into parts. `overrides` add to the study's own and win."""
    study = load_study(name, dirs)
    if study.measurements is not None:
        return _measured(study, study.measurements, overrides, dirs)
    if study.replays is not None:
        return _replayed(study, study.replays, overrides, dirs)
    fixed = ask([*study.overrides, *overrides], dirs)
    if fixed.axes or fixed.labels:
        swept = (*fixed.axes, *fixed.labels)[0].name
        raise SpecError(
            f"study '{name}'", swept, "is swept by an override", "Add an axis to the study"
        )
    question = _with_axes(study, fixed)
    options = Options(question)
    for composed in options.cases():  # every combination is typed and checked before any job starts
        assert composed.case is not None
    parts = {_label(value): _part(study, options, value) for value in _split_values(study, options)}
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


def _replayed(
    study: Study, replays: Replays, overrides: tuple[str, ...], dirs: tuple[str, ...]
) -> StudyPlan:
    """A study whose points are replays of services: one part per case."""
    from infercost.serving.study import described

    added = replays.model_copy(update={"overrides": [*replays.overrides, *overrides]})
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
                place = f"study '{study.name}'"
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


def _part(study: Study, options: Options, value: Any) -> Plain:
    """The plain description of the part at one value of the split axis."""
    question = options.question
    mine = study.split in GROUPS
    plain = options.to_plain(study.split, (value,)) if mine else options.to_plain()
    return {
        **plain,
        "labels": [_entry(axis, study.split, value) for axis in question.labels],
        "axes": [_entry(axis, study.split, value) for axis in question.axes],
        "optimise": None if study.optimise is None else study.optimise.model_dump(),
        "keep": study.keep,
    }


def _entry(axis: Axis, split: str, value: Any) -> Plain:
    values = {
        path: [value] if path == split else list(given) for path, given in axis.values.items()
    }
    return {"name": axis.name, "values": values}


def write_specs(plan: StudyPlan, folder: Path) -> dict[str, Path]:
    """The description of each part as a file named by its digest; what is there stays untouched."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for label, plain in plan.parts.items():
        file = folder / f"{plan.digests[label]}.json"
        if not file.is_file():
            scratch = file.with_name(f".{file.name}.{os.getpid()}")
            scratch.write_text(canonical(plain))
            scratch.replace(file)
        files[label] = file
    return files
