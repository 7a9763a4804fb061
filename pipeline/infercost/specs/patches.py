"""Models of bytes: their own layers see patches, light layers beside them see every byte."""

from __future__ import annotations

from infercost.specs.fields import CountField, PositiveField, Spec


class LocalLayers(Spec):
    """Layers that take every byte: they pool bytes into patches, and write them."""

    count: CountField
    d_model: CountField
    n_heads: CountField
    d_ff: CountField
    gated: bool = True
    window: CountField
    """Bytes that they look back."""
    vocab: CountField
    """Bytes, and marks beside them."""


class Patches(Spec):
    """How many bytes stand in one position of the model's own layers."""

    bytes_per_token: PositiveField
    """Bytes of text in a token of workloads, so that all models have the same task."""
    patch: PositiveField
    """Bytes of a patch in the mean."""
    local: LocalLayers | None = None
    """None where the model's own layers take every byte: patches of one."""
