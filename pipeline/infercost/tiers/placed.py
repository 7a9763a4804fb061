"""What lies on which tier of a device's memory: one tier map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from infercost.arrays import Array, BoolArray, Bytes, Ratio, as_array, surely
from infercost.placement import ROUNDING
from infercost.specs.plan import TensorClass
from infercost.tiers.routes import Routes
from infercost.tiers.tiering import Tier

CLASSES: tuple[TensorClass, ...] = get_args(TensorClass)


@dataclass(frozen=True)
class Placed:
    """Bytes of each tensor class on each tier of the busiest device."""

    tiers: tuple[Tier, ...]
    bytes_held: Mapping[TensorClass, tuple[Bytes, ...]]
    overflow: Bytes
    """What found no room."""
    routes: Routes
    lasts: BoolArray | None = None
    """Whether cells live as long as they must; None where that is not known yet."""

    def on(self, tier: int) -> Bytes:
        """Bytes of all classes on one tier."""
        return sum((held[tier] for held in self.bytes_held.values()), start=0.0)

    def where(self, better: BoolArray, other: Placed) -> Placed:
        """Point by point this map where it is `better`, or another."""
        return self._with(other, lambda x, y: np.where(better, x, y))

    def mixed(self, part: Ratio, other: Placed) -> Placed:
        """A part of each class as in this map, the rest as in another: both have room for it."""
        return self._with(other, lambda x, y: y + part * (x - y))

    def _with(self, other: Placed, how: Callable[[Array, Array], Array]) -> Placed:
        held = {c: tuple(map(how, self.bytes_held[c], other.bytes_held[c])) for c in CLASSES}
        shares: dict[str, tuple[Array, ...]] = {
            c: tuple(map(how, self.routes.shares[c], other.routes.shares[c])) for c in CLASSES
        }
        routes = replace(self.routes, shares=shares)
        return Placed(self.tiers, held, how(self.overflow, other.overflow), routes)


def alike(one: Placed, other: Placed, sizes: Mapping[TensorClass, Bytes]) -> BoolArray:
    """Whether two maps lay every class that there is in the same way, point by point."""
    same: BoolArray = np.asarray(True)
    for name in CLASSES:
        there = as_array(sizes[name]) > 0
        mine, theirs = one.routes.shares[name], other.routes.shares[name]
        for a, b in zip(mine[:-1], theirs[:-1], strict=True):  # shares sum to one
            if a is not b:
                same = same & ~(there & (np.abs(a - b) >= ROUNDING))
            if surely(~same):
                return same
    return same
