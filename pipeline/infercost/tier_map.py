"""Which tier of a device's memory holds what: the tier map, and what it means for a decode step.

Classes that the plan orders fill their tiers first. The others are laid on the tiers by falling
traffic per byte, in two ways: one tier after another, or striped over all in proportion to their
bandwidth, hottest first, and what is left over one after another. Striping is the optimum of two
tiers that transfer side by side where traffic binds: each byte of a class saves the more, the
hotter it is, until the class takes as long on both. Of both ways and all orders of tiers the one
counts that makes the work of a decode step shortest. Prefill has no say: where it takes most of the
time, a better tier can cost throughput, a tenth at one batch of 32k prompts, and a quarter where
what is written may go to flash that writes slowly.

Where a tier wears out, what is written goes before what is only read, and to such a tier last: that
is a policy, not an optimum. Under it more HBM can make a step longer, since a cache that no longer
has to lie on both is read from HBM alone. `placement.spares_wearing: false` tries other maps too.

What finds no room is counted as overflow, and read from the last tier of its order, so that the
search can tell what unlimited memory of the same speed would save.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import get_args

import numpy as np

from infercost.arrays import Array, BoolArray, Bytes, Seconds, as_array
from infercost.equations import tiers as eq
from infercost.errors import SpecError, nearest
from infercost.operators.base import Block, Layout, Pass
from infercost.operators.stack import blocks, expert_bytes_per_device
from infercost.passes import effective_calibration, timed, work_of
from infercost.placement import ROUNDING, Footprint
from infercost.specs.plan import TensorClass
from infercost.tiering import Routes, Tier, is_plain, tiers_of

CLASSES: tuple[TensorClass, ...] = get_args(TensorClass)
WRITTEN: tuple[TensorClass, ...] = ("activations", "kv")
"""What wears cells, in the order in which it is kept from them: the most often written first."""
MOST_ORDERED = 4
"""Tiers of which all orders are tried; more are filled from the fastest to the slowest."""


@dataclass(frozen=True)
class Placed:
    """Bytes of each tensor class on each tier of the busiest device."""

    tiers: tuple[Tier, ...]
    bytes_held: Mapping[TensorClass, tuple[Bytes, ...]]
    overflow: Bytes
    """What found no room."""
    routes: Routes

    def on(self, tier: int) -> Bytes:
        """Bytes of all classes on one tier."""
        return sum((held[tier] for held in self.bytes_held.values()), start=0.0)


def place(layout: Layout, memory: Footprint, decode: Pass) -> Placed | None:
    """The tier map of a case; none for a device with one plain memory."""
    hardware = layout.case.hardware
    if is_plain(hardware):
        return None
    return _Placing(layout, memory, decode).best()


class _Placing:
    """One case on its way to a tier map."""

    def __init__(self, layout: Layout, memory: Footprint, decode: Pass) -> None:
        case = layout.case
        self.layout, self.decode = layout, decode
        self.tiers = tiers_of(case.hardware)
        self.order = case.plan.placement.order
        experts = expert_bytes_per_device(layout)
        self.sizes: dict[TensorClass, Bytes] = {
            "weights": memory.weights - experts,
            "experts": experts,
            "kv": memory.kv,
            "context": memory.context,
            "activations": memory.activations,
        }
        self.slack = ROUNDING * memory.used
        # Steps that keep no cache make keys and values of their own, in the room of activations.
        self.cached = bool(np.any(as_array(memory.kv + memory.context) > 0))
        self.rooms = [t.capacity * case.calibration.memory_utilisation for t in self.tiers]
        self.stack: tuple[Block, ...] = blocks(layout, decode)
        self.traffic = self._traffic()

    def best(self) -> Placed:
        """The map whose decode step works shortest, among those with the least overflow."""
        choices = product(self._policies(), (False, True), self._orders())
        ways = [(order, striped, spared) for spared, striped, order in choices]
        best, *others = (self._filled(*way) for way in ways)
        if not others:
            return best
        shortest = self._work(best)
        for placed in others:
            work = self._work(placed)
            better = _is_better(placed, work, best, shortest, self.slack)
            best, shortest = self._either(better, placed, best), np.where(better, work, shortest)
        return best

    def _policies(self) -> tuple[bool, ...]:
        """Whether to keep what is written from tiers that wear out: yes, or both."""
        wearing = any(tier.memory.endurance is not None for tier in self.tiers)
        spares = self.layout.case.plan.placement.spares_wearing
        return (True, False) if wearing and not spares else (True,)

    def _orders(self) -> list[tuple[int, ...]]:
        """Orders of tiers to try for classes that the plan does not order."""
        fastest = sorted(
            range(len(self.tiers)), key=lambda i: -float(np.max(as_array(self.tiers[i].peak)))
        )
        if len(fastest) > MOST_ORDERED or set(self.order) == set(CLASSES):
            return [tuple(fastest)]
        return list(permutations(fastest))

    def _traffic(self) -> dict[str, Bytes]:
        """Bytes of each class that a decode pass moves, for the heat of its bytes."""
        traffic: dict[str, Bytes] = dict.fromkeys(CLASSES, 0.0)
        for operator in (o for block in self.stack for o in block.operators):
            for stream, once in operator.traffic.items():
                moved = operator.count * once
                if stream == "kv" and self.cached:
                    traffic["kv"] = traffic["kv"] + moved * (1.0 - operator.shared)
                    traffic["context"] = traffic["context"] + moved * operator.shared
                else:
                    experts = stream == "weights" and operator.kind == "experts"
                    name = "experts" if experts else stream
                    name = "activations" if stream == "kv" else name
                    traffic[name] = traffic[name] + moved
        return traffic

    def _work(self, placed: Placed) -> Seconds:
        """Time of a decode pass's operators under a map."""
        calibration, case = effective_calibration(self.layout), self.layout.case
        total: Seconds = 0.0
        for block in self.stack:
            operators = timed(calibration, case, block, self.decode.decode, placed.routes)
            total = total + work_of(calibration, case, operators, self.decode.decode).total
        return total

    def _filled(self, order: tuple[int, ...], striped: bool, spared: bool) -> Placed:
        """The map in which free classes lie on the tiers in one order, striped or not."""
        rooms = list(self.rooms)
        held: dict[TensorClass, tuple[Bytes, ...]] = {}
        routed: dict[str, tuple[Array, ...]] = {}
        overflow: Bytes = 0.0
        for classes, tiers in self._groups(order, spared):
            free = striped and classes[0] not in self.order
            filled = self._fill(classes, tiers, rooms, free)
            for name, amounts in filled.items():
                rest = np.maximum(self.sizes[name] - sum(amounts, start=0.0), 0.0)
                rooms = [room - amount for room, amount in zip(rooms, amounts, strict=True)]
                held[name], overflow = amounts, overflow + rest
                read = [a + (rest if i == tiers[-1] else 0.0) for i, a in enumerate(amounts)]
                routed[name] = _shares(read, self.sizes[name], tiers[0])
        if not self.cached:
            routed["kv"] = routed["activations"]
        routes = Routes(
            self.layout.case.hardware, self.layout.case.plan.placement, self.tiers, routed
        )
        return Placed(self.tiers, held, overflow, routes)

    def _groups(
        self, order: tuple[int, ...], spared: bool
    ) -> list[tuple[tuple[TensorClass, ...], tuple[int, ...]]]:
        """Classes that fill tiers together, and the tiers in the order of filling."""
        groups: list[tuple[tuple[TensorClass, ...], tuple[int, ...]]] = [
            ((name,), self._named(name, wanted)) for name, wanted in self.order.items()
        ]
        free = tuple(name for name in CLASSES if name not in self.order)
        wearing = tuple(i for i in order if self.tiers[i].memory.endurance is not None)
        if not wearing or not spared:
            return [*groups, (free, order)]
        lasting = tuple(i for i in order if i not in wearing)
        written = [((name,), (*lasting, *wearing)) for name in WRITTEN if name in free]
        read = tuple(name for name in free if name not in WRITTEN)
        return [*groups, *written, (read, order)]

    def _named(self, name: TensorClass, wanted: list[str]) -> tuple[int, ...]:
        """Tiers of the plan's order by place. Raises `SpecError` for one that is not there."""
        known = [tier.name for tier in self.tiers]
        for tier in wanted:
            if tier not in known:
                raise SpecError(
                    f"plan '{self.layout.case.plan.name}'",
                    f"placement.order.{name}",
                    f"hardware '{self.layout.case.hardware.name}' has no memory tier '{tier}'",
                    nearest(tier, known),
                )
        return tuple(known.index(tier) for tier in dict.fromkeys(wanted))

    def _fill(
        self,
        classes: tuple[TensorClass, ...],
        tiers: Sequence[int],
        rooms: Sequence[Bytes],
        striped: bool,
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes of each class per tier: hottest first, in the order of `tiers`."""
        sizes: dict[TensorClass, Bytes] = {name: self.sizes[name] for name in classes}
        if not striped:
            return self._in_order(sizes, tiers, rooms)
        first = self._striped(sizes, tiers, rooms)
        left = {
            name: np.maximum(sizes[name] - sum(held, start=0.0), 0.0)
            for name, held in first.items()
        }
        free = list(rooms)
        for held in first.values():
            free = [room - amount for room, amount in zip(free, held, strict=True)]
        rest = self._in_order(left, tiers, free)
        return {
            name: tuple(a + b for a, b in zip(first[name], rest[name], strict=True))
            for name in classes
        }

    def _striped(
        self, sizes: Mapping[TensorClass, Bytes], tiers: Sequence[int], rooms: Sequence[Bytes]
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes per tier in proportion to bandwidth, as far as there is room for the hottest.

        What is written is not striped over tiers that wear out.
        """
        over = list(tiers)
        if all(name in WRITTEN for name in sizes):
            over = [i for i in tiers if self.tiers[i].memory.endurance is None]
        together: Array = sum((self.tiers[i].bandwidth for i in over), start=0.0)
        filled: dict[TensorClass, tuple[Bytes, ...]] = {}
        for name, size in sizes.items():
            before = self._before(name, sizes)
            held: list[Bytes] = [0.0] * len(self.tiers)
            for i in over:
                part = self.tiers[i].bandwidth / together
                room = np.maximum(rooms[i], 0.0)
                held[i] = eq.overlap(before * part, size * part, 0.0, room)
            filled[name] = tuple(held)
        return filled

    def _in_order(
        self, sizes: Mapping[TensorClass, Bytes], tiers: Sequence[int], rooms: Sequence[Bytes]
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes per tier where one is filled after another, by the hottest first."""
        low: Bytes = 0.0
        ends: dict[int, tuple[Bytes, Bytes]] = {}
        for i in tiers:
            high = low + np.maximum(rooms[i], 0.0)
            ends[i], low = (low, high), high
        filled: dict[TensorClass, tuple[Bytes, ...]] = {}
        for name, size in sizes.items():
            start = self._before(name, sizes)
            filled[name] = tuple(
                eq.overlap(start, size, *ends[i]) if i in ends else 0.0
                for i in range(len(self.tiers))
            )
        return filled

    def _before(self, name: TensorClass, sizes: Mapping[TensorClass, Bytes]) -> Bytes:
        """Bytes of the classes that are hotter than one, or as hot and named before it."""
        start: Bytes = 0.0
        names = list(sizes)
        for other in names:
            if other == name:
                continue
            mine, its = self.traffic[name], self.traffic[other]
            size, other_size = self.sizes[name], self.sizes[other]
            if names.index(other) < names.index(name):
                ahead = 1.0 - eq.is_hotter(mine, size, its, other_size)
            else:
                ahead = eq.is_hotter(its, other_size, mine, size)
            start = start + sizes[other] * ahead
        return start

    def _either(self, better: BoolArray, one: Placed, other: Placed) -> Placed:
        """Point by point the one map or the other."""

        def chosen(a: Sequence[Array], b: Sequence[Array]) -> tuple[Array, ...]:
            return tuple(np.where(better, x, y) for x, y in zip(a, b, strict=True))

        held = {c: chosen(one.bytes_held[c], other.bytes_held[c]) for c in one.bytes_held}
        shares: dict[str, tuple[Array, ...]] = {
            c: chosen(one.routes.shares[c], other.routes.shares[c]) for c in CLASSES
        }
        overflow = np.where(better, one.overflow, other.overflow)
        return Placed(self.tiers, held, overflow, replace(one.routes, shares=shares))


def _is_better(
    placed: Placed, work: Seconds, best: Placed, shortest: Seconds, slack: Bytes
) -> BoolArray:
    """Whether one map leaves less over than another, or as much up to `slack` and works shorter."""
    gained = as_array(best.overflow - placed.overflow)
    as_much = np.abs(gained) <= as_array(slack)
    return as_array(np.where(as_much, as_array(work < shortest), gained > 0))


def _shares(amounts: Sequence[Bytes], size: Bytes, first: int) -> tuple[Array, ...]:
    """Share per tier; a class of no bytes counts as lying on the first tier of its order."""
    none = as_array(size) <= 0
    whole = np.where(none, 1.0, size)
    return tuple(
        np.where(none, float(i == first), amount / whole) for i, amount in enumerate(amounts)
    )
