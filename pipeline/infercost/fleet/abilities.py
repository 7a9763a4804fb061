"""What a device of each kind gives for each class of demand, from the cost model.

A serving device works at the operating point with the least cost per token that keeps the
workload's objectives; a training device at a stated share of its peak. The fleet's own prices of
power and devices decide what is bought; the cost model only tells rates, energy and that point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from infercost.compose import ComposedCase, Options
from infercost.directions import directed
from infercost.effects import refuse_chosen
from infercost.errors import SpecError
from infercost.evaluation import pinned
from infercost.operating import best_point, usual_grid, usual_search
from infercost.options.question import Question, ask, checked_options
from infercost.placement import LIMITS
from infercost.registry import metrics
from infercost.specs.fleet import Fleet, Kind, Served


@dataclass(frozen=True)
class Device:
    """A device of a kind: what one costs, draws and embodies, in SI units."""

    price: float
    power: float
    """Limit of device and host share, without cooling."""
    embodied: float
    flops: float
    """Peak of the format of training."""


@dataclass(frozen=True)
class Ability:
    """What one device of a kind does for one class of demand while it works."""

    rate: float
    """Output tokens or useful FLOP per second; 0 where it cannot serve the class."""
    energy: float
    """Joules at the device and its host per token or FLOP, without cooling."""
    layout: str = ""
    """The operating point, or what ran out."""


@dataclass(frozen=True)
class Abilities:
    """Devices by kind, and abilities by kind and class."""

    devices: Mapping[str, Device]
    of: Mapping[tuple[str, str], Ability]


def question_of(fleet: Fleet, dirs: tuple[str, ...] = ()) -> Question:
    """The question over all options that the fleet names. Raises `SpecError`."""
    asked, place = ask(fleet.overrides, dirs), f"fleet '{fleet.name}'"
    many = [group for group, names in asked.options.items() if len(names) > 1]
    many += [axis.name for axis in (*asked.axes, *asked.labels) if axis.size > 1]
    if many or asked.draws is not None:
        fault = "takes one value: a fleet is planned for one"
        raise SpecError(place, f"overrides: {(*many, 'draw')[0]}", fault, "Write a fleet of each")
    refuse_chosen(asked, usual_grid("cost_per_mtoken_usd")["over"], "the plan of a fleet")
    served = [d for d in fleet.demand.values() if isinstance(d, Served)]
    named = {
        "hardware": [kind.hardware for kind in fleet.kinds.values()],
        "direction": [kind.direction for kind in fleet.kinds.values()],
        "model": [d.model for d in served],
        "workload": [d.workload for d in served],
        "trend": [d.trend for d in served],
    }
    options = dict(asked.options)
    for group, names in named.items():
        if names:
            once = tuple(dict.fromkeys(names))
            options[group] = checked_options(group, once, asked.dirs, place)
    return replace(asked, options=options)


def abilities(fleet: Fleet, options: Options) -> Abilities:
    """Every kind at its own best operating point for every class."""
    cases = {
        tuple(c.options[g] for g in ("hardware", "direction", "model", "workload", "trend")): (
            pinned(options, c)
        )
        for c in options.cases()
    }
    anyhow = next(iter(cases))[2:]
    devices: dict[str, Device] = {}
    found: dict[tuple[str, str], Ability] = {}
    for name, kind in fleet.kinds.items():
        devices[name] = _device(cases[kind.hardware, kind.direction, *anyhow], fleet.format)
        for wanted, demand in fleet.demand.items():
            if isinstance(demand, Served):
                chosen = (demand.model, demand.workload, demand.trend)
                composed = cases[kind.hardware, kind.direction, *chosen]
                found[name, wanted] = _serving(options, composed, fleet.largest_replica)
            else:
                found[name, wanted] = _training(devices[name], kind, fleet)
    return Abilities(devices, found)


def _device(composed: ComposedCase, number_format: str) -> Device:
    hardware = directed(composed.case).hardware
    embodied = float(hardware.embodied_carbon)
    for memory in hardware.memory.values():
        embodied += memory.total_capacity * memory.embodied_carbon
    return Device(
        price=float(hardware.price),
        power=float(hardware.tdp + hardware.host_power),
        embodied=embodied,
        flops=float(hardware.peak_dense.get(number_format, 0.0)),  # type: ignore[call-overload]
    )


def _training(device: Device, kind: Kind, fleet: Fleet) -> Ability:
    """Training keeps a device at its power limit."""
    rate = device.flops * (kind.mfu or fleet.mfu) if kind.trains else 0.0
    return Ability(rate, device.power / rate if rate else 0.0, "at its power limit")


def _serving(options: Options, composed: ComposedCase, largest: int) -> Ability:
    """The operating point with the least cost per token, within the workload's objectives."""
    how = usual_search("cost_per_mtoken_usd", largest=largest)
    points, point, limit = best_point(options, composed, how)
    if limit > 0:
        return Ability(0.0, 0.0, f"infeasible: {LIMITS[limit]}")

    def value(column: str) -> float:
        return float(points.flat(metrics()[column].evaluate(point))[0])

    at = {path.rpartition(".")[2]: int(v[0]) for path, v in points.axes[0].values.items()}
    energy = value("energy_per_mtoken_j") / 1e6 / composed.case.economics.pue
    words = " ".join(f"{name}={count}" for name, count in at.items())
    return Ability(value("throughput_per_device_per_s"), energy, words)
