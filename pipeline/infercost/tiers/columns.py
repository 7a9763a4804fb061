"""Strata of prompts in which an operator's time hangs on no tier map: arithmetic binds anyway.

The last dimension of a grid belongs to requests. What long prompts ask of arithmetic takes longer
than their traffic wherever it lies, so that only the other columns need the whole grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infercost.arrays import Array, FloatArray, as_array
from infercost.tape.deferred import Deferred
from infercost.terms import Terms

IntArray = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Columns:
    """Some places along the last dimension."""

    places: IntArray
    size: int
    """Columns there are."""

    def at(self, value: Array) -> Array:
        """A value in these columns; it may be the same in all."""
        if np.ndim(value) == 0 or np.shape(value)[-1] == 1:
            return value
        part: FloatArray = np.asarray(value)[..., self.places]
        return part

    def outside(self, value: Array) -> FloatArray:
        """A value in the other columns, and nothing in these."""
        kept = np.ones(self.size)
        kept[self.places] = 0.0
        others: FloatArray = as_array(value) * kept
        return others

    def added(self, total: Array, part: Array) -> FloatArray:
        """A total with a part added in these columns: in place, where it has all dimensions."""
        shape = np.broadcast_shapes(np.shape(total), (*np.shape(part)[:-1], self.size))
        if np.shape(total) != shape or not isinstance(total, np.ndarray):
            total = np.array(np.broadcast_to(total, shape))
        total[..., self.places] += part
        return total

    def added_terms(self, total: Terms, part: Terms) -> Terms:
        """The same term by term. What `total` was is no more."""
        summed = Terms(total)
        for name, term in part.items():
            summed[name] = self.added(summed.get(name, 0.0), term)
        return summed


def open_columns(settled: Any) -> Columns | None:
    """Columns in which a condition does not hold all over the grid; None where that is all of
    them or where it is not known yet."""
    if isinstance(settled, Deferred) or np.ndim(settled) == 0:
        return None
    left = ~np.all(settled, axis=tuple(range(np.ndim(settled) - 1)))
    return None if left.all() else Columns(np.flatnonzero(left), left.size)
