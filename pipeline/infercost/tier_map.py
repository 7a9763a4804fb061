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
at too, which take as much of it as cells bear. Where no map lasts, a point is infeasible. Of a
given set of maps of which one lasts, a better device makes no less: each map keeps its writes, so
that neither of its times, at full rate and as writes ask for, is longer, and the time of a mix
(`_Pool.mixed`) is the larger of two means of such times. Spreading is convex, so that the mix
itself takes no longer; with experts or units near memory it may, and is tried. What is left to lose
is that stripes follow rates and rooms, which is no operator's optimum beside other traffic, nor
where cells limit the pace (`tests/test_more_is_never_worse.py` says how much).

What finds no room is counted as overflow, and read from the last tier of its order, so that the
search can tell what unlimited memory of the same speed would save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import combinations, permutations
from typing import Literal, NamedTuple, get_args

import numpy as np

from infercost.arrays import (
    Array,
    BoolArray,
    Bytes,
    Ratio,
    Seconds,
    as_array,
    surely,
)
from infercost.brackets import Bracket
from infercost.demands import Demands
from infercost.equations import tiers as eq
from infercost.errors import SpecError, nearest
from infercost.operators.base import Block, Layout, Pass
from infercost.operators.stack import blocks, expert_bytes_per_device
from infercost.placement import ROUNDING, Footprint
from infercost.routes import Routes
from infercost.specs.plan import TensorClass
from infercost.tiering import Tier, is_plain, tiers_of
from infercost.wear import WRITTEN, Pace

EQUAL = 1e-12
"""Share of a time by which maps differ that take equally long: the first is taken."""
CLASSES: tuple[TensorClass, ...] = get_args(TensorClass)
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


class Policy(NamedTuple):
    """What is placed before the rest, and what of it lies on memory that wears out last."""

    ahead: tuple[TensorClass, ...]
    spared: tuple[TensorClass, ...]


Way = Literal["filled", "striped", "even"]
"""How classes lie on tiers: one tier after another, in stripes as wide as rates, hottest first, or
all in stripes alike, as wide as rates and rooms allow."""


@dataclass(frozen=True)
class Verdict:
    """What maps make of an output token in each pool of devices, decode's first: time, and whether
    the least life of a memory is as long as it must be."""

    pools: tuple[Pace, ...]
    lasts: BoolArray


Judge = Callable[[Placed, Placed], Verdict]


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
    slack = ROUNDING * memory.used
    verdicts = [judge(placed, placed) for placed in maps]
    lasts = [v.lasts for v in verdicts]
    pools = [
        _Pool(maps, [v.pools[i] for v in verdicts], lasts, slack, placing.sizes)
        for i in range(len(verdicts[0].pools))
    ]
    best = [replace(pool.best.placed, lasts=pool.best.lasts) for pool in pools]
    if any(pool.may_mix for pool in pools):
        mixes = [pool.mixed() for pool in pools]
        if not placing.is_convex:
            judged = judge(mixes[0].placed, mixes[-1].placed).pools
            mixes = [_Mix(mix.placed, p.time) for mix, p in zip(mixes, judged, strict=True)]
        best = [pool.best_beside(mix) for pool, mix in zip(pools, mixes, strict=True)]
    elif not placing.has_units and pools[0].paces[0].needed is None:
        best = _between(pools, judge)
    return best[0], best[-1]


LOOKS = 4
"""Mixes of the two best maps that are looked at."""
ELSEWHERE = 0.05
"""Share of all bytes that maps must lay on other tiers for their mixes to be worth a look."""
GAIN = 1e-4
"""Share of a time that is worth another look."""


def _between(pools: list[_Pool], judge: Judge) -> list[Placed]:
    """Of the mixes of each pool's two best maps that which takes least.

    Time is convex along the line between them, and so is what cells ask for.
    """
    ends = [(pool.best, pool.second) for pool in pools]

    def looked_at(parts: list[Array]) -> list[_Best]:
        mixes = [b.placed.mixed(p, a.placed) for (a, b), p in zip(ends, parts, strict=True)]
        verdict = judge(mixes[0], mixes[-1])
        return [
            _Best(mix, pace.time, verdict.lasts & pace.lasts)
            for mix, pace in zip(mixes, verdict.pools, strict=True)
        ]

    middle = looked_at([0.5] * len(pools))
    found = [
        Bracket.from_ends((0.0, a.time), (0.5, m.time), (1.0, b.time))
        for (a, b), m in zip(ends, middle, strict=True)
    ]
    lasts = [a.lasts & b.lasts for a, b in ends]
    for _ in range(LOOKS):
        wanted = [bracket.next(GAIN) for bracket in found]
        worth = [known & more for known, (_, more) in zip(lasts, wanted, strict=True)]
        if surely(~reduce(np.logical_or, worth)):
            break
        looks = looked_at([place for place, _ in wanted])
        found = [
            bracket.with_point((place, look.time), counts)
            for bracket, look, (place, _), counts in zip(found, looks, wanted, worth, strict=True)
        ]
    mixes = [
        _Mix(b.placed.mixed(bracket.low[0], a.placed), np.where(known, bracket.low[1], np.inf))
        for (a, b), bracket, known in zip(ends, found, lasts, strict=True)
    ]
    return [pool.best_beside(mix) for pool, mix in zip(pools, mixes, strict=True)]


class _Mix(NamedTuple):
    """A mix of two maps, and the most time that an output token takes under it."""

    placed: Placed
    time: Seconds


class _Best(NamedTuple):
    """The best map and what devices make of it."""

    placed: Placed
    time: Seconds
    lasts: BoolArray


@dataclass(frozen=True)
class _Pool:
    """Maps that devices may take, and what each makes of an output token."""

    maps: list[Placed]
    paces: list[Pace]
    lasts: list[BoolArray]
    slack: Bytes
    sizes: Mapping[TensorClass, Bytes]

    @cached_property
    def best(self) -> _Best:
        """Point by point the map with the least overflow, then long lives, then the least time.

        Of maps that are alike the first, so that it does not matter which were told apart at other
        points.
        """
        lasts = [told & p.lasts for told, p in zip(self.lasts, self.paces, strict=True)]
        best, *others = map(_Best, self.maps, [p.time for p in self.paces], lasts)
        for other in others:
            gained = as_array(best.placed.overflow - other.placed.overflow)
            as_much = np.abs(gained) <= as_array(self.slack)
            sooner = np.where(
                best.lasts == other.lasts,
                as_array(other.time < best.time * (1.0 - EQUAL)),
                other.lasts,
            )
            better: BoolArray = np.where(as_much, sooner, gained > 0).astype(bool)
            better = better & ~alike(best.placed, other.placed, self.sizes)
            best = _Best(
                other.placed.where(better, best.placed),
                np.where(better, other.time, best.time),
                np.where(better, other.lasts, best.lasts),
            )
        return best

    @cached_property
    def second(self) -> _Best:
        """The best map that fits as well, lasts and lays bytes elsewhere; or the best of all."""
        most = as_array(self.best.placed.overflow + self.slack)
        time: Seconds = np.inf
        index: Array = -1.0
        for i, (placed, pace) in enumerate(zip(self.maps, self.paces, strict=True)):
            may = as_array(placed.overflow <= most) & self.lasts[i] & pace.lasts
            sooner = may & self._lies_elsewhere(placed) & as_array(pace.time < time)
            time, index = np.where(sooner, pace.time, time), np.where(sooner, float(i), index)
        some = as_array(index >= 0)
        placed = self._taken(np.maximum(index, 0.0)).where(some, self.best.placed)
        return _Best(placed, np.where(some, time, self.best.time), some)

    def _lies_elsewhere(self, placed: Placed) -> BoolArray:
        """Whether a map lays a good part of all bytes on other tiers than the best does."""
        moved: Bytes = 0.0
        for name in CLASSES:
            pairs = zip(placed.bytes_held[name], self.best.placed.bytes_held[name], strict=True)
            moved = moved + sum((np.abs(as_array(a - b)) for a, b in pairs), start=as_array(0.0))
        whole = sum(self.sizes.values(), start=as_array(0.0))
        return as_array(moved > 2.0 * ELSEWHERE * whole)

    def best_beside(self, mix: _Mix) -> Placed:
        """The best map, or a mix where that takes less time: it overflows as little."""
        better = as_array(mix.time < self.best.time * (1.0 - EQUAL))
        return replace(mix.placed.where(better, self.best.placed), lasts=better | self.best.lasts)

    @property
    def may_mix(self) -> bool:
        """Whether a map that wears cells too soon might be faster than the best that lasts."""
        if self.paces[0].needed is None:
            return False
        return not all(
            surely(as_array(pace.spare >= 0) | as_array(pace.busy >= self.best.time))
            for pace in self.paces
        )

    def mixed(self) -> _Mix:
        """Of a map that wears cells too soon and one that does not, so much that cells just last.

        With t the time of a token at full rate, w what its writes ask for, and p the part of the
        second map, w is linear in p and t is convex. Where t_0 + p (t_1 - t_0) is w, at
        p = (t_0 - w_0) / (t_0 - w_0 + w_1 - t_1), a token takes w: it waits for what t is less.
        Of all pairs that which takes least.
        """
        spare = [pace.spare for pace in self.paces]
        least = as_array(self.best.placed.overflow + self.slack)
        fits = [as_array(placed.overflow <= least) for placed in self.maps]
        time: Seconds = np.inf
        part: Ratio = 0.0
        chosen: list[Array] = [0.0, 0.0]
        for i, j in combinations(range(len(self.maps)), 2):
            apart = as_array(spare[i] * spare[j] < 0) & fits[i] & fits[j]
            share = spare[i] / np.where(apart, spare[i] - spare[j], 1.0)
            asked = self.paces[i].asked + share * (self.paces[j].asked - self.paces[i].asked)
            better = apart & as_array(asked < time)
            time, part = np.where(better, asked, time), np.where(better, share, part)
            chosen = [np.where(better, float(k), c) for k, c in zip((i, j), chosen, strict=True)]
        first, second = (self._taken(index) for index in chosen)
        return _Mix(second.mixed(part, first), time)

    def _taken(self, index: Array) -> Placed:
        """Point by point one of the maps."""
        found = self.maps[0]
        for k, placed in enumerate(self.maps[1:], start=1):
            found = placed.where(as_array(index == k), found)
        return found


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
        tried += [(p, w, orders[0]) for p in (first, *others) for w in ("striped", "even")]
        for policy, way, order in tried:
            placed = self._filled(order, way, policy)
            if not any(np.all(alike(placed, other, self.sizes)) for other in found):
                found.append(placed)
        return found

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
        return [*groups, (tuple(name for name in free if name not in policy.ahead), order)]

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

    def _even(
        self, sizes: Mapping[TensorClass, Bytes], over: Sequence[int], rooms: Sequence[Bytes]
    ) -> dict[TensorClass, tuple[Bytes, ...]]:
        """Bytes per tier in the same proportion for all: of bandwidths, as far as there is room."""
        total: Bytes = sum(sizes.values(), start=0.0)
        widths = eq.stripe_widths(
            [self.tiers[i].bandwidth for i in over],
            [np.maximum(rooms[i], 0.0) / np.maximum(total, 1.0) for i in over],
        )
        width = dict(zip(over, widths, strict=True))
        return {
            name: tuple(size * width.get(i, 0.0) for i in range(len(self.tiers)))
            for name, size in sizes.items()
        }

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
