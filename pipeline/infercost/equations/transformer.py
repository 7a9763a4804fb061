"""Matrix products, feed-forward blocks and embeddings: elements and FLOPs."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, Bytes, Count, Flops

FLOPS_PER_MAC = 2.0
"""A multiply-accumulate is two FLOPs."""


def matmul_flops(tokens: Count, elements: Count) -> Flops:
    """FLOPs to multiply `tokens` rows with a matrix of `elements` entries.

    F = 2 M K N
    """
    return FLOPS_PER_MAC * tokens * elements


def feed_forward_elements(d_model: Count, d_ff: Count, matrices: Count) -> Count:
    """Entries of a feed-forward block: `matrices` is 3 where gated (SwiGLU, GeGLU), else 2.

    Source: Shazeer 2020 (GLU variants).
    """
    return matrices * d_model * d_ff


def embedding_elements(vocab: Count, d_model: Count, positions: Count) -> Count:
    """Entries of the token table and of a learned position table."""
    return (vocab + positions) * d_model


def activation_bytes(tokens: Count, width: Count, bytes_per_element: Bytes) -> Bytes:
    """Bytes of `tokens` activation rows of `width` elements."""
    return tokens * width * bytes_per_element


def residual_bytes(tokens: Count, d_model: Count, bytes_per_element: Bytes) -> Bytes:
    """Traffic of one normalisation fused with its residual sum: read two rows, write two rows.

    Q = 4 M D b
    """
    return 4.0 * activation_bytes(tokens, d_model, bytes_per_element)


def spilled_bytes(traffic: Bytes, on_chip: Bytes) -> Bytes:
    """Part of an operator's activations that does not stay on chip: max(0, Q - C)."""
    return np.maximum(traffic - on_chip, 0.0)


def shard(size: Array, ways: Count) -> Array:
    """Share of one device where `size` divides evenly over `ways` devices."""
    return size / ways
