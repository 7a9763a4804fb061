"""The memory tiers of a device as numbers, and the time of operators whose traffic spreads on them.

A device with one tier and nothing special about it needs none of this: see `is_plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from infercost.arrays import (
    Array,
    Bytes,
    BytesPerSecond,
    Flops,
    Joules,
    JoulesPerByte,
    KelvinPerWatt,
    Ratio,
    Seconds,
    Watts,
    as_array,
)
from infercost.equations import energy, near_memory, roofline, stacking
from infercost.equations import tiers as eq
from infercost.operators.base import Operator
from infercost.specs.hardware import Hardware
from infercost.specs.memory import Memory, Near
from infercost.specs.plan import Placement
from infercost.terms import Terms

COVERED_LATENCY = 1e-6
"""Overheads of kernels, as calibrations know them, contain an access to a main memory this fast."""
CACHE_LINE = 128.0
"""No run of weights or cache is shorter: pages up to this waste nothing."""
NO_STACKS = 1e-12
"""Stacks of a tier that has none, for its rates alone: nothing is placed there."""
STREAMS = ("weights", "kv", "activations")
WRITTEN = ("kv", "activations")
"""Streams that are written too."""
Shares = tuple[Array, ...]


def is_plain(hardware: Hardware) -> bool:
    """Whether a device has one tier that its bandwidth alone describes, and no limit by heat."""
    if len(hardware.memory) > 1 or hardware.thermal is not None:
        return False
    tier = hardware.tier
    special = (tier.write_bandwidth, tier.buffer, tier.endurance, tier.near)
    lines = tier.page is None or (isinstance(tier.page, float) and tier.page <= CACHE_LINE)
    one = isinstance(tier.stacks, float) and tier.stacks == 1
    return all(x is None for x in special) and lines and one


def power_limit(hardware: Hardware) -> Watts:
    """Power that a device may draw for long: its own limit, or what heat allows.

    Memory beside the package's hottest die keeps the power that it adds to the limit.
    """
    if hardware.thermal is None:
        return hardware.tdp
    return np.minimum(hardware.tdp, _thermal_power(hardware) + _power_beside(hardware))


def _power_beside(hardware: Hardware) -> Watts:
    """What memory beside the main one adds to the limit: its heat has a way of its own."""
    _, *others = hardware.memory.values()
    return sum((memory.power * memory.stacks for memory in others), start=0.0)


def _thermal_power(hardware: Hardware) -> Watts:
    """Power of the logic and the main memory, which share a junction, at its limit."""
    thermal = hardware.thermal
    assert thermal is not None
    resistance: KelvinPerWatt = (
        stacking.package_resistance(
            thermal.design_rise,
            hardware.tdp - _power_beside(hardware),
            thermal.resistance_ratio,
        )
        if thermal.resistance is None
        else thermal.resistance
    )
    return stacking.thermal_power(thermal.junction_limit, thermal.coolant, resistance)


def clock_of(hardware: Hardware) -> Ratio:
    """Sustained clock of arithmetic over the one that the dense peak is stated at."""
    thermal = hardware.thermal
    if thermal is None:
        return 1.0
    memory: Watts = hardware.tier.total_bandwidth * hardware.tier.access_energy
    return stacking.clock_scale(
        power_limit(hardware) - _power_beside(hardware),
        hardware.idle_power,
        memory,
        hardware.compute_power,
        thermal.clock_exponent,
    )


@dataclass(frozen=True)
class Tier:
    """A memory tier of one device, all its stacks together."""

    name: str
    memory: Memory
    capacity: Bytes
    peak: BytesPerSecond
    """Read rate of the data sheet."""
    bandwidth: BytesPerSecond
    """Read rate that its buffer lets it reach."""
    port: int
    """Place in the device's list of the tier whose port leads here."""
    hidden_latency: Seconds
    """What operators' overheads contain of an access."""

    @property
    def write_bandwidth(self) -> BytesPerSecond | None:
        """Write rate, where it is not the read rate."""
        rate = self.memory.write_bandwidth
        return None if rate is None else _stacks(self.memory) * rate

    @property
    def exposed_latency(self) -> Seconds:
        """Latency of an access that nothing foresees, beyond what overheads contain."""
        return np.maximum(self.memory.latency - self.hidden_latency, 0.0)

    def internal_bandwidth(self, near: Near) -> BytesPerSecond:
        """Read rate of the units in or beside this memory."""
        ratio = near_memory.internal_bandwidth_ratio(
            near.bandwidth_ratio, near.power_ratio, near.energy_ratio
        )
        return self.bandwidth * ratio

    def energy(self, near: Ratio) -> JoulesPerByte:
        """Energy per byte; `near` is 1 for what is read by units in or beside the memory."""
        spec = self.memory.near
        saved = 0.0 if spec is None else (1.0 - spec.energy_ratio) * near
        return self.memory.access_energy * (1.0 - saved)


def _stacks(memory: Memory) -> Array:
    stacks: Array = np.maximum(memory.stacks, NO_STACKS)
    return stacks


def tiers_of(hardware: Hardware) -> tuple[Tier, ...]:
    """The tiers of a device in the order of its option, the main one first."""
    names = list(hardware.memory)
    hidden = np.minimum(hardware.tier.latency, COVERED_LATENCY)
    tiers = []
    for name, memory in hardware.memory.items():
        peak = _stacks(memory) * memory.bandwidth
        reached = peak
        if memory.buffer is not None:
            buffer = _stacks(memory) * memory.buffer
            reached = eq.reachable_bandwidth(peak, memory.latency, buffer)
        port = names.index(name if memory.behind is None else memory.behind)
        tiers.append(Tier(name, memory, memory.total_capacity, peak, reached, port, hidden))
    return tuple(tiers)


@dataclass(frozen=True)
class OperatorTime:
    """Roofline of one operator, run once. `terms` sum to the longer of compute and transfer, and
    what neither hides."""

    compute: Seconds
    transfer: Seconds
    terms: Terms
    near: Ratio = 0.0
    """1 where it runs in or beside memory."""


@dataclass(frozen=True)
class Rates:
    """What a stack reaches with one operator: FLOPs as they cost, efficiency, and per stream.

    The cache of a decode step is read in whole tiles (`padding`), and reaches its rate after a
    while (`ramp`: time lost in all, and the time at peak of a stream that has lost half of it).
    """

    flops: Flops
    efficiency: Ratio
    reached: Mapping[str, Ratio]
    padding: Ratio = 1.0
    ramp: tuple[Seconds, Seconds] | None = None

    def stream(self, name: str, moved: Bytes, bandwidth: BytesPerSecond) -> Seconds:
        """Time of one stream at a bandwidth."""
        if name != "kv" or self.ramp is None:
            return roofline.transfer_time(moved, bandwidth, self.reached[name])
        ideal = roofline.transfer_time(moved * self.padding, bandwidth, 1.0)
        return roofline.ramped_time(ideal, self.reached[name], *self.ramp)


@dataclass(frozen=True)
class Routes:
    """Which share of each tensor class lies on which tier of a device."""

    hardware: Hardware
    placement: Placement
    tiers: tuple[Tier, ...]
    shares: Mapping[str, Shares]
    """By tensor class, one share per tier; they sum to one."""

    @cached_property
    def clock(self) -> Ratio:
        """Sustained clock over nominal."""
        return clock_of(self.hardware)

    def of(self, operator: Operator, stream: str) -> Shares:
        """Share of a stream's useful bytes per tier."""
        if stream == "weights" and operator.kind == "experts":
            return self._expert_reads
        if stream == "kv":
            pairs = zip(self.shares["kv"], self.shares["context"], strict=True)
            return tuple(k + operator.shared * (c - k) for k, c in pairs)
        return self.shares[stream]

    @cached_property
    def _expert_reads(self) -> Shares:
        """Share of reads of routed experts per tier, with the stated hit rate on the fastest."""
        shares: Shares = self.shares["experts"]
        rate = self.placement.expert_hit_rate
        if rate is None:
            return shares
        best: Array = -np.inf
        for tier, share in zip(self.tiers, shares, strict=True):
            best = np.maximum(best, np.where(as_array(share) > 0, tier.bandwidth, -np.inf))
        reads: list[Array] = []
        for tier, share in zip(self.tiers, shares, strict=True):
            fastest = (as_array(share) > 0) & (as_array(tier.bandwidth) == best)
            split = as_array(share) < 1.0
            rest = (1.0 - rate) * share / np.maximum(self._not_on(best), NO_STACKS)
            reads.append(np.where(split, np.where(fastest, rate, rest), share))
        return tuple(reads)

    def _not_on(self, best: Array) -> Array:
        """Share of experts on tiers other than the fastest that holds any."""
        outside: Array = 0.0
        for tier, share in zip(self.tiers, self.shares["experts"], strict=True):
            outside = outside + np.where(as_array(tier.bandwidth) == best, 0.0, share)
        return outside

    def moved(self, operator: Operator, stream: str) -> tuple[Bytes, ...]:
        """Bytes of one stream per tier, pages and wrong guesses included."""
        return self._once(self._moved, operator, stream)

    def _once(
        self, how: Callable[[Operator, str], tuple[Bytes, ...]], operator: Operator, stream: str
    ) -> tuple[Bytes, ...]:
        key = how.__name__, id(operator), stream
        if key not in self._known:
            # The operator is kept too, so that no other takes its place in memory.
            self._known[key] = operator, how(operator, stream)
        return self._known[key][1]

    @cached_property
    def _known(self) -> dict[tuple[str, int, str], tuple[Operator, tuple[Bytes, ...]]]:
        """Traffic that was asked for: times, energies and writes ask for the same."""
        return {}

    def _moved(self, operator: Operator, stream: str) -> tuple[Bytes, ...]:
        useful = operator.traffic.get(stream, 0.0)
        amounts = []
        for tier, share in zip(self.tiers, self.of(operator, stream), strict=True):
            amount: Bytes = useful * share
            page = tier.memory.page
            if stream != "activations" and operator.run is not None and page is not None:
                amount = amount * eq.page_amplification(operator.run, page)
            if stream == "weights" and operator.kind == "experts":
                wasted = eq.prefetch_traffic(self.placement.prefetch_accuracy) - 1.0
                slow = as_array(tier.exposed_latency) > 0
                amount = amount * (1.0 + np.where(slow, wasted, 0.0))
            amounts.append(amount)
        return tuple(amounts)

    def written(self, operator: Operator, stream: str) -> tuple[Bytes, ...]:
        """Bytes of one stream that are written per tier: new tokens go where caches lie.

        Of the traffic of activations half is written: what one operator writes another reads.
        """
        return self._once(self._written, operator, stream)

    def _written(self, operator: Operator, stream: str) -> tuple[Bytes, ...]:
        useful = operator.written.get(stream, 0.0)
        if stream == "activations":
            useful = 0.5 * operator.traffic.get(stream, 0.0)
        if isinstance(useful, float) and useful == 0:
            return (0.0,) * len(self.tiers)
        return tuple(useful * share for share in self.shares[stream])

    def exposed(self, operator: Operator) -> Seconds:
        """Latency of what an operator must fetch and learns only when it starts."""
        if operator.dependent is None:
            return 0.0
        accuracy = self.placement.prefetch_accuracy
        longest: Seconds = 0.0
        for tier, share in zip(self.tiers, self.of(operator, "weights"), strict=True):
            items = operator.dependent * share
            shown = eq.missed_prefetch_latency(tier.exposed_latency, accuracy, items)
            longest = np.maximum(longest, np.where(as_array(items) > 0, shown, 0.0))
        return longest

    def transfer(self, operator: Operator, rates: Rates, near: Sequence[int] = ()) -> Terms:
        """Time of each stream on the tier or port that takes longest.

        Tiers transfer side by side; those behind one port share its bandwidth. Tiers in `near` are
        read from inside, by streams that stay there, and burden no port.
        """
        loads: dict[int, Terms] = {}
        ports: dict[int, Terms] = {}
        chained = [t.port for i, t in enumerate(self.tiers) if t.port != i]
        for stream in operator.traffic:
            if near and stream == "activations":
                continue
            moved, written = self.moved(operator, stream), self.written(operator, stream)
            for i, tier in enumerate(self.tiers):
                bandwidth = tier.bandwidth
                if i in near and tier.memory.near is not None:
                    bandwidth = tier.internal_bandwidth(tier.memory.near)
                time = rates.stream(stream, moved[i], bandwidth)
                writing = tier.write_bandwidth
                if writing is not None and stream in WRITTEN:
                    excess = eq.write_excess_time(written[i], writing, bandwidth)
                    time = time + np.maximum(excess, 0.0) / rates.reached[stream]
                loads[i] = loads.get(i, Terms()).plus(Terms({stream: time}))
                if tier.port in chained and i not in near:
                    root = self.tiers[tier.port].peak
                    shared = rates.stream(stream, moved[i], root)
                    ports[tier.port] = ports.get(tier.port, Terms()).plus(Terms({stream: shared}))
        return longest_of([*loads.values(), *ports.values()])

    def time(self, operator: Operator, rates: Rates) -> OperatorTime:
        """Time of an operator on the device, or in or beside its memory where that is better."""
        here = self._on_device(operator, rates)
        near = [
            i
            for i, tier in enumerate(self.tiers)
            if tier.memory.near is not None and _may_run(operator, tier.memory.near)
        ]
        if not near:
            return here
        there = self._near(operator, rates, near)
        gain: Array = here.terms.total - there.terms.total
        if all(_near_spec(self.tiers[i]).prefers == "energy-delay" for i in near):
            gain = here.terms.total * self.movement(operator, 0.0).total
            gain = gain - there.terms.total * self.movement(operator, 1.0).total
        wins = as_array(gain > 0, dtype=np.float64)
        return OperatorTime(
            compute=np.where(wins > 0, there.compute, here.compute),
            transfer=np.where(wins > 0, there.transfer, here.transfer),
            terms=here.terms.times(1.0 - wins).plus(there.terms.times(wins)),
            near=wins,
        )

    def _on_device(self, operator: Operator, rates: Rates) -> OperatorTime:
        nominal = roofline.compute_time(rates.flops, operator.peak, rates.efficiency)
        compute = nominal / self.clock
        streams = self.transfer(operator, rates)
        terms = bound_terms(compute, streams)
        if self.hardware.thermal is not None:
            held = as_array(terms["compute"])
            terms = Terms({**terms, "compute": held * self.clock})
            terms = terms.plus(Terms(thermal=held * (1.0 - self.clock)))
        if operator.dependent is not None:
            terms = terms.plus(Terms(memory_latency=self.exposed(operator)))
        return OperatorTime(compute, streams.total, terms)

    def _near(self, operator: Operator, rates: Rates, near: Sequence[int]) -> OperatorTime:
        """An operator whose part on the tiers `near` is worked on there, the rest on the device."""
        streams = self.transfer(operator, rates, near)
        parts = self._parts(operator)
        left: Array = 1.0
        compute: Seconds = 0.0
        for i in near:
            spec = _near_spec(self.tiers[i])
            rate = spec.flops_per_byte * self.tiers[i].internal_bandwidth(spec)
            inside = roofline.compute_time(rates.flops * parts[i], rate, rates.efficiency)
            compute, left = np.maximum(compute, inside), left - parts[i]
        peak = operator.peak * self.clock
        outside = roofline.compute_time(rates.flops * np.maximum(left, 0.0), peak, rates.efficiency)
        compute = np.maximum(compute, outside)
        terms = bound_terms(compute, streams)
        channel: Seconds = 0.0
        launch: Seconds = 0.0
        for i, crossed in zip(near, self.exchanged(operator, near), strict=True):
            external = roofline.transfer_time(
                crossed, self.tiers[i].bandwidth, rates.reached["activations"]
            )
            channel = channel + external
            launch = np.maximum(launch, _near_spec(self.tiers[i]).launch)
        spilled = self.transfer(_only_activations(operator), rates).total
        terms = terms.plus(Terms(activations=channel + spilled, overhead=launch))
        if operator.dependent is not None:
            terms = terms.plus(Terms(memory_latency=self.exposed(operator)))
        return OperatorTime(compute, streams.total, terms)

    def _parts(self, operator: Operator) -> Shares:
        """Share of an operator's work per tier: as its weights and caches lie."""
        per_tier: list[Bytes] = [0.0] * len(self.tiers)
        whole: Bytes = 0.0
        for stream in ("weights", "kv"):
            useful = operator.traffic.get(stream, 0.0)
            whole = whole + useful
            for i, share in enumerate(self.of(operator, stream)):
                per_tier[i] = per_tier[i] + useful * share
        # What has neither weights nor caches, such as attention to no images, is no work near them.
        some = np.where(as_array(whole) > 0, whole, 1.0)
        return tuple(part / some for part in per_tier)

    def exchanged(self, operator: Operator, near: Sequence[int]) -> tuple[Bytes, ...]:
        """Bytes of inputs, outputs and partial results that cross the channel of each near tier."""
        assert operator.exchange is not None
        parts = self._parts(operator)
        crossed: list[Bytes] = []
        for i in near:
            spec = _near_spec(self.tiers[i])
            units = near_memory.near_units(self.tiers[i].capacity, spec.shard)
            busy = as_array(as_array(parts[i]) > 0, dtype=np.float64)
            crossed.append(operator.exchange(units) * busy)
        return tuple(crossed)

    def movement(self, operator: Operator, near: Ratio) -> Terms:
        """Energy of an operator's traffic by stream; `near` is 1 where it runs near memory."""
        terms = {}
        for stream in STREAMS:
            inside = near if stream != "activations" else 0.0
            total: Joules = 0.0
            for tier, amount in zip(self.tiers, self.moved(operator, stream), strict=True):
                if tier.memory.near is None:
                    inside_here: Ratio = 0.0
                else:
                    inside_here = inside if _may_run(operator, tier.memory.near) else 0.0
                total = total + energy.movement_energy(amount, tier.energy(inside_here))
            terms[stream] = total
        if np.any(as_array(near) > 0):
            places = [
                i
                for i, t in enumerate(self.tiers)
                if t.memory.near is not None and _may_run(operator, t.memory.near)
            ]
            for i, crossed in zip(places, self.exchanged(operator, places), strict=True):
                cost = energy.movement_energy(crossed, self.tiers[i].memory.access_energy)
                terms["activations"] = terms["activations"] + cost * near
        return Terms(terms)

    @property
    def arithmetic_scale(self) -> Ratio:
        """Energy per FLOP over that at the nominal clock."""
        thermal = self.hardware.thermal
        if thermal is None:
            return 1.0
        return stacking.scaled_arithmetic_energy(self.clock, thermal.clock_exponent)


def bound_terms(compute: Seconds, streams: Terms) -> Terms:
    """The longer of compute and transfer as terms: all of compute, or each stream."""
    bound = as_array(compute > as_array(streams.total), dtype=np.float64)
    terms = {name: time * (1.0 - bound) for name, time in streams.items()}
    return Terms({**terms, "compute": compute * bound})


def longest_of(loads: Sequence[Terms]) -> Terms:
    """The terms with the largest total, point by point; the first of equals."""
    best, longest = loads[0], as_array(loads[0].total)
    for load in loads[1:]:
        total = as_array(load.total)
        wins = total > longest
        best = Terms(
            {
                stream: np.where(wins, load.get(stream, 0.0), best.get(stream, 0.0))
                for stream in {**best, **load}
            }
        )
        longest = np.where(wins, total, longest)
    return best


def _near_spec(tier: Tier) -> Near:
    near = tier.memory.near
    assert near is not None  # asked of tiers with units alone
    return near


def _may_run(operator: Operator, near: Near) -> bool:
    if operator.exchange is None:
        return False
    return near.operators == "memory-bound" or operator.kind == "decode_attention"


def _only_activations(operator: Operator) -> Operator:
    moved = operator.traffic.get("activations", 0.0)
    return replace(operator, traffic={"activations": moved})
