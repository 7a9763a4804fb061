"""The memory tiers of a device as numbers, and what a stack reaches with operators.

A device with one tier and nothing special about it needs none of this: see `is_plain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from infercost.arrays import (
    Array,
    Bytes,
    BytesPerSecond,
    Flops,
    JoulesPerByte,
    KelvinPerWatt,
    Ratio,
    Seconds,
    Watts,
)
from infercost.equations import near_memory, roofline, stacking
from infercost.equations import tiers as eq
from infercost.specs.hardware import Hardware
from infercost.specs.memory import Memory, Near
from infercost.terms import Terms
from infercost.tiers.columns import Columns

COVERED_LATENCY = 1e-6
"""Overheads of kernels, as calibrations know them, contain an access to a main memory this fast."""
CACHE_LINE = 128.0
"""No run of weights or cache is shorter: pages up to this waste nothing."""
NO_STACKS = 1e-12
"""Stacks of a tier that has none, for its rates alone: nothing is placed there."""


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
    columns: Columns | None = None
    """Columns of requests that `terms` are of: in all others arithmetic binds. None for all."""


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
        return roofline.ramped_time(self.ideal(moved, bandwidth), self.reached[name], *self.ramp)

    def ideal(self, moved: Bytes, bandwidth: BytesPerSecond) -> Seconds:
        """Time of a cache's reads at peak."""
        return roofline.transfer_time(moved * self.padding, bandwidth, 1.0)
