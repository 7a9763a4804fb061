"""What heat leaves of power and clock."""

from __future__ import annotations

from infercost.arrays import Array
from infercost.cost import Evaluation
from infercost.registry import metric
from infercost.tiers.tiering import clock_of, power_limit


@metric("1", "s", always=True)
def sustained_clock(point: Evaluation) -> Array:
    """Clock of arithmetic that heat allows over nominal, memory at full rate; 1 without a limit."""
    return clock_of(point.case.hardware)


@metric("W", "P_max", always=True)
def sustained_power(point: Evaluation) -> Array:
    """Power that one device may draw for long: its own limit, or what heat allows."""
    return power_limit(point.case.hardware)
