"""One level of interconnect, as one device sees it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import (
    BytesField,
    BytesPerSecondField,
    CountField,
    EfficiencyField,
    FractionField,
    JoulesPerByteField,
    LatencyField,
    NonNegativeField,
    PositiveField,
    RatioField,
    SourcedSpec,
    Spec,
)

Algorithm = Literal[
    "ring", "bucket", "tree", "recursive_doubling", "one_shot", "two_shot", "in_network"
]
Exchange = Literal["direct", "pairwise", "bruck"]
Kind = Literal[
    "ideal",
    "switch",
    "reducing_switch",
    "full_mesh",
    "ring",
    "mesh_2d",
    "mesh_3d",
    "torus_2d",
    "torus_3d",
    "torus_6d",
    "fat_tree",
    "reducing_fat_tree",
    "dragonfly",
]

SIDES = {
    "ring": 1,
    "mesh_2d": 2,
    "mesh_3d": 3,
    "torus_2d": 2,
    "torus_3d": 3,
    "torus_6d": 6,
}
"""Dimensions of the topologies that have sides."""
REDUCING = ("ideal", "reducing_switch", "reducing_fat_tree")
"""Topologies whose switches can add up what passes."""
ONE_STEP = ("ideal", "switch", "reducing_switch", "full_mesh")
"""Topologies in which any two devices are as near as the nearest."""


def suits(algorithm: str, kind: str) -> bool:
    """Whether an algorithm can run on a kind of topology."""
    if algorithm == "bucket":
        return kind in SIDES
    return algorithm != "in_network" or kind in REDUCING


class Topology(SourcedSpec):
    """How the devices of a fabric are connected. `ideal` is one step between any two.

    A group fills boxes (rings, meshes, tori) as evenly as its number allows, trees and
    dragonflies from one side.
    """

    kind: Kind = "ideal"
    hop: LatencyField | None = None
    """Time of each hop, wire and switch, in place of the endpoint's `wire` share of alpha; none
    stated: the link's. Where neither is, alpha holds the hops, as many between any two devices."""
    radix: Annotated[int, Field(ge=4)] = 64
    """Ports of a switch of a fat tree, or of a router of a dragonfly."""
    oversubscription: RatioField = 1.0
    """Ports down over ports up of a leaf switch of a fat tree."""
    sources: dict[str, str] = {}


class Endpoint(Spec):
    """What alpha consists of, as shares of it, and what is left of each part.

    Software (calls, barriers, flags) takes what the others leave. Packets that land in SRAM beside
    the compute lower `keep_landing`, compute next to the network interface lowers `keep_nic`.
    """

    nic: FractionField = 0.0
    """Doorbell, descriptor fetch and network interface, both ends."""
    landing: FractionField = 0.0
    """Writing the packet to DRAM and reading it again."""
    wire: FractionField = 0.0
    """The hops between the devices that alpha was measured on."""
    keep_software: FractionField = 1.0
    keep_nic: FractionField = 1.0
    keep_landing: FractionField = 1.0
    """For packets up to `small_packet`."""
    keep_wire: FractionField = 1.0
    """Of hops that the topology counts, too."""
    small_packet: BytesField = 65536.0
    """Largest packet of a step that may land in SRAM."""

    @model_validator(mode="after")
    def _shares_of_a_whole(self) -> Endpoint:
        whole = self.nic + self.landing + self.wire
        if whole > 1.0 + 1e-9:
            raise ValueError(f"nic, landing and wire are {whole:g} of alpha. Keep them within 1")
        return self


class Straggling(Spec):
    """Ranks that come late: each step ends with the slowest of them, or at the time-out."""

    tail: NonNegativeField = 0.0
    """Mean delay of a rank as a share of alpha; delays are exponential."""
    timeout: PositiveField | None = None
    """Longest wait, in mean delays, after which earlier data stand in; for ever without it."""


class Channels(Spec):
    """Blocks of threads among which a library splits a collective: short messages get few."""

    message_per_rank: BytesField
    """Bytes of a message for each channel and rank."""
    bandwidth: BytesPerSecondField
    """Data that one channel sends at most."""


class Link(SourcedSpec):
    """A fabric in the alpha-beta model: a message of S bytes takes alpha + S / bandwidth_out."""

    technology: str
    alpha: LatencyField
    """Fixed time per message or per step of a collective, endpoint software included."""
    bandwidth_out: BytesPerSecondField
    """Peak per device in one direction, over all its ports. Sheets often sum both: halve it."""
    domain: CountField
    """Devices that reach one another over this link."""
    transfer_energy: JoulesPerByteField
    """Energy per byte sent between nearest devices, both ends and switches included."""
    collectives: Annotated[list[Algorithm], Field(min_length=1)]
    """Algorithms to choose from; of those that suit the topology the fastest is taken at each size.
    `bucket` needs sides, `in_network` switches that reduce."""
    exchanges: Annotated[list[Exchange], Field(min_length=1)] = ["direct"]
    """Algorithms of all-to-all; the fastest is taken at each size."""
    payload: EfficiencyField = 1.0
    """Share of the bytes on the wire that are data; flags and headers are the rest."""
    setup: LatencyField = 0.0
    """Fixed time per collective beside its steps."""
    channels: Channels | None = None
    """What limits the rate of short messages; none stated: nothing but the link does."""
    topology: Topology = Topology()
    hop: LatencyField | None = None
    """Time of a hop over this link, wire and switch or router, for topologies of several hops that
    state none."""
    builds: list[Kind] = []
    """Topologies that devices can form over this link; none stated: any."""
    endpoint: Endpoint = Endpoint()
    straggling: Straggling = Straggling()

    @model_validator(mode="after")
    def _hops_take_time(self) -> Link:
        kind = self.topology.kind
        if kind not in ONE_STEP and self.topology.hop is None and self.hop is None:
            raise ValueError(f"a {kind} has ways of several hops. State hop, the time of each")
        return self

    @model_validator(mode="after")
    def _can_be_built(self) -> Link:
        kind = self.topology.kind
        if kind != "ideal" and self.builds and kind not in self.builds:
            listed = ", ".join(self.builds)
            raise ValueError(
                f"devices do not form a {kind} over {self.technology}, but {listed}. "
                "Choose one of these, or add it to builds"
            )
        return self

    @property
    def hop_time(self) -> LatencyField | None:
        """Time of a hop where hops are counted: none where alpha holds them."""
        if self.topology.hop is not None or self.topology.kind in ONE_STEP:
            return self.topology.hop
        return self.hop

    @model_validator(mode="after")
    def _some_algorithm_suits_the_topology(self) -> Link:
        kind = self.topology.kind
        if not any(suits(name, kind) for name in self.collectives):
            listed = ", ".join(self.collectives)
            raise ValueError(f"no {kind} runs {listed}. Add ring, or change the topology")
        return self
