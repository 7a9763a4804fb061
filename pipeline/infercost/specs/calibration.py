"""What a serving stack reaches of the data sheet."""

from __future__ import annotations

from infercost.specs.fields import EfficiencyField, LatencyField, SourcedSpec


class Calibration(SourcedSpec):
    """Efficiencies and fixed times of one class of system and era of software.

    `ideal` is efficiency 1 and no fixed time: the physical floor.
    """

    name: str
    compute_efficiency: EfficiencyField
    memory_efficiency: EfficiencyField
    network_efficiency: EfficiencyField
    operator_overhead: LatencyField
    """Launch and drain of one operator."""
    step_overhead: LatencyField
    """Host work once per forward pass: scheduling, sampling, bookkeeping."""
    memory_utilisation: EfficiencyField
    """Share of a device's memory that the stack may fill with weights, KV and activations."""
