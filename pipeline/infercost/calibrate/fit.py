"""Fit calibrations: parameters per system family, shrunk to a common set, per stack of software,
shrunk to its family, and per weight format, shrunk to its stack.

Errors are logarithms of predicted over stated time, weighted by 1 / sqrt(rows of the block), with
a robust loss. Efficiencies are fitted as logits, times and tokens as logarithms, so that no
prediction falls below its physical floor. Gauss-Newton with ridge penalties as priors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from infercost.arrays import BoolArray, FloatArray
from infercost.calibrate.features import Features, calibration_at
from infercost.specs.calibration import Calibration

EFFICIENCIES = (
    "memory_efficiency",
    "compute_efficiency",
    "attention_memory_efficiency",
    "attention_compute_efficiency",
    "expert_efficiency",
    "network_efficiency",
    "kv_rereads",
)
AMOUNTS = (
    "half_rate_tokens",
    "decode_overhead",
    "prefill_overhead",
    "rank_overhead",
    "sequence_overhead",
)
PARAMETERS = (*EFFICIENCIES, *AMOUNTS)

PRIOR: dict[str, tuple[float, float]] = {
    "memory_efficiency": (0.8, 0.6),
    "compute_efficiency": (0.65, 0.6),
    "attention_memory_efficiency": (0.8, 0.8),
    "attention_compute_efficiency": (0.25, 0.8),
    "expert_efficiency": (0.7, 0.6),
    "network_efficiency": (0.5, 0.8),
    "kv_rereads": (0.05, 1.0),
    "half_rate_tokens": (60.0, 0.35),
    "decode_overhead": (8e-6, 0.8),
    "prefill_overhead": (20e-6, 0.8),
    "rank_overhead": (2e-6, 0.8),
    "sequence_overhead": (4e-6, 0.8),
}
"""Centre, and deviation of the transformed parameter, before any row is seen. Centres stand on
kernel measurements (`data/reference/kernels.csv`) and on the stacks of 2023 to 2025."""

LEVELS = ("family", "stack", "format")
SPREAD = {"family": 0.6, "stack": 1.2, "format": 0.25}
"""Deviation of a level from the one above it, as a share of the prior's deviation for `family`
and `stack`; absolute in the transformed parameter."""

_SCALE = 0.1
"""Size of a log error that counts as one."""
_KNEE = 0.2
"""Log error from which on errors count linearly."""


def transformed(name: str, value: float) -> float:
    """A parameter on the line on which it is fitted."""
    return float(np.log(value / (1.0 - value)) if name in EFFICIENCIES else np.log(value))


def restored(name: str, value: FloatArray) -> FloatArray:
    """A parameter from the line: an efficiency between 0 and 1, an amount above 0."""
    return np.asarray(1.0 / (1.0 + np.exp(-value)) if name in EFFICIENCIES else np.exp(value))


@dataclass(frozen=True)
class Groups:
    """The level entries that each row belongs to; -1 where it belongs to none."""

    names: dict[str, tuple[str, ...]]
    index: dict[str, FloatArray]

    @classmethod
    def of(cls, labels: dict[str, Sequence[str]]) -> Groups:
        """Groups by the label of each row at each level."""
        names = {level: tuple(dict.fromkeys(labels[level])) for level in LEVELS}
        index = {
            level: np.array([names[level].index(label) for label in labels[level]], dtype=float)
            for level in LEVELS
        }
        return cls(names, index)


@dataclass(frozen=True)
class Fit:
    """Fitted parameters: the common set, and deviations of each level's entries."""

    groups: Groups
    common: FloatArray
    """One entry per parameter, transformed."""
    deviations: dict[str, FloatArray]
    """Per level, one row per entry and one column per parameter."""

    def values(self, labels: Groups | None = None) -> dict[str, FloatArray]:
        """Parameters of each row, restored; groups that were not fitted keep the level above."""
        groups = labels or self.groups
        rows = groups.index[LEVELS[0]].size
        line = np.tile(self.common, (rows, 1))
        for level in LEVELS:
            line = line + self.deviations[level][groups.index[level].astype(np.intp)]
        return {name: restored(name, line[:, k]) for k, name in enumerate(PARAMETERS)}


def fit(
    features: Features,
    base: Calibration,
    groups: Groups,
    weights: FloatArray,
    used: BoolArray,
    rounds: int = 12,
) -> Fit:
    """Fit all levels to the rows where `used`; entries without rows stay at the level above."""
    size = {level: len(groups.names[level]) for level in LEVELS}
    count = len(PARAMETERS)
    offsets, total = {}, count
    for level in LEVELS:
        offsets[level] = total
        total += size[level] * count
    centre = np.zeros(total)
    centre[:count] = [transformed(name, PRIOR[name][0]) for name in PARAMETERS]
    spread = np.array([PRIOR[name][1] for name in PARAMETERS])
    ridge = np.concatenate(
        [
            1.0 / spread**2,
            *(np.tile((SPREAD[v] * _unit(v, spread)) ** -2.0, size[v]) for v in LEVELS),
        ]
    )
    columns = [np.arange(count)[None, :]] + [
        offsets[level] + groups.index[level].astype(np.intp)[:, None] * count + np.arange(count)
        for level in LEVELS
    ]
    problem = _Problem(features, base, columns, np.flatnonzero(used), weights, centre, ridge)
    theta = problem.minimised(centre, rounds)
    return Fit(
        groups,
        theta[:count],
        {v: theta[offsets[v] : offsets[v] + size[v] * count].reshape(-1, count) for v in LEVELS},
    )


def _unit(level: str, spread: FloatArray) -> FloatArray:
    return spread if level != "format" else np.ones_like(spread)


@dataclass(frozen=True)
class _Problem:
    """Robust least squares over all levels, with the priors as ridge."""

    features: Features
    base: Calibration
    columns: list[NDArray[np.intp]]
    """Per level, the entries of the solution that add up to each row's parameters."""
    rows: NDArray[np.intp]
    weights: FloatArray
    centre: FloatArray
    ridge: FloatArray

    def minimised(self, theta: FloatArray, rounds: int) -> FloatArray:
        """Levenberg-Marquardt from `theta`."""
        damping, value = 1e-2, self.value(theta)
        for _ in range(rounds):
            normal, target = self.normal_equations(theta)
            for _ in range(6):
                damped = normal + damping * np.diag(np.diag(normal))
                step = np.linalg.solve(damped, target)
                candidate = self.value(theta + step)
                if candidate < value:
                    break
                damping *= 5.0
            else:
                return theta
            gain, theta, value = value - candidate, theta + step, candidate
            damping = max(damping / 4.0, 1e-6)
            if gain < 1e-4 * value:
                break
        return theta

    def line(self, theta: FloatArray) -> FloatArray:
        """Transformed parameters of every row."""
        size = self.features.seconds.size
        total = sum(theta[column] for column in self.columns)
        return np.array(np.broadcast_to(total, (size, len(PARAMETERS))))

    def errors(self, line: FloatArray) -> FloatArray:
        """Log errors of all rows."""
        values = {name: restored(name, line[:, k]) for k, name in enumerate(PARAMETERS)}
        times = self.features.predicted(calibration_at(self.base, values))
        return np.asarray(np.log(times / self.features.seconds))

    def value(self, theta: FloatArray) -> float:
        """Robust sum of weighted errors (pseudo-Huber), and the ridge."""
        e = self.errors(self.line(theta))[self.rows]
        loss = 2.0 * _KNEE**2 * (np.sqrt(1.0 + (e / _KNEE) ** 2) - 1.0) / _SCALE**2
        return float(self.weights[self.rows] @ loss + self.ridge @ (theta - self.centre) ** 2)

    def normal_equations(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Curvature and downhill direction at `theta`, errors linearised."""
        line = self.line(theta)
        error, slope = self._linearised(line)
        e, s = error[self.rows], slope[self.rows]
        strength = self.weights[self.rows] / np.sqrt(1.0 + (e / _KNEE) ** 2) / _SCALE**2
        places = np.hstack([np.broadcast_to(c, line.shape)[self.rows] for c in self.columns])
        slopes = np.hstack([s] * len(self.columns))
        owner = np.repeat(np.arange(e.size), places.shape[1])
        shape = (e.size, theta.size)
        jacobian = csr_array((slopes.ravel(), (owner, places.ravel())), shape=shape)
        weighted = jacobian.multiply(strength[:, None]).tocsr()
        normal = (jacobian.T @ weighted).toarray() + np.diag(self.ridge)
        target = self.ridge * (self.centre - theta) - weighted.T @ e
        return np.asarray(normal), np.asarray(target)

    def _linearised(self, line: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log errors, and their slopes along each transformed parameter of the row."""
        here = self.errors(line)
        slope = np.empty_like(line)
        for k in range(line.shape[1]):
            moved = line.copy()
            moved[:, k] += 1e-3
            slope[:, k] = (self.errors(moved) - here) / 1e-3
        return here, slope
