"""What a prefix cache gives."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.registry import metric


@metric("1", "h", always=True)
def prefix_hit_rate(point: Evaluation) -> Array:
    """Share of prompt tokens that a prefix cache holds; none where there are no prompts."""
    lengths = point.lengths
    with np.errstate(invalid="ignore"):
        return lengths.mean(lengths.cached_prompt) / as_array(lengths.prompt_mean)


@metric("s", "t_load")
def prefix_load_time(point: Evaluation) -> Array:
    """Mean time that a prefill waits for cached prefixes, part of the time to first token."""
    return as_array(point.lengths.mean(point.prefix_load_time))
