"""Examinations: fits that never see what they are examined on, and intervals learnt from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from infercost.arrays import Array, BoolArray, FloatArray
from infercost.calibrate.features import Features, calibration_at
from infercost.calibrate.fit import Fit, Groups, fit
from infercost.specs.calibration import Calibration

KNOWN, FAMILY, COMMON = "stack", "family", "common"
"""How close to a row the fit had been: its stack, only its family, or neither."""
SOFTWARE = "software"
"""Its family, and its software on other families."""


@dataclass(frozen=True)
class Examined:
    """Log errors (predicted over stated time) of rows by fits that had not seen them."""

    error: FloatArray
    level: tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """What a fit needs: features, base, groups, weights."""

    features: Features
    base: Calibration
    groups: Groups
    weights: FloatArray

    def fitted(self, used: BoolArray, weights: FloatArray | None = None) -> Fit:
        """A fit to the rows where `used`."""
        weights = self.weights if weights is None else weights
        return fit(self.features, self.base, self.groups, weights, used)

    def errors(self, fitted: Fit) -> FloatArray:
        """Log errors of all rows under a fit."""
        times = self.features.predicted(calibration_at(self.base, fitted.values()))
        return np.asarray(np.log(times / self.features.seconds))

    def leaving_out(self, labels: Sequence[str], workers: int = 2, kept: int = 0) -> Examined:
        """Errors of each label's rows by a fit to all others, and to `kept` of its own.

        Rows that were kept, and labels without more than them, have no error: NaN.
        """
        names = list(dict.fromkeys(labels))
        error, level = np.empty(len(labels)), np.empty(len(labels), dtype=object)
        with ProcessPoolExecutor(workers) as pool:
            for rows, found, levels in pool.map(
                partial(_fold, self, np.asarray(labels), kept), names, chunksize=4
            ):
                error[rows], level[rows] = found, levels
        return Examined(error, tuple(level))


def _fold(
    examination: Examination, labels: FloatArray, kept: int, name: str
) -> tuple[NDArray[np.intp], FloatArray, list[str]]:
    held = labels == name
    rows = np.flatnonzero(held)
    own = spread_out(rows, kept)
    if kept and rows.size <= kept:
        return rows, np.full(rows.size, np.nan), list(_levels(examination.groups, held))
    used, weights = ~held, examination.weights.copy()
    used[own] = True
    if kept:
        weights[own] = own_weight(float(kept))
    errors = examination.errors(examination.fitted(used, weights))
    errors[own] = np.nan
    levels = [KNOWN] * rows.size if kept else list(_levels(examination.groups, held))
    return rows, errors[rows], levels


def spread_out(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """`count` of some rows, as far apart in the table as they can be: the first, ..., the last."""
    return rows[np.unique(np.linspace(0, rows.size - 1, count).round().astype(np.intp))]


def own_weight(rows: Array) -> Array:
    """sqrt(3 / rows) for rows of the stack that is asked about: three of them count whole."""
    weight: Array = 3.0**0.5 * block_weight(rows)
    return weight


def block_weight(rows: Array) -> Array:
    """1 / sqrt(rows of a block), so that a long series does not drown the others."""
    return 1.0 / np.sqrt(rows)


def _levels(groups: Groups, held: BoolArray) -> Iterator[str]:
    """What is left, once `held` is out, of each held row's own kind."""
    stack, family = groups.index["stack"], groups.index["family"]
    for row in np.flatnonzero(held):
        if np.any(~held & (stack == stack[row])):
            yield KNOWN
        elif np.any(~held & (family == family[row])):
            yield FAMILY
        else:
            yield COMMON


SHARE = 0.8
"""Share of rows that an interval is to cover."""


def interval(errors: FloatArray, units: int | None = None) -> tuple[float, float]:
    """Factors on a prediction between which `SHARE` of stated values lie, from its log errors.

    With few units the interval is widened, as a quantile of n + 1 (conformal prediction). Units are
    what was left out together (blocks, stacks), since their errors come together: not every error
    tells something new. Without `units` each error does.
    """
    tail = (1.0 - SHARE) / 2.0
    spare = 1.0 / ((errors.size if units is None else units) + 1.0)
    low, high = np.quantile(errors, [max(tail - spare, 0.0), min(1.0 - tail + spare, 1.0)])
    return float(np.exp(-high)), float(np.exp(-low))


def covered(examined: Examined, kinds: Sequence[str], blocks: Sequence[str]) -> FloatArray:
    """Whether each row lies in the interval that the other blocks of its kind and level give."""
    keys = np.array([f"{level}|{kind}" for level, kind in zip(examined.level, kinds, strict=True)])
    block = np.asarray(blocks)
    inside = np.zeros(len(keys))
    for key in dict.fromkeys(keys):
        mine = keys == key
        for name in dict.fromkeys(block[mine]):
            others = mine & (block != name)
            if others.sum() < 5:  # too few to tell: all of the level
                others = (np.array(examined.level) == key.split("|")[0]) & (block != name)
            low, high = interval(examined.error[others], np.unique(block[others]).size)
            rows = mine & (block == name)
            ratio = np.exp(-examined.error[rows])
            inside[rows] = (low <= ratio) & (ratio <= high)
    return inside
