"""What a point is without its directions, on as many devices as that takes.

Where a device as sold cannot hold model and caches at the plan that was asked for, nothing could be
compared. The same batch on the smallest replica that holds both is what the base system would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infercost.compose import ComposedCase
    from infercost.cost import Evaluation
    from infercost.grid import Grid
    from infercost.specs.study import Optimise

LARGEST = 512
"""Devices of a replica that are looked at."""


def served_base(
    overrides: list[str], dirs: tuple[str, ...], plan: dict[str, int]
) -> tuple[ComposedCase, Grid, Evaluation] | None:
    """The base system at the batch of `plan` on the fewest devices that hold it, or None.

    Of layouts of at least the plan's tensor parallelism, so that as many devices work on a token
    side by side, and of these that of the cheapest token, whatever its latency.
    """
    from infercost.compose import Options
    from infercost.operating import best_point
    from infercost.options.question import ask

    options = Options(ask([o for o in overrides if not _of_directions(o)], dirs))
    composed = next(iter(options.cases()))
    devices = plan["tp"]
    while devices <= LARGEST:
        grid, point, limit = best_point(options, composed, _of_size(devices, plan))
        if limit == 0:
            return composed, grid, point
        devices *= 2
    return None


def _of_directions(override: str) -> bool:
    """Whether an override names directions, their parameters, or tiers that they may add."""
    name = override.lstrip("+~").partition("=")[0].partition(".")
    return name[0] == "direction" or override.lstrip("+").startswith("plan.placement.order")


def _of_size(devices: int, plan: dict[str, int]) -> Optimise:
    from infercost.operating import usual_grid
    from infercost.specs.study import Optimise

    grid = usual_grid("cost_per_mtoken_usd", within_slo=False, largest=devices)
    layout, least = grid["over"]["layout"], plan["tp"]
    layout["plan.tp"] = [least * n for n in layout["plan.tp"] if least * n <= devices]
    grid["over"]["batch"] = [plan["batch"]]
    return Optimise.model_validate(grid)
