"""The one array type of the cost model, and its annotations that carry a unit.

Every equation takes and returns `Array`: a float, or a float64 array that broadcasts with its
neighbours. `Annotated` states the unit, so that one generic test can call each equation with
unit-carrying arguments and compare the dimension of the answer. Nothing is checked at run time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from infercost.tape.deferred import Deferred

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Array: TypeAlias = float | FloatArray

INSTANT = 1e-30
"""A time or energy below any other in SI units, so that what moves nothing divides by no zero."""


@overload
def as_array(value: bool | np.bool_ | BoolArray) -> BoolArray: ...
@overload
def as_array(value: Array) -> FloatArray: ...
@overload
def as_array(value: Any, dtype: type[np.float64]) -> FloatArray: ...
def as_array(value: Any, dtype: Any = None) -> Any:
    """As `numpy.asarray`, but what may be computed later stays so (`infercost.tape.deferred`)."""
    if isinstance(value, Deferred):
        return value if dtype is None else value.astype(dtype)
    return np.asarray(value, dtype=dtype)


def number(value: Any) -> float:
    """The one number of a point, or the first of an array."""
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])


def surely(condition: Any) -> bool:
    """Whether a condition holds everywhere; of what may be computed later, if that is known now."""
    known = not isinstance(condition, Deferred) or condition.value is not None
    return known and bool(np.all(condition))


def cuts(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """A grid cut along its leading axes into pieces of at most `most` points, in order.

    Each piece is a stretch of rows, the last axis fastest.
    """
    inner, position = 1, len(shape)
    while position and inner * shape[position - 1] <= most:
        position -= 1
        inner *= shape[position]
    rest = tuple(slice(0, size) for size in shape[position:])
    if not position:
        yield rest
        return
    step = max(most // inner, 1)
    for index in np.ndindex(*shape[: position - 1]):
        fixed = tuple(slice(i, i + 1) for i in index)
        for start in range(0, shape[position - 1], step):
            yield (*fixed, slice(start, min(start + step, shape[position - 1])), *rest)


@dataclass(frozen=True)
class Unit:
    """The unit of an annotated argument or result, in the spelling of `infercost.units`."""

    symbol: str


Bytes: TypeAlias = Annotated[Array, Unit("B")]
BytesPerSecond: TypeAlias = Annotated[Array, Unit("B/s")]
Flops: TypeAlias = Annotated[Array, Unit("FLOP")]
FlopsPerSecond: TypeAlias = Annotated[Array, Unit("FLOP/s")]
Seconds: TypeAlias = Annotated[Array, Unit("s")]
Joules: TypeAlias = Annotated[Array, Unit("J")]
JoulesPerByte: TypeAlias = Annotated[Array, Unit("J/B")]
Watts: TypeAlias = Annotated[Array, Unit("W")]
Usd: TypeAlias = Annotated[Array, Unit("USD")]
Kelvin: TypeAlias = Annotated[Array, Unit("K")]
KelvinPerWatt: TypeAlias = Annotated[Array, Unit("K/W")]
UsdPerSecond: TypeAlias = Annotated[Array, Unit("USD/s")]
UsdPerJoule: TypeAlias = Annotated[Array, Unit("USD/J")]
UsdPerWattSecond: TypeAlias = Annotated[Array, Unit("USD/W/s")]
PerSecond: TypeAlias = Annotated[Array, Unit("1/s")]
KgCO2e: TypeAlias = Annotated[Array, Unit("kgCO2e")]
KgCO2ePerByte: TypeAlias = Annotated[Array, Unit("kgCO2e/B")]
KgCO2ePerJoule: TypeAlias = Annotated[Array, Unit("kgCO2e/J")]
KgCO2ePerSecond: TypeAlias = Annotated[Array, Unit("kgCO2e/s")]
Metres: TypeAlias = Annotated[Array, Unit("m")]
SquareMetres: TypeAlias = Annotated[Array, Unit("m2")]
PerSquareMetre: TypeAlias = Annotated[Array, Unit("1/m2")]
JoulesPerSquareMetre: TypeAlias = Annotated[Array, Unit("J/m2")]
KgCO2ePerSquareMetre: TypeAlias = Annotated[Array, Unit("kgCO2e/m2")]
Ratio: TypeAlias = Annotated[Array, Unit("1")]
Count: TypeAlias = Annotated[Array, Unit("1")]
