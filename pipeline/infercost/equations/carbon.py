"""Carbon of making devices and of running them."""

from __future__ import annotations

from infercost.arrays import (
    Bytes,
    Joules,
    KgCO2e,
    KgCO2ePerByte,
    KgCO2ePerJoule,
    KgCO2ePerSecond,
    Ratio,
    Seconds,
)


def memory_carbon(capacity: Bytes, per_byte: KgCO2ePerByte) -> KgCO2e:
    """Manufacturing carbon of a memory tier."""
    return capacity * per_byte


def embodied_rate(embodied: KgCO2e, life: Seconds, utilisation: Ratio) -> KgCO2ePerSecond:
    """Embodied carbon per busy second: C / (life · u)."""
    return embodied / (life * utilisation)


def operational_carbon(energy: Joules, grid: KgCO2ePerJoule) -> KgCO2e:
    """Carbon of energy at the meter."""
    return energy * grid
