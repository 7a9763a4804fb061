"""A published grid as arrays: one dimension per axis, and values between its points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
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
STEPPED = ("batch", "tp", "pp", "dp", "ep", "capacity")
"""Last steps of axes of which only the points of the grid can be chosen."""


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
    def stepped(self) -> bool:
        """Whether nothing lies between its values."""
        return not self.numeric or self.last in STEPPED


@dataclass(frozen=True)
class Part:
    """A metric over the axes that it depends on."""

    dims: tuple[int, ...]
    reciprocal: bool
    """Whether one over its values is interpolated."""
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

    def at(self, place: Mapping[str, Any], metric: str) -> float:
        """A metric at a place on or between points; NaN where a point around it is infeasible.

        v = Σ w v over the corners around the place, w the product of distances along each axis;
        times are about linear in lengths, latencies, prices and one over rates.
        """
        corners = [_corners(axis, place[axis.name]) for axis in self.axes]
        part, total = self.metrics[metric], 0.0
        for combination in itertools.product(*corners):
            index = tuple(i for i, _ in combination)
            if self.limit[index] > 0:
                return float("nan")
            value = float(part.values[tuple(index[d] for d in part.dims)])
            weight = float(np.prod([w for _, w in combination]))
            total += weight * (1.0 / value if part.reciprocal else value)
        return 1.0 / total if part.reciprocal else total


def _corners(axis: Axis, value: Any) -> list[tuple[int, float]]:
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
            metrics[name] = Part(dims, name in RATES, about.unit, about.meaning, kept)
    # The empty word, of feasible points, sorts first; without one every point is infeasible.
    if limits[0] != "":
        raise SpecError(place, "", "has no feasible point", "Choose smaller models or more devices")
    return Cube(axes, tuple(map(str, limits)), codes.reshape(shape).astype(np.float64), metrics)


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
