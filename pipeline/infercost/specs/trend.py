"""A workload trend at a stated dose."""

from __future__ import annotations

from infercost.specs.fields import SourcedSpec, TokensOrZeroField


class Trend(SourcedSpec):
    """Tokens that a trend adds to every request; a dose of 0 leaves the workload as it is."""

    name: str
    prompt_tokens: TokensOrZeroField
    """Added to each prompt: retrieved passages, images, a longer history."""
    output_tokens: TokensOrZeroField
    """Added to each output: thoughts before the answer."""
