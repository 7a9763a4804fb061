"""What a tier map would make of a case, before one is chosen."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from infercost.tier_map import Judge, Placed, Verdict
from infercost.wear import is_paced, paces, worn_out

if TYPE_CHECKING:
    from infercost.cost import Evaluation


def judge_of(point: Evaluation) -> Judge:
    """A judge of tier maps by the whole cost of a token: power, messages and wear included.

    Prompts of a trace count in few strata: which of two maps is the faster hardly depends on more.
    """
    common: list[Evaluation] = []

    def judge(decode: Placed, prefill: Placed) -> Verdict:
        if not common:
            common.append(_before(point))
        trial = copy(common[0])
        trial.__dict__["maps"] = (decode, prefill)
        worn = None if is_paced(trial.case) else worn_out(trial)
        return Verdict(paces(trial), np.asarray(True) if worn is None else ~worn)

    return judge


def _before(point: Evaluation) -> Evaluation:
    """A case before it is known what lies where, with all that its tier maps have in common."""
    _ = point.light, point.pool, point.devices, point.provision
    common = copy(point)
    common.lengths = point.lengths.coarse()
    _ = common.decode_blocks, common.prefill_blocks
    return common
