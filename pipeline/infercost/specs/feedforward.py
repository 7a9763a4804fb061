"""Feed-forward blocks: dense, and mixtures of experts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import CountField, CountOrZeroField, Spec


class DenseFeedForward(Spec):
    """A feed-forward block: three matrices where gated (SwiGLU, GeGLU), else two."""

    kind: Literal["dense"]
    d_ff: CountField
    gated: bool
    streams: CountField = 1
    """Copies of the weights, of which a token visits one: latents and text of a diffusion model."""


class MixtureOfExperts(Spec):
    """Routed experts, of which each token visits `n_active`, beside shared ones that all visit."""

    kind: Literal["moe"]
    n_experts: CountField
    n_active: CountField
    d_ff: CountField
    """Width of one routed expert."""
    gated: bool
    d_ff_shared: CountOrZeroField = 0
    """Width of all shared experts together."""
    d_latent: CountOrZeroField = 0
    """Width in which routed experts work, between one projection down and one up; 0 means the
    model's."""

    @model_validator(mode="after")
    def _active_experts_exist(self) -> MixtureOfExperts:
        if self.n_active > self.n_experts:
            raise ValueError(f"{self.n_active} active experts of only {self.n_experts}")
        return self


class NoFeedForward(Spec):
    """No feed-forward block: a layer that is a mixer alone."""

    kind: Literal["none"]


FeedForward = Annotated[
    DenseFeedForward | MixtureOfExperts | NoFeedForward, Field(discriminator="kind")
]
