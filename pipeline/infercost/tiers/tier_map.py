"""Which tier of a device's memory holds what: the tier map, and what it means for a request.

Classes that the plan orders fill their tiers first. The others are laid on the tiers in three ways:
one tier after another, hottest bytes first; striped in proportion to bandwidths, hottest first, and
what is left over one tier after another; or all striped alike, as bandwidths and rooms allow.
Striping is the optimum of tiers that transfer side by side where traffic binds: each byte of a
class saves the more, the hotter it is, until the class takes as long on all. Activations go before
the rest, since what a decode step hardly reads a prefill does; caches go next, or with the rest.
Where a tier wears out, activations lie there last, and caches last or not.

Of all these maps the one counts under which an output token, decode and its share of prefill, takes
least time of devices, among those under which memories live as long as they must (`wear`). Pools
that prefill and decode apart have a map each, by what their own work takes.

Where a map that wears cells too soon would be the fastest, mixes with maps that do not are looked
at too, which take as much of it as cells bear. Where no map lasts, a point is infeasible. Where
nothing wears, mixes of the two best maps are looked at (`map_choice`): in a full memory a stripe
that follows rates takes room from what gains more.

Of a given set of maps of which one lasts, a better device makes no less: each map keeps its writes,
so that neither of its times, at full rate and as writes ask for, is longer, and the time of a mix
(`map_choice`) is the larger of two means of such times. Spreading is convex, so that the mix itself
takes no longer; with experts or units near memory it may, and is tried. The maps are not a given
set, however: stripes follow rates. That never loses needs the least time over all shares, which is
a linear program per point (pieces of operators' rooflines, joined by rooms). Nor does it hold
where the faster of two devices wears its cells out at its own rate: it is infeasible, as no device
is slowed down to last (`tests/test_more_is_never_worse.py` says how often both lose).

What finds no room is counted as overflow, and read from the last tier of its order, so that the
search can tell what unlimited memory of the same speed would save.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Literal, NamedTuple

import numpy as np

from infercost.arrays import (
    Array,
    Bytes,
    BytesPerSecond,
    as_array,
)
from infercost.equations import tiers as eq
from infercost.errors import SpecError, nearest
from infercost.operators.base import Block, Layout, Pass
from infercost.operators.stack import blocks, expert_bytes_per_device
from infercost.placement import ROUNDING, Footprint
from infercost.specs.plan import TensorClass
from infercost.tiers.demands import Demands
from infercost.tiers.map_choice import Judge, best_maps
from infercost.tiers.placed import CLASSES, Placed, alike
from infercost.tiers.routes import Routes
from infercost.tiers.tiering import is_plain, tiers_of
from infercost.tiers.wear import WRITTEN

MOST_ORDERED = 4
"""Tiers of which all orders are tried; more are filled from the fastest to the slowest."""


class Policy(NamedTuple):
    """What is placed before the rest, and what of it lies on memory that wears out last."""

    ahead: tuple[TensorClass, ...]
    spared: tuple[TensorClass, ...]
    keeps_experts_near: bool = False
    """Whether routed experts fill the main tier first: nothing foresees which of them are read, so
    that the latency of any other shows in each layer."""


Way = Literal["filled", "striped", "even"]
"""How classes lie on tiers: one tier after another, in stripes as wide as rates, hottest first, or
all in stripes alike, as wide as rates and rooms allow."""


def place(
    layout: Layout, memory: Footprint, decode: Pass, judge: Judge
) -> tuple[Placed, Placed] | None:
    """The tier maps of decode and of prefill, the same where both run on the same devices.

    None for a device with one plain memory.
    """
    if is_plain(layout.case.hardware):
        return None
    placing = _Placing(layout, memory, decode)
    maps = placing.maps()
    if len(maps) == 1:
        return maps[0], maps[0]
    best = best_maps(
        maps,
        judge,
        ROUNDING * memory.used,
        placing.sizes,
        placing.is_convex,
        placing.has_units,
    )
    return best[0], best[-1]


class _Placing:
    """One case on its way to a tier map."""

    def __init__(self, layout: Layout, memory: Footprint, decode: Pass) -> None:
        case = layout.case
        self.layout, self.decode = layout, decode
        self.tiers = tiers_of(case.hardware)
        self.demands = Demands(self.tiers, case.plan.placement)
        self.order = case.plan.placement.order
        experts = expert_bytes_per_device(layout)
        self.sizes: dict[TensorClass, Bytes] = {
            "weights": memory.weights - experts,
            "experts": experts,
            "kv": memory.kv,
            "context": memory.context,
            "activations": memory.activations,
        }
        # Steps that keep no cache make keys and values of their own, in the room of activations.
        self.cached = bool(np.any(as_array(memory.kv + memory.context) > 0))
        self.rooms = [t.capacity * case.calibration.memory_utilisation for t in self.tiers]
        self.stack: tuple[Block, ...] = blocks(layout, decode)
        self.traffic = self._traffic()

    @property
    def has_units(self) -> bool:
        """Whether operators may run near memory."""
        return any(tier.memory.near is not None for tier in self.tiers)

    @property
    def is_convex(self) -> bool:
        """Whether a mix of two maps takes no longer than as much of each: what units near memory
        take, and the latency that experts show, change at once."""
        return not self.has_units and not np.any(as_array(self.sizes["experts"]) > 0)

    def maps(self) -> list[Placed]:
        """All maps that are worth a look, no two of them alike."""
        found: list[Placed] = []
        first, *others = self._policies()
        orders = self._orders()
        tried: list[tuple[Policy, Way, tuple[int, ...]]] = [(first, "filled", o) for o in orders]
        # Of stripes an order places no more than what a full tier leaves over.
        stripes: tuple[Way, Way] = ("striped", "even")
        tried += [(p, w, orders[0]) for p in (first, *others) for w in stripes]
        if self._has_free_experts:
            near = [p._replace(keeps_experts_near=True) for p in (first, *others)]
            tried += [(p, w, orders[0]) for p in near for w in stripes]
        for policy, way, order in tried:
            placed = self._filled(order, way, policy)
            if not any(np.all(alike(placed, other, self.sizes)) for other in found):
                found.append(placed)
        return found

    @property
    def _has_free_experts(self) -> bool:
        """Whether there are routed experts, and the plan leaves open where they lie."""
        return "experts" not in self.order and bool(np.any(as_array(self.sizes["experts"]) > 0))

    def _policies(self) -> tuple[Policy, ...]:
        """All policies to try: activations go first, since prefill needs them soonest."""
        first = WRITTEN[:1]
        if all(tier.memory.endurance is None for tier in self.tiers):
            return (Policy(first, ()), Policy(WRITTEN, ()))
        if self.layout.case.plan.placement.spares_wearing:
            return (Policy(WRITTEN, WRITTEN),)
        return (Policy(WRITTEN, WRITTEN), Policy(first, first), Policy(WRITTEN, first))

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

    def _filled(self, order: tuple[int, ...], way: Way, policy: Policy) -> Placed:
        """The map in which free classes lie on the tiers in one order, way and policy."""
        rooms = list(self.rooms)
        held: dict[TensorClass, tuple[Bytes, ...]] = {}
        routed: dict[str, tuple[Array, ...]] = {}
        overflow: Bytes = 0.0
        for classes, tiers in self._groups(order, policy):
            named = any(name in self.order for name in classes)
            named = named or (policy.keeps_experts_near and classes == ("experts",))
            spared = set(classes) <= set(policy.spared)
            filled = self._fill(classes, tiers, rooms, "filled" if named else way, spared)
            for name, amounts in filled.items():
                rest = np.maximum(self.sizes[name] - sum(amounts, start=0.0), 0.0)
                rooms = [room - amount for room, amount in zip(rooms, amounts, strict=True)]
                held[name], overflow = amounts, overflow + rest
                read = [a + (rest if i == tiers[-1] else 0.0) for i, a in enumerate(amounts)]
                routed[name] = _shares(read, self.sizes[name], tiers[0])
        if not self.cached:
            routed["kv"] = routed["activations"]
        routes = Routes(self.layout.case.hardware, self.demands, routed)
        return Placed(self.tiers, held, overflow, routes)

    def _groups(
        self, order: tuple[int, ...], policy: Policy
    ) -> list[tuple[tuple[TensorClass, ...], tuple[int, ...]]]:
        """Classes that fill tiers together, and the tiers in the order of filling."""
        groups: list[tuple[tuple[TensorClass, ...], tuple[int, ...]]] = [
            ((name,), self._named(name, wanted)) for name, wanted in self.order.items()
        ]
        free = tuple(name for name in CLASSES if name not in self.order)
        wearing = tuple(i for i in order if self.tiers[i].memory.endurance is not None)
        lasting = tuple(i for i in order if i not in wearing)
        for name in (name for name in policy.ahead if name in free):
            groups.append(((name,), (*lasting, *wearing) if name in policy.spared else order))
        rest = tuple(name for name in free if name not in policy.ahead)
        if policy.keeps_experts_near:
            groups.append((("experts",), tuple(range(len(self.tiers)))))
            rest = tuple(name for name in rest if name != "experts")
        return [*groups, (rest, order)]

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
        way: Way,
        spared: bool,
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes of each class per tier: hottest first, in the order of `tiers`.

        What is spared the tiers that wear out is striped over the others.
        """
        sizes: dict[TensorClass, Bytes] = {name: self.sizes[name] for name in classes}
        if way == "filled":
            return self._in_order(sizes, tiers, rooms)
        over = [i for i in tiers if not spared or self.tiers[i].memory.endurance is None]
        stripes = self._even if way == "even" else self._striped
        first = stripes(sizes, over, rooms)
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
        self, sizes: Mapping[TensorClass, Bytes], over: Sequence[int], rooms: Sequence[Bytes]
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes per tier in proportion to bandwidth, as far as there is room for the hottest."""
        rates = self._rates(over)
        together: Array = sum(rates.values(), start=0.0)
        filled: dict[TensorClass, tuple[Bytes, ...]] = {}
        for name, size in sizes.items():
            before = self._before(name, sizes)
            held: list[Bytes] = [0.0] * len(self.tiers)
            for i in over:
                part = rates[i] / together
                room = np.maximum(rooms[i], 0.0)
                held[i] = eq.overlap(before * part, size * part, 0.0, room)
            filled[name] = tuple(held)
        return filled

    def _even(
        self, sizes: Mapping[TensorClass, Bytes], over: Sequence[int], rooms: Sequence[Bytes]
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes per tier in the same proportion for all: of bandwidths, as far as there is room."""
        total: Bytes = sum(sizes.values(), start=0.0)
        rates = self._rates(over)
        widths = eq.stripe_widths(
            [rates[i] for i in over],
            [np.maximum(rooms[i], 0.0) / np.maximum(total, 1.0) for i in over],
        )
        width = dict(zip(over, widths, strict=True))
        return {
            name: tuple(size * width.get(i, 0.0) for i in range(len(self.tiers)))
            for name, size in sizes.items()
        }

    def _rates(self, over: Sequence[int]) -> dict[int, BytesPerSecond]:
        """Rates of tiers read side by side: those behind one port share its rate."""
        rates: dict[int, BytesPerSecond] = {i: self.tiers[i].bandwidth for i in over}
        for port in {self.tiers[i].port for i in over}:
            behind = [i for i in over if self.tiers[i].port == port]
            if behind != [port]:
                asked = sum((rates[i] for i in behind), start=0.0)
                kept = np.minimum(self.tiers[port].bandwidth / asked, 1.0)
                rates |= {i: rates[i] * kept for i in behind}
        return rates

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


def _shares(amounts: Sequence[Bytes], size: Bytes, first: int) -> tuple[Array, ...]:
    """Share per tier; a class of no bytes counts as lying on the first tier of its order."""
    none = as_array(size) <= 0
    whole = np.where(none, 1.0, size)
    return tuple(
        np.where(none, float(i == first), amount / whole) for i, amount in enumerate(amounts)
    )
