"""Time, traffic and energy of operators whose tensor classes spread over the tiers of a device.

A device with one tier and nothing special about it needs none of this: see `tiering.is_plain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from infercost.arrays import Array, Bytes, Joules, Ratio, Seconds, as_array, surely
from infercost.equations import energy, roofline, stacking
from infercost.equations import tiers as eq
from infercost.operators.base import Operator
from infercost.specs.hardware import Hardware
from infercost.specs.memory import Near
from infercost.tape.deferred import Deferred
from infercost.terms import Terms
from infercost.tiers.columns import Columns, open_columns
from infercost.tiers.demands import STREAM_OF, Counted, Demands, Load, Shares
from infercost.tiers.tiering import NO_STACKS, OperatorTime, Rates, Tier, clock_of

STREAMS = ("weights", "kv", "activations")


@dataclass(frozen=True)
class Routes:
    """Which share of each tensor class lies on which tier of a device."""

    hardware: Hardware
    demands: Demands
    shares: Mapping[str, Shares]
    """By tensor class, one share per tier; they sum to one."""
    brief: bool = False
    """Whether totals are enough: times and energies are one term then."""

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers of the device."""
        return self.demands.tiers

    @cached_property
    def clock(self) -> Ratio:
        """Sustained clock over nominal."""
        return clock_of(self.hardware)

    @cached_property
    def reads(self) -> Mapping[str, Shares]:
        """Share of each class's reads per tier."""
        return {**self.shares, "experts": self._expert_reads}

    @cached_property
    def _expert_reads(self) -> Shares:
        """Share of reads of routed experts per tier, with the stated hit rate on the fastest."""
        shares: Shares = self.shares["experts"]
        rate = self.demands.placement.expert_hit_rate
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

    def moved(self, operators: Counted) -> tuple[Bytes, ...]:
        """Bytes that all runs of operators move per tier, pages and wrong guesses included."""
        sums = self.demands.all_moved(operators)
        return tuple(
            sum((self.reads[name][i] * amounts[i] for name, amounts in sums.items()), start=0.0)
            for i in range(len(self.tiers))
        )

    def written(self, operators: Counted) -> tuple[Bytes, ...]:
        """Bytes of them that are written per tier."""
        sums = self.demands.all_written(operators)
        return tuple(
            sum((self.shares[name][i] * amount for name, amount in sums.items()), start=0.0)
            for i in range(len(self.tiers))
        )

    def exposed(self, operator: Operator) -> Seconds:
        """Latency of what an operator must fetch and learns only when it starts."""
        if operator.dependent is None:
            return 0.0
        accuracy = self.demands.placement.prefetch_accuracy
        kept = self.reads["experts" if operator.kind == "experts" else "weights"]
        longest: Seconds = 0.0
        for tier, share in zip(self.tiers, kept, strict=True):
            if surely(as_array(tier.exposed_latency) == 0):
                continue
            items = operator.dependent * share
            shown = eq.missed_prefetch_latency(tier.exposed_latency, accuracy, items)
            longest = np.maximum(longest, np.where(as_array(items) > 0, shown, 0.0))
        return longest

    def transfer(self, operator: Operator, rates: Rates, near: tuple[int, ...] = ()) -> Terms:
        """Time of each stream on the tier or port that takes longest.

        Tiers transfer side by side; those behind one port share its bandwidth. Tiers in `near` are
        read from inside, by streams that stay there, and burden no port.
        """
        tiers, ports = self.demands.loads(operator, rates, near)
        if self.brief:
            return Terms(activations=self._longest(tiers, ports))
        return self._slowest(tiers, ports)

    def _slowest(self, tiers: Sequence[Load], ports: Mapping[int, Sequence[Load]]) -> Terms:
        loads = [load.streams(self.reads) for load in tiers]
        return longest_of(loads + [self._together(port) for port in ports.values()])

    def _longest(self, tiers: Sequence[Load], ports: Mapping[int, Sequence[Load]]) -> Seconds:
        """Time of the tier or port that takes longest."""
        longest: Seconds | None = None
        for side in (*((load,) for load in tiers), *ports.values()):
            time = side[0].total(self.reads)
            for load in side[1:]:
                time = time + load.total(self.reads)
            longest = time if longest is None else np.maximum(longest, time)
        assert longest is not None
        return longest

    def total(
        self, operator: Operator, rates: Rates, columns: Columns | None = None
    ) -> tuple[Seconds, Ratio]:
        """Time of an operator as a number, and whether it runs near memory."""
        if self.places(operator):
            time = self.time(operator, rates)
            return time.terms.total, time.near
        compute = self.compute(operator, rates)
        if columns is None:
            longest = self._longest(*self.demands.loads(operator, rates))
        else:
            longest = self._longest(*self.demands.loads_at(operator, rates, columns))
            compute = columns.at(compute)
        total: Seconds = np.maximum(compute, longest)
        return total if operator.dependent is None else total + self.exposed(operator), 0.0

    def open_columns(self, operator: Operator, rates: Rates) -> Columns | None:
        """Columns in which a tier map may matter to an operator's time; None for all."""
        if operator.dependent is not None or self.places(operator) or not self._is_known:
            return None
        return self.demands.once(
            operator,
            "open",
            lambda: open_columns(
                as_array(self.compute(operator, rates)) > self.demands.most(operator, rates)
            ),
        )

    @cached_property
    def _is_known(self) -> bool:
        """Whether shares are arrays, not steps of a tape."""
        return not any(isinstance(x, Deferred) for shares in self.shares.values() for x in shares)

    def _together(self, loads: Sequence[Load]) -> Terms:
        terms = Terms()
        for load in loads:
            terms = terms.plus(load.streams(self.reads))
        return terms

    def time(self, operator: Operator, rates: Rates) -> OperatorTime:
        """Time of an operator on the device, or in or beside its memory where that is better."""
        here = self._on_device(operator, rates)
        near = self.places(operator)
        if not near:
            return here
        there = self._near(operator, rates, near)
        gain: Array = here.terms.total - there.terms.total
        if all(_near_spec(self.tiers[i]).prefers == "energy-delay" for i in near):
            gain = here.terms.total * self.movement(operator, 0.0).total
            gain = gain - there.terms.total * self.movement(operator, 1.0).total
        wins = as_array(gain > 0, dtype=np.float64)
        if self.brief:
            total = np.where(wins > 0, there.terms.total, here.terms.total)
            return OperatorTime(here.compute, here.transfer, Terms(compute=total), wins)
        if surely(wins == 0):
            return replace(here, near=wins)
        return OperatorTime(
            compute=np.where(wins > 0, there.compute, here.compute),
            transfer=np.where(wins > 0, there.transfer, here.transfer),
            terms=here.terms.times(1.0 - wins).plus(there.terms.times(wins)),
            near=wins,
        )

    def time_in_columns(self, operator: Operator, rates: Rates) -> OperatorTime:
        """The same, in the columns in which a tier map may matter alone."""
        columns = self.open_columns(operator, rates)
        if columns is None or not columns.places.size or self.hardware.thermal is not None:
            return self.time(operator, rates)
        compute = self.compute(operator, rates)
        tiers, ports = self.demands.loads_at(operator, rates, columns)
        streams = self._slowest(tiers, ports)
        terms = bound_terms(columns.at(compute), streams)
        return OperatorTime(compute, streams.total, terms, columns=columns)

    def places(self, operator: Operator) -> tuple[int, ...]:
        """Tiers in or beside which an operator may run."""
        return tuple(
            i
            for i, tier in enumerate(self.tiers)
            if tier.memory.near is not None and _may_run(operator, tier.memory.near)
        )

    def compute(self, operator: Operator, rates: Rates) -> Seconds:
        """Time of an operator's arithmetic on the device."""
        return self.demands.once(
            operator,
            "compute",
            lambda: (
                roofline.compute_time(rates.flops, operator.peak, rates.efficiency) / self.clock
            ),
        )

    def _on_device(self, operator: Operator, rates: Rates) -> OperatorTime:
        compute = self.compute(operator, rates)
        streams = self._transfer_beside(compute, operator, rates)
        terms = self._bound(compute, streams)
        if self.hardware.thermal is not None and not self.brief:
            held = as_array(terms["compute"])
            terms = Terms({**terms, "compute": held * self.clock})
            terms = terms.plus(Terms(thermal=held * (1.0 - self.clock)))
        if operator.dependent is not None:
            terms = terms.plus(Terms(memory_latency=self.exposed(operator)))
        return OperatorTime(compute, streams.total, terms)

    def _transfer_beside(self, compute: Seconds, operator: Operator, rates: Rates) -> Terms:
        """Times of streams; none where arithmetic takes longer than they do under any map."""
        if surely(as_array(compute) > self.demands.most(operator, rates)):
            return Terms(weights=0.0, kv=0.0, activations=0.0)
        return self.transfer(operator, rates)

    def _bound(self, compute: Seconds, streams: Terms) -> Terms:
        if self.brief:
            return Terms(compute=np.maximum(compute, streams.total))
        return bound_terms(compute, streams)

    def _near(self, operator: Operator, rates: Rates, near: tuple[int, ...]) -> OperatorTime:
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
        terms = self._bound(compute, streams)
        channel: Seconds = 0.0
        launch: Seconds = 0.0
        for i, crossed in zip(near, self.exchanged(operator, near), strict=True):
            external = roofline.transfer_time(
                crossed, self.tiers[i].bandwidth, rates.reached["activations"]
            )
            channel = channel + external
            launch = np.maximum(launch, _near_spec(self.tiers[i]).launch)
        spilled = self.transfer(self.demands.spilled(operator), rates).total
        terms = terms.plus(Terms(activations=channel + spilled, overhead=launch))
        if operator.dependent is not None:
            terms = terms.plus(Terms(memory_latency=self.exposed(operator)))
        return OperatorTime(compute, streams.total, terms)

    def _parts(self, operator: Operator) -> Shares:
        """Share of an operator's work per tier: as its weights and caches lie."""
        parts = self.demands.parts(operator)
        return tuple(
            sum((self.reads[name][i] * part for name, part in parts.items()), start=0.0)
            for i in range(len(self.tiers))
        )

    def exchanged(self, operator: Operator, near: Sequence[int]) -> tuple[Bytes, ...]:
        """Bytes of inputs, outputs and partial results that cross the channel of each near tier."""
        parts = self._parts(operator)
        crossed: list[Bytes] = []
        for i in near:
            busy = as_array(as_array(parts[i]) > 0, dtype=np.float64)
            crossed.append(self.demands.exchange(operator, i) * busy)
        return tuple(crossed)

    def movement(self, operator: Operator, near: Ratio) -> Terms:
        """Energy of an operator's traffic by stream; `near` is 1 where it runs near memory."""
        places = self.places(operator)
        terms: dict[str, Joules] = dict.fromkeys(STREAMS, 0.0)
        for name, amounts in self.demands.moved(operator).items():
            inside = near if name != "activations" else 0.0
            for i, tier in enumerate(self.tiers):
                each = tier.energy(inside if i in places else 0.0)
                used = energy.movement_energy(self.reads[name][i] * amounts[i], each)
                terms[STREAM_OF[name]] = terms[STREAM_OF[name]] + used
        if np.any(as_array(near) > 0):
            for i, crossed in zip(places, self.exchanged(operator, places), strict=True):
                cost = energy.movement_energy(crossed, self.tiers[i].memory.access_energy)
                terms["activations"] = terms["activations"] + cost * near
        return Terms(terms)

    def all_movement(self, operators: Sequence[tuple[Operator, Ratio]]) -> Terms:
        """Energy of the traffic of all runs of operators by stream, some of them near memory."""
        alike = tuple(operator for operator, near in operators if is_zero(near))
        terms: dict[str, Joules] = dict.fromkeys(STREAMS, 0.0)
        for name, costs in self.demands.access_energies(alike).items():
            for share, cost in zip(self.reads[name], costs, strict=True):
                terms[STREAM_OF[name]] = terms[STREAM_OF[name]] + share * cost
        total = Terms(terms)
        for operator, near in operators:
            if not is_zero(near):
                total = total.plus(self.movement(operator, near).times(operator.count))
        return Terms(activations=total.total) if self.brief else total

    @property
    def arithmetic_scale(self) -> Ratio:
        """Energy per FLOP over that at the nominal clock."""
        thermal = self.hardware.thermal
        if thermal is None:
            return 1.0
        return stacking.scaled_arithmetic_energy(self.clock, thermal.clock_exponent)


def is_zero(share: Ratio) -> bool:
    """Whether a share is none because nothing could have made it more."""
    return isinstance(share, float) and share == 0


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
