"""The one array type of the cost model, and its annotations that carry a unit.

Every equation takes and returns `Array`: a float, or a float64 array that broadcasts with its
neighbours. `Annotated` states the unit, so that one generic test can call each equation with
unit-carrying arguments and compare the dimension of the answer. Nothing is checked at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Array: TypeAlias = float | FloatArray


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
JoulesPerFlop: TypeAlias = Annotated[Array, Unit("J/FLOP")]
Watts: TypeAlias = Annotated[Array, Unit("W")]
Usd: TypeAlias = Annotated[Array, Unit("USD")]
UsdPerByte: TypeAlias = Annotated[Array, Unit("USD/B")]
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
