"""Requests counted in positions of a model of bytes, in place of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from infercost.arrays import Array, Ratio, as_array
from infercost.specs.patches import Patches
from infercost.workloads.lengths import Lengths


def in_positions(lengths: Lengths, factor: Ratio) -> Lengths:
    """The same requests where a token takes `factor` positions: patches of a model of bytes.

    Prompts and outputs are still counted in tokens where they are paid for.
    """
    output = lengths.output_mean * factor
    starts = as_array(lengths.prefills_per_step) > 0
    steps = np.maximum(output - 1.0, 1e-9)
    given = lengths.output_mean / steps
    return replace(
        lengths,
        prompt=np.maximum(lengths.prompt * factor, 1.0),
        pairs=_scaled(lengths.pairs, factor, 2),
        context=_scaled(lengths.context, factor, 1),
        deviation=_scaled(lengths.deviation, factor, 1),
        longest=lengths.longest * factor,
        prefills_per_step=np.where(starts, 1.0 / steps, 0.0) / lengths.branches,
        tokens_per_step=np.where(starts, given, 1.0 / factor),
        whole=lambda power: lengths.whole(power) * factor**power,
        pace=lengths.pace / factor,
        cached_prompt=lengths.cached_prompt * factor,
        cached_pairs=_scaled(lengths.cached_pairs, factor, 2),
    )


def _scaled(of: Callable[[float], Array], factor: Ratio, power: int) -> Callable[[float], Array]:
    """A statistic of tokens in sight, of positions instead."""
    return lambda window: as_array(factor) ** power * of(window / factor)  # type: ignore[arg-type]


def tokens_in_patches(patches: Patches) -> Ratio:
    """Positions of the model's own layers that a token takes."""
    return patches.bytes_per_token / patches.patch
