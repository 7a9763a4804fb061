"""A published grid as arrays: one dimension per axis, and values between its points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.errors import SpecError
from infercost.quantities import quantity
from infercost.specs.case import GROUPS

if TYPE_CHECKING:
    from infercost.datasets import Version

MEASURES = (
    "tpot_s",
    "ttft_s",
    "throughput_per_device_per_s",
    "cost_per_mtoken_usd",
    "energy_per_mtoken_j",
    "operational_carbon_per_mtoken_kgco2e",
    "embodied_carbon_per_mtoken_kgco2e",
    "decode_device_flops_flop",
    "decode_device_moved_b",
)
"""Metrics of a page, beside the stress of decode."""
SHARES = "decode_stress_"
RATES = ("throughput_per_device_per_s",)
"""Metrics whose reciprocals, times, are interpolated."""
RATE_AXES = ("bandwidth", "bandwidth_out")
"""Last steps of axes of rates: times go with their reciprocals."""
STEPPED = ("batch", "tp", "pp", "dp", "ep", "capacity", "dose")
"""Last steps of axes of which only the points of the grid can be chosen."""
HEATED = ("bandwidth", "prompt_tokens")
"""Last steps of axes of which the same holds where heat takes the clock away: it falls too fast
between two points."""
HEAT = "decode_stress_thermal"
CURVED = ("ttft_s",)
"""Metrics that are about a parabola of the length of the prompt: floor, products, attention."""
LENGTHS = ("prompt_tokens",)
"""Last steps of axes of such lengths."""


Corners = list[tuple[int, float]]
"""Positions along an axis, with their weights."""


@dataclass(frozen=True)
class Axis:
    """One dimension: its column, a word for it, and its values in order."""

    name: str
    label: str
    values: tuple[Any, ...]
    numeric: bool

    @property
    def last(self) -> str:
        """The last step of its path."""
        return self.name.rpartition(".")[2]

    @property
    def reciprocal(self) -> bool:
        """Whether times are about linear in one over its values, not in its values."""
        return self.numeric and self.last in RATE_AXES

    @property
    def heated(self) -> bool:
        """Whether nothing lies between its values where heat takes the clock away."""
        return self.last in HEATED

    @property
    def length(self) -> bool:
        """Whether some metrics are a parabola of its values."""
        return self.last in LENGTHS

    @property
    def stepped(self) -> bool:
        """Whether nothing lies between its values."""
        return not self.numeric or self.last in STEPPED


@dataclass(frozen=True)
class Part:
    """A metric over the axes that it depends on."""

    dims: tuple[int, ...]
    reciprocal: bool
    """Whether one over its values is interpolated."""
    curved: bool
    """Whether a parabola is laid through its points along lengths."""
    unit: str
    meaning: str
    values: FloatArray


@dataclass(frozen=True)
class Cube:
    """A whole grid: axes, what is infeasible where, and metrics."""

    axes: tuple[Axis, ...]
    limits: tuple[str, ...]
    limit: FloatArray
    """Code of what runs out, over all axes; 0 where feasible."""
    metrics: Mapping[str, Part]
    hot: frozenset[str] = frozenset()
    """Directions in which heat takes the clock away somewhere."""

    def at(self, place: Mapping[str, Any], metric: str) -> float:
        """A metric at a place on or between points; NaN where a point around it is infeasible, or
        where heat leaves nothing between the points.

        v = Σ w v over the corners around the place, w the product of distances along each axis;
        times are about linear in lengths, latencies, prices and one over rates. Times to the first
        token have a part that goes with the square of the prompt: along its length w are those of
        the parabola through the three nearest points, where these are feasible and it stays between
        the two next to the place.
        """
        part = self.metrics[metric]
        corners = [_corners(axis, place[axis.name]) for axis in self.axes]
        if place.get("direction") in self.hot and any(
            axis.heated and len(found) > 1 for axis, found in zip(self.axes, corners, strict=True)
        ):
            return float("nan")
        if self._any_infeasible(corners):
            return float("nan")
        if part.curved:
            curved = [
                _parabola(axis, place[axis.name]) if axis.length else found
                for axis, found in zip(self.axes, corners, strict=True)
            ]
            if not self._any_infeasible(curved):
                found = _mean(part, curved)
                low, high = (_mean(part, self._ended(corners, end)) for end in (0, -1))
                if min(low, high) <= found <= max(low, high):
                    return found
        return _mean(part, corners)

    def _ended(self, corners: list[Corners], end: int) -> list[Corners]:
        """Corners with lengths at the point before or behind the place."""
        return [
            [(near[end][0], 1.0)] if axis.length else near
            for axis, near in zip(self.axes, corners, strict=True)
        ]

    def _any_infeasible(self, corners: list[Corners]) -> bool:
        return any(self.limit[index] > 0 for index, _ in _combined(corners))


def _mean(part: Part, corners: list[Corners]) -> float:
    """Weighted mean of a metric over corners; harmonic where its reciprocals are interpolated."""
    total = 0.0
    for index, weight in _combined(corners):
        value = float(part.values[tuple(index[d] for d in part.dims)])
        total += weight * (1.0 / value if part.reciprocal else value)
    return 1.0 / total if part.reciprocal else total


def _combined(corners: list[Corners]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every combination of corners, with the product of their weights."""
    for combination in itertools.product(*corners):
        yield tuple(i for i, _ in combination), float(np.prod([w for _, w in combination]))


def _corners(axis: Axis, value: Any) -> Corners:
    """Positions around a value and their weights; one where it is on the grid."""
    if axis.stepped:
        return [(axis.values.index(value), 1.0)]
    known, at = np.array(axis.values, dtype=np.float64), float(value)
    if axis.reciprocal:
        known, at = 1.0 / known, 1.0 / at
    upper = int(np.clip(np.searchsorted(axis.values, value), 1, len(known) - 1))
    share = float((at - known[upper - 1]) / (known[upper] - known[upper - 1]))
    both = [(upper - 1, 1.0 - share), (upper, share)]
    return [(i, w) for i, w in both if w > 1e-12]


def _parabola(axis: Axis, value: Any) -> Corners:
    """Lagrange's weights of the three points around a value, the third the nearer by ratio."""
    known, at = np.array(axis.values, dtype=np.float64), float(value)
    near = _corners(axis, value)
    if len(near) == 1 or len(known) < 3:
        return near
    lower, upper = near[0][0], near[1][0]
    below = at / known[lower - 1] if lower > 0 else np.inf
    above = known[upper + 1] / at if upper + 1 < len(known) else np.inf
    first = lower - 1 if below < above else lower
    three = range(first, first + 3)
    return [
        (i, float(np.prod([(at - known[j]) / (known[i] - known[j]) for j in three if j != i])))
        for i in three
    ]


def cube_of(version: Version) -> Cube:
    """The grid of a version whose study keeps all points of its axes. Raises `SpecError`."""
    rows = version.rows()
    definition = version.manifest()["definition"]
    place = f"{version.study}/{version.name}"
    if definition.get("optimise") is not None or not definition.get("axes"):
        remedy = "Take a study with axes, without 'optimise', that keeps all points"
        raise SpecError(place, "", "holds chosen points, not a grid", remedy)
    axes = tuple(_axis(rows, path, values) for path, values in definition["axes"].items())
    axes = tuple(sorted(axes, key=_order))
    shape = tuple(len(axis.values) for axis in axes)
    if len(rows) != int(np.prod(shape)):
        fault = f"has {len(rows)} rows, and its axes {int(np.prod(shape))} points"
        raise SpecError(place, "", fault, "Take a study whose axes are a whole grid")
    order = np.lexsort([_codes(rows, axis) for axis in reversed(axes)])
    limits, codes = np.unique(rows["limited_by"].astype(str).to_numpy()[order], return_inverse=True)
    names = [*MEASURES, *(c for c in rows.columns if c.startswith(SHARES))]
    metrics = {}
    for name in names:
        values = rows[name].to_numpy(dtype=np.float64)[order].reshape(shape)
        if np.nansum(values) > 0:
            about = quantity(name)
            dims, kept = _needed(values)
            metrics[name] = Part(
                dims, name in RATES, name in CURVED, about.unit, about.meaning, kept
            )
    # The empty word, of feasible points, sorts first; without one every point is infeasible.
    if limits[0] != "":
        raise SpecError(place, "", "has no feasible point", "Choose smaller models or more devices")
    found = codes.reshape(shape).astype(np.float64)
    return Cube(axes, tuple(map(str, limits)), found, metrics, _hot(rows))


def _hot(rows: Any) -> frozenset[str]:
    if HEAT not in rows.columns or "direction" not in rows.columns:
        return frozenset()
    return frozenset(map(str, rows.loc[rows[HEAT] > 0, "direction"].unique()))


def _axis(rows: Any, path: str, values: list[Any]) -> Axis:
    """An axis as the rows name it: directions are listed by their full path there."""
    if path in GROUPS:
        names = tuple("+".join(v) if isinstance(v, list) else str(v) for v in values)
        return Axis(path, path, names, False)
    head, _, last = path.rpartition(".")
    columns = [{f"plan.{degree}": degree for degree in ("tp", "pp", "dp", "ep")}.get(path, path)]
    columns += [c for c in rows.columns if c.startswith(f"{head}.") and c.endswith(f".{last}")]
    column = next(c for c in columns if c in rows.columns)
    found = tuple(sorted(float(v) for v in rows[column].unique()))
    return Axis(column, last.replace("_", " "), found, True)


def _order(axis: Axis) -> tuple[bool, int]:
    """Options before numbers, each in the order of the groups or of the study."""
    return axis.numeric, GROUPS.index(axis.name) if axis.name in GROUPS else len(GROUPS)


def _codes(rows: Any, axis: Axis) -> FloatArray:
    if axis.numeric:
        return np.asarray(rows[axis.name].to_numpy(dtype=np.float64))
    place = {value: code for code, value in enumerate(axis.values)}
    return np.asarray([place[str(value)] for value in rows[axis.name]], dtype=np.float64)


def _needed(values: FloatArray) -> tuple[tuple[int, ...], FloatArray]:
    """The dimensions along which a metric varies, and its values over these.

    Where a point is infeasible its value is that of a feasible point with the same coordinates in
    the other dimensions, or NaN.
    """
    dims = list(range(values.ndim))
    for dim in reversed(range(values.ndim)):
        with np.errstate(invalid="ignore"):
            low, high = np.fmin.reduce(values, axis=dim), np.fmax.reduce(values, axis=dim)
            same = np.isnan(low) | (high - low <= 1e-9 * np.abs(high))
        if same.all() and values.shape[dim] > 1:
            values, dims = low, [d for d in dims if d != dim]
    return tuple(dims), values
