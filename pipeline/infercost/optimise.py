"""Every case at its own best operating point: search a grid, then evaluate what it chose in full.

The search looks at the objective, the objectives of service and the limits alone, over every
combination of the axes to choose along. Ties go to the first point of the grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from infercost.allocation import keep_memory
from infercost.arrays import Array, BoolArray, FloatArray, cuts
from infercost.compose import ComposedCase
from infercost.cost import Evaluation
from infercost.grid import Grid, GridAxis
from infercost.operators.base import Layout
from infercost.placement import LIMITS, is_whole, reaches
from infercost.registry import metrics
from infercost.tape import sliced
from infercost.tape.deferred import Tape
from infercost.tape.sliced import Sliced, tape_over, worth_a_tape
from infercost.tiers.tiering import is_plain
from infercost.workloads.lengths import has_requests

BLOCK = 2**16
"""Points searched at once without a tape, whole inner grids at least."""

TIERED = 2**13
"""The same of a device with tiers of memory. Their maps hang on almost every axis, and all maps are
held side by side: on a tape nearly everything would be computed at once, in gigabytes."""

TOGETHER = 2**12
"""Points that a search keeps before it tells them: enough to hide Python's overhead when they are
evaluated in full."""

CAPACITY = LIMITS.index("capacity")
PHYSICAL = LIMITS.index("endurance")
"""Codes up to this one are limits of the system; those above, of the service."""


@dataclass(frozen=True)
class Search:
    """What to minimise along which axes, within which objectives of service.

    Each of several columns to minimise chooses its own points. `inner` are the axes to choose
    along. TPOT and p90 TTFT above the workload's SLO are refused where `within_slo`. `keep` is
    `best` or `pareto`.
    """

    minimise: str | tuple[str, ...]
    inner: tuple[GridAxis, ...]
    within_slo: bool
    keep: str

    @property
    def objectives(self) -> tuple[str, ...]:
        """Columns to minimise, each on its own."""
        return (self.minimise,) if isinstance(self.minimise, str) else self.minimise


@dataclass(frozen=True)
class Chosen:
    """Points that a search keeps, as indices along the outer and inner axes of its grid."""

    grid: Grid
    looked_at: int
    """Points among which these were chosen."""
    index: FloatArray
    """Flat index of each kept point."""
    best: BoolArray
    """Whether it is the best of its case."""
    limit: FloatArray
    """Code of the limit that no point of the case meets; 0 where the point is feasible."""
    capacity_share: FloatArray
    """Share of the objective that unlimited memory would save at the best point; 0 at others."""
    objective: FloatArray
    """Place in the search's list of the objective that chose the point."""

    def points(self) -> Grid:
        """The kept points as one axis, all paths along it."""
        positions = np.unravel_index(self.index.astype(np.int64), self.grid.shape)
        values = {
            path: axis.values[path][where]
            for axis, where in zip(self.grid.axes, positions, strict=True)
            for path in axis.values
        }
        return Grid((GridAxis("point", values, self.grid.told),))


def joint_axis(
    name: str, values: dict[str, FloatArray], composed: ComposedCase, largest_replica: int
) -> GridAxis:
    """The product of several paths as one axis, without plans that the case cannot lay out.

    Where nothing can be laid out the first combination stays, to say so in a row.
    """
    mesh = np.meshgrid(*values.values(), indexing="ij")
    axis = GridAxis(name, {path: v.ravel() for path, v in zip(values, mesh, strict=True)})
    layout = Layout(Grid((axis,)).bind(composed.case))
    plan = layout.case.plan
    small = np.asarray(plan.tp * plan.pp * plan.dp) <= largest_replica
    possible = np.broadcast_to(is_whole(layout) & reaches(layout) & small, (axis.size, 1))[:, 0]
    rows = np.flatnonzero(possible) if possible.any() else np.array([0])
    return GridAxis(name, {path: v[rows] for path, v in axis.values.items()})


def search(composed: ComposedCase, outer: tuple[GridAxis, ...], how: Search) -> Iterator[Chosen]:
    """The points to keep, block by block of the outer axes."""
    choices, grid = Grid(how.inner).size, Grid((*outer, *how.inner))
    for whole in grid.blocks(max(sliced.WHOLE, choices)):
        kept: list[_Kept] = []
        first = start = 0
        for scores in _scored(composed, whole, choices, how):
            kept += _search_block(scores, how, start)
            start += scores.limit.size
            if len(kept) >= TOGETHER or start == whole.size:
                yield _chosen(whole, start - first, kept)
                kept, first = [], start


def least(composed: ComposedCase, outer: tuple[GridAxis, ...], how: Search) -> FloatArray:
    """The first objective at each outer point's best operating point; infinite where none is."""
    choices, grid = Grid(how.inner).size, Grid((*outer, *how.inner))
    found = [
        np.where(scores.limit == 0, scores.objectives[0], np.inf).min(axis=1)
        for whole in grid.blocks(max(sliced.WHOLE, choices))
        for scores in _scored(composed, whole, choices, how)
    ]
    return np.concatenate(found)


@dataclass(frozen=True)
class _Scores:
    """Objectives, latencies and limits of a block, one row per case and one column per choice."""

    objectives: tuple[FloatArray, ...]
    tpot: FloatArray
    limit: FloatArray
    excess: FloatArray
    """How far a point is past its limit, as a ratio; to name the nearest miss."""
    fits_but_for_memory: BoolArray


class _Kept(NamedTuple):
    """A point that is kept: a row of the columns of `Chosen`."""

    position: int
    best: bool
    limit: float
    saving: float
    objective: int


def _search_block(scores: _Scores, how: Search, start: int) -> Iterator[_Kept]:
    """What is kept of each case of a block that is `start` points into its grid."""
    cases, choices = scores.limit.shape
    for row, (which, objective) in product(range(cases), enumerate(scores.objectives)):
        kept = _kept(scores, objective, row, how.keep)
        for choice in kept:
            last = choice == kept[-1]
            saving = _saving(scores, objective, row, choice) if last else 0.0
            limit = float(scores.limit[row, choice])
            yield _Kept(start + row * choices + choice, last, limit, saving, which)


def _chosen(whole: Grid, looked_at: int, kept: list[_Kept]) -> Chosen:
    """Kept points as columns."""
    position, best, limit, saving, objective = zip(*kept, strict=True)
    others = (np.array(column, float) for column in (limit, saving, objective))
    return Chosen(whole, looked_at, np.array(position, float), np.array(best), *others)


def _scored(composed: ComposedCase, whole: Grid, choices: int, how: Search) -> Iterator[_Scores]:
    """Scores block by block, on a tape where that is worth it: the same bits."""
    keep_memory()
    plain = is_plain(whole.bind(composed.case).hardware)
    if not (plain and worth_a_tape(whole.shape, has_requests(composed.case.workload))):
        for block in whole.blocks(max(BLOCK if plain else TIERED, choices)):
            yield _scores(block, _looked_at(composed, block, how), choices)
        return
    tape = tape_over(whole.shape)
    arrays = Sliced(tape, _looked_at(composed, whole, how, tape))
    for cut in cuts(whole.shape, max(sliced.TAPE_BLOCK, choices)):
        yield _scores(whole.cut(cut), arrays.over(cut), choices)


def _looked_at(
    composed: ComposedCase, grid: Grid, how: Search, tape: Tape | None = None
) -> dict[Any, Array]:
    """All that scores are made of: objectives by their place in the search's list, others by name;
    what latencies may be only where that counts."""
    point, known = Evaluation(grid.bind(composed.case, tape)), metrics()
    values: dict[Any, Array] = {
        position: known[name].evaluate(point) for position, name in enumerate(how.objectives)
    }
    values |= {name: known[column].evaluate(point) for name, column in _LATENCIES.items()}
    values |= {"limit": point.broken, "excess": point.memory.used / point.memory.room}
    slo = point.case.workload.slo
    if how.within_slo and slo is not None:
        values["most ttft"], values["most tpot"] = slo.limits
    return values


_LATENCIES = {"tpot": "tpot_s", "ttft": "ttft_p90_s"}


def _scores(block: Grid, values: dict[Any, Array], choices: int) -> _Scores:
    tables = {name: block.flat(each).reshape(-1, choices) for name, each in values.items()}
    objectives = tuple(table for name, table in tables.items() if isinstance(name, int))
    limit, excess = tables["limit"], tables["excess"]
    physical = limit > 0
    if "most tpot" in tables:
        over = {name: tables[name] / tables[f"most {name}"] for name in _LATENCIES}
        worse = np.where(over["tpot"] >= over["ttft"], LIMITS.index("tpot"), LIMITS.index("ttft"))
        missed = np.maximum(over["tpot"], over["ttft"])
        limit = np.where(physical, limit, np.where(missed > 1.0, worse, 0.0))
        excess = np.where(physical, excess, missed)
        served = missed <= 1.0
    else:
        served = np.ones(limit.shape, dtype=bool)
    but_memory = served & ((limit == 0) | (limit == CAPACITY))
    return _Scores(objectives, tables["tpot"], limit, excess, but_memory)


def _kept(scores: _Scores, objective: FloatArray, row: int, keep: str) -> list[int]:
    """Choices of one case to keep, the best last; or the nearest miss where nothing is feasible."""
    feasible = np.flatnonzero(scores.limit[row] == 0)
    if feasible.size == 0:
        furthest = scores.limit[row].max()
        closest = np.flatnonzero(_stage(scores.limit[row]) == _stage(np.array(furthest)))
        return [int(closest[np.argmin(scores.excess[row, closest])])]
    cost, tpot = objective[row, feasible], scores.tpot[row, feasible]
    if keep == "best":
        return [int(feasible[np.argmin(cost)])]
    order = np.lexsort((feasible, cost, tpot))
    cheaper = cost[order] < np.minimum.accumulate(np.concatenate([[np.inf], cost[order][:-1]]))
    return [int(choice) for choice in feasible[order[cheaper]]]


def _stage(limit: FloatArray) -> FloatArray:
    """How far a point got: service objectives are one stage, reached after all physical limits."""
    return np.minimum(limit, PHYSICAL + 1.0)


def _saving(scores: _Scores, objective: FloatArray, row: int, choice: int) -> float:
    """Share of the objective at a choice that unlimited memory would save."""
    if scores.limit[row, choice] != 0:
        return 0.0
    least = objective[row, scores.fits_but_for_memory[row]].min()
    return float(1.0 - least / objective[row, choice])
