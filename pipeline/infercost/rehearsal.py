"""A study tried out on one point before any job starts: what would fail after hours fails at once.

Values of all axes are read, directions, trends and mitigations applied to each case, figures and
their options looked up, and the SQL of aggregates and answers asked of the rows of one point.
Break-evens, replays, measurements and fleets have rows of other kinds, of which only figures are
looked up.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from string import Formatter
from typing import TYPE_CHECKING, Any

from infercost.compose import ComposedCase, Options
from infercost.effects import idle
from infercost.errors import NoEffect, SpecError, SpecErrors, nearest
from infercost.evaluation import distinct_axis, typed_axis
from infercost.grid import Grid
from infercost.options.places import place_of
from infercost.options.question import Axis, key_of
from infercost.parts import Part
from infercost.specs.study import Optimise, Study, by_path
from infercost.studies import Plain, StudyPlan

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def rehearse(plan: StudyPlan) -> None:
    """Raise `SpecError` for what a study's jobs would fail at, and warn of what does nothing."""
    options, study = plan.options, plan.study
    found = list(_figure_faults(study))
    if options is not None:
        _check_values(options, study)
        if study.break_even is None:
            found += _query_faults(study, _one_point(next(iter(plan.parts.values()))))
        for line in _idle(options, study.optimise):
            warnings.warn(f"study '{study.name}': {line}", NoEffect, stacklevel=2)
    if found:
        raise SpecErrors(SpecError(*_place(plan, key), fault, to) for key, fault, to in found)


Fault = tuple[str, str, str]
"""Key below the study, what is wrong, what to do."""


def _place(plan: StudyPlan, key: str) -> tuple[str, str]:
    """The file and line of a key of the study, where its folders are known."""
    if plan.options is None:
        return f"study '{plan.study.name}'", key
    return place_of(plan.options.question.dirs, "study", plan.study.name, key)


def _check_values(options: Options, study: Study) -> None:
    """Read every value of every axis, once for each option that it concerns, and apply cases."""
    seen: set[tuple[str, ...]] = set()
    suits: set[tuple[str, ...]] = set()
    inner = () if study.optimise is None else tuple(_inner(study.optimise))
    for composed in options.cases():
        for axis in (*options.question.axes, *inner):
            groups = sorted({path.partition(".")[0] for path in axis.values})
            key = (axis.name, *(composed.options.get(group, "") for group in groups))
            if key in seen:
                continue
            seen.add(key)
            try:
                (typed_axis if axis in inner else distinct_axis)(options, composed, axis)
            except SpecError as error:
                where = place_of(options.question.dirs, "study", study.name, _stated(study, axis))
                raise SpecError(*where, f"{error.place}: {error.fault}", error.remedy) from None
        _check_suits(options, composed, suits)


def _check_suits(options: Options, composed: ComposedCase, seen: set[tuple[str, ...]]) -> None:
    """Put directions, trend and mitigations to work at a case's first point: some suit no model.

    Once for each set of options that they look at.
    """
    key = tuple(composed.options[group] for group in _LOOKED_AT)
    if key not in seen:
        seen.add(key)
        axes = (typed_axis(options, composed, axis) for axis in options.question.axes)
        Grid(tuple(axis.part(0, 1) for axis in axes)).bind(composed.case)


_LOOKED_AT = ("hardware", "model", "workload", "trend", "plan", "direction", "mitigation")


def _stated(study: Study, axis: Axis) -> str:
    """The key of the study at which an axis stands."""
    return "axes" if axis.name in study.axes else "optimise.over"


def _inner(optimise: Optimise) -> Iterator[Axis]:
    for path, given in by_path(optimise.over).items():
        yield Axis(path, {path: tuple(given)})


def _idle(options: Options, optimise: Optimise | None) -> list[str]:
    """Overrides and axes of a study that change nothing at any of its points looked at."""
    inner = () if optimise is None else tuple(_inner(optimise))
    question = replace(options.question, axes=(*options.question.axes, *inner))
    searched = {axis.name for axis in inner}
    if optimise is not None and optimise.within_slo:
        searched |= {key for key in map(key_of, question.fixed) if key.startswith("workload.slo")}
    return [
        line
        for line in idle(question, only_sure=True)
        if not any(f"'{name}" in line for name in searched)
    ]


def _figure_faults(study: Study) -> Iterator[Fault]:
    if not study.figures:
        return
    from infercost.plots.base import choice_faults

    for number, choice in enumerate(study.figures):
        for below, fault, remedy in choice_faults(choice.name, choice.options):
            yield f"figures.{number}.{below}", fault, remedy


def _one_point(part: Plain) -> pa.Table:
    """The rows of one point of a part, with all columns that its others have."""
    optimise = part["optimise"]
    thin = {
        **part,
        "chosen": {group: names[:1] for group, names in part["chosen"].items()},
        "labels": [_first(entry) for entry in part["labels"]],
        "axes": [_first(entry) for entry in part["axes"]],
        "optimise": None if optimise is None else {**optimise, "over": _firsts(optimise["over"])},
    }
    if "stretch" in part:
        thin["stretch"] = [0, 1]
    return next(Part.of(thin).tables())[0]


def _first(entry: Plain) -> Plain:
    return {**entry, "values": _firsts(entry["values"])}


def _firsts(values: Any) -> Any:
    return values[:1] if isinstance(values, list) else {k: _firsts(v) for k, v in values.items()}


def _query_faults(study: Study, rows: pa.Table) -> Iterator[Fault]:
    """What is wrong with aggregates and answers, by asking them of a few rows."""
    import duckdb

    connection = duckdb.connect()
    connection.register("rows", rows)
    for name, text in study.aggregates.items():
        try:
            connection.execute(f'CREATE VIEW "{name}" AS {text}')
        except duckdb.Error as error:
            yield _not_sql(f"aggregates.{name}", error)
            return
    for number, answer in enumerate(study.answers):
        try:
            found = connection.execute(answer.values)
            columns = {str(name): str(kind) for name, kind, *_ in found.description or ()}
        except duckdb.Error as error:
            yield _not_sql(f"answers.{number}.values", error)
            continue
        yield from _text_faults(f"answers.{number}.text", answer.text, columns)


def _not_sql(key: str, error: duckdb.Error) -> Fault:
    return key, str(error).splitlines()[0].rstrip("!."), "It is SQL over the table rows"


def _text_faults(key: str, text: str, columns: dict[str, str]) -> Iterator[Fault]:
    """Values that a template asks for in vain, or in a form that they do not have."""
    try:
        asked = [(name, form) for _, name, form, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        yield key, f"cannot be filled: {error}", "Mind the braces"
        return
    for name, form in asked:
        if name not in columns:
            yield key, f"there is no value '{name}'", nearest(name, columns)
            continue
        example = "x" if columns[name] in ("STRING", "VARCHAR") else 1.0
        try:
            format(example, (form or "").removesuffix("~"))
        except ValueError as error:
            fault = f"'{{{name}:{form}}}' does not fit {columns[name].lower()}s: {error}"
            yield key, fault, "Write for example {price:.2f}"
