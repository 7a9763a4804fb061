"""The anatomy of an LLM: mixers and feed-forward blocks, and the layers that stack them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infercost.errors import nearest
from infercost.specs.fields import (
    CountField,
    CountOrZeroField,
    PositiveField,
    SourcedSpec,
    Spec,
)
from infercost.specs.formats import known_format, known_matrix_format

FormatField = Annotated[str, AfterValidator(known_format)]
MatrixFormatField = Annotated[str, AfterValidator(known_matrix_format)]


class GroupedQueryAttention(Spec):
    """Attention with K and V shared by groups of query heads: MHA, GQA and MQA by `n_kv_heads`."""

    kind: Literal["gqa"]
    n_q_heads: CountField
    n_kv_heads: CountField
    d_head: CountField
    window: CountField | None = None
    """Tokens a query can see, itself included; none means all."""

    @model_validator(mode="after")
    def _groups_are_whole(self) -> GroupedQueryAttention:
        if self.n_q_heads % self.n_kv_heads:
            raise ValueError(
                f"{self.n_q_heads} query heads do not share {self.n_kv_heads} KV heads evenly"
            )
        return self


class LatentAttention(Spec):
    """Multi-head latent attention: one compressed K/V vector per token, shared by all heads."""

    kind: Literal["mla"]
    n_q_heads: CountField
    q_rank: CountOrZeroField
    """Width of the compressed query; 0 where the query is projected directly."""
    kv_rank: CountField
    """Width of the cached latent vector."""
    d_nope: CountField
    d_rope: CountField
    """Rotary part of the key, cached once per token beside the latent vector."""
    d_value: CountField
    window: None = None


class DenseFeedForward(Spec):
    """A feed-forward block: three matrices where gated (SwiGLU, GeGLU), else two."""

    kind: Literal["dense"]
    d_ff: CountField
    gated: bool


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

    @model_validator(mode="after")
    def _active_experts_exist(self) -> MixtureOfExperts:
        if self.n_active > self.n_experts:
            raise ValueError(f"{self.n_active} active experts of only {self.n_experts}")
        return self


Mixer = Annotated[GroupedQueryAttention | LatentAttention, Field(discriminator="kind")]
FeedForward = Annotated[DenseFeedForward | MixtureOfExperts, Field(discriminator="kind")]


class LayerGroup(Spec):
    """`count` layers alike: one mixer and one feed-forward block, by name."""

    count: CountOrZeroField
    mixer: str
    ffn: str
    parallel: bool = False
    """Mixer and feed-forward read the same input, so that one all-reduce serves both."""


class ModelFormats(Spec):
    """Number formats in which the weights are published and meant to be run."""

    weights: FormatField
    experts: FormatField
    """Format of the routed experts; equals `weights` in most models."""
    kv: FormatField
    activations: FormatField
    """Format between operators and devices."""
    compute: MatrixFormatField
    """Format of the matrix products."""


class Published(Spec):
    """What the model's card states, for checks of the anatomy."""

    params: PositiveField
    kv_bytes_per_token: PositiveField | None = None
    """All layers at 2 B per element, where a source prints it."""
    exception: str = ""
    """Why the parameter count may differ by more than 1 %."""


class Model(SourcedSpec):
    """A decoder-only language model."""

    name: str
    d_model: CountField
    vocab: CountField
    tied_embeddings: bool
    positions: CountOrZeroField = 0
    """Rows of a learned position table; 0 for rotary and relative positions."""
    max_context: CountField
    mixers: Annotated[dict[str, Mixer], Field(min_length=1)]
    ffns: Annotated[dict[str, FeedForward], Field(min_length=1)]
    layers: Annotated[dict[str, LayerGroup], Field(min_length=1)]
    formats: ModelFormats
    published: Published

    @model_validator(mode="after")
    def _layers_name_their_parts(self) -> Model:
        for group, layer in self.layers.items():
            for part, known in ((layer.mixer, self.mixers), (layer.ffn, self.ffns)):
                if part not in known:
                    raise ValueError(f"layers.{group} names '{part}'. {nearest(part, known)}")
        if not any(layer.count for layer in self.layers.values()):
            raise ValueError("layers: every group has a count of 0. A model has one layer at least")
        return self
