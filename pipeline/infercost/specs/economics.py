"""What time, energy and devices cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infercost.specs.fields import (
    DurationField,
    EfficiencyField,
    KgCO2ePerJouleField,
    NonNegativeField,
    RatioField,
    SourcedSpec,
    UsdPerJouleField,
    UsdPerWattSecondField,
)


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
