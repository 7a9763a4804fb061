"""What a tier map would make of a case, before one is chosen."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import as_array
from infercost.tiers.map_choice import Judge, Verdict
from infercost.tiers.placed import Placed
from infercost.tiers.wear import is_paced, paces, worn_out

if TYPE_CHECKING:
    from infercost.cost import Evaluation


def judge_of(point: Evaluation) -> Judge:
    """A judge of tier maps by the whole cost of a token: power, messages and wear included.

    Prompts of a trace count in few strata: which of two maps is the faster hardly depends on more.
    """
    common: list[Evaluation] = []
    brief = _needs_totals_alone(point)

    def judge(decode: Placed, prefill: Placed) -> Verdict:
        if not common:
            common.append(_before(point))
        trial = copy(common[0])
        trial.__dict__["maps"] = (_looked_at(decode, brief), _looked_at(prefill, brief))
        worn = None if is_paced(trial.case) else worn_out(trial)
        return Verdict(paces(trial), np.asarray(True) if worn is None else ~worn)

    return judge


def _looked_at(placed: Placed, brief: bool) -> Placed:
    return replace(placed, routes=replace(placed.routes, brief=brief))


def _needs_totals_alone(point: Evaluation) -> bool:
    """Whether times depend on no part of a time or energy by resource: chunks of prefills that ride
    along replace terms of a step, and a cap below the rated limit slows arithmetic."""
    load = point.case.hardware.power
    capped = load is not None and np.any(as_array(point.case.hardware.tdp) < load.rated)
    return not capped and not np.any(as_array(point.case.mechanisms.fused) > 0)


def _before(point: Evaluation) -> Evaluation:
    """A case before it is known what lies where, with all that its tier maps have in common."""
    _ = point.light, point.pool, point.devices, point.provision
    common = copy(point)
    common.lengths = point.lengths.coarse()
    _ = common.decode_blocks, common.prefill_blocks
    return common
