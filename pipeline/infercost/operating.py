"""The best operating point of one case: layout and batch that serve a workload at least cost.

Nothing is compared at a point that suits only one side: commands that set designs side by side
search each one's own. `compare --best`, `breakeven` and `fleet` search one grid, stated here:
powers of two, layouts of up to 64 devices and four stages, batches of 1 to 16,384. Studies state
their own.
"""

from __future__ import annotations

from typing import Any

from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.evaluation import pinned
from infercost.grid import Grid
from infercost.optimise import Search, search
from infercost.parts import inner_axes
from infercost.specs.study import Optimise

LARGEST_REPLICA = 64
BATCHES = [2**n for n in range(15)]
STAGES = [1, 2, 4]
"""Degrees of pipeline parallelism: more seldom pay."""


def usual_grid(
    minimise: str, within_slo: bool = True, largest: int = LARGEST_REPLICA
) -> dict[str, Any]:
    """What to minimise over the grid that commands share, as a study would state it."""
    degrees = [2**n for n in range(max(largest, 1).bit_length())]
    layout = {f"plan.{name}": degrees for name in ("tp", "pp", "dp", "ep")}
    layout["plan.pp"] = STAGES
    return {
        "minimise": minimise,
        "within_slo": within_slo,
        "largest_replica": largest,
        "over": {"layout": layout, "batch": BATCHES},
    }


def usual_search(
    minimise: str, within_slo: bool = True, largest: int = LARGEST_REPLICA
) -> Optimise:
    """The search over the grid that commands share."""
    return Optimise.model_validate(usual_grid(minimise, within_slo, largest))


def best_point(
    options: Options, composed: ComposedCase, how: Optimise
) -> tuple[Grid, Evaluation, int]:
    """A case at its best operating point: a grid of that point, and its evaluation.

    The number is the code of the limit that no point of the case meets, 0 where this one is
    feasible (`infercost.placement.LIMITS`).
    """
    composed = pinned(options, composed)
    inner = inner_axes(options, composed, how)
    return best_of(composed, Search(how.objectives, inner, how.within_slo, "best"))


def best_of(composed: ComposedCase, how: Search) -> tuple[Grid, Evaluation, int]:
    """As `best_point`, along axes that are there already."""
    (chosen,) = search(composed, (), how)
    points = chosen.points()
    point = Evaluation(points.bind(composed.case), chosen.capacity_share[:, None])
    return points, point, int(chosen.limit[0])
