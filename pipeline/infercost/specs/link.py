"""One level of interconnect, as one device sees it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infercost.specs.fields import (
    BytesPerSecondField,
    CountField,
    JoulesPerByteField,
    LatencyField,
    SourcedSpec,
)

Algorithm = Literal["ring", "recursive_doubling", "one_shot", "two_shot"]


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
    """Energy per byte sent, both ends and switches included."""
    collectives: Annotated[list[Algorithm], Field(min_length=1)]
    """Algorithms the fabric can run; the fastest is taken at each size."""
