"""Evaluate a question: every combination of options over its numeric grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from infercost.allocation import keep_memory
from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.draws import described, draw_axis
from infercost.errors import SpecError
from infercost.grid import Grid, GridAxis
from infercost.question import Axis, Question, ask
from infercost.table import Columns, columns, to_arrow

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def typed_axis(options: Options, composed: ComposedCase, axis: Axis) -> GridAxis:
    """An axis in SI units, each value checked as if it stood in the option itself."""
    values = {}
    for path, given in axis.values.items():
        typed = [options.with_value(composed, path, value) for value in given]
        for value, found in zip(given, typed, strict=True):
            if not isinstance(found, int | float) or isinstance(found, bool):
                place = f"override '{path}={value}'"
                raise SpecError(place, path, "is not a number", "Sweep a numeric field")
        values[path] = np.asarray(typed, dtype=np.float64)
    return GridAxis(axis.name, values)


BLOCK = 2**16
"""Points evaluated at once: enough to hide Python's overhead, few enough for the cache."""


def evaluated(composed: ComposedCase, grid: Grid, only: tuple[str, ...] = ()) -> Columns:
    """One case over a grid: every metric, or `only` some."""
    keep_memory()
    point = Evaluation(grid.bind(composed.case))
    return columns(point, grid, composed.options, composed.labels, only=only)


def parts(question: Question) -> Iterator[Columns]:
    """Each combination of options in turn, evaluated over the question's axes block by block."""
    options = Options(question)
    swept = [path for axis in options.question.axes for path in axis.values]
    cases = list(options.cases())  # every option is checked before its inputs are
    draws = None if question.draws is None else described(options, question.draws, swept)
    for composed in cases:
        axes = [typed_axis(options, composed, axis) for axis in options.question.axes]
        if draws is not None:
            axes.append(draw_axis(draws, composed))
        grid = Grid(tuple(axes))
        for block in grid.blocks(BLOCK):
            yield evaluated(composed, block)


def evaluate_arrow(overrides: list[str], dirs: tuple[str, ...] = ()) -> pa.Table:
    """As `evaluate`, as an Arrow table with units and meanings in the columns' metadata."""
    import pyarrow as pa

    tables = [to_arrow(part) for part in parts(ask(overrides, dirs))]
    return pa.concat_tables(tables).unify_dictionaries()


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
    fault.
    """
    frame: pd.DataFrame = evaluate_arrow(overrides, dirs).to_pandas()
    return frame
