"""Evaluate a question: every combination of options over its numeric grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from infercost.allocation import keep_memory
from infercost.arrays import Array, cuts
from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.errors import SpecError
from infercost.grid import Grid, GridAxis, replaced
from infercost.options.places import COMBINING
from infercost.options.question import Axis, ask
from infercost.table import Columns, columns, to_arrow
from infercost.tape import sliced
from infercost.tape.sliced import Sliced, tape_over, worth_a_tape
from infercost.uncertainty.draws import described, draw_axis
from infercost.units import is_number
from infercost.workloads.lengths import has_requests

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def typed_axis(options: Options, composed: ComposedCase, axis: Axis) -> GridAxis:
    """An axis in SI units, each value checked as if it stood in the option itself."""
    values = {}
    for path, given in axis.values.items():
        typed = [options.with_value(composed, path, value) for value in given]
        for value, found in zip(given, typed, strict=True):
            if not is_number(found):
                place = f"override '{path}={value}'"
                raise SpecError(place, path, "is not a number", "Sweep a numeric field")
        values[path] = np.asarray(typed, dtype=np.float64)
    return GridAxis(axis.name, values)


def distinct_axis(options: Options, composed: ComposedCase, axis: Axis) -> GridAxis:
    """As `typed_axis`; a value that stands twice, in whatever units, is refused."""
    found = typed_axis(options, composed, axis)
    if len(axis.values) > 1:
        return found
    first: dict[float, object] = {}
    for value, text in zip(found.values[axis.name].tolist(), axis.values[axis.name], strict=True):
        if value in first:
            place = f"override '{axis.name}={text}'"
            raise SpecError(place, axis.name, f"is {first[value]} again", "Name it once")
        first[value] = text
    return found


def pinned(options: Options, composed: ComposedCase) -> ComposedCase:
    """A case with overrides of directions and mitigations in place, which are axes of one point."""
    case = composed.case
    for axis in options.question.axes:
        group, _, inner = axis.name.partition(".")
        taken = group in COMBINING and inner.partition(".")[0] in getattr(case, group)
        if taken and axis.size == 1:
            for path, values in typed_axis(options, composed, axis).values.items():
                case = replaced(case, path.split("."), float(values[0]))
    return replace(composed, case=case)


BLOCK = 2**16
"""Points evaluated at once: enough to hide Python's overhead, few enough for the cache."""


def evaluated(composed: ComposedCase, grid: Grid, only: tuple[str, ...] = ()) -> Columns:
    """One case over a grid: every metric, or `only` some."""
    keep_memory()
    point = Evaluation(grid.bind(composed.case))
    return columns(point, grid, composed.options, composed.labels, only=only)


def evaluated_blocks(
    composed: ComposedCase, grid: Grid, only: tuple[str, ...] = ()
) -> Iterator[Columns]:
    """As `evaluated`, block by block: every metric, or `only` some, with the same bits."""
    keep_memory()
    requests = has_requests(composed.case.workload)
    for whole in grid.blocks(sliced.WHOLE):
        if worth_a_tape(whole.shape, requests):
            yield from _on_tape(composed, whole, only)
        else:
            yield evaluated(composed, whole, only)


def _on_tape(composed: ComposedCase, grid: Grid, only: tuple[str, ...]) -> Iterator[Columns]:
    tape = tape_over(grid.shape)
    point = Evaluation(grid.bind(composed.case, tape))
    told = columns(point, grid, composed.options, composed.labels, only=only)
    arrays = Sliced(tape, {"limit": told.limit, "bound": told.bound} | _named(told))
    for block in cuts(grid.shape, sliced.TAPE_BLOCK):
        values = arrays.over(block)
        yield replace(
            told,
            grid=grid.cut(block),
            plan={name: values[name] for name in told.plan},
            limit=values["limit"],
            bound=values["bound"],
            values={name: values[name] for name in told.values},
        )


def _named(told: Columns) -> dict[str, Array]:
    return {**told.plan, **told.values}


def parts(options: Options) -> Iterator[Columns]:
    """Each combination of options in turn, evaluated over the question's axes block by block."""
    question = options.question
    swept = [path for axis in options.question.axes for path in axis.values]
    cases = list(options.cases())  # every option is checked before its inputs are
    draws = None if question.draws is None else described(options, question.draws, swept)
    for composed in cases:
        axes = [distinct_axis(options, composed, axis) for axis in options.question.axes]
        if draws is not None:
            axes.append(draw_axis(draws, composed))
        grid = Grid(tuple(axes))
        yield from evaluated_blocks(composed, grid)


def evaluate_arrow(overrides: list[str], dirs: tuple[str, ...] = ()) -> pa.Table:
    """As `evaluate`, as an Arrow table with units and meanings in the columns' metadata."""
    return table_of(parts(Options(ask(overrides, dirs))))


def table_of(evaluated: Iterable[Columns]) -> pa.Table:
    """Evaluated cases as one Arrow table."""
    import pyarrow as pa

    tables = [to_arrow(part) for part in evaluated]
    return pa.concat_tables(tables).unify_dictionaries()


def evaluate(overrides: list[str], dirs: tuple[str, ...] = ()) -> pd.DataFrame:
    """Every point as a data frame: `infercost.evaluate` without its warnings."""
    frame: pd.DataFrame = evaluate_arrow(overrides, dirs).to_pandas()
    return frame
