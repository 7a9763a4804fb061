"""A workload trend at a stated dose."""

from __future__ import annotations

from infercost.specs.fields import (
    DurationField,
    LatencyField,
    SourcedSpec,
    TokensField,
    TokensOrZeroField,
)


class Trend(SourcedSpec):
    """Tokens that a trend adds to every request; a dose of 0 leaves the workload as it is."""

    name: str
    prompt_tokens: TokensOrZeroField
    """Added to each prompt: retrieved passages, images, a longer history."""
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
