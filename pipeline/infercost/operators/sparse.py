"""Operators of the indexer that chooses what sparse attention looks at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from infercost.arrays import Array, Bytes, Count, Ratio, as_array
from infercost.equations import attention as eq
from infercost.operators.base import Cache, Layout, Operator, Pass, core_kind
from infercost.specs.mixers import GroupedQueryAttention, Indexer, LatentAttention
from infercost.workloads.lengths import UNLIMITED

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
        return np.where(as_array(mixer.q_rank) > 0, mixer.q_rank, d_model)
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
    """Cached tokens that the core reads: decode what each query chose, a prefill all once."""
    if _chooses(mixer, step):
        return step.pairs(seen(mixer, cache))
    return step.kv_read(cache.window)


def _chooses(mixer: Sparse, step: Pass) -> bool:
    return step.decode and mixer.indexer is not None


def shared(mixer: Sparse, cache: Cache, step: Pass) -> Ratio:
    """Share of what the core reads that is a context of all requests."""
    chooses = _chooses(mixer, step)
    return chosen_share(step, cache.window) if chooses else step.shared(cache.window)


def chosen_share(step: Pass, window: float) -> Ratio:
    """Share of chosen tokens that lie in the shared context, were all as likely to be chosen.

    Of R cached tokens read for all queries a share s is shared, and R (1 - s) are their own: of V
    tokens visible to them the rest. No token is read once for several queries.
    """
    return 1.0 - step.kv_read(window) * (1.0 - step.shared(window)) / step.pairs(window)


def run(layout: Layout, mixer: Sparse, cache: Cache, step: Pass) -> Bytes:
    """Bytes that lie together of what the core reads: a block of tokens, or one chosen token."""
    one = cache.bytes_per_token
    return one if _chooses(mixer, step) else layout.block_run(one)


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
        written={"kv": step.tokens / ratio * indexer.key},
        run=layout.block_run(indexer.key),
        shared=step.shared(UNLIMITED),
        exchange=_exchange(layout, step.tokens * width, step.pairs(UNLIMITED) / ratio, step),
        sharing=indexer.n_heads,
        depth=indexer.d_index,
        context=keys / step.sequences,
    )
    return (
        layout.matmul("index projection", count, step.tokens, entries, d_query + width, d_query),
        scores,
    )


def _exchange(
    layout: Layout, queries: Count, scores: Count, step: Pass
) -> Callable[[Count], Bytes]:
    """What crosses a channel where units near memory score keys: index queries, and all scores."""
    crossed = layout.core_exchange(queries, step.sequences)
    return lambda units: crossed(units) + scores * layout.activations
