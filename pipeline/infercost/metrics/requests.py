"""Per request: an answer, an image or a clip. What tokens cannot count."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array
from infercost.cost import Evaluation
from infercost.registry import metric


@metric("USD", "K_req")
def cost_per_request(point: Evaluation) -> Array:
    """All-in cost of one request: an answer, image or clip; none for a snapshot."""
    return point.cost_terms(point.per_token).total * point.lengths.output_mean


@metric("J", "E_req")
def energy_per_request(point: Evaluation) -> Array:
    """Energy at the meter of one request: an answer, image or clip; none for a snapshot."""
    return point.per_token.energy.total * point.lengths.output_mean


@metric("1", "n_step")
def steps_per_request(point: Evaluation) -> Array:
    """Decode or denoising steps of one request; none for a snapshot."""
    starts = np.asarray(point.lengths.prefills_per_step, dtype=np.float64)
    return 1.0 / np.where(starts > 0, starts, np.nan)


@metric("s", "t_enc")
def encoder_time(point: Evaluation) -> Array:
    """Time that images and sound spend in encoders, part of the time to first token."""
    return np.asarray(point.encoder_time)


@metric("USD", "K_vid")
def cost_per_video_second(point: Evaluation) -> Array:
    """All-in cost of one second of generated video; none for other outputs."""
    duration = getattr(point.case.workload, "duration", None)
    return cost_per_request(point) / (np.nan if duration is None else duration)
