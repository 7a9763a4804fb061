"""The doses of a trend that change a model: routed experts in place of dense blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from infercost.arrays import Array, as_array
from infercost.equations.moe import expert_width
from infercost.errors import SpecError
from infercost.specs.case import Case
from infercost.specs.feedforward import DenseFeedForward, FeedForward, MixtureOfExperts


def dosed(case: Case) -> Case:
    """The case with the model that its trend asks for; the case itself where the dose is 0."""
    if not np.any(as_array(case.trend.experts) > 0):
        return case
    model = case.model
    routed = any(ffn.kind == "moe" for ffn in model.ffns.values())
    chosen = MixtureOfExperts if routed else DenseFeedForward
    ffns = {
        name: _with_experts(ffn, case.trend.experts, case.trend.active_experts)
        if isinstance(ffn, chosen)
        else ffn
        for name, ffn in model.ffns.items()
    }
    # Once applied the dose is 0, so that the answer may be dosed again.
    trend = case.trend.model_copy(update={"experts": 0})
    return case.model_copy(
        update={"model": model.model_copy(update={"ffns": ffns}), "trend": trend}
    )


def _with_experts(
    ffn: DenseFeedForward | MixtureOfExperts, experts: Array, active: Array
) -> FeedForward:
    """A block of the same active width in so many experts; one expert is a dense block."""
    width, shared, latent, streams = _widths(ffn)
    count = as_array(experts)
    parts: dict[str, Any] = {"gated": ffn.gated}
    if np.all(count == 1):
        parts |= {"kind": "dense", "d_ff": width + shared, "streams": streams}
        return DenseFeedForward.model_construct(**parts)
    if np.any(count <= 1):
        raise SpecError(
            "trend.experts",
            "",
            "doses of 0 and 1 mean blocks without experts and share no axis with others",
            "Evaluate them apart",
        )
    visited = np.minimum(active, count)
    parts |= {"kind": "moe", "n_experts": experts, "n_active": visited}
    parts |= {"d_ff": expert_width(width, visited), "d_ff_shared": shared, "d_latent": latent}
    return MixtureOfExperts.model_construct(**parts)


def _widths(ffn: DenseFeedForward | MixtureOfExperts) -> tuple[Array, Array, Array, Array]:
    """Active width of a block, its shared and latent width, and its streams."""
    if isinstance(ffn, DenseFeedForward):
        return ffn.d_ff, 0, 0, ffn.streams
    return ffn.n_active * ffn.d_ff, ffn.d_ff_shared, ffn.d_latent, 1
