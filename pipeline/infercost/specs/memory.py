"""One memory tier of a device."""

from __future__ import annotations

from typing import Literal

from infercost.specs.fields import (
    BytesField,
    BytesPerSecondField,
    EfficiencyField,
    JoulesPerByteField,
    KgCO2ePerByteField,
    LatencyField,
    NonNegativeField,
    PositiveField,
    RatioField,
    SourcedSpec,
    Spec,
    UsdPerByteField,
    WattsField,
)


class Near(Spec):
    """Processing units in or beside a memory. Ratios are over the memory's external interface."""

    bandwidth_ratio: RatioField
    """Internal bandwidth that the wires give."""
    energy_ratio: EfficiencyField
    """Energy per bit from the cells to the unit."""
    power_ratio: PositiveField
    """Power that the memory may draw, over what it draws at its full external rate."""
    flops_per_byte: PositiveField
    """Arithmetic of the units per byte of internal bandwidth."""
    shard: BytesField
    """Memory that one unit reaches; what it needs of another crosses the channel."""
    launch: LatencyField = 0.0
    """Fixed time to hand an operator over and collect its results."""
    operators: Literal["attention", "memory-bound"]
    """What may run there: decode attention, or any operator."""
    prefers: Literal["time", "energy-delay"] = "time"
    """What decides: an operator runs there where that is faster, or where time times energy of
    moved bytes is less."""


class Memory(SourcedSpec):
    """A memory tier: what the technology gives (conf/memory) and what the device mounts of it.

    Amounts and rates are of one stack. A device's own tier is entered as one stack, whatever it
    is made of, unless it states how many.
    """

    technology: str
    stacks: NonNegativeField = 1.0
    """Stacks, modules or cards of this tier on a device."""
    capacity: BytesField
    """Usable bytes."""
    bandwidth: BytesPerSecondField
    """Peak read rate. What kernels reach of it is the calibration's affair."""
    write_bandwidth: BytesPerSecondField | None = None
    """Peak write rate; none stated: as read."""
    latency: LatencyField = 0.0
    """From a request to its first byte at the processor."""
    page: BytesField | None = None
    """Bytes of one access: a shorter run of useful bytes costs as much; none stated: no loss."""
    buffer: BytesField | None = None
    """SRAM that data in flight land in; none stated: enough for full bandwidth."""
    access_energy: JoulesPerByteField
    """Energy to move data between the cells and the compute die."""
    static_power: WattsField = 0.0
    """Drawn at any load. A device's idle power includes that of the memory it is sold with."""
    power: WattsField = 0.0
    """What a stack adds to the power limit of a device that was not sold with it."""
    price: UsdPerByteField = 0.0
    """Price of capacity that a device is not sold with: a direction's changes are charged at it."""
    embodied_carbon: KgCO2ePerByteField
    """Manufacturing carbon per byte of capacity, stacking included."""
    endurance: PositiveField | None = None
    """Writes that a cell bears; none stated: any number."""
    write_amplification: RatioField = 1.0
    """Bytes that wear cells per byte written."""
    behind: str | None = None
    """The tier through whose port this one is reached (a daisy chain): they share its bandwidth."""
    near: Near | None = None
    """Processing units in or beside this memory."""

    @property
    def total_capacity(self) -> float:
        """Bytes of all stacks."""
        return self.stacks * self.capacity

    @property
    def total_bandwidth(self) -> float:
        """Peak read rate of all stacks."""
        return self.stacks * self.bandwidth
