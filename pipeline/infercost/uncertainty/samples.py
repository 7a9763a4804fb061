"""Axes that are sampled: points of a Latin hypercube or a Sobol sequence between stated ends.

A sample is one axis of the grid, along which several paths vary together. A part computes a stretch
of it, so that a sample of any size is cut as a gridded axis is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from infercost.arrays import FloatArray
from infercost.compose import ComposedCase, Options
from infercost.errors import SpecError
from infercost.grid import GridAxis
from infercost.specs.study import Range, Sample

NAME = "sample"
"""Name of the axis."""


def sampled_axis(
    options: Options, composed: ComposedCase, sample: Sample, start: int, stop: int
) -> GridAxis:
    """The points from `start` up to `stop`, in SI units; those of counts are rounded."""
    ends = {path: _ends(options, composed, path, ends) for path, ends in sample.over.items()}
    drawn = unit_points(sample.method, sample.count, len(sample.over), sample.seed)[start:stop]
    return GridAxis(
        NAME,
        {
            path: _spread(drawn[:, column], *ends[path], sample.over[path].scale)
            for column, path in enumerate(sample.over)
        },
    )


def check(options: Options, composed: ComposedCase, sample: Sample) -> None:
    """Raise `SpecError` where a path cannot be sampled between its ends."""
    for path, ends in sample.over.items():
        _ends(options, composed, path, ends)


@lru_cache(maxsize=2)
def unit_points(method: str, count: int, paths: int, seed: int) -> FloatArray:
    """The whole sample in the unit cube, one row per point, one column per path.

    Source: scipy.stats.qmc; a Sobol sequence is scrambled (Owen 1998), a Latin hypercube plain.
    """
    from scipy.stats import qmc

    kind = qmc.Sobol if method == "sobol" else qmc.LatinHypercube
    points: FloatArray = kind(paths, rng=seed).random(count)
    return points


def _ends(
    options: Options, composed: ComposedCase, path: str, ends: Range
) -> tuple[float | int, float | int]:
    """Both ends, each checked as if it stood in the option itself."""
    low, high = (options.with_value(composed, path, value) for value in (ends.low, ends.high))
    place = f"sample '{path}'"
    for value in (low, high):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise SpecError(place, path, "is not a number", "Sample a numeric field")
    if not low < high:
        raise SpecError(place, path, f"low {ends.low} is not below high {ends.high}", "Swap them")
    if ends.scale == "log" and low <= 0:
        raise SpecError(place, path, "has no logarithm at its low end", "Take scale: linear")
    return low, high


def _spread(share: FloatArray, low: float | int, high: float | int, scale: str) -> FloatArray:
    """Points between two ends, by share of the way.

    To twelve digits, which processors agree on: they differ in the last bits of a power.
    """
    values = low * (high / low) ** share if scale == "log" else low + share * (high - low)
    if isinstance(low, int) and isinstance(high, int):
        return np.rint(values)
    return np.array([float(f"{value:.12g}") for value in values])
