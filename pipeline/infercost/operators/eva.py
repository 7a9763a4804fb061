"""Operators of EVA: attention to the own window, and to chunks of the windows before it.

Left out: the sums that make a chunk of its tokens (eight operations a token and entry of a head),
and that drafts of several bytes are verified within one window.
"""

from __future__ import annotations

from collections.abc import Callable

from infercost.arrays import Array, Count
from infercost.equations import attention as eq
from infercost.operators.base import Cache, Layout, MixerKind, Operator, Pass, core_kind
from infercost.specs.mixers import EvaAttention
from infercost.workloads.lengths import UNLIMITED


def _projections(layout: Layout, mixer: EvaAttention, tp: Count) -> tuple[Count, Count]:
    """Entries in front of the core and behind it."""
    heads, d_model = eq.heads_per_device(mixer.n_heads, tp), layout.case.model.d_model
    query = eq.grouped_query_elements(d_model, heads, heads, mixer.d_head)
    return query, eq.output_elements(d_model, heads, mixer.d_head)


def _elements(layout: Layout, mixer: EvaAttention, tp: Count) -> Count:
    return sum(_projections(layout, mixer, tp), start=0.0)


def _entry(layout: Layout, mixer: EvaAttention, tp: Count) -> Count:
    """Bytes of a key and value of all heads on one device: of a token, or of a chunk."""
    return (
        eq.kv_elements_per_token(eq.heads_per_device(mixer.n_heads, tp), mixer.d_head) * layout.kv
    )


def _caches(layout: Layout, mixer: EvaAttention, tp: Count) -> tuple[Cache, ...]:
    """Chunks of all tokens, and a window of them as they are, kept whole as the code does."""
    entry = _entry(layout, mixer, tp)
    return (Cache(entry / mixer.chunk, UNLIMITED), Cache(entry, mixer.window, grows=False))


def _sights(mixer: EvaAttention, within: Callable[[float], Count]) -> tuple[Count, Count]:
    """Tokens of the own window, and chunks of those before, that all queries of a pass see.

    `within(w)` counts what they see under a window that slides; what the last token of it adds
    are the queries that fill it.
    """
    slid = within(mixer.window)
    own = eq.own_window(slid, slid - within(mixer.window - 1.0), mixer.window)
    return own, (within(UNLIMITED) - own) / mixer.chunk


def _operators(
    layout: Layout, mixer: EvaAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    tp, d_model = layout.case.plan.tp, layout.case.model.d_model
    heads = eq.heads_per_device(mixer.n_heads, tp)
    inner = heads * mixer.d_head
    entry = _entry(layout, mixer, tp)
    pairs, read = sum(_sights(mixer, step.pairs)), sum(_sights(mixer, step.kv_read)) + step.tokens
    core = Operator(
        "attention core",
        count,
        eq.core_flops(pairs, heads, mixer.d_head, mixer.d_head),
        {"kv": read * entry, "activations": layout.spilled(step.tokens, 2.0 * inner)},
        layout.peak_attention,
        core_kind(step),
        written={"kv": step.tokens * (1.0 + 1.0 / mixer.chunk) * entry},
        run=layout.block_run(entry),
        shared=0.0 * step.tokens,
        exchange=layout.core_exchange(2.0 * step.tokens * inner, step.sequences * heads),
        scores=pairs * heads,
        depth=mixer.d_head,
        context=read / step.sequences,
    )
    query, output = _projections(layout, mixer, tp)
    return (
        layout.matmul("qkv projection", count, step.tokens, query, d_model + 3.0 * inner, d_model),
        core,
        layout.matmul("output projection", count, step.tokens, output, inner + d_model, inner),
    )


KINDS: dict[str, MixerKind] = {
    "eva": MixerKind(
        _elements,
        _caches,
        _operators,
        lambda mixer: mixer.n_heads * mixer.d_head,
        lambda mixer: mixer.n_heads,
    ),
}
