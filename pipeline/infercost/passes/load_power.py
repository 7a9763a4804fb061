"""A pass at load: what its device draws, and what a power cap below the rated limit adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infercost.arrays import INSTANT, Joules, Ratio, Seconds, Watts, as_array
from infercost.equations import clocking, energy
from infercost.specs.hardware import Hardware
from infercost.specs.load_power import LoadPower
from infercost.terms import Terms

WORKING = ("compute", "weights", "kv", "activations")
"""Terms of time in which operators run; in the others a device waits."""


@dataclass(frozen=True)
class Drawn:
    """Energy of a pass above idle power, the time that a cap adds, and the clock that it leaves."""

    energy: Terms
    slowdown: Seconds
    clock: Ratio = 1.0
    """Clock of the pass over nominal; its voltage follows it."""


def at_load(
    hardware: Hardware, time: Terms, dynamic: Terms, ceiling: Watts, beside: Seconds = 0.0
) -> Drawn:
    """Draw of a pass that takes `time`, whose arithmetic and traffic take at least `dynamic`.

    The board is held to `ceiling`, the lower of its limit and of what heat allows. Rates were
    measured under its rated limit, so that only a lower `tdp` slows the pass; what heat does to
    the clock of arithmetic is in its time already. Of that time `beside` is of units near memory,
    which the device's clock does not run.
    """
    load = hardware.power
    if load is None:
        return Drawn(dynamic, 0.0)
    room = ceiling - hardware.idle_power
    moved = Terms({name: term for name, term in dynamic.items() if name != "compute"})
    arithmetic = Terms(compute=dynamic.get("compute", 0.0) * load.arithmetic_ratio)
    demand = arithmetic.plus(_active(load, time)).plus(moved)
    uncapped = np.minimum(demand.total, room * time.total)
    lower = as_array(hardware.tdp) < as_array(load.rated)
    if not np.any(lower):
        return Drawn(_held(dynamic, demand, uncapped), 0.0)
    spent, slowdown, clock = _capped(hardware, load, time, demand.total, dynamic, beside)
    spent = np.minimum(spent, room * (time.total + slowdown))
    # Where no cap binds, the same bits as a point that has no capped one beside it.
    spent, slowdown = np.where(lower, spent, uncapped), np.where(lower, slowdown, 0.0)
    return Drawn(_held(dynamic, demand, spent), slowdown, np.where(lower, clock, 1.0))


def _capped(
    hardware: Hardware,
    load: LoadPower,
    time: Terms,
    demand: Joules,
    dynamic: Terms,
    beside: Seconds,
) -> tuple[Joules, Seconds, Ratio]:
    """Energy of a pass whose clock a cap below the rated limit lowers, added time, that clock."""
    total, idle = time.total + INSTANT, hardware.idle_power
    full = np.minimum(demand / total, load.rated - idle)
    moved = dynamic.total - dynamic.get("compute", 0.0)
    moving = np.minimum(moved / total, full)
    room = (hardware.tdp - idle - moving) / (full - moving + INSTANT)
    clock = clocking.clock_under_cap(room, load.voltage_floor, load.clock_floor)
    clocked = np.maximum(time.get("compute", 0.0) - beside, 0.0)
    slowdown = clocking.clocked_time(clocked, clock)
    core = (full - moving) * clocking.core_power_share(clock, load.voltage_floor)
    spent = np.maximum(moving * total + core * (total + slowdown), dynamic.total)
    pause = energy.power_limited_slowdown(spent, total + slowdown, hardware.tdp, idle)
    return spent, slowdown + pause, clock


def _active(load: LoadPower, time: Terms) -> Terms:
    """Energy that does not depend on activity, by what binds the time in which operators run."""
    rate = clocking.active_power(load.rated, load.active_share)
    running = Terms({name: term for name, term in time.items() if name in WORKING})
    return running.each(lambda term: energy.static_energy(rate, term))


def _held(floor: Terms, demand: Terms, spent: Joules) -> Terms:
    """Terms that sum to what was spent: the floor of each, and a share of what it asks above it."""
    excess = demand.plus(floor.times(-1.0))
    share = np.clip((spent - floor.total) / (excess.total + INSTANT), 0.0, 1.0)
    return floor.plus(excess.times(share))
