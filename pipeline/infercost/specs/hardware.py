"""A device with its memories, links, power, price and carbon."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import (
    BytesField,
    DurationField,
    FlopsPerSecondField,
    KgCO2eField,
    LatencyField,
    SourcedSpec,
    Spec,
    UsdField,
    UsdPerSecondField,
    WattsField,
)
from infercost.specs.formats import MatrixFormat
from infercost.specs.link import Link
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
]


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
    memory: Annotated[dict[str, Memory], Field(min_length=1, max_length=1)]
    """The device's memory tier by name."""
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
    price: UsdField
    """To buy and install one device with its share of server, switch and network."""
    rental_price: UsdPerSecondField
    """To rent one device with the same share, power included."""
    embodied_carbon: KgCO2eField
    """Manufacturing carbon of logic, packaging, board and server share; memory is counted apart."""
    reliability: Reliability | None = None
    """Without it devices never fail."""

    @model_validator(mode="after")
    def _idle_power_leaves_room(self) -> Hardware:
        if self.idle_power >= self.tdp:
            raise ValueError(f"idle_power {self.idle_power} W leaves nothing of tdp {self.tdp} W")
        return self

    @property
    def tier(self) -> Memory:
        """The one memory tier."""
        return next(iter(self.memory.values()))
