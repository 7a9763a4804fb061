"""Operators of attention to an encoder's positions, or to the text of a picture."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, Count
from infercost.equations import attention as eq
from infercost.operators.base import (
    Cache,
    Layout,
    MixerKind,
    Operator,
    Pass,
    core_kind,
    fixed_cache,
)
from infercost.specs.mixers import CrossAttention


def _heads(mixer: CrossAttention, tp: Count) -> tuple[Count, Count]:
    return eq.heads_per_device(mixer.n_q_heads, tp), eq.heads_per_device(mixer.n_kv_heads, tp)


def _elements(layout: Layout, mixer: CrossAttention, tp: Count) -> Count:
    n_q, n_kv = _heads(mixer, tp)
    d_model = layout.case.model.d_model
    projections = eq.grouped_query_elements(d_model, n_q, n_kv, mixer.d_head)
    return projections + eq.output_elements(d_model, n_q, mixer.d_head)


def _bytes_per_position(layout: Layout, mixer: CrossAttention, tp: Count) -> Count:
    _, n_kv = _heads(mixer, tp)
    return eq.kv_elements_per_token(n_kv, mixer.d_head) * layout.kv


def _caches(layout: Layout, mixer: CrossAttention, tp: Count) -> tuple[Cache, ...]:
    """Keys and values of all positions of a request; nothing where each step makes them anew."""
    return (fixed_cache(layout.encoded * _bytes_per_position(layout, mixer, tp)),)


def _operators(
    layout: Layout, mixer: CrossAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    tp, d_model = layout.case.plan.tp, layout.case.model.d_model
    n_q, n_kv = _heads(mixer, tp)
    position = _bytes_per_position(layout, mixer, tp)
    query = eq.output_elements(d_model, n_q, mixer.d_head)  # D N H, as the output's
    core = Operator(
        "cross-attention core",
        count,
        eq.core_flops(step.tokens * step.encoded, n_q, mixer.d_head, mixer.d_head),
        {
            "kv": (step.sequences * step.encoded + step.encodes) * position,
            "activations": layout.spilled(step.tokens, 2.0 * n_q * mixer.d_head),
        },
        layout.peak_attention,
        core_kind(step),
        written={"kv": step.encodes * position},
        run=layout.block_run(position),
        exchange=layout.core_exchange(
            2.0 * step.tokens * n_q * mixer.d_head, step.sequences * n_kv
        ),
        sharing=mixer.n_q_heads / mixer.n_kv_heads,
        scores=step.tokens * step.encoded * n_q,
        depth=mixer.d_head,
        context=np.maximum(step.encoded, 1.0),
    )
    made = d_model * 2.0 * n_kv * mixer.d_head
    width = d_model + n_q * mixer.d_head
    keys: tuple[Operator, ...] = ()
    if not step.decode:
        keys = (
            layout.matmul(
                "key and value projection",
                count,
                np.maximum(step.encodes, 1.0),
                made,
                d_model + 2.0 * n_kv * mixer.d_head,
                d_model,
            ),
        )
    return (
        layout.matmul("query projection", count, step.tokens, query, width, d_model),
        *keys,
        core,
        layout.matmul("output projection", count, step.tokens, query, width, n_q * mixer.d_head),
    )


KINDS: dict[str, MixerKind] = {
    "cross": MixerKind(
        _elements,
        _caches,
        _operators,
        lambda mixer: mixer.n_q_heads * mixer.d_head,
        lambda mixer: mixer.n_q_heads,
    ),
}
