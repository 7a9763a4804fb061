"""What sources disagree about, beside the page: its first design at both ends of every direction.

The grid holds directions as their options state them. At both ends of each the page would be twice
as large or more; instead, the design that it opens with is evaluated with one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infercost.explorer.cube import Cube
from infercost.explorer.error import overrides_at
from infercost.options.question import ENDS, winning

if TYPE_CHECKING:
    from infercost.datasets import Version

TOLD = ("tpot_s", "cost_per_mtoken_usd")
STATED = ""
"""Neither end: as the option states it."""


@dataclass(frozen=True)
class Ends:
    """A direction at the first design of the page: as stated, and at either end of its ranges."""

    direction: str
    tpot: dict[str, float]
    """Seconds, by end; NaN where infeasible."""
    cost: dict[str, float]
    """USD per million tokens, by end; NaN where infeasible."""


def first_design(cube: Cube) -> dict[str, Any]:
    """The place that the page opens with, as explorer.js chooses it."""
    place: dict[str, Any] = {}
    for axis in cube.axes:
        if axis.numeric and not axis.stepped and 1.0 in axis.values:
            place[axis.name] = 1.0
        else:
            middle = len(axis.values) // 2 if axis.name == "batch" else 0
            place[axis.name] = axis.values[middle]
    return place


def ends_of(version: Version, cube: Cube) -> list[Ends]:
    """The directions of the page that sources disagree about, at both ends."""
    from infercost.evaluation import evaluate

    directions = next((a.values for a in cube.axes if a.name == "direction"), ())
    named = {
        name: {end: _at(name, end) for end in (STATED, *ENDS)}
        for name in directions
        if name != "none"
    }
    if not named:
        return []
    place = first_design(cube) | {
        "direction": ",".join(text for forms in named.values() for text in forms.values())
    }
    rows = evaluate(winning(version.manifest()["chosen"], overrides_at(place)))
    rows = rows.set_index("direction")
    tpot, cost = (rows[name].where(rows["feasible"]).to_dict() for name in TOLD)
    found = [
        Ends(
            name,
            {end: tpot[text] for end, text in forms.items()},
            {end: cost[text] for end, text in forms.items()},
        )
        for name, forms in named.items()
    ]
    return [e for e in found if any(len(set(v.values())) > 1 for v in (e.tpot, e.cost))]


def _at(combination: str, end: str) -> str:
    return "+".join(f"{name}@{end}" if end else name for name in combination.split("+"))
