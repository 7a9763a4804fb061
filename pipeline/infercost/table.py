"""Results as columns: axes, verdict, metrics. One row per point, infeasible ones included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import Array, FloatArray, as_array
from infercost.cost import Evaluation
from infercost.grid import Grid
from infercost.placement import LIMITS
from infercost.registry import metrics
from infercost.specs.case import GROUPS
from infercost.terms import RESOURCES
from infercost.uncertainty.draws import DRAW
from infercost.units import is_number

if TYPE_CHECKING:
    import pyarrow as pa

PLAN_COLUMNS = {
    "batch": "batch",
    "tp": "plan.tp",
    "pp": "plan.pp",
    "dp": "plan.dp",
    "ep": "plan.ep",
}
"""Columns that every row states, swept or not: name -> path in the case."""


BOUNDS = ("", *RESOURCES)
"""Words of the column `bound`; the empty one for an infeasible point."""


@dataclass(frozen=True)
class Columns:
    """One evaluated case: values over its grid, not yet spread out to one per point."""

    grid: Grid
    options: Mapping[str, str]
    labels: Mapping[str, object]
    plan: Mapping[str, Array]
    limit: Array
    """Code of the broken limit per point, 0 where feasible."""
    bound: Array
    """Index in `RESOURCES` of the largest term of cost."""
    values: Mapping[str, Array]
    """Metric columns; NaN where infeasible, unless known always."""

    def flat(self, name: str) -> FloatArray:
        """One metric or plan column, one value per point."""
        return self.grid.flat(self.values[name] if name in self.values else self.plan[name])


def columns(
    point: Evaluation,
    grid: Grid,
    options: Mapping[str, str],
    labels: Mapping[str, object],
    limit: Array | None = None,
    only: tuple[str, ...] = (),
) -> Columns:
    """Every metric of an evaluated case, or `only` some. `limit` adds what a study found broken."""
    case, limit = point.case, as_array(point.broken if limit is None else limit)
    masked = bool(np.any(np.asarray(limit) > 0))
    infeasible = np.where(limit > 0, np.nan, 0.0)
    values: dict[str, Array] = {}
    for name, entry in metrics().items():
        if only and name not in only:
            continue
        value = entry.evaluate(point)
        values[name] = value if entry.always or not masked else value + infeasible
    plan = {"batch": case.batch} | {
        name: getattr(case.plan, name) for name in PLAN_COLUMNS if name != "batch"
    }
    return Columns(grid, options, labels, plan, limit, _largest(point.per_token_cost), values)


def _largest(terms: Mapping[str, Array]) -> Array:
    """Index of the resource with the largest term, point by point."""
    best: Array = -np.inf
    index: Array = 0.0
    for position, resource in enumerate(RESOURCES):
        term = as_array(terms.get(resource, 0.0))
        wins = term > best
        best, index = np.where(wins, term, best), np.where(wins, float(position), index)
    return index


def to_arrow(part: Columns, rows: FloatArray | None = None) -> pa.Table:
    """One case as an Arrow table, with unit, symbol and meaning in each column's metadata.

    `rows` picks points by their flat index; none takes all.
    """
    import pyarrow as pa

    from infercost.quantities import field_of

    picked = None if rows is None else rows.astype(np.int64)
    count = part.grid.size if picked is None else picked.size
    zeros = pa.array(np.zeros(count, dtype=np.int32))

    def spread(values: Array) -> FloatArray:
        flat = part.grid.flat(values)
        return flat if picked is None else flat[picked]

    arrays: list[pa.Array] = []
    names: list[str] = []

    def put(name: str, array: pa.Array) -> None:
        names.append(name)
        arrays.append(array)

    def constant(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(zeros, pa.array([text]))

    def coded(codes: Array, words: tuple[str, ...]) -> pa.Array:
        indices = pa.array(spread(codes).astype(np.int32))
        return pa.DictionaryArray.from_arrays(indices, pa.array(words))

    for group in GROUPS:
        put(group, constant(part.options[group]))
    for name, label in part.labels.items():
        if is_number(label):
            put(name, pa.array(np.full(count, float(label))))
        else:
            put(name, constant(str(label)))
    for name, swept in part.grid.arrays().items():
        if name not in PLAN_COLUMNS.values():
            whole = name == DRAW
            put(name, pa.array(spread(swept).astype(np.int64) if whole else spread(swept)))
    for name, chosen in part.plan.items():
        put(name, pa.array(spread(chosen).astype(np.int64)))
    limit = spread(part.limit)
    put("feasible", pa.array(limit == 0))
    put("limited_by", coded(part.limit, LIMITS))
    put("bound", coded(np.where(np.asarray(part.limit) > 0, 0.0, part.bound + 1.0), BOUNDS))
    for name, values in part.values.items():
        put(name, pa.array(spread(values)))
    fields = [field_of(name, array.type) for name, array in zip(names, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
