"""A fleet over years: sites with fixed limits, what stands in them, what can be bought, demand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from infercost.specs.fields import (
    CountField,
    DurationField,
    EfficiencyField,
    FractionField,
    KgCO2ePerJouleField,
    NonNegativeField,
    PositiveField,
    Quantity,
    RatioField,
    SourcedSpec,
    Spec,
    UsdPerJouleField,
    UsdPerWattSecondField,
    WattsField,
)

_TOKENS, _FLOPS = Quantity("token/s"), Quantity("FLOP/s")
_USD, _KG = Quantity("USD"), Quantity("kgCO2e")
TokensPerSecondField = Annotated[float, _TOKENS.parser, Field(ge=0), _TOKENS]
FlopsField = Annotated[float, _FLOPS.parser, Field(ge=0), _FLOPS]
BudgetField = Annotated[float, _USD.parser, Field(ge=0), _USD]
CarbonField = Annotated[float, _KG.parser, Field(ge=0), _KG]

TRAINING, SERVING = "training", "serving"
Pool = Literal["training", "serving"]
"""What a device is set up for; moving it to the other pool has a price."""

Year = Annotated[int, Field(ge=2000, le=2100)]


def _as_numbers(found: object) -> object:
    """A list as it is; one number alone is the same every year."""
    listed = found if isinstance(found, list) else [found]
    return [float(v) if type(v) is int else v for v in listed]


Factors = Annotated[list[Annotated[float, Field(ge=0)]], BeforeValidator(_as_numbers)]
"""One per year but the first, or one for all."""
Yearly = BeforeValidator(lambda found: found if isinstance(found, list) else [found])


class Site(Spec):
    """A data centre, or several alike: its limits do not change over the years."""

    power: WattsField
    """What it can feed, cooling included."""
    racks: PositiveField
    pue: RatioField
    electricity_price: UsdPerJouleField
    hosting_price: UsdPerWattSecondField
    """Building, cooling and staff per watt of IT power that stands in it."""
    grid_carbon: KgCO2ePerJouleField


class Kind(Spec):
    """A kind of device by its options, as it is bought and set up."""

    hardware: str
    direction: str = "none"
    per_rack: PositiveField
    """Devices of a rack."""
    trains: bool = True
    mfu: EfficiencyField | None = None
    """Useful over peak arithmetic of training, where not the fleet's."""
    first_year: Year = 2000
    """From which it can be bought."""
    last_year: Year = 2100
    yearly_price: PositiveField = 1.0
    """Price of a year over that of the year before."""


class Installed(Spec):
    """Devices that stand in a site when the first year begins. What they cost is spent."""

    site: str
    kind: str
    pool: Pool
    devices: NonNegativeField
    life_left: CountField
    """Years that they still run."""


class Served(Spec):
    """Demand for output tokens of one class of requests."""

    kind: Literal["served"]
    model: str
    workload: str
    trend: str = "none"
    tokens: TokensPerSecondField
    """Mean output rate of the first year."""
    growth: Factors
    """Demand of each further year over that of the year before."""


class Trained(Spec):
    """Demand for training."""

    kind: Literal["trained"]
    flops: FlopsField
    """Mean rate of useful arithmetic in the first year."""
    growth: Factors


Demand = Annotated[Served | Trained, Field(discriminator="kind")]


class Ends(Spec):
    """Two ends of what is not known: values by dotted path, to be taken together."""

    low: dict[str, Any]
    high: dict[str, Any]


class Fleet(SourcedSpec):
    """A scenario: what stands, what may be bought within which budgets, and what is asked for."""

    name: str
    years: Annotated[list[Year], Field(min_length=1)]
    discount_rate: NonNegativeField
    life: DurationField
    """Of a device that is bought: it is paid for, and runs, so long."""
    utilisation: EfficiencyField
    """Share of its time that a serving device does paid work."""
    mfu: EfficiencyField
    """Useful over peak arithmetic of training."""
    training_utilisation: EfficiencyField
    format: str = "bf16"
    """Number format of training."""
    conversion: FractionField
    """Price of moving a device to the other pool, over its price when new."""
    salvage: FractionField
    """What a device that stands today brings when it is sold at once, over its price when new; it
    falls to nothing by the end of its life."""
    outside: RatioField
    """Price of what the fleet cannot serve, bought elsewhere: over the least all-in price of a
    device of any kind."""
    money: Annotated[list[BudgetField], Field(min_length=1), Yearly]
    """To buy and convert devices, year by year, or one for all; what is left stays."""
    carbon: Annotated[list[CarbonField], Field(min_length=1), Yearly]
    """Of manufacturing what is bought and of operation, year by year, or one for all."""
    sites: Annotated[dict[str, Site], Field(min_length=1)]
    kinds: Annotated[dict[str, Kind], Field(min_length=1)]
    installed: list[Installed] = []
    demand: Annotated[dict[str, Demand], Field(min_length=1)]
    overrides: list[str] = []
    """Choices that hold for every evaluation of the cost model."""
    largest_replica: CountField = 64
    whole_racks: bool = False
    """Whether purchases are whole racks, and sales whole devices: a mixed-integer program."""
    ranges: dict[str, Ends] = {}
    """What else the numbers may be: `NAME@RANGE-low` is the scenario at one end of one range."""

    @model_validator(mode="after")
    def _every_year(self) -> Fleet:
        """What is stated once holds every year."""
        for lists, count in (
            ([self.money, self.carbon], len(self.years)),
            ([demand.growth for demand in self.demand.values()], len(self.years) - 1),
        ):
            for found in lists:
                if len(found) == 1 and count > 1:
                    found.extend(found * (count - 1))
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Fleet:
        count = len(self.years)
        if self.years != list(range(self.years[0], self.years[0] + count)):
            raise ValueError("years are not one after another. Write [2026, 2027, 2028]")
        for name in ("money", "carbon"):
            if len(getattr(self, name)) != count:
                found = len(getattr(self, name))
                raise ValueError(
                    f"{name} has {found} entries for {count} years. Write one per year"
                )
        for name, demand in self.demand.items():
            if len(demand.growth) != count - 1:
                fault = f"has {len(demand.growth)} entries for {count - 1} steps"
                raise ValueError(f"demand.{name}.growth {fault}. Write one per year but the first")
        for entry in self.installed:
            for what, known in (("site", self.sites), ("kind", self.kinds)):
                if getattr(entry, what) not in known:
                    fault = f"installed names no {what} '{getattr(entry, what)}'"
                    raise ValueError(f"{fault}. Known: {', '.join(known)}")
        return self
