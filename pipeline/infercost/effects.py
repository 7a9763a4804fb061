"""Overrides, axes, trends and mitigations that change nothing: told, so that a number that stays
is no riddle.

Nothing is listed by rule. A case is evaluated once more with what the option itself says in place
of the override, or without the trend or the mitigation, and all columns are compared: what is left
out of a formula, switched off by another key or hidden behind a limit that does not bind is found
alike.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost import evaluation
from infercost.arrays import FloatArray
from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.errors import NoEffect, SpecError, SpecErrors
from infercost.evaluation import typed_axis
from infercost.grid import Grid, GridAxis
from infercost.options.faults import Raw, checked
from infercost.options.places import COMBINING
from infercost.options.question import NO_DIRECTION, Axis, Question, ask, key_of, replaced
from infercost.options.witnesses import value_at
from infercost.specs.case import GROUPS, Case
from infercost.specs.trend import Trend
from infercost.table import Columns, columns
from infercost.trends import why_idle

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_CASES = 64
"""Cases that are looked at; of more nothing is said."""
MOST_POINTS = 512
"""Points of a case that are looked at: its axes are thinned to their ends beyond."""
_ENDS_AND_MIDDLE = 3

_WORDS = ("name", "sources", "family")
"""Last steps of paths that no number stands at, or that only other commands read."""

REASONS = {
    "trend.dose": "trend 'none', as one that cannot act here, adds nothing that a dose could scale",
    "workload.slo": "objectives of service count in searches, such as compare --best and studies",
    "hardware.price": "who rents pays no purchase price: take economics=owner",
    "hardware.rental_price": "who owns pays no rent: take economics=rental",
}
"""Why a path may change nothing, by its start: what a reader might ask first."""


@dataclass(frozen=True)
class _Looked:
    """One case, over what is left of its axes: every column, and the number of good points."""

    grid: Grid
    bound: Case
    """The case at its doses, what it was before mitigations changed it."""
    content: dict[str, FloatArray]
    feasible: bool


def evaluate(overrides: list[str], dirs: tuple[str, ...] = ()) -> pd.DataFrame:
    """Evaluate every point that `overrides` span: one row each, infeasible ones included.

    Overrides follow Hydra's grammar; lists, `range(...)`, `choice(...)` and, for options,
    `glob(...)` make axes:

        evaluate(["hardware=h100-sxm,b200-sxm", "model=llama-3.1-70b", "batch=1,8,64"])

    Any numeric field is an axis by its dotted path, with its unit
    (`hardware.memory.hbm.bandwidth=2 TB/s,4 TB/s`). `dirs` are folders of the user's own options.
    `draw=256` draws the numbers that options state as uncertain, the same quantiles for every
    design: a row per draw; `infercost.intervals` sums them up.
    Columns are those of `infercost metrics`, after the keys. Raises `SpecError` with one line per
    fault, and warns (`infercost.NoEffect`) of overrides, axes, trends and mitigations that change
    nothing.
    """
    table, notes = tabled(Options(ask(overrides, dirs)))
    frame: pd.DataFrame = table.to_pandas()
    for line in (*replaced(overrides), *notes):
        warnings.warn(line, NoEffect, stacklevel=2)
    return frame


def tabled(options: Options) -> tuple[pa.Table, list[str]]:
    """Every point that options span as an Arrow table, and what `idle` says of their question."""
    parts: Iterable[Columns] = evaluation.parts(options)
    known = list(parts) if options.question.size <= MOST_POINTS else []
    return evaluation.table_of(known or parts), idle(options.question, options, known)


def idle(
    question: Question,
    options: Options | None = None,
    known: Sequence[Columns] = (),
    only_sure: bool = False,
) -> list[str]:
    """One line for each override, axis, trend and mitigation that changes no column of any point
    looked at.

    `known` are the columns of each case at all its points, where they have been evaluated before.
    Where a case has too many points for all of them to be looked at, the line says so; with
    `only_sure` there is none then. Silent where there are too many cases to look at, and where
    nothing is feasible: then rows say what ran out.
    """
    if question.draws is not None:
        question, known = replace(question, draws=None), ()  # at nominal values
    options = options or Options(question)
    asked = options.question
    single = [axis.name for axis in (*asked.axes, *asked.labels) if _alone(axis)]
    fixed = [text for text in question.fixed if _is_number_of_a_case(key_of(text))]
    swept = [axis.name for axis in (*asked.axes, *asked.labels) if axis.size > 1]
    cases = list(islice(options.cases(), MOST_CASES + 1))
    if len(cases) > MOST_CASES:
        return []
    chosen: dict[str, _Choice] = {}
    moved = _Moved({name: set() for name in (*fixed, *single, *swept)})
    base = _without(question) if fixed or single else None
    seen: dict[tuple[object, ...], _Looked] = {}
    feasible, looked_at = False, []
    for composed, part in zip_longest(cases, known):
        if not moved.idle() and moved.columns.keys() >= _names(composed):
            continue
        axes = _thinned([typed_axis(options, composed, axis) for axis in asked.axes])
        looked_at.append(axes)
        looked = (
            _look(composed, axes) if part is None else _looked(part, part.grid.bind(composed.case))
        )
        feasible = feasible or looked.feasible
        _along_axes(looked, moved)
        _along_labels(composed, looked, seen, moved)
        for name in (*fixed, *single):
            if moved.is_open(name):
                moved.add(name, _changed_by(name, composed, axes, looked, base))
        for name, choice in _choices(composed, looked.bound).items():
            chosen.setdefault(name, choice)
            moved.columns.setdefault(name, set())
            if moved.is_open(name):
                moved.add(name, _changed_without(choice, composed, axes, looked))
    if not feasible:
        return []
    where = "here"
    if any(Grid(axes).size < _size(asked) for axes in looked_at):
        if only_sure:
            return []
        where = f"at the {sum(Grid(axes).size for axes in looked_at)} points looked at"
    return [
        _line(name, moved.columns[name], where, chosen[name].why)
        if name in chosen
        else _override_line(name, fixed, moved.columns[name], where)
        for name in moved.idle()
    ]


def idle_choices(overrides: list[str], dirs: tuple[str, ...]) -> list[str]:
    """One line for each trend and mitigation alone, of a case that is asked for in another way."""
    lines = idle(ask(overrides, dirs))
    return [line for line in lines if line.startswith(("trend '", "mitigation '"))]


def _size(asked: Question) -> int:
    """Points of a case."""
    return math.prod(axis.size for axis in asked.axes)


_MOVING = 2
"""Columns that move from which on an input is no idle one: one may be its mere echo."""


@dataclass(frozen=True)
class _Moved:
    """Columns that each override and axis moves."""

    columns: dict[str, set[str]]

    def is_open(self, name: str) -> bool:
        """Whether it is not known yet that an input matters."""
        return name in self.columns and len(self.columns[name]) < _MOVING

    def add(self, name: str, columns: set[str]) -> None:
        """Note columns that moved."""
        if name in self.columns:
            self.columns[name] |= columns

    def idle(self) -> list[str]:
        """Inputs that move nothing, or one column alone."""
        return [name for name in self.columns if self.is_open(name)]


def chosen_anyway(question: Question, over: Mapping[str, Any], who: str) -> list[SpecError]:
    """Faults of what a question sets although `who` searches over it."""
    from infercost.specs.study import by_path

    chosen = by_path(over)
    swept = [path for axis in (*question.axes, *question.labels) for path in axis.values]
    found = []
    for name in (*question.fixed, *swept):
        key = key_of(name).rpartition("@")[2]
        if key in chosen:
            what = f"override '{name}'" if name in question.fixed else f"axis '{name}'"
            fault = f"sets nothing: {who} chooses {key} itself"
            found.append(SpecError(what, "", fault, "Leave it out"))
    return found


def refuse_chosen(question: Question, over: Mapping[str, Any], who: str) -> None:
    """Raise `SpecErrors` where a question sets what a search over `over` chooses."""
    found = chosen_anyway(question, over, who)
    if found:
        raise SpecErrors(found)


def _alone(axis: Axis) -> bool:
    """Whether an axis is one value, as overrides of directions and mitigations are."""
    return axis.size == 1 and axis.name.partition(".")[0] in COMBINING


def _is_number_of_a_case(key: str) -> bool:
    group, _, inner = key.rpartition("@")[2].partition(".")
    return group in GROUPS and bool(inner) and inner.rpartition(".")[2] not in _WORDS


def _override_line(name: str, overrides: list[str], moved: set[str], where: str) -> str:
    key = key_of(name)
    reason = next((why for path, why in REASONS.items() if f"{key}.".startswith(f"{path}.")), "")
    return _line(f"override '{name}'" if name in overrides else f"'{name}'", moved, where, reason)


def _line(what: str, moved: set[str], where: str, reason: str) -> str:
    but = f" but {next(iter(moved))}" if moved else ""
    return f"{what} changes no number {where}{but}" + (f": {reason}" if reason else "")


@dataclass(frozen=True)
class _Choice:
    """A trend or a mitigation of a case, at a dose that should change it."""

    group: str
    others: Any
    """What the group holds without it."""
    why: str
    """Why it may do nothing, and what to do; empty where it is not known."""


def _names(composed: ComposedCase) -> set[str]:
    """What a case has of trends and mitigations, in words."""
    named = {f"mitigation '{name}'" for name in composed.case.mitigation}
    named.add(f"trend '{composed.options['trend']}'")
    return named - {f"{group} '{NO_DIRECTION}'" for group in ("trend", "mitigation")}


def _choices(composed: ComposedCase, bound: Case) -> dict[str, _Choice]:
    """Trend and mitigations of a case at the doses that are `bound`, without neutral ones."""
    case, trend = composed.case, composed.options["trend"]
    found: dict[str, _Choice] = {}
    if trend != NO_DIRECTION and np.any(np.asarray(bound.trend.dose) > 0):
        found[f"trend '{trend}'"] = _Choice("trend", _NO_TREND, why_idle(case.trend))
    for name, mitigation in bound.mitigation.items():
        if name != NO_DIRECTION and not mitigation.off():
            others = {key: other for key, other in case.mitigation.items() if key != name}
            found[f"mitigation '{name}'"] = _Choice("mitigation", others, mitigation.IDLE)
    return found


_NO_TREND = Trend(name="None", prompt_tokens=0.0, output_tokens=0.0, sources={})


def _changed_without(
    choice: _Choice, composed: ComposedCase, axes: tuple[GridAxis, ...], looked: _Looked
) -> set[str]:
    """Columns that differ where a case does without a trend or a mitigation; all where it cannot.

    The loss of quality that a mitigation states is none of what it changes.
    """
    own = {path for axis in axes for path in axis.values if path.startswith(f"{choice.group}.")}
    left = own if choice.group == "trend" else set()
    kept = tuple(replace(axis, told=axis.told | left) for axis in axes)
    case = composed.case.model_copy(update={choice.group: choice.others})
    try:
        return _differing(looked, _look(replace(composed, case=case), kept)) - {"quality_loss"}
    except SpecError:
        return set(looked.content)


def _without(question: Question) -> Options | None:
    """The options as their files state them; nothing where they need an override to be whole."""
    try:
        return Options(replace(question, fixed=(), labels=(), axes=()))
    except SpecError:
        return None


def _thinned(axes: Sequence[GridAxis]) -> tuple[GridAxis, ...]:
    """Axes of few points as they are, of more by their ends and middle, or by their ends."""
    thin = tuple(axes)
    for most in (MOST_POINTS, _ENDS_AND_MIDDLE, 2):
        thin = tuple(_picked(axis, most) for axis in axes)
        if Grid(thin).size <= MOST_POINTS:
            break
    return thin


def _picked(axis: GridAxis, most: int) -> GridAxis:
    if axis.size <= most:
        return axis
    index = np.unique(np.linspace(0, axis.size - 1, most).round().astype(np.int64))
    return GridAxis(axis.name, {path: v[index] for path, v in axis.values.items()}, axis.told)


def _look(composed: ComposedCase, axes: tuple[GridAxis, ...]) -> _Looked:
    grid = Grid(axes)
    bound = grid.bind(composed.case)
    return _looked(columns(Evaluation(bound), grid, composed.options, composed.labels), bound)


def _looked(part: Columns, bound: Case) -> _Looked:
    grid = part.grid
    limit = grid.flat(part.limit)
    content = {name: grid.flat(value) for name, value in part.values.items()}
    content |= {"limited_by": limit, "bound": np.where(limit > 0, 0.0, grid.flat(part.bound))}
    return _Looked(grid, bound, content, bool(np.any(limit == 0)))


def _same(a: FloatArray, b: FloatArray) -> bool:
    return bool(np.allclose(a, b, rtol=1e-12, atol=0.0, equal_nan=True))


def _differing(a: _Looked, b: _Looked) -> set[str]:
    """Columns that differ, as many as matter."""
    differ = (name for name, column in a.content.items() if not _same(column, b.content[name]))
    return set(islice(differ, _MOVING))


def _along_axes(looked: _Looked, moved: _Moved) -> None:
    """Note which columns differ along each axis."""
    for position, axis in enumerate(looked.grid.axes):
        for name, column in looked.content.items():
            if not moved.is_open(axis.name):
                break
            lanes = np.moveaxis(column.reshape(looked.grid.shape), position, 0)
            if not _same(lanes[1:], np.broadcast_to(lanes[:1], lanes[1:].shape)):
                moved.add(axis.name, {name})


def _along_labels(
    composed: ComposedCase,
    looked: _Looked,
    seen: dict[tuple[object, ...], _Looked],
    moved: _Moved,
) -> None:
    """Note which columns differ from those of the first case that differs in one text alone."""
    for name in composed.labels:
        others = {path: text for path, text in composed.labels.items() if path != name}
        key = (name, *composed.options.values(), *map(str, others.items()))
        first = seen.setdefault(key, looked)
        if first is not looked and first.grid.shape == looked.grid.shape:
            moved.add(name, _differing(first, looked))


def _changed_by(
    name: str,
    composed: ComposedCase,
    axes: tuple[GridAxis, ...],
    looked: _Looked,
    base: Options | None,
) -> set[str]:
    """Columns that differ where a case does without an override; all where it cannot."""
    every, group, _, inner = set(looked.content), *key_of(name).rpartition("@")[2].partition(".")
    option = composed.options[group]
    if base is None:
        return every
    if group in COMBINING and inner.partition(".")[0] not in base.raw[group][option]:
        return set()
    content, stated = _put_back(composed.raw[group], base.raw[group][option], inner.split("."))
    kept = tuple(axis for axis in axes if axis.name != name)
    typed = checked(group, content)[0] if stated else None
    if typed is None:
        return every
    given = [float(axis.values[name][0]) for axis in axes if axis.name == name]
    if given == [value_at(typed, inner)] if given else typed == getattr(composed.case, group):
        return every  # it says what stands there
    case = composed.case.model_copy(update={group: typed})
    try:
        return _differing(looked, _look(replace(composed, case=case), kept))
    except SpecError:
        return every


def _put_back(content: Raw, base: Raw, steps: list[str]) -> tuple[Raw, bool]:
    """An option with what its file says at a path, or nothing there; whether it has that path."""
    head, *rest = steps
    if head not in content:
        return content, False
    if not rest:
        without = {key: value for key, value in content.items() if key != head}
        return ({**content, head: base[head]} if head in base else without), True
    there, below = content[head], base.get(head)
    if not isinstance(there, dict) or not isinstance(below, dict | None):
        return content, False
    inner, stated = _put_back(there, below or {}, rest)
    return {**content, head: inner}, stated
