"""Operators of encoders: towers that turn images and sound into what the model reads."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Count, as_array
from infercost.equations import attention as eq
from infercost.equations import vision
from infercost.equations.transformer import activation_bytes, shard
from infercost.operators.base import Block, Layout, Operator, Pass
from infercost.specs.encoders import AudioEncoder, Encoder
from infercost.workloads.lengths import UNLIMITED


def _matrices(encoder: Encoder) -> float:
    return 3.0 if encoder.gated else 2.0


def _stem_elements(encoder: Encoder) -> Count:
    if isinstance(encoder, AudioEncoder):
        return encoder.stem
    return vision.patch_elements(encoder.d_model, encoder.patch, encoder.frames_per_patch)


def encoder_elements(layout: Layout) -> Count:
    """Weight entries of all encoders of the model, projections into it included.

    Leaves out position tables, norms and biases.
    """
    total: Count = 0.0
    for encoder in layout.case.model.encoders.values():
        layer = vision.tower_elements(encoder.d_model, encoder.d_ff, _matrices(encoder))
        total = total + encoder.n_layers * layer + _stem_elements(encoder) + encoder.projector
    return total


def _pairs(encoder: Encoder, segments: Count, positions: Count) -> Count:
    """Mean query-key pairs of one layer over all segments of a pass."""
    window, full = UNLIMITED, 1.0
    if not isinstance(encoder, AudioEncoder) and encoder.window:
        window, full = encoder.window, encoder.n_full_layers / encoder.n_layers
    return segments * vision.windowed_pairs(positions, window, full)


def encoder_blocks(layout: Layout, step: Pass) -> tuple[Block, ...]:
    """One pass of an encoder over `step.sequences` segments, split over the tensor-parallel group.

    `step.encoded` are the positions of a segment, `step.logits` the tokens that the language model
    reads of it. Where requests hold no segment nothing runs.
    """
    encoder, tp = layout.case.model.encoders[step.encoder], layout.case.plan.tp
    present = as_array(step.sequences > as_array(0.0), dtype=np.float64)
    segments = np.where(present, step.sequences, 1.0)
    tokens = segments * step.encoded
    d_model, layers = encoder.d_model, encoder.n_layers * present
    d_head = d_model / encoder.n_heads
    heads = eq.heads_per_device(encoder.n_heads, tp)
    inner, d_ff = heads * d_head, shard(encoder.d_ff, tp)
    ups = _matrices(encoder) - 1.0
    core = Operator(
        "attention core",
        layers,
        eq.core_flops(_pairs(encoder, segments, step.encoded), heads, d_head, d_head),
        {"activations": layout.spilled(tokens, 4.0 * inner)},
        layout.peak_attention,
        "prefill_attention",
        scores=_pairs(encoder, segments, step.encoded) * heads,
        depth=d_head,
        context=step.encoded,
    )
    reduced = activation_bytes(tokens, d_model, layout.activations)
    query = eq.grouped_query_elements(d_model, heads, heads, d_head)
    output = eq.output_elements(d_model, heads, d_head)
    tower = Block(
        step.encoder,
        (
            layout.normalisation("normalisation", 2.0 * layers, tokens, d_model),
            layout.matmul("qkv projection", layers, tokens, query, d_model + 3.0 * inner, d_model),
            core,
            layout.matmul("output projection", layers, tokens, output, inner + d_model, inner),
            layout.matmul(
                "feed-forward up", layers, tokens, d_model * d_ff * ups, d_model + d_ff, d_model
            ),
            layout.matmul(
                "feed-forward down", layers, tokens, d_ff * d_model, d_ff + d_model, d_ff
            ),
        ),
        (layout.network.all_reduce("all-reduce", 2.0 * layers, reduced, tp),),
    )
    stem, projector = shard(_stem_elements(encoder), tp), shard(encoder.projector, tp)
    read = segments * step.logits
    ends = Block(
        f"{step.encoder} ends",
        (
            layout.matmul("stem", present, tokens, stem, 2.0 * d_model, d_model),
            layout.matmul(
                "projector", present, read, projector, 2.0 * layout.case.model.d_model, d_model
            ),
        ),
    )
    return (tower, ends)
