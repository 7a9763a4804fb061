"""Which of several tier maps counts, and what mixes of them give.

Each map is judged by what an output token takes under it. Where a map that wears cells too soon
would be the fastest, mixes with maps that do not are looked at too; where nothing wears, mixes of
the two best, since a stripe that follows rates is no optimum beside other traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import permutations
from typing import NamedTuple

import numpy as np

from infercost.arrays import Array, BoolArray, Bytes, Ratio, Seconds, as_array, surely
from infercost.specs.plan import TensorClass
from infercost.tiers.brackets import Bracket
from infercost.tiers.placed import CLASSES, Placed, alike
from infercost.tiers.wear import Pace

EQUAL = 1e-12
"""Share of a time by which maps differ that take equally long: the first is taken."""
LOOKS = 4
"""Mixes of the two best maps that are looked at."""
ELSEWHERE = 0.05
"""Share of all bytes that maps must lay on other tiers for their mixes to be worth a look."""
CLOSER = 2
"""How often a mix that waits for cells is made of less that wears them."""
GAIN = 1e-4
"""Share of a time that is worth another look."""


@dataclass(frozen=True)
class Verdict:
    """What maps make of an output token in each pool of devices, decode's first: time, and whether
    the least life of a memory is as long as it must be."""

    pools: tuple[Pace, ...]
    lasts: BoolArray


Judge = Callable[[Placed, Placed], Verdict]


def best_maps(
    maps: list[Placed],
    judge: Judge,
    slack: Bytes,
    sizes: Mapping[TensorClass, Bytes],
    is_convex: bool,
    has_units: bool,
) -> list[Placed]:
    """The best map of each pool of devices, decode's first.

    `slack` is what sums of bytes are off by. `is_convex` says whether a mix takes no longer than as
    much of each map, `has_units` whether operators may run near memory.
    """
    verdicts = [judge(placed, placed) for placed in maps]
    lasts = [v.lasts for v in verdicts]
    pools = [
        _Pool(maps, [v.pools[i] for v in verdicts], lasts, slack, sizes)
        for i in range(len(verdicts[0].pools))
    ]
    if any(pool.may_mix for pool in pools):
        return _lasting(pools, judge, is_convex)
    if not has_units and pools[0].paces[0].needed is None:
        return _between(pools, judge)
    return [replace(pool.best.placed, lasts=pool.best.lasts) for pool in pools]


def _lasting(pools: list[_Pool], judge: Judge, is_convex: bool) -> list[Placed]:
    """Mixes of each pool's maps of which cells bear just as much, or maps where those take less."""
    lines = [pool.mixed() for pool in pools]
    paces = judge(lines[0].placed, lines[-1].placed).pools
    mixes = [line.mix(p.time) for line, p in zip(lines, paces, strict=True)]
    waits = [as_array(-pace.spare > GAIN * as_array(pace.asked)) for pace in paces]
    if not surely(~reduce(np.logical_or, waits)):
        looks = zip(lines, paces, waits, strict=True)
        lines = [line.closer(pace.spare, wait) for line, pace, wait in looks]
        times = [line.asked for line in lines]  # the most that a mix takes, where time is convex
        if not is_convex:
            times = [pace.time for pace in judge(lines[0].placed, lines[-1].placed).pools]
        closer = [line.mix(time) for line, time in zip(lines, times, strict=True)]
        mixes = [mix.or_where_sooner(other) for mix, other in zip(mixes, closer, strict=True)]
    return [pool.best_beside(mix) for pool, mix in zip(pools, mixes, strict=True)]


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

    def or_where_sooner(self, other: _Mix) -> _Mix:
        """Point by point the mix that takes less time."""
        sooner = as_array(other.time < self.time)
        placed = other.placed.where(sooner, self.placed)
        return _Mix(placed, np.where(sooner, other.time, self.time))


class _End(NamedTuple):
    """A map that a mix is of, what writes ask for under it, and the time that they do not."""

    placed: Placed
    asked: Seconds
    spare: Seconds


class _Line(NamedTuple):
    """A mix of a map that lasts (`low`) with a `part` of one that wears cells too soon (`high`)."""

    low: _End
    high: _End
    part: Ratio
    there: BoolArray
    """Whether there is such a pair."""

    @property
    def placed(self) -> Placed:
        """The mix."""
        return self.high.placed.mixed(self.part, self.low.placed)

    @property
    def asked(self) -> Seconds:
        """Time that writes ask for, linear in the part."""
        return self.low.asked + self.part * (self.high.asked - self.low.asked)

    def mix(self, time: Seconds) -> _Mix:
        """The mix, which takes so long; forever where there is none."""
        return _Mix(self.placed, np.where(self.there, time, np.inf))

    def closer(self, spare: Seconds, waits: BoolArray) -> _Line:
        """The mix where a line from its spare time to that of the map that lasts meets zero.

        Spare time is convex in the part, so that the next mix waits too, but less.
        """
        more = self.low.spare - spare
        kept = self.low.spare / np.where(as_array(more) > 0, more, 1.0)
        worth = self.there & waits & as_array(more > 0)
        return self._replace(part=np.where(worth, self.part * kept, self.part))


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

    def mixed(self) -> _Line:
        """Of a map that wears cells too soon and one that does not, so much that cells last.

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
        for i, j in permutations(range(len(self.maps)), 2):
            apart = as_array(spare[i] > 0) & as_array(spare[j] < 0) & fits[i] & fits[j]
            share = spare[i] / np.where(apart, spare[i] - spare[j], 1.0)
            asked = self.paces[i].asked + share * (self.paces[j].asked - self.paces[i].asked)
            better = apart & as_array(asked < time)
            time, part = np.where(better, asked, time), np.where(better, share, part)
            chosen = [np.where(better, float(k), c) for k, c in zip((i, j), chosen, strict=True)]
        low, high = (self._end(index) for index in chosen)
        return _Line(low, high, part, as_array(time < np.inf))

    def _end(self, index: Array) -> _End:
        """Point by point one of the maps, and its pace."""
        asked, spare = self.paces[0].asked, self.paces[0].spare
        for k, pace in enumerate(self.paces[1:], start=1):
            this = as_array(index == k)
            asked, spare = np.where(this, pace.asked, asked), np.where(this, pace.spare, spare)
        return _End(self._taken(index), asked, spare)

    def _taken(self, index: Array) -> Placed:
        """Point by point one of the maps."""
        found = self.maps[0]
        for k, placed in enumerate(self.maps[1:], start=1):
            found = placed.where(as_array(index == k), found)
        return found
