"""Operators of attention to a window and to compressed groups of tokens beyond it (DeepSeek-V4)."""

from __future__ import annotations

from infercost.arrays import Array, Count
from infercost.equations import attention as eq
from infercost.equations.attention import heads_per_device
from infercost.operators import sparse
from infercost.operators.base import Cache, Layout, MixerKind, Operator, Pass, core_kind
from infercost.specs.mixers import CompressedAttention
from infercost.workloads.lengths import UNLIMITED


def _compresses(mixer: CompressedAttention) -> bool:
    return mixer.ratio > 0


def _query_elements(layout: Layout, mixer: CompressedAttention, tp: Count) -> tuple[Count, Count]:
    """Entries from the model's width down to query and key, and from there up to the heads."""
    d_model = layout.case.model.d_model
    down = eq.latent_down_elements(d_model, mixer.q_rank, mixer.d_head, 0.0)
    return down, mixer.q_rank * heads_per_device(mixer.n_q_heads, tp) * mixer.d_head


def _output_elements(layout: Layout, mixer: CompressedAttention, tp: Count) -> Count:
    heads = heads_per_device(mixer.n_q_heads, tp)
    groups = heads_per_device(mixer.output_groups, tp)
    d_model = layout.case.model.d_model
    return eq.grouped_output_elements(heads, mixer.d_head, groups, mixer.output_rank, d_model)


def _compressor_elements(layout: Layout, mixer: CompressedAttention) -> Count:
    """Entries that make compressed entries and their index keys; whole on every device."""
    if not _compresses(mixer):
        return 0.0
    d_entry = mixer.d_head + (0 if mixer.indexer is None else mixer.indexer.d_index)
    return eq.compressor_elements(layout.case.model.d_model, d_entry, mixer.overlap)


def _elements(layout: Layout, mixer: CompressedAttention, tp: Count) -> Count:
    total = sum(_query_elements(layout, mixer, tp)) + _output_elements(layout, mixer, tp)
    total = total + _compressor_elements(layout, mixer)
    if mixer.indexer is not None:
        total = total + sparse.index_elements(layout, mixer.indexer, mixer.q_rank)
    return total


def _caches(layout: Layout, mixer: CompressedAttention, tp: Count) -> tuple[Cache, ...]:
    """One vector is key and value: of each token in the window, of each group beyond it."""
    entry = mixer.d_head * layout.kv
    window = Cache(entry, mixer.window, grows=False)
    if not _compresses(mixer):
        return (window,)
    keys = 0.0 if mixer.indexer is None else mixer.indexer.key
    return (Cache((entry + keys) / mixer.ratio, UNLIMITED), window)


def _operators(
    layout: Layout, mixer: CompressedAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    tp, d_model = layout.case.plan.tp, layout.case.model.d_model
    heads = heads_per_device(mixer.n_q_heads, tp)
    inner = heads * mixer.d_head
    pairs, read = step.pairs(mixer.window), step.kv_read(mixer.window) + step.tokens
    entry, made, shared = mixer.d_head * layout.kv, step.tokens, 0.0 * step.tokens
    run = layout.block_run(entry)
    index: tuple[Operator, ...] = ()
    if _compresses(mixer):
        # With a choice of k entries, a query sees as many as in a window of k groups.
        limit = UNLIMITED if mixer.indexer is None else mixer.indexer.top_k * mixer.ratio
        pairs = pairs + step.pairs(limit) / mixer.ratio
        chooses = step.decode and mixer.indexer is not None
        groups = step.pairs(limit) if chooses else step.kv_read(UNLIMITED)
        read, made = read + groups / mixer.ratio, made * (1.0 + 1.0 / mixer.ratio)
        share = sparse.chosen_share(step, UNLIMITED) if chooses else step.shared(UNLIMITED)
        shared, run = groups / mixer.ratio * share / read, entry if chooses else run
        entries = _compressor_elements(layout, mixer)
        index = (
            layout.matmul(
                "compressor", count, step.tokens, entries, d_model + mixer.d_head, d_model
            ),
        )
        if mixer.indexer is not None:
            index += sparse.index_operators(
                layout, mixer.indexer, mixer.q_rank, mixer.ratio, count, step
            )
    core = Operator(
        "attention core",
        count,
        eq.core_flops(pairs, heads, mixer.d_head, mixer.d_head),
        {
            "kv": read * entry,
            "activations": layout.spilled(step.tokens, 2.0 * inner),
        },
        layout.peak_attention,
        core_kind(step),
        written={"kv": made * entry},
        run=run,
        shared=shared,
        exchange=layout.core_exchange(2.0 * step.tokens * inner, step.sequences),
        scores=pairs * heads,
        depth=mixer.d_head,
        context=read / step.sequences,
    )
    down, up = _query_elements(layout, mixer, tp)
    output = _output_elements(layout, mixer, tp)
    latent = mixer.q_rank + mixer.d_head
    return (
        layout.matmul("latent projection", count, step.tokens, down, d_model + latent, d_model),
        layout.matmul(
            "query projection", count, step.tokens, up, mixer.q_rank + inner, mixer.q_rank
        ),
        *index,
        core,
        layout.matmul("output projection", count, step.tokens, output, inner + d_model, inner),
    )


KINDS: dict[str, MixerKind] = {
    "compressed": MixerKind(
        _elements,
        _caches,
        _operators,
        lambda mixer: mixer.n_q_heads * mixer.d_head,
        lambda mixer: mixer.n_q_heads,
    ),
}
