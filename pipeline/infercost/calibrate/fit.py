"""Fit calibrations: parameters per system family, shrunk to a common set, per stack of software,
shrunk to its family, and per weight format, shrunk to its stack.

Errors are logarithms of predicted over stated time, weighted by 1 / sqrt(rows of the block), with
a robust loss. Efficiencies are fitted as logits, times and tokens as logarithms, so that no
prediction falls below its physical floor. Gauss-Newton with ridge penalties as priors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import splu

from infercost.arrays import BoolArray, FloatArray
from infercost.calibrate.features import At, Features, calibration_at
from infercost.specs.calibration import PARAMETERS, SHARES, Calibration

PRIOR: dict[str, tuple[float, float]] = {
    "memory_efficiency": (0.8, 0.6),
    "compute_efficiency": (0.65, 0.6),
    "attention_memory_efficiency": (0.8, 0.8),
    "attention_compute_efficiency": (0.45, 0.8),
    "expert_efficiency": (0.85, 1.0),
    "expert_streaming": (0.3, 0.8),
    "network_efficiency": (0.5, 0.8),
    "kv_rereads": (0.05, 1.0),
    "pipeline_overlap": (0.6, 0.8),
    "half_rate_tokens": (60.0, 0.35),
    "unpacking_flops": (16.0, 0.5),
    "score_bytes": (5.0, 1.5),
    "decode_overhead": (8e-6, 0.8),
    "prefill_overhead": (20e-6, 0.8),
    "rank_overhead": (2e-6, 0.8),
    "sequence_overhead": (4e-6, 0.8),
}
"""Centre, and deviation of the transformed parameter, before any row is seen. Centres stand on
kernel measurements (`data/reference/kernels.csv`) and on the stacks of 2023 to 2025."""


@dataclass(frozen=True)
class Level:
    """What the rows of one label may deviate by from the levels before it."""

    name: str
    spread: float
    """Deviation of a transformed parameter: as a share of its prior's where `relative`."""
    relative: bool
    parameters: tuple[str, ...]
    together: bool = False
    """Whether one number moves all parameters, each by its prior's deviation and to the slower
    side, rather than one number each."""

    @property
    def width(self) -> int:
        """Numbers of one entry."""
        return 1 if self.together else len(self.parameters)

    @property
    def reach(self) -> FloatArray:
        """How far one of an entry's numbers moves each of `parameters`."""
        if not self.together:
            return np.ones(len(self.parameters))
        slower = [-1.0 if name in FASTER else 1.0 for name in self.parameters]
        return np.array(slower) * [PRIOR[name][1] for name in self.parameters]

    @property
    def deviation(self) -> FloatArray:
        """Deviation of each of an entry's numbers."""
        if self.together:
            return np.array([self.spread])
        prior = np.array([PRIOR[name][1] if self.relative else 1.0 for name in self.parameters])
        return self.spread * prior

    @property
    def places(self) -> NDArray[np.intp]:
        """Places of `parameters` among `PARAMETERS`."""
        return np.array([PARAMETERS.index(name) for name in self.parameters], dtype=np.intp)


FASTER = (
    *("memory_efficiency", "compute_efficiency", "attention_memory_efficiency"),
    *("attention_compute_efficiency", "expert_efficiency", "network_efficiency"),
    "pipeline_overlap",
)
"""Parameters that shorten a time where they grow; others lengthen it."""

LEVELS = (
    Level("family", 0.6, True, PARAMETERS),
    Level("software", 0.6, True, PARAMETERS),
    Level("architecture", 0.3, False, PARAMETERS),
    Level("pace", 1.0, True, PARAMETERS, together=True),
    Level("stack", 1.2, True, PARAMETERS),
    Level("format", 0.25, False, PARAMETERS),
)
"""From the widest to the narrowest. Software crosses families of devices: its kernels, launches
and messages are its own, so that of a stack that nobody measured both halves may be known.
Architectures cross families' software: what a chip sustains of its sheet under any of its stacks. A
stack is first of all slower or faster than others in everything, which three rows tell; only many
rows tell its parameters apart."""

_NUDGE = 1e-3
"""Step on a transformed parameter's line that slopes are taken over."""
_SMALL = 1e-3
"""Share of the loss that counts as next to nothing: what is left moves rows by 0.06 % at the median
and by 0.3 % at the 90th percentile."""
_MOST_DAMPING = 1e6
"""Damping beyond which no step is left to gain by."""
_SCALE = 0.1
"""Size of a log error that counts as one."""
_KNEE = 0.2
"""Log error from which on errors count linearly."""


def transformed(name: str, value: float) -> float:
    """A parameter on the line on which it is fitted."""
    return float(np.log(value / (1.0 - value)) if name in SHARES else np.log(value))


def restored(name: str, value: FloatArray) -> FloatArray:
    """A parameter from the line: an efficiency between 0 and 1, an amount above 0."""
    return np.asarray(1.0 / (1.0 + np.exp(-value)) if name in SHARES else np.exp(value))


@dataclass(frozen=True)
class Groups:
    """The level entries that each row belongs to; -1 where it belongs to none."""

    names: dict[str, tuple[str, ...]]
    index: dict[str, NDArray[np.intp]]

    @classmethod
    def of(cls, labels: Mapping[str, Sequence[str]]) -> Groups:
        """Groups by the label of each row at each level."""
        names = {level.name: tuple(dict.fromkeys(labels[level.name])) for level in LEVELS}
        index = {}
        for level, known in names.items():
            place = {name: k for k, name in enumerate(known)}
            index[level] = np.array([place[label] for label in labels[level]], dtype=np.intp)
        return cls(names, index)

    def of_rows(self, level: str) -> list[str]:
        """The label of each row at a level."""
        return [self.names[level][k] for k in self.index[level]]


@dataclass(frozen=True)
class Fit:
    """Fitted parameters: the common set, and deviations of each level's entries."""

    groups: Groups
    common: FloatArray
    """One entry per parameter, transformed."""
    deviations: dict[str, FloatArray]
    """Per level, one row per entry and one column per parameter of the level."""

    def line(self, entries: Mapping[str, int]) -> FloatArray:
        """Transformed parameters of one entry at each of some levels."""
        total = self.common.copy()
        for level in LEVELS:
            if level.name in entries:
                total[level.places] += self.moved(level, entries[level.name])
        return total

    def moved(self, level: Level, entry: int | NDArray[np.intp]) -> FloatArray:
        """By how much an entry of a level moves each of the level's parameters."""
        return np.asarray(self.deviations[level.name][entry] * level.reach)

    def values(self, labels: Groups | None = None) -> dict[str, FloatArray]:
        """Parameters of each row, restored; groups that were not fitted keep the level above."""
        groups = labels or self.groups
        rows = groups.index[LEVELS[0].name].size
        line = np.tile(self.common, (rows, 1))
        for level in LEVELS:
            line[:, level.places] += self.moved(level, groups.index[level.name])
        return {name: restored(name, line[:, k]) for k, name in enumerate(PARAMETERS)}


def fit(
    features: Features,
    base: Calibration,
    groups: Groups,
    weights: FloatArray,
    used: BoolArray,
    rounds: int = 30,
) -> Fit:
    """Fit all levels to the rows where `used`; entries without rows stay at the level above."""
    count = len(PARAMETERS)
    centre = [np.array([transformed(name, PRIOR[name][0]) for name in PARAMETERS])]
    ridge = [np.array([PRIOR[name][1] ** -2.0 for name in PARAMETERS])]
    rows = groups.index[LEVELS[0].name].size
    columns, places = [np.broadcast_to(np.arange(count), (rows, count))], [np.arange(count)]
    reach = [np.ones(count)]
    starts, total = {}, count
    for level in LEVELS:
        entries, width = len(groups.names[level.name]), level.width
        starts[level.name] = total
        own = total + groups.index[level.name][:, None] * width
        columns.append(own + np.arange(len(level.parameters)) % width)
        places.append(level.places)
        reach.append(level.reach)
        centre.append(np.zeros(entries * width))
        ridge.append(np.tile(level.deviation**-2.0, entries))
        total += entries * width
    problem = _Problem(
        features,
        base,
        np.hstack(columns),
        np.concatenate(places),
        np.concatenate(reach),
        np.flatnonzero(used),
        weights,
        np.concatenate(centre),
        np.concatenate(ridge),
    )
    theta = problem.minimised(problem.centre, rounds)
    return Fit(
        groups,
        theta[:count],
        {
            level.name: theta[starts[level.name] :][
                : len(groups.names[level.name]) * level.width
            ].reshape(-1, level.width)
            for level in LEVELS
        },
    )


@dataclass(frozen=True)
class _Problem:
    """Robust least squares over all levels, with the priors as ridge."""

    features: Features
    base: Calibration
    columns: NDArray[np.intp]
    """Per row, the entries of the solution that its parameters are made of."""
    places: NDArray[np.intp]
    """Which parameter each column adds to."""
    reach: FloatArray
    """How far a column moves that parameter."""
    rows: NDArray[np.intp]
    weights: FloatArray
    centre: FloatArray
    ridge: FloatArray

    def minimised(self, theta: FloatArray, rounds: int) -> FloatArray:
        """Levenberg-Marquardt from `theta`, until two rounds in a row gain next to nothing."""
        damping, value, small = 1e-2, self.value(theta), 0
        for _ in range(rounds):
            normal, target = self.normal_equations(theta)
            while damping < _MOST_DAMPING:
                step = _solved(normal, damping, target)
                candidate = self.value(theta + step)
                if candidate < value:
                    break
                damping *= 8.0
            else:
                return theta
            small = small + 1 if value - candidate < _SMALL * value else 0
            theta, value, damping = theta + step, candidate, max(damping / 4.0, 1e-6)
            if small == 2:
                break
        return theta

    def line(self, theta: FloatArray) -> FloatArray:
        """Transformed parameters of every row."""
        adding = np.zeros((self.places.size, len(PARAMETERS)))
        adding[np.arange(self.places.size), self.places] = self.reach
        return np.asarray(theta[self.columns] @ adding)

    def _at(self, line: FloatArray) -> At:
        """The calibration that the line of each row stands for."""
        values = {name: restored(name, line[:, k]) for k, name in enumerate(PARAMETERS)}
        return calibration_at(self.base, values)

    def errors(self, line: FloatArray) -> FloatArray:
        """Log errors of all rows."""
        return np.asarray(np.log(self.features.predicted(self._at(line)) / self.features.seconds))

    def value(self, theta: FloatArray) -> float:
        """Robust sum of weighted errors (pseudo-Huber), and the ridge."""
        e = self.errors(self.line(theta))[self.rows]
        loss = 2.0 * _KNEE**2 * (np.sqrt(1.0 + (e / _KNEE) ** 2) - 1.0) / _SCALE**2
        return float(self.weights[self.rows] @ loss + self.ridge @ (theta - self.centre) ** 2)

    def normal_equations(self, theta: FloatArray) -> tuple[csc_array, FloatArray]:
        """Curvature and downhill direction at `theta`, errors linearised."""
        line = self.line(theta)
        error, slope = self._linearised(line)
        e, s = error[self.rows], slope[self.rows][:, self.places] * self.reach
        strength = self.weights[self.rows] / np.sqrt(1.0 + (e / _KNEE) ** 2) / _SCALE**2
        weighted = s * strength[:, None]
        columns = self.columns[self.rows]
        target = self.ridge * (self.centre - theta)
        target -= np.bincount(columns.ravel(), (weighted * e[:, None]).ravel(), theta.size)
        curvature = np.stack([weighted[mine].T @ s[mine] for mine in self.kinds])
        places = np.stack([columns[mine[0]] for mine in self.kinds])
        across = np.broadcast_to(places[:, :, None], curvature.shape).ravel()
        along = np.broadcast_to(places[:, None, :], curvature.shape).ravel()
        shape = (theta.size, theta.size)
        normal = coo_array((curvature.ravel(), (across, along)), shape=shape).tocsc()
        return (normal + diags_array(self.ridge)).tocsc(), target

    @cached_property
    def kinds(self) -> list[NDArray[np.intp]]:
        """Used rows that are alike in all labels: their slopes fall on the same columns."""
        found: dict[bytes, list[int]] = {}
        for row, columns in enumerate(self.columns[self.rows]):
            found.setdefault(columns.tobytes(), []).append(row)
        return [np.array(mine) for mine in found.values()]

    def _linearised(self, line: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log errors, and their slopes along each transformed parameter of the row."""
        at = self._at(line)
        parts = self.features.parts
        times = [part.time(at) for part in parts]
        here = np.log(self.features.combined(times, at))
        slope = np.empty_like(line)
        for k, name in enumerate(PARAMETERS):
            moved = line.copy()
            moved[:, k] += _NUDGE
            there = self._at(moved)
            changed = [
                part.time(there) if name in part.felt else time
                for part, time in zip(parts, times, strict=True)
            ]
            slope[:, k] = (np.log(self.features.combined(changed, there)) - here) / _NUDGE
        return here - np.log(self.features.seconds), slope


def _solved(normal: csc_array, damping: float, target: FloatArray) -> FloatArray:
    """The step of damped normal equations: sparse, since stacks meet in what is common alone."""
    damped = (normal + diags_array(damping * normal.diagonal())).tocsc()
    factors = splu(
        damped,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    return np.asarray(factors.solve(target))
