"""A device with its memories, links, power, price and carbon."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.bill import Bill
from infercost.specs.fields import (
    BytesField,
    DurationField,
    FlopsPerSecondField,
    KelvinField,
    KelvinPerWattField,
    KgCO2eField,
    LatencyField,
    RatioField,
    SourcedSpec,
    Spec,
    UsdField,
    UsdPerSecondField,
    WattsField,
)
from infercost.specs.formats import MatrixFormat
from infercost.specs.link import Link
from infercost.specs.load_power import LoadPower
from infercost.specs.memory import Memory

Family = Literal[
    "nvidia-datacentre",
    "nvidia-workstation",
    "nvidia-embedded",
    "instinct",
    "other-gpu",
    "tpu",
    "gaudi",
    "neuron",
    "ascend",
    "apple",
    "cpu",
    "sram",
]


class Thermal(Spec):
    """Heat of a package: the power that brings its junction to the limit bounds power and clock."""

    junction_limit: KelvinField
    """Temperature that no die may pass: DRAM needs more refresh from 358 K and fails by 378 K."""
    coolant: KelvinField
    """Temperature of what carries the heat off."""
    design_rise: KelvinField
    """Rise of the junction over the coolant in the flat package at its power limit."""
    resistance_ratio: RatioField
    """Thermal resistance over that of the flat package: what stacking adds."""
    resistance: KelvinPerWattField | None = None
    """Junction to coolant, where known; else it follows from design rise, power limit and ratio."""
    clock_exponent: RatioField
    """Power of arithmetic goes as clock to this: 1 at fixed voltage, 3 where voltage falls too."""


class Reliability(Spec):
    """How often a device fails, and what that takes."""

    mtbf: DurationField
    """Mean time between failures of one device and its share of the server and network."""
    repair: LatencyField
    """Until a failed device, or another in its place, stands by again."""
    failover: LatencyField
    """For which a failure stops the replica: to notice it, move to a spare, and read weights."""


class Hardware(SourcedSpec):
    """One accelerator, and its share of the server, switches and network it needs.

    A part that is sold as several dies under one driver (GB200 GPU, MI300X) is one device.
    """

    name: str
    family: Family
    """Kind of device, as far as serving stacks tell them apart: the class of its calibration."""
    architecture: str = ""
    """Generation of its cores: kernels are written for it, and it keeps a share of its sheet."""
    peak_dense: Annotated[dict[MatrixFormat, FlopsPerSecondField], Field(min_length=1)]
    """Dense matrix peak per format. Sheets often print the 2:4 sparse figure: halve it."""
    on_chip: BytesField
    """SRAM that keeps activations between operators: last-level cache or scratchpad."""
    memory: Annotated[dict[str, Memory], Field(min_length=1)]
    """The device's memory tiers by name, the main one first."""
    scale_up: Link
    """The fabric inside a node, rack or pod: NVLink, ICI, Infinity Fabric."""
    scale_out: Link
    """The network between scale-up domains."""
    tdp: WattsField
    """Limit of the device's power. The device slows down rather than exceed it."""
    idle_power: WattsField
    """Power at rest, spent at any load."""
    compute_power: WattsField
    """Power of the arithmetic at dense peak, so that a FLOP costs compute_power / peak."""
    host_power: WattsField
    """The device's share of CPUs, NICs, switches and fans."""
    price: UsdField = 0.0
    """To buy and install one device with its share of server, switch and network; where it is not
    stated, the price of its `bill`."""
    rental_price: UsdPerSecondField
    """To rent one device with the same share, power included."""
    embodied_carbon: KgCO2eField = 0.0
    """Manufacturing carbon of logic, packaging, board and server share; memory is counted apart.
    Where it is not stated, that of its `bill`."""
    bill: Bill | None = None
    """What a chip is made of, for one that nobody sells."""
    power: LoadPower | None = None
    """Draw at load; without it a device draws the floor of its arithmetic and traffic alone."""
    thermal: Thermal | None = None
    """Heat, where it limits more than `tdp` does."""
    reliability: Reliability | None = None
    """Without it devices never fail."""

    @model_validator(mode="after")
    def _has_a_price(self) -> Hardware:
        for name in ("price", "embodied_carbon"):
            if name not in self.model_fields_set and self.bill is None:
                raise ValueError(f"{name} is missing: state it, or a bill of materials ('bill')")
        return self

    @model_validator(mode="after")
    def _idle_power_leaves_room(self) -> Hardware:
        if self.idle_power >= self.tdp:
            raise ValueError(f"idle_power {self.idle_power} W leaves nothing of tdp {self.tdp} W")
        return self

    @model_validator(mode="after")
    def _ports_exist(self) -> Hardware:
        for name, tier in self.memory.items():
            if tier.behind is not None and (
                tier.behind not in self.memory or self.memory[tier.behind].behind is not None
            ):
                raise ValueError(
                    f"memory.{name}.behind '{tier.behind}' is no tier with a port of its own."
                    f" Known: {', '.join(n for n, t in self.memory.items() if t.behind is None)}"
                )
        return self

    @property
    def tier(self) -> Memory:
        """The main memory tier."""
        return next(iter(self.memory.values()))
