"""Per request: an answer, an image or a clip. What tokens cannot count."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.registry import metric


@metric("USD", "K_req")
def cost_per_request(point: Evaluation) -> Array:
    """All-in cost of one request: its answers, image or clip, searches; none for a snapshot."""
    cost = point.per_token_price * _outputs(point)
    return cost if point.search is None else cost + point.search.cost


def _outputs(point: Evaluation) -> Array:
    """Output tokens of all answers of a request, or pictures."""
    return point.lengths.output_mean * point.lengths.branches


@metric("J", "E_req")
def energy_per_request(point: Evaluation) -> Array:
    """Energy at the meter of one request, searches left out; none for a snapshot."""
    return point.per_token.energy.total * _outputs(point)


@metric("1", "n_step")
def steps_per_request(point: Evaluation) -> Array:
    """Decode or denoising steps of one answer; none for a snapshot."""
    starts = as_array(point.lengths.prefills_per_step * point.lengths.branches, dtype=np.float64)
    return 1.0 / np.where(starts > 0, starts, np.nan)


@metric("s", "t_enc")
def encoder_time(point: Evaluation) -> Array:
    """Time that images and sound spend in encoders, part of the time to first token."""
    return as_array(point.encoder_time)


@metric("USD", "K_vid")
def cost_per_video_second(point: Evaluation) -> Array:
    """All-in cost of one second of generated video; none for other outputs."""
    duration = getattr(point.case.workload, "duration", None)
    return np.nan if duration is None else cost_per_request(point) / duration


@metric("s", "t_search")
def retrieval_time(point: Evaluation) -> Array:
    """Time of the searches in front of a prompt, part of the time to first token."""
    return as_array(0.0 if point.search is None else point.search.time)


@metric("B", "Q_index", always=True)
def index_memory(point: Evaluation) -> Array:
    """Memory of the index that requests search, on servers of its own."""
    return 0.0 if point.search is None else point.search.index


@metric("USD", "K_search")
def retrieval_cost_per_request(point: Evaluation) -> Array:
    """Cost of the searches of one request, were the index servers busy."""
    return as_array(0.0 if point.search is None else point.search.cost)
