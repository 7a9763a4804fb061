"""Energy of arithmetic, of moved bytes, and of time; and what the power limit makes of it."""

from __future__ import annotations

import numpy as np

from infercost.arrays import (
    Bytes,
    Flops,
    FlopsPerSecond,
    Joules,
    JoulesPerByte,
    Ratio,
    Seconds,
    Watts,
)


def arithmetic_energy(flops: Flops, compute_power: Watts, peak_dense: FlopsPerSecond) -> Joules:
    """Energy of `flops` in a format whose dense peak draws `compute_power`: F · P_c / P."""
    return flops * compute_power / peak_dense


def movement_energy(bytes_moved: Bytes, energy: JoulesPerByte) -> Joules:
    """Energy of moved bytes: Q · e."""
    return bytes_moved * energy


def static_energy(power: Watts, time: Seconds) -> Joules:
    """Energy of a power that is drawn at any load: P t."""
    return power * time


def power_limited_slowdown(
    dynamic_energy: Joules, time: Seconds, tdp: Watts, idle_power: Watts
) -> Seconds:
    """Time that a device must add so that its power stays within `tdp`.

        max(0, E / (TDP - P_idle) - t)

    Energy is taken as independent of clock; a lower voltage would slow the device less.
    """
    return np.maximum(dynamic_energy / (tdp - idle_power) - time, 0.0)


def idle_share(utilisation: Ratio) -> Ratio:
    """Idle time per busy time: (1 - u) / u."""
    return (1.0 - utilisation) / utilisation
