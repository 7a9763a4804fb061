"""Mixers: what carries information between tokens, and what each remembers of the past.

To add one: a spec here, its equations, and its operators in a module of `operators/` that
`operators.attention` lists.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infercost.specs.fields import BytesField, CountField, CountOrZeroField, Spec
from infercost.specs.formats import known_format

FormatField = Annotated[str, AfterValidator(known_format)]


class Indexer(Spec):
    """Chooses what sparse attention looks at: light scores of a small key per cached entry."""

    n_heads: CountField
    d_index: CountField
    """Width of an index head, and of the one cached key that all heads share."""
    top_k: CountField
    """Cached entries that a query attends to after the choice."""
    key: BytesField
    """Cached key of one entry, its scales included."""


class GroupedQueryAttention(Spec):
    """Attention with K and V shared by groups of query heads: MHA, GQA and MQA by `n_kv_heads`."""

    kind: Literal["gqa"]
    n_q_heads: CountField
    n_kv_heads: CountField
    d_head: CountField
    window: CountField | None = None
    """Tokens a query can see, itself included; none means all."""
    chunked: bool = False
    """Whether windows stand side by side: a query sees its own as far as itself, no other."""
    output_gate: bool = False
    """A gate on the core's output, as wide as the queries and projected beside them."""
    d_input: CountField | None = None
    """Width of what is projected; none means the model's. Zamba2 attends to two streams."""
    indexer: Indexer | None = None

    @model_validator(mode="after")
    def _chunks_are_windows(self) -> GroupedQueryAttention:
        if self.chunked and (self.window is None or self.indexer is not None):
            raise ValueError("chunked attention has a window, and no indexer")
        return self

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
    output_gate: bool = False
    """A gate on the core's output, as wide as it and projected from the layer's input."""
    indexer: Indexer | None = None


class CompressedAttention(Spec):
    """One K = V vector for all heads: of each token in a window, and of groups of tokens beyond it.

    A group of `ratio` tokens is one cached entry; an indexer picks the entries that a query sees,
    without one it sees all.
    """

    kind: Literal["compressed"]
    n_q_heads: CountField
    d_head: CountField
    q_rank: CountField
    output_groups: CountField
    """Groups of heads whose outputs are projected down apart, before one projection together."""
    output_rank: CountField
    """Width to which each group is projected down."""
    window: CountField
    ratio: CountOrZeroField
    """Tokens per compressed entry; 0 where the window is all."""
    overlap: CountField = 1
    """Groups that each token is compressed into."""
    indexer: Indexer | None = None


class EvaAttention(Spec):
    """Attention to all tokens of the query's own window and, of windows before it, to one pair of
    key and value for each chunk of tokens (EVA). Windows stand side by side; they do not slide."""

    kind: Literal["eva"]
    n_heads: CountField
    d_head: CountField
    window: CountField
    chunk: CountField

    @model_validator(mode="after")
    def _chunks_fill_a_window(self) -> EvaAttention:
        if self.window % self.chunk:
            raise ValueError(f"chunks of {self.chunk} do not fill a window of {self.window}")
        return self


class CrossAttention(Spec):
    """Attention of every token to the positions of an encoder, whose K and V are kept as they are.

    They are made once per request, and do not grow with the context.
    """

    kind: Literal["cross"]
    n_q_heads: CountField
    n_kv_heads: CountField
    d_head: CountField


class JointAttention(Spec):
    """Attention of a diffusion transformer over latents and text, in streams of own weights."""

    kind: Literal["joint"]
    n_q_heads: CountField
    d_head: CountField
    streams: CountField
    """Copies of the projections, of which a token visits one."""
    modulation: CountOrZeroField
    """Vectors of the model's width that a layer makes of the step's embedding: shifts, scales and
    gates, once per sequence. All streams together."""


class Mamba1(Spec):
    """Selective state space, every channel with a state of its own."""

    kind: Literal["mamba1"]
    d_inner: CountField
    d_state: CountField
    dt_rank: CountField
    d_conv: CountField


class Mamba2(Spec):
    """State space with one decay per head: the scan is a product of matrices by chunks."""

    kind: Literal["mamba2"]
    n_heads: CountField
    d_head: CountField
    d_state: CountField
    n_groups: CountField
    """Sets of input and output maps (B, C) that heads share."""
    d_conv: CountField
    chunk: CountField
    """Tokens per chunk of a prefill's scan."""


class GatedDelta(Spec):
    """Linear attention with a decay per head and the delta rule (Gated DeltaNet)."""

    kind: Literal["gated_delta"]
    n_k_heads: CountField
    n_v_heads: CountField
    d_key: CountField
    d_value: CountField
    d_conv: CountField
    chunk: CountField


class KimiDelta(Spec):
    """Gated delta rule with a decay per channel (Kimi Delta Attention)."""

    kind: Literal["kda"]
    n_heads: CountField
    d_head: CountField
    gate_rank: CountField
    """Inner width of the low-rank projection of the decay, and of the output gate."""
    full_gate: bool = False
    """Whether the output gate is projected in one matrix instead."""
    d_conv: CountField
    chunk: CountField


class LightningAttention(Spec):
    """Linear attention with a fixed decay per head, and a gate on its output."""

    kind: Literal["lightning"]
    n_heads: CountField
    d_head: CountField
    chunk: CountField


class Rwkv7(Spec):
    """Time mixing of RWKV-7: a delta rule whose removal and insertion have keys of their own."""

    kind: Literal["rwkv7"]
    n_heads: CountField
    d_head: CountField
    decay_rank: CountField
    rate_rank: CountField
    value_rank: CountField
    gate_rank: CountField
    chunk: CountField


class NoMixer(Spec):
    """No mixer: a layer that is a feed-forward block alone."""

    kind: Literal["none"]


Mixer = Annotated[
    GroupedQueryAttention
    | LatentAttention
    | CompressedAttention
    | EvaAttention
    | CrossAttention
    | JointAttention
    | Mamba1
    | Mamba2
    | GatedDelta
    | KimiDelta
    | LightningAttention
    | Rwkv7
    | NoMixer,
    Field(discriminator="kind"),
]

ATTENDING = ("gqa", "mla", "eva")
"""Kinds with keys and values of every token alone: a drafting head may be such a layer, and tokens
may leave before it."""
GROWING = ("gqa", "mla", "compressed", "eva")
"""Kinds that may keep a cache which grows with the context."""
