"""How far interpolation is from the equations, measured between the points of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.explorer.cube import Axis, Cube
from infercost.options.question import winning

if TYPE_CHECKING:
    from infercost.datasets import Version

CHECKED = ("tpot_s", "ttft_s", "cost_per_mtoken_usd", "energy_per_mtoken_j")
DEGREES = ("tp", "pp", "dp", "ep")
COUNTS = ("batch", *DEGREES)
"""Axes whose values are whole numbers."""
PLACES = 60
SEED = 1


@dataclass(frozen=True)
class Error:
    """Relative errors at random places of the checked metrics."""

    places: int
    median: float
    p90: float
    largest: float


def error_of(version: Version, cube: Cube) -> Error:
    """Errors at random feasible places: options at random, numbers between the ends of the grid
    with logarithms alike likely. The seed is fixed, so that a version always gets the same page."""
    from infercost.evaluation import evaluate

    random = np.random.default_rng(SEED)
    chosen = list(version.manifest()["chosen"])
    errors: list[float] = []
    places = 0
    for _ in range(PLACES):
        place = {axis.name: _drawn(axis, random) for axis in cube.axes}
        if place.get("direction") in cube.hot:  # between whose bandwidths the page says nothing
            place |= {a.name: _drawn_step(a, random) for a in cube.axes if a.heated}
        told = {name: cube.at(place, name) for name in CHECKED if name in cube.metrics}
        if any(np.isnan(value) for value in told.values()):
            continue
        row = evaluate(winning(chosen, overrides_at(place))).iloc[0]
        if row["feasible"]:
            places += 1
            errors += [abs(value / row[name] - 1.0) for name, value in told.items()]
    if not errors:
        return Error(0, *(float("nan"),) * 3)
    return Error(places, *(float(np.quantile(errors, q)) for q in (0.5, 0.9, 1.0)))


def overrides_at(place: dict[str, Any]) -> list[str]:
    """The overrides of `infercost evaluate` that name a place."""
    return [
        f"{f'plan.{name}' if name in DEGREES else name}={int(value) if name in COUNTS else value}"
        for name, value in place.items()
    ]


def _drawn(axis: Axis, random: np.random.Generator) -> Any:
    if axis.stepped:
        return _drawn_step(axis, random)
    if axis.values[0] <= 0:
        return float(random.uniform(axis.values[0], axis.values[-1]))
    low, high = np.log(axis.values[0]), np.log(axis.values[-1])
    return float(np.exp(random.uniform(low, high)))


def _drawn_step(axis: Axis, random: np.random.Generator) -> Any:
    return axis.values[int(random.integers(len(axis.values)))]
