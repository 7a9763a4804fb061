"""Bill of materials of a device: what a chip that nobody sells would cost and emit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infercost.specs.fields import (
    AreaField,
    CountField,
    EfficiencyField,
    FractionField,
    JoulesPerAreaField,
    KgCO2eField,
    KgCO2ePerAreaField,
    KgCO2ePerJouleField,
    LengthField,
    NonNegativeField,
    PositiveField,
    SourcedSpec,
    Spec,
    UsdField,
)

MemoryKind = Literal["hbm", "ddr", "lpddr", "gddr", "flash", "other"]


class Process(SourcedSpec):
    """A logic process: what a wafer costs, how it yields, what making it emits."""

    wafer_price: UsdField
    wafer_diameter: LengthField
    defects: NonNegativeField
    """Killer defects per cm²."""
    yield_model: Literal["poisson", "murphy", "negative_binomial"]
    cluster: PositiveField
    """Clustering of defects (α) in the negative binomial model."""
    fab_energy: JoulesPerAreaField
    gas: KgCO2ePerAreaField
    """Direct emissions of the fab per area, after abatement."""
    materials: KgCO2ePerAreaField
    fab_grid: KgCO2ePerJouleField


class Die(Spec):
    """Dies of one kind in a package."""

    area: AreaField
    count: CountField = 1
    process: Process


class Bill(SourcedSpec):
    """Parts of one device and its share of server and network, at cost."""

    dies: Annotated[dict[str, Die], Field(min_length=1)]
    packaging: UsdField
    """Interposer, substrate and assembly."""
    package_yield: EfficiencyField
    """Share of packages that come out good; a bad one loses its dies and memory."""
    test: UsdField
    margin: FractionField
    """Gross margin of the chip's vendor: price less cost over price, below 1."""
    stack_prices: dict[str, UsdField] = {}
    """Price of a stack of a memory tier, where it is sold so; else its price per byte counts."""
    board: UsdField
    """Board, power conversion and cooling of one device."""
    host: UsdField
    """Share of CPUs, memory, storage and chassis."""
    nic: UsdField
    switch: UsdField
    optics: UsdField
    rack: UsdField
    """Share of rack, power distribution and integration."""
    packaging_carbon: KgCO2eField
    board_carbon: KgCO2eField
    """Board, heat sink and share of the server."""
