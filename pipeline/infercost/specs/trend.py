"""A workload trend at a stated dose: what it adds to requests, and how it changes the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from infercost.specs.fields import (
    BytesField,
    BytesPerSecondField,
    CountField,
    CountOrZeroField,
    DurationField,
    FractionField,
    LatencyField,
    NonNegativeField,
    PositiveField,
    RatioField,
    SourcedSpec,
    Spec,
    TokensField,
    TokensOrZeroField,
    UsdPerSecondField,
)


class Retrieval(Spec):
    """An index of vectors on servers of its own, searched before a prompt is prefilled."""

    vectors: TokensField
    vector: BytesField
    """Bytes of one compressed vector."""
    scanned: FractionField
    """Share of the index that one search reads."""
    rounds: NonNegativeField
    """Searches per request; 0 leaves the request as it is."""
    latency: LatencyField
    """Fixed time of one search: embedding of the query, network, ranking."""
    server_memory: BytesField
    server_bandwidth: BytesPerSecondField
    """Rate at which one server scans, never above its memory's."""
    server_price: UsdPerSecondField
    """Rent of one server."""


class Trend(SourcedSpec):
    """What a trend adds to every request; a dose of 0 leaves the case as it is."""

    SWITCHES: ClassVar[Mapping[str, tuple[float, ...]]] = {"experts": (0.0, 1.0)}
    """Doses that mean another anatomy, by field, and share no axis with others."""

    name: str
    dose: NonNegativeField = 1.0
    """Strength of the trend: scales all that it adds; 0 leaves the case as it is."""
    prompt_tokens: TokensOrZeroField
    """Added to each prompt: retrieved passages, images, a longer history."""
    cached_share: FractionField = 0.0
    """Share of the tokens added to a prompt that a prefix cache holds, with all before them."""
    output_tokens: TokensOrZeroField
    """Added to each output: thoughts before the answer."""
    images: TokensOrZeroField = 0.0
    """Images in each request."""
    image_side: TokensField = 1024.0
    """Pixels along one side of an image; a square stands for any of its area."""
    video: LatencyField = 0.0
    """Playing time of video in each request."""
    frame_interval: DurationField = 0.5
    """Playing time between two frames that are taken of a video."""
    frame_side: TokensField = 448.0
    """Pixels along one side of a frame."""
    audio: LatencyField = 0.0
    """Playing time of sound in each request."""
    experts: CountOrZeroField = 0
    """Routed experts in place of each dense or routed block, of the same active width; 1 makes it
    dense, 0 leaves the model as it is."""
    active_experts: CountField = 8
    """Experts that a token visits under such a dose, where there are as many."""
    expert_skew: RatioField = 1.0
    """Tokens that the busiest device's routed experts see, over the mean of all devices."""
    denoising: PositiveField = 1.0
    """Denoising steps of a diffusion model, per token or picture, over its own or those stated."""
    branches: CountField = 1
    """Answers drawn from each prompt, which is prefilled once."""
    retrieval: Retrieval | None = None
