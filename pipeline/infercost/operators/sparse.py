"""Operators of the indexer that chooses what sparse attention looks at."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, Count
from infercost.equations import attention as eq
from infercost.lengths import UNLIMITED
from infercost.operators.base import Cache, Layout, Operator, Pass, core_kind
from infercost.specs.mixers import GroupedQueryAttention, Indexer, LatentAttention

Sparse = GroupedQueryAttention | LatentAttention


def elements(layout: Layout, mixer: Sparse) -> Count:
    """Weight entries of the indexer, which every device of a tensor-parallel group holds whole."""
    if mixer.indexer is None:
        return 0.0
    return index_elements(layout, mixer.indexer, _query_width(layout, mixer))


def index_elements(layout: Layout, indexer: Indexer, d_query: Count) -> Count:
    """Entries of an indexer whose queries are projected from vectors of `d_query` elements."""
    d_model = layout.case.model.d_model
    return eq.indexer_elements(d_model, d_query, indexer.n_heads, indexer.d_index)


def _query_width(layout: Layout, mixer: Sparse) -> Count:
    """What index queries are projected from: the compressed query where there is one."""
    d_model: Count = layout.case.model.d_model
    if isinstance(mixer, LatentAttention):
        return np.where(np.asarray(mixer.q_rank) > 0, mixer.q_rank, d_model)
    return d_model


def caches(mixer: Sparse) -> tuple[Cache, ...]:
    """Index keys: of every token, on every device, since all of them choose."""
    if mixer.indexer is None:
        return ()
    return (Cache(mixer.indexer.key, UNLIMITED),)


def seen(mixer: Sparse, cache: Cache) -> float:
    """The window that counts the attended tokens: the chosen ones are as many as their limit."""
    if mixer.indexer is None:
        return cache.window
    return np.minimum(cache.window, mixer.indexer.top_k)  # type: ignore[no-any-return]


def read(mixer: Sparse, cache: Cache, step: Pass) -> Count:
    """Cached tokens that the core reads: decode the chosen ones, a prefill all of them once."""
    return step.kv_read(seen(mixer, cache) if step.decode else cache.window)


def operators(layout: Layout, mixer: Sparse, count: Array, step: Pass) -> tuple[Operator, ...]:
    """Projections of index queries and keys, and the scores of all cached keys."""
    if mixer.indexer is None:
        return ()
    return index_operators(layout, mixer.indexer, _query_width(layout, mixer), 1.0, count, step)


def index_operators(
    layout: Layout, indexer: Indexer, d_query: Count, ratio: Count, count: Array, step: Pass
) -> tuple[Operator, ...]:
    """The indexer of attention whose cache has one entry for `ratio` tokens.

    Scores run in the model's matrix format (fp8 in DeepSeek's kernels). The choice of the largest
    is left out. Every device of a tensor-parallel group does all of it.
    """
    width = indexer.n_heads * indexer.d_index
    entries = index_elements(layout, indexer, d_query)
    keys = (step.kv_read(UNLIMITED) + step.tokens) / ratio
    scores = Operator(
        "index scores",
        count,
        eq.index_flops(step.pairs(UNLIMITED) / ratio, indexer.n_heads, indexer.d_index),
        {"kv": keys * indexer.key, "activations": layout.spilled(step.tokens, width)},
        layout.peak,
        core_kind(step),
        sharing=indexer.n_heads,
        depth=indexer.d_index,
        context=keys / step.sequences,
    )
    return (
        layout.matmul("index projection", count, step.tokens, entries, d_query + width, d_query),
        scores,
    )
