"""Numeric axes as broadcastable arrays: one dimension each, bound into a case at their paths.

Arrays of a grid with n axes have n + 1 dimensions. The last has length one and belongs to the
requests of a workload (see `infercost.workloads.lengths`), so that a prompt distribution
broadcasts too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from infercost.arrays import FloatArray, cuts
from infercost.directions import directed
from infercost.mitigations.apply import mitigated
from infercost.options.places import COMBINING
from infercost.specs.case import Case
from infercost.tape.deferred import Tape
from infercost.trends import suited


@dataclass(frozen=True)
class GridAxis:
    """One dimension: a name, and SI values per dotted path that varies along it."""

    name: str
    values: Mapping[str, FloatArray]
    told: frozenset[str] = frozenset()
    """Names whose values rows tell, and which the case does not take."""

    @property
    def size(self) -> int:
        """Number of points along the axis."""
        return int(next(iter(self.values.values())).size)

    def part(self, start: int, stop: int) -> GridAxis:
        """The points from `start` up to `stop`."""
        cut = {path: v[start:stop] for path, v in self.values.items()}
        return GridAxis(self.name, cut, self.told)


@dataclass(frozen=True)
class Grid:
    """The numeric axes of a case, in order."""

    axes: tuple[GridAxis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def told(self) -> frozenset[str]:
        """Names of all axes that the case does not take."""
        return frozenset().union(*(axis.told for axis in self.axes))

    def blocks(self, most: int) -> Iterator[Grid]:
        """The grid cut along its leading axes into pieces of at most `most` points, in order.

        Small pieces keep the arrays of an evaluation in the processor's cache.
        """
        for cut in cuts(self.shape, most):
            yield self.cut(cut)

    def cut(self, where: tuple[slice, ...]) -> Grid:
        """The part of the grid between stated points of each axis."""
        stretches = zip(self.axes, where, strict=True)
        return Grid(tuple(axis.part(each.start, each.stop) for axis, each in stretches))

    def arrays(self) -> dict[str, FloatArray]:
        """The values at each path, shaped to broadcast over the grid and its request dimension."""
        rank = len(self.axes)
        return {
            path: values.reshape([-1 if i == position else 1 for i in range(rank)] + [1])
            for position, axis in enumerate(self.axes)
            for path, values in axis.values.items()
        }

    def bind(self, case: Case, tape: Tape | None = None) -> Case:
        """The case with the grid's arrays in place of its numbers, its directions and then
        its mitigations applied.

        With a tape they are what it starts from. An axis over one that the case does not take
        changes nothing.
        """
        told = self.told
        for path, values in self.arrays().items():
            if path in told:
                continue
            steps = path.split(".")
            if steps[0] in COMBINING and steps[1] not in getattr(case, steps[0]):
                continue
            case = replaced(case, steps, values if tape is None else tape.known(values))
        return mitigated(directed(suited(case)))

    def flat(self, values: Any) -> FloatArray:
        """An array over the grid as one value per point, the last axis fastest."""
        full = np.broadcast_to(np.asarray(values, dtype=np.float64), (*self.shape, 1))
        return full.reshape(-1)


def replaced(node: Any, steps: Sequence[str], value: Any) -> Any:
    """A copy of a frozen spec with one value exchanged; nothing else is copied."""
    head, *rest = steps
    if isinstance(node, BaseModel):
        inner = replaced(getattr(node, head), rest, value) if rest else value
        return node.model_copy(update={head: inner})
    inner = replaced(node[head], rest, value) if rest else value
    return {**node, head: inner}
