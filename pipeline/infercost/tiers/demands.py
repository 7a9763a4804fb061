"""What operators ask of memory tiers, were all of a tensor class to lie on one of them.

Tier maps of one case have this in common. A map is a share of each class per tier, and traffic,
times of streams, writes and energies are linear in shares, but for a cache whose reads ramp up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from infercost.arrays import Array, Bytes, BytesPerSecond, Joules, Ratio, Seconds, as_array, surely
from infercost.equations import energy, near_memory, roofline
from infercost.equations import tiers as eq
from infercost.operators.base import Operator
from infercost.specs.plan import Placement
from infercost.terms import Terms
from infercost.tiers.columns import Columns
from infercost.tiers.tiering import Rates, Tier

STREAM_OF = {
    "weights": "weights",
    "experts": "weights",
    "kv": "kv",
    "context": "kv",
    "activations": "activations",
}
"""The stream of traffic of each tensor class."""
Shares = tuple[Array, ...]
Found = TypeVar("Found")
Counted = tuple[Operator, ...]


def by_class(operator: Operator) -> dict[str, Bytes]:
    """Useful bytes of an operator by tensor class, without classes that it surely leaves alone."""
    traffic, shared = operator.traffic, operator.shared
    weights = "experts" if operator.kind == "experts" else "weights"
    caches = traffic.get("kv", 0.0)
    amounts: dict[str, Bytes] = {
        weights: traffic.get("weights", 0.0),
        "kv": caches * (1.0 - shared),
        "context": caches * shared,
        "activations": traffic.get("activations", 0.0),
    }
    return {name: amount for name, amount in amounts.items() if not _is_nothing(amount)}


def _is_nothing(amount: Array) -> bool:
    return surely(as_array(amount) == 0)


def _parts(operator: Operator) -> dict[str, Ratio]:
    useful = {name: q for name, q in by_class(operator).items() if name != "activations"}
    whole: Bytes = sum(useful.values(), start=0.0)
    # What has neither weights nor caches, such as attention to no images, is no work near them.
    some = np.where(as_array(whole) > 0, whole, 1.0)
    return {name: amount / some for name, amount in useful.items()}


@dataclass(frozen=True)
class Load:
    """Times of an operator's streams on one tier or port by class, were all of it to lie there."""

    tier: int
    """The tier whose shares count."""
    times: Mapping[str, Seconds]
    writing: Seconds = 0.0
    """What writing caches takes beyond reading as many bytes, at the rate that reads reach."""
    ramp: tuple[Ratio, Seconds, Seconds] | None = None
    """Efficiency and ramp of reads of the cache, whose times are then those at peak."""

    def streams(self, reads: Mapping[str, Shares]) -> Terms:
        """Time of each stream where classes have these shares."""
        terms = Terms()
        for name, time in self.times.items():
            stream, part = STREAM_OF[name], reads[name][self.tier] * time
            terms[stream] = terms[stream] + part if stream in terms else part
        if "kv" in terms:
            terms["kv"] = self._of_cache(terms["kv"], reads["kv"])
        return terms

    def _of_cache(self, reading: Seconds, reads: Shares) -> Seconds:
        """Time of a cache's stream, writes included."""
        time = reading if self.ramp is None else roofline.ramped_time(reading, *self.ramp)
        return time + reads[self.tier] * self.writing if self.writes else time

    @cached_property
    def writes(self) -> bool:
        """Whether writing the cache takes longer than reading as much."""
        return not _is_nothing(self.writing)

    def at(self, columns: Columns) -> Load:
        """The load in some columns."""
        times = {name: columns.at(time) for name, time in self.times.items()}
        ramp = self.ramp
        if ramp is not None:
            efficiency, lost, half = ramp
            ramp = columns.at(efficiency), columns.at(lost), columns.at(half)
        return Load(self.tier, times, columns.at(self.writing), ramp)

    def total(self, reads: Mapping[str, Shares]) -> Seconds:
        """Time of all streams together."""
        if self.ramp is not None or self.writes:
            return self.streams(reads).total
        found: Seconds = 0.0
        for name, time in self.times.items():
            found = found + reads[name][self.tier] * time
        return found

    @cached_property
    def most(self) -> Seconds:
        """No map makes it longer, rounding included."""
        whole = dict.fromkeys((*self.times, "kv"), (1.0,) * (self.tier + 1))
        return self.streams(whole).total * ROUNDED_UP


Loads = tuple[tuple[Load, ...], Mapping[int, tuple[Load, ...]]]
"""An operator's load on each tier, and on each port that several share."""
ROUNDED_UP = 1.0 + 1e-9


@dataclass(frozen=True)
class Demands:
    """What operators ask of the tiers of a device, found out once for all maps."""

    tiers: tuple[Tier, ...]
    placement: Placement
    _known: dict[tuple[Any, ...], tuple[Any, Any]] = field(default_factory=dict)

    def once(self, of: object, key: str, how: Callable[[], Found]) -> Found:
        """What `how` finds out about an object, the first time that it is asked for."""
        full = (key, *map(id, of)) if isinstance(of, tuple) else (key, id(of))
        if full not in self._known:
            # The object is kept too, so that no other takes its place in memory.
            self._known[full] = of, how()
        found: Found = self._known[full][1]
        return found

    def moved(self, operator: Operator) -> Mapping[str, tuple[Bytes, ...]]:
        """Bytes per tier of each class, pages and wrong guesses included."""
        return self.once(operator, "moved", lambda: self._moved(operator))

    def _moved(self, operator: Operator) -> dict[str, tuple[Bytes, ...]]:
        useful = by_class(operator)
        return {
            name: tuple(amount * self._per_useful(operator, name, tier) for tier in self.tiers)
            for name, amount in useful.items()
        }

    def _per_useful(self, operator: Operator, name: str, tier: Tier) -> Ratio:
        """Bytes moved on a tier per useful byte."""
        ratio: Ratio = 1.0
        page = tier.memory.page
        if name != "activations" and operator.run is not None and page is not None:
            ratio = eq.page_amplification(operator.run, page)
        if name == "experts":
            wasted = eq.prefetch_traffic(self.placement.prefetch_accuracy) - 1.0
            slow = as_array(tier.exposed_latency) > 0
            ratio = ratio * (1.0 + np.where(slow, wasted, 0.0))
        return ratio

    def written(self, operator: Operator) -> Mapping[str, Bytes]:
        """Bytes of each class that are written wherever it lies: new tokens go where caches lie.

        Of the traffic of activations half is written: what one operator writes another reads.
        """
        amounts = {
            "kv": operator.written.get("kv", 0.0),
            "activations": 0.5 * operator.traffic.get("activations", 0.0),
        }
        return {name: amount for name, amount in amounts.items() if not _is_nothing(amount)}

    def loads(self, operator: Operator, rates: Rates, near: tuple[int, ...] = ()) -> Loads:
        """An operator's load on each tier, and on each port that several share.

        Tiers in `near` are read from inside, by streams that stay there, and burden no port.
        """

        def found() -> Loads:
            return self._on_tiers(operator, rates, near), self._on_ports(operator, rates, near)

        return self.once(operator, f"loads {near}", found)

    def most(self, operator: Operator, rates: Rates) -> Seconds:
        """The longest that an operator's streams may take, whatever the map."""
        return self.once(operator, "most", lambda: self._most(operator, rates))

    def _most(self, operator: Operator, rates: Rates) -> Seconds:
        tiers, ports = self.loads(operator, rates)
        sides = [[load] for load in tiers] + [list(port) for port in ports.values()]
        longest: Seconds = 0.0
        for side in sides:
            longest = np.maximum(longest, sum((load.most for load in side), start=0.0))
        return longest

    def loads_at(self, operator: Operator, rates: Rates, columns: Columns) -> Loads:
        """The same in some columns; the same columns each time."""

        def found() -> Loads:
            tiers, ports = self.loads(operator, rates)
            shared = {i: tuple(load.at(columns) for load in port) for i, port in ports.items()}
            return tuple(load.at(columns) for load in tiers), shared

        return self.once(operator, "loads at", found)

    def spilled(self, operator: Operator) -> Operator:
        """The activations of an operator alone."""
        moved = operator.traffic.get("activations", 0.0)
        return self.once(
            operator, "spilled", lambda: replace(operator, traffic={"activations": moved})
        )

    def parts(self, operator: Operator) -> Mapping[str, Ratio]:
        """Share of each class in what an operator works on."""
        return self.once(operator, "parts", lambda: _parts(operator))

    def exchange(self, operator: Operator, tier: int) -> Bytes:
        """Inputs, outputs and partial results that cross the channel of a tier whose units work."""

        def crossed() -> Bytes:
            near = self.tiers[tier].memory.near
            assert operator.exchange is not None
            assert near is not None
            return operator.exchange(near_memory.near_units(self.tiers[tier].capacity, near.shard))

        return self.once(operator, f"exchange {tier}", crossed)

    def all_moved(self, operators: Counted) -> Mapping[str, tuple[Bytes, ...]]:
        """Bytes per tier of each class that all runs of operators move."""

        def summed() -> dict[str, tuple[Bytes, ...]]:
            total: dict[str, tuple[Bytes, ...]] = {}
            for operator in operators:
                for name, amounts in self.moved(operator).items():
                    before = total.get(name, (0.0,) * len(amounts))
                    pairs = zip(before, amounts, strict=True)
                    total[name] = tuple(b + operator.count * a for b, a in pairs)
            return total

        return self.once(operators, "all moved", summed)

    def access_energies(self, operators: Counted) -> Mapping[str, tuple[Joules, ...]]:
        """Energy of the traffic of each class per tier, all runs of operators together."""

        def summed() -> dict[str, tuple[Joules, ...]]:
            return {
                name: tuple(
                    energy.movement_energy(amount, tier.memory.access_energy)
                    for amount, tier in zip(amounts, self.tiers, strict=True)
                )
                for name, amounts in self.all_moved(operators).items()
            }

        return self.once(operators, "energies", summed)

    def all_written(self, operators: Counted) -> Mapping[str, Bytes]:
        """Bytes of each class that all of their runs write."""

        def summed() -> dict[str, Bytes]:
            total: dict[str, Bytes] = {}
            for operator in operators:
                for name, amount in self.written(operator).items():
                    total[name] = total.get(name, 0.0) + operator.count * amount
            return total

        return self.once(operators, "all written", summed)

    def _on_tiers(
        self, operator: Operator, rates: Rates, near: tuple[int, ...]
    ) -> tuple[Load, ...]:
        loads = []
        for i, tier in enumerate(self.tiers):
            bandwidth = tier.bandwidth
            if i in near and tier.memory.near is not None:
                bandwidth = tier.internal_bandwidth(tier.memory.near)
            loads.append(self._load(operator, rates, i, bandwidth, bool(near), writes=True))
        return tuple(loads)

    def _on_ports(
        self, operator: Operator, rates: Rates, near: tuple[int, ...]
    ) -> dict[int, tuple[Load, ...]]:
        chained = {t.port for i, t in enumerate(self.tiers) if t.port != i}
        ports: dict[int, tuple[Load, ...]] = {}
        for i, tier in enumerate(self.tiers):
            if tier.port in chained and i not in near:
                root = self.tiers[tier.port].peak
                load = self._load(operator, rates, i, root, bool(near), writes=False)
                ports[tier.port] = (*ports.get(tier.port, ()), load)
        return ports

    def _load(
        self,
        operator: Operator,
        rates: Rates,
        i: int,
        bandwidth: BytesPerSecond,
        stays: bool,
        writes: bool,
    ) -> Load:
        """Load on tier `i` at a bandwidth; without activations where they stay near memory."""
        moved = {
            name: amounts[i]
            for name, amounts in self.moved(operator).items()
            if not (stays and name == "activations")
        }
        ramp = rates.ramp if "kv" in operator.traffic else None
        times = {}
        for name, amount in moved.items():
            stream = STREAM_OF[name]
            times[name] = (
                rates.ideal(amount, bandwidth)
                if stream == "kv" and ramp is not None
                else rates.stream(stream, amount, bandwidth)
            )
        writing: Seconds = 0.0
        written = self.written(operator) if writes else {}
        rate = self.tiers[i].write_bandwidth
        if rate is not None:
            for name, amount in written.items():
                if name in moved or (name == "kv" and "kv" in operator.traffic):
                    excess = np.maximum(eq.write_excess_time(amount, rate, bandwidth), 0.0)
                    excess = excess / rates.reached[STREAM_OF[name]]
                    if name == "kv":
                        writing = excess
                    else:
                        times[name] = times[name] + excess
        law = None if ramp is None else (rates.reached["kv"], *ramp)
        return Load(i, times, writing, law)
