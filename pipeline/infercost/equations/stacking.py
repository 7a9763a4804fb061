"""Memory stacked on logic: heat limits the power, and power limits the clock."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Kelvin, KelvinPerWatt, Ratio, Watts


def package_resistance(design_rise: Kelvin, tdp: Watts, ratio: Ratio) -> KelvinPerWatt:
    """Thermal resistance from junction to coolant of a package, `ratio` times that of the flat one.

        R = r ΔT_design / TDP

    The flat package rises by `design_rise` at TDP. Source of the form: Fourier's law, one node.
    Leaves out hot spots: the mean of the hottest die counts.
    """
    return ratio * design_rise / tdp


def thermal_power(limit: Kelvin, coolant: Kelvin, resistance: KelvinPerWatt) -> Watts:
    """Power at which the junction reaches its limit: (T_limit - T_coolant) / R."""
    return (limit - coolant) / resistance


def clock_scale(
    cap: Watts, idle_power: Watts, memory_power: Watts, compute_power: Watts, exponent: Ratio
) -> Ratio:
    """Clock over nominal at which arithmetic and memory at full rate together stay below the cap.

        s = min(1, max((cap - P_idle - P_memory) / P_compute, 0.01) ^ (1 / n))

    Power of arithmetic goes as s^n: n = 1 where voltage stays, 3 where it falls with the clock.
    A cap that idle power and memory exhaust leaves a hundredth of the power to arithmetic, and
    the power limit stretches the pass. Source: CMOS dynamic power, C V² f.
    """
    room = np.maximum((cap - idle_power - memory_power) / compute_power, 0.01)
    return np.minimum(room ** (1.0 / exponent), 1.0)


def scaled_arithmetic_energy(clock: Ratio, exponent: Ratio) -> Ratio:
    """Energy per FLOP at a scaled clock over that at nominal: s^(n - 1)."""
    return clock ** (exponent - 1.0)
