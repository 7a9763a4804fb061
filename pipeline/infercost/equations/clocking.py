"""Power of a device at work, and the clock that a power cap leaves it."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Ratio, Seconds, Watts, as_array

NEWTON_STEPS = 12
"""More than any cap needs: from a clock of 1 the steps come down to the root and stay above it."""


def active_power(rated: Watts, share: Ratio) -> Watts:
    """Draw that does not depend on activity while operators run: σ P_rated.

    Clock trees, schedulers, caches and leakage of a hot die. Launches and exposed messages wait
    at idle power. Source: fit to ml-energy.
    """
    return share * rated


def clock_under_cap(room: Ratio, voltage_floor: Ratio, clock_floor: Ratio) -> Ratio:
    """Clock over nominal at which the core draws the share `room` (ρ) of what it does at nominal.

        s V(s)² = ρ,   V(s) = v + (1 - v) s,   s between the floor and 1

    Dynamic power of CMOS goes as C V² f; the voltage falls linearly with the clock from its
    nominal value to v of it. Solved by Newton's method from s = 1: the function is convex and
    grows, so that every step stays above the root. Leaves out steps of the clock and leakage.
    """
    share = np.clip(room, 0.0, 1.0)
    clock = np.ones_like(as_array(share, dtype=np.float64))
    for _ in range(NEWTON_STEPS):
        voltage = voltage_floor + (1.0 - voltage_floor) * clock
        slope = voltage**2 + 2.0 * clock * voltage * (1.0 - voltage_floor)
        clock = clock - (clock * voltage**2 - share) / slope
    return np.clip(clock, clock_floor, 1.0)


def core_power_share(clock: Ratio, voltage_floor: Ratio) -> Ratio:
    """Power of the core at a clock over that at nominal: s V(s)², V(s) = v + (1 - v) s."""
    return clock * (voltage_floor + (1.0 - voltage_floor) * clock) ** 2


def clocked_time(bound: Seconds, clock: Ratio) -> Seconds:
    """Time that a lower clock adds to work which arithmetic bounds: t (1 / s - 1)."""
    return bound * (1.0 / clock - 1.0)
