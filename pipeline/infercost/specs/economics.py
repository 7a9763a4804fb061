"""What time, energy and devices cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infercost.specs.bill import MemoryKind
from infercost.specs.fields import (
    DurationField,
    EfficiencyField,
    KgCO2ePerJouleField,
    NonNegativeField,
    PositiveField,
    RatioField,
    SourcedSpec,
    UsdPerJouleField,
    UsdPerWattSecondField,
)


class PriceTrend(SourcedSpec):
    """Prices of memory by kind in another year than the one that they are stated for."""

    name: str
    stated: PositiveField
    """Year of the prices in conf/memory."""
    year: PositiveField
    """Year of purchase."""
    growth: dict[MemoryKind, PositiveField]
    """Yearly factor on the price per byte; a kind that is not named stays."""
    surge: dict[MemoryKind, RatioField] = {}
    """Price over trend when a shortage begins."""
    surge_from: PositiveField = 2026.0
    surge_years: PositiveField = 2.0
    """Years in which a shortage fades."""


class Operation(SourcedSpec):
    """What every basis of cost states."""

    name: str
    utilisation: EfficiencyField
    """Share of its life that a device does paid work; the rest is paid for all the same."""
    life: DurationField
    """Years over which purchase and embodied carbon are spread."""
    pue: RatioField
    """Facility energy over IT energy."""
    grid_carbon: KgCO2ePerJouleField
    """Of the region's electricity, mean over the year."""
    hour_factor: PositiveField = 1.0
    """Carbon of the grid in the hours of use over its yearly mean."""
    prices: PriceTrend | None = None
    """Where memory prices go; none: as stated."""


class Ownership(Operation):
    """Devices are bought: an annuity of the price, hosting by power capacity, electricity."""

    basis: Literal["owner"]
    discount_rate: NonNegativeField
    """Yearly cost of capital."""
    electricity_price: UsdPerJouleField
    hosting_price: UsdPerWattSecondField
    """Building, cooling and staff per watt of IT power capacity and time."""


class Rental(Operation):
    """Devices are rented by the hour, power and hosting included."""

    basis: Literal["rental"]


Economics = Annotated[Ownership | Rental, Field(discriminator="basis")]
