"""How a stack serves requests: scheduler, memory blocks, prefix cache, replicas and pools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import (
    BytesField,
    BytesPerSecondField,
    CountField,
    CountOrZeroField,
    FractionField,
    LatencyField,
    NonNegativeField,
    SourcedSpec,
    Spec,
)

MOST_TIERS = 3
"""Stores for prefix blocks behind the device's own memory, at most."""


class Speculation(Spec):
    """Tokens that a draft proposes and one pass of the model verifies."""

    drafted: CountOrZeroField = 0
    """Draft tokens per step; 0 is no speculation."""
    acceptance: FractionField = 0.0
    """Chance that a drafted token is right, given that those before it are."""
    draft_time: NonNegativeField = 0.0
    """Time to draft one token, as a share of a plain decode step of the same batch."""


class PrefixTier(Spec):
    """A store for prefix blocks behind the device's own memory, per replica."""

    name: str
    capacity: BytesField
    """Bytes that it holds."""
    bandwidth: BytesPerSecondField
    """At which blocks come back to the devices of one data-parallel group."""
    latency: LatencyField = 0.0
    """Before the first byte of a request's blocks."""


class Edge(Spec):
    """Users' own machines in front of the service, with a model of their own."""

    share: FractionField
    """Requests that the machine's model answers well enough."""
    order: Literal["router", "cascade"]
    """router: decides on the prompt who answers; cascade: the machine first, then the service."""


class Serving(SourcedSpec):
    """One way to serve. A pool has `replicas` copies of the case's plan."""

    name: str
    policy: Literal["chunked", "prefill-first", "decode-first"]
    """chunked: decodes first, prompts in the rest of the token budget of each pass; prefill-first:
    passes of prompts alone while any wait; decode-first: nobody joins until the batch is done."""
    token_budget: CountField
    """Most tokens in one pass of one data-parallel group."""
    max_sequences: CountField
    """Most requests in one pass of one data-parallel group."""
    beams: CountField = 1
    """Sequences that each request decodes side by side (beam search), one of which is its output.
    Each reads the prompt's cache, which they share, and keeps its own tokens."""
    max_prefills: CountOrZeroField = 0
    """Most prompts in one pass; 0 is as many as the budget takes."""
    kv_block: CountField = 16
    """Tokens of one block of KV memory."""
    prefix_cache: bool = False
    """Whether finished prompts stay in free KV blocks to be found again."""
    prefix_tiers: Annotated[list[PrefixTier], Field(max_length=MOST_TIERS)] = []
    """Where blocks go that KV memory needs back, fastest first; each passes its oldest on."""
    replicas: CountField = 1
    routing: Literal["round-robin", "least-loaded", "prefix-aware"] = "round-robin"
    """Which replica gets a request: in turn; the one with the fewest tokens outstanding; the one
    with the longest cached prefix, least loaded among equals and beyond `imbalance`."""
    imbalance: NonNegativeField = 1.0
    """Outstanding work beyond the least loaded replica's, in passes of the token budget, up to
    which a longer cached prefix decides."""
    speculation: Speculation = Speculation()
    prefill_replicas: CountOrZeroField = 0
    """Replicas that prefill alone and hand over to the others; 0 is no such pool."""
    transfer_bandwidth: BytesPerSecondField | None = None
    """At which one prefill replica hands over caches; none stated: its devices' scale-out links."""
    transfer_latency: LatencyField = 0.0
    """Of one hand-over."""
    edge: Edge | None = None
    """Who answers before the service is asked; none is nobody."""

    @model_validator(mode="after")
    def _beams_are_not_drafted(self) -> Serving:
        if self.beams > 1 and self.speculation.drafted:
            raise ValueError("beams and speculation.drafted exclude each other")
        return self
