"""The best operating point of one case: layout and batch that serve a workload at least cost.

Nothing is compared at a point that suits only one side, so that commands which set designs side by
side search each one's own point, over the grid that studies search too.
"""

from __future__ import annotations

from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.grid import Grid
from infercost.optimise import Search, search
from infercost.parts import inner_axes
from infercost.specs.study import Optimise

LARGEST_REPLICA = 64
_POWERS = [2**i for i in range(7)]


def usual_search(minimise: str, within_slo: bool = True) -> Optimise:
    """Every layout of up to 64 devices and batches of 1 to 16,384, in steps of two."""
    return Optimise.model_validate(
        {
            "minimise": minimise,
            "within_slo": within_slo,
            "largest_replica": LARGEST_REPLICA,
            "over": {
                "layout": {
                    "plan.tp": _POWERS,
                    "plan.pp": [1, 2, 4],
                    "plan.dp": _POWERS,
                    "plan.ep": _POWERS,
                },
                "batch": [2**i for i in range(15)],
            },
        }
    )


def best_point(
    options: Options, composed: ComposedCase, how: Optimise
) -> tuple[Grid, Evaluation, int]:
    """A case at its best operating point: a grid of that point, and its evaluation.

    The number is the code of the limit that no point of the case meets, 0 where this one is
    feasible (`infercost.placement.LIMITS`).
    """
    inner = inner_axes(options, composed, how)
    return best_of(composed, Search(how.objectives, inner, how.within_slo, "best"))


def best_of(composed: ComposedCase, how: Search) -> tuple[Grid, Evaluation, int]:
    """As `best_point`, along axes that are there already."""
    (chosen,) = search(composed, (), how)
    points = chosen.points()
    point = Evaluation(points.bind(composed.case), chosen.capacity_share[:, None])
    return points, point, int(chosen.limit[0])
