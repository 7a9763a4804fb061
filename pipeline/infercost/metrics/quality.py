"""What mitigations cost in quality, and what drafting settles."""

from __future__ import annotations

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.registry import metric


@metric("1", "q_loss", always=True)
def quality_loss(point: Evaluation) -> Array:
    """Share of a benchmark's score that mitigations cost, losses summed; empty where one is
    unknown."""
    return as_array(point.case.mechanisms.quality_loss)


@metric("1", "n_settled", always=True)
def tokens_per_pass(point: Evaluation) -> Array:
    """Tokens that one decode or denoising step settles per sequence: 1 without drafts or
    diffusion."""
    return as_array(point.lengths.pace)
