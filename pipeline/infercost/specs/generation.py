"""How a model makes its output: token by token, or by denoising blocks, sequences or pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import CountField, CountOrZeroField, PositiveField, Spec


class Autoregression(Spec):
    """One token per step and sequence, each seeing those before it."""

    kind: Literal["autoregressive"]


class BlockDiffusion(Spec):
    """Blocks of tokens one after the other, each denoised in several steps beside a cache.

    A step takes the whole block through the model; finished blocks stay in the cache.
    """

    kind: Literal["block_diffusion"]
    block: CountField
    """Tokens that are denoised together."""
    tokens_per_step: PositiveField
    """Tokens that one step of a sequence settles, in the mean."""

    @model_validator(mode="after")
    def _a_step_stays_in_its_block(self) -> BlockDiffusion:
        if self.tokens_per_step > self.block:
            raise ValueError(
                f"tokens_per_step {self.tokens_per_step} exceeds the block of {self.block} tokens"
            )
        return self


class SequenceDiffusion(Spec):
    """The whole answer at once: every step takes prompt and answer through the model, uncached."""

    kind: Literal["sequence_diffusion"]
    tokens_per_step: PositiveField
    """Tokens that one step of a sequence settles, in the mean."""


class MediaDiffusion(Spec):
    """A picture or clip, denoised as latent tokens. Its output is an image or a clip, no token."""

    kind: Literal["media_diffusion"]
    steps: CountField
    """Denoising steps, where the workload states none."""
    passes: CountField
    """Forward passes of a step: two under classifier-free guidance, one where it is distilled."""
    pixels_per_latent: CountField
    """Pixels per latent along one side (the autoencoder's factor)."""
    frames_per_latent: CountField
    """Frames per latent in time, beyond the first frame; 1 for images."""
    patch: CountField
    """Latents per token along one side."""
    text_tokens: CountOrZeroField
    """Tokens of the prompt's text."""
    joined_text: bool
    """Whether the text runs through the model beside the latents, or is attended to across."""
    experts: CountField = 1
    """Whole models that share the steps among them: all are kept, one works at a time."""
    embedding: CountOrZeroField
    """Entries outside the layers: patches in and out, embeddings of text and time."""


Generation = Annotated[
    Autoregression | BlockDiffusion | SequenceDiffusion | MediaDiffusion,
    Field(discriminator="kind"),
]
