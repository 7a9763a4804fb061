"""Field types of the specs: text with a unit at the door, a float in SI inside.

A bound case (see `infercost.grid`) may hold a broadcastable array in any numeric field; the static
type stays `float`, which every equation accepts alike.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from infercost.units import parse


class Spec(BaseModel):
    """Base of every spec: frozen, strict, and closed to unknown keys.

    Its validator is built when it is first needed: few commands need all.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True
    )


class SourcedSpec(Spec):
    """A spec whose numbers come with witnesses.

    `sources` maps a dotted path below this spec (a parent covers its children, `default` covers
    what no other entry does) to a witness: a key of `conf/sources.yaml`, optionally with a place
    after a comma; `assumed: why`; or `derived: arithmetic`. A trailing `(recalled)` marks a figure
    that nobody checked against its source.
    """

    sources: dict[str, str]


class Quantity:
    """Marks a field as a quantity and names the unit it has inside."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.parser = BeforeValidator(partial(parse, expected=unit))

    def __repr__(self) -> str:
        return f"Quantity({self.unit!r})"


def _integer_as_real(value: object) -> object:
    """YAML writes 1 for 1.0. Text and booleans stay what they are, and are refused."""
    return float(value) if type(value) is int else value


_S, _B, _BPS = Quantity("s"), Quantity("B"), Quantity("B/s")
_FPS, _W, _JPB = Quantity("FLOP/s"), Quantity("W"), Quantity("J/B")
_USD, _USD_S, _USD_J, _USD_WS = (Quantity(u) for u in ("USD", "USD/s", "USD/J", "USD/W/s"))
_USD_B, _K, _KPW = Quantity("USD/B"), Quantity("K"), Quantity("K/W")
_KG, _KG_B, _KG_J = (Quantity(u) for u in ("kgCO2e", "kgCO2e/B", "kgCO2e/J"))

_M, _M2, _JPM2, _KG_M2 = (Quantity(u) for u in ("mm", "m2", "J/m2", "kgCO2e/m2"))

LengthField: TypeAlias = Annotated[float, _M.parser, Field(gt=0), _M]
AreaField: TypeAlias = Annotated[float, _M2.parser, Field(gt=0), _M2]
JoulesPerAreaField: TypeAlias = Annotated[float, _JPM2.parser, Field(ge=0), _JPM2]
KgCO2ePerAreaField: TypeAlias = Annotated[float, _KG_M2.parser, Field(ge=0), _KG_M2]
LatencyField: TypeAlias = Annotated[float, _S.parser, Field(ge=0), _S]
DurationField: TypeAlias = Annotated[float, _S.parser, Field(gt=0), _S]
BytesField: TypeAlias = Annotated[float, _B.parser, Field(gt=0), _B]
BytesOrZeroField: TypeAlias = Annotated[float, _B.parser, Field(ge=0), _B]
BytesPerSecondField: TypeAlias = Annotated[float, _BPS.parser, Field(gt=0), _BPS]
FlopsPerSecondField: TypeAlias = Annotated[float, _FPS.parser, Field(gt=0), _FPS]
WattsField: TypeAlias = Annotated[float, _W.parser, Field(ge=0), _W]
JoulesPerByteField: TypeAlias = Annotated[float, _JPB.parser, Field(ge=0), _JPB]
UsdField: TypeAlias = Annotated[float, _USD.parser, Field(ge=0), _USD]
UsdPerByteField: TypeAlias = Annotated[float, _USD_B.parser, Field(ge=0), _USD_B]
KelvinField: TypeAlias = Annotated[float, _K.parser, Field(gt=0), _K]
KelvinPerWattField: TypeAlias = Annotated[float, _KPW.parser, Field(gt=0), _KPW]
UsdPerSecondField: TypeAlias = Annotated[float, _USD_S.parser, Field(ge=0), _USD_S]
UsdPerJouleField: TypeAlias = Annotated[float, _USD_J.parser, Field(ge=0), _USD_J]
UsdPerWattSecondField: TypeAlias = Annotated[float, _USD_WS.parser, Field(ge=0), _USD_WS]
KgCO2eField: TypeAlias = Annotated[float, _KG.parser, Field(ge=0), _KG]
KgCO2ePerByteField: TypeAlias = Annotated[float, _KG_B.parser, Field(ge=0), _KG_B]
KgCO2ePerJouleField: TypeAlias = Annotated[float, _KG_J.parser, Field(ge=0), _KG_J]

MOST = 10**15
"""Largest count: all up to it are exact as 64-bit floats, and no product of a few overflows."""


def _sane(value: float) -> float:
    """A number that neither it nor its inverse overflows what it multiplies."""
    if value and not 1.0 / MOST <= abs(value) <= MOST:
        raise ValueError(f"{value:g} is beyond any such number. Write 0, or 1e-15 to 1e15")
    return value


_REAL, _SANE = BeforeValidator(_integer_as_real), AfterValidator(_sane)
CountField: TypeAlias = Annotated[int, Field(ge=1, le=MOST)]
CountOrZeroField: TypeAlias = Annotated[int, Field(ge=0, le=MOST)]
TokensField: TypeAlias = Annotated[float, _REAL, Field(gt=0), _SANE]
WholeTokensField: TypeAlias = Annotated[float, _REAL, Field(ge=1), _SANE]
OutputTokensField: TypeAlias = Annotated[float, _REAL, Field(gt=1), _SANE]
TokensOrZeroField: TypeAlias = Annotated[float, _REAL, Field(ge=0), _SANE]
EfficiencyField: TypeAlias = Annotated[float, _REAL, Field(gt=0, le=1), _SANE]
FractionField: TypeAlias = Annotated[float, _REAL, Field(ge=0, le=1)]
CorrelationField: TypeAlias = Annotated[float, _REAL, Field(ge=-1, le=1)]
RatioField: TypeAlias = Annotated[float, _REAL, Field(ge=1), _SANE]
NonNegativeField: TypeAlias = Annotated[float, _REAL, Field(ge=0), _SANE]
PositiveField: TypeAlias = Annotated[float, _REAL, Field(gt=0), _SANE]
