"""Operators of the mixers: projections, the attention core, and the cache it keeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from infercost.arrays import Array, Bytes, Count, as_array
from infercost.equations import attention as eq
from infercost.equations.transformer import activation_bytes, shard
from infercost.network.messages import Message
from infercost.operators import compressed, cross, eva, joint, linear_attention, sparse, state_space
from infercost.operators.base import Cache, Layout, MixerKind, Operator, Pass, core_kind
from infercost.specs.mixers import GroupedQueryAttention, LatentAttention, Mixer, NoMixer
from infercost.workloads.lengths import UNLIMITED


def mixer_elements(layout: Layout, mixer: Mixer) -> Count:
    """Weight entries of one layer's mixer, over all devices."""
    return _KINDS[mixer.kind].elements(layout, mixer, 1)


def mixer_elements_per_device(layout: Layout, mixer: Mixer) -> Count:
    """Weight entries of one layer's mixer that one tensor-parallel device holds."""
    return _KINDS[mixer.kind].elements(layout, mixer, layout.case.plan.tp)


def mixer_caches(layout: Layout, mixer: Mixer, tp: Count) -> tuple[Cache, ...]:
    """The caches that one of `tp` devices keeps for one layer: of tokens, windows and states."""
    return _KINDS[mixer.kind].caches(layout, mixer, tp)


def mixer_heads(mixer: Mixer) -> Count:
    """Devices that one layer's mixer can be split over at most."""
    return _KINDS[mixer.kind].heads(mixer)


def mixer_messages(layout: Layout, mixer: Mixer, count: Array, step: Pass) -> tuple[Message, ...]:
    """Exchange between the layout by heads and the one of the cache, before and after the core.

    By batch, queries and results swap devices. By sequence, the devices that share a head project
    its keys and values in parts, take the queries of all, and give their part of all results.
    """
    plan, network, kind = layout.case.plan, layout.network, _KINDS[mixer.kind]
    caches = mixer_caches(layout, mixer, plan.tp)
    if plan.kv_sharding == "heads" or not caches:
        return ()
    if plan.kv_sharding == "batch" and not step.decode:
        return ()
    rows = activation_bytes(step.tokens, kind.core_width(mixer), layout.activations)
    mine = shard(rows, plan.tp)
    ways = caches[0].ways
    if plan.kv_sharding == "batch":
        return (network.all_to_all("reshard", 2.0 * count, mine, ways, 1.0),)
    projected = activation_bytes(step.tokens, kind.split_width(mixer), layout.activations)
    if not step.decode:
        return (network.all_gather("gather keys and values", count, projected, ways),)
    return (
        network.all_gather("gather heads", count, mine * ways + projected, ways),
        network.reduce_scatter("sum results", count, mine * ways, ways),
    )


def _ways(layout: Layout, n_kv_heads: Count, tp: Count) -> Count:
    """Parts of the batch, or of each sequence, over the devices that share a KV head."""
    if layout.case.plan.kv_sharding == "heads":
        return 1.0
    return np.maximum(tp / as_array(n_kv_heads), 1.0)


def _cache(layout: Layout, elements: Count, window: float, ways: Count) -> Cache:
    whole = layout.case.plan.kv_sharding != "sequence"
    return Cache(elements * layout.kv, window, ways, whole)


def _core_share(step: Pass, cache: Cache) -> Count:
    """Share of a pass's sequences that one device's core works on."""
    return cache.sequences(step.sequences) / step.sequences if step.decode else 1.0


def mixer_operators(layout: Layout, mixer: Mixer, count: Array, step: Pass) -> tuple[Operator, ...]:
    """The operators of `count` layers of a mixer on one device."""
    return _KINDS[mixer.kind].operators(layout, mixer, count, step)


def _gqa_elements(layout: Layout, mixer: GroupedQueryAttention, tp: Count) -> Count:
    n_q, _ = _gqa_heads(layout, mixer, tp)
    output = eq.output_elements(layout.case.model.d_model, n_q, mixer.d_head)
    return _gqa_projected(layout, mixer, tp) + output + sparse.elements(layout, mixer)


def _gqa_projected(layout: Layout, mixer: GroupedQueryAttention, tp: Count) -> Count:
    """Entries of the projections in front of the core on one of `tp` devices."""
    n_q, n_kv = _gqa_heads(layout, mixer, tp)
    width = layout.case.model.d_model if mixer.d_input is None else mixer.d_input
    gates = n_q if mixer.output_gate else 0.0
    return eq.grouped_query_elements(width, n_q + gates, n_kv, mixer.d_head)


def _gqa_heads(layout: Layout, mixer: GroupedQueryAttention, tp: Count) -> tuple[Count, Count]:
    """Query heads, and heads whose keys and values one device projects."""
    n_q, n_kv = (eq.heads_per_device(n, tp) for n in (mixer.n_q_heads, mixer.n_kv_heads))
    parts = layout.case.plan.kv_sharding == "sequence"
    return n_q, n_kv / _ways(layout, mixer.n_kv_heads, tp) if parts else n_kv


def _gqa_cache(layout: Layout, mixer: GroupedQueryAttention, tp: Count) -> Cache:
    n_kv = eq.heads_per_device(mixer.n_kv_heads, tp)
    elements = eq.kv_elements_per_token(n_kv, mixer.d_head)
    window = UNLIMITED if mixer.window is None else mixer.window
    return _cache(layout, elements, window, _ways(layout, mixer.n_kv_heads, tp))


def _gqa_caches(layout: Layout, mixer: GroupedQueryAttention, tp: Count) -> tuple[Cache, ...]:
    return (_gqa_cache(layout, mixer, tp), *sparse.caches(mixer))


def _in_sight(
    mixer: GroupedQueryAttention, within: Callable[[float], Count], window: float
) -> Count:
    """What queries see of what `within` counts under a window that slides."""
    slid = within(window)
    return eq.own_window(slid, slid - within(window - 1.0), window) if mixer.chunked else slid


def _gqa_operators(
    layout: Layout, mixer: GroupedQueryAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    tp = layout.case.plan.tp
    d_model, d_head = layout.case.model.d_model, mixer.d_head
    n_q, n_kv = _gqa_heads(layout, mixer, tp)
    cache = _gqa_cache(layout, mixer, tp)
    share = _core_share(step, cache)
    window = sparse.seen(mixer, cache)
    core_heads = n_q
    if step.decode:
        core_heads = eq.heads_per_device(mixer.n_q_heads, tp / as_array(cache.ways))
    pairs, read = _in_sight(mixer, step.pairs, window), sparse.read(mixer, cache, step)
    if mixer.chunked:
        read = _in_sight(mixer, step.kv_read, window)
    core = Operator(
        "attention core",
        count,
        eq.core_flops(pairs * share, core_heads, d_head, d_head),
        {
            "kv": (read + step.tokens) * share * cache.bytes_per_token,
            "activations": layout.spilled(step.tokens, 2.0 * n_q * d_head),
        },
        layout.peak_attention,
        core_kind(step),
        sharing=mixer.n_q_heads / mixer.n_kv_heads,
        written={"kv": step.tokens * share * cache.bytes_per_token},
        run=sparse.run(layout, mixer, cache, step),
        shared=sparse.shared(mixer, cache, step),
        exchange=layout.core_exchange(
            step.tokens * share * core_heads * 2.0 * d_head,
            step.sequences * share * eq.heads_per_device(mixer.n_kv_heads, tp),
        ),
        scores=pairs * n_q,
        depth=d_head,
        context=step.kv_read(window) / step.sequences,
    )
    query = _gqa_projected(layout, mixer, tp)
    output = eq.output_elements(d_model, n_q, d_head)
    width = d_model + (n_q + 2.0 * n_kv) * d_head
    return (
        layout.matmul("qkv projection", count, step.tokens, query, width, d_model),
        *sparse.operators(layout, mixer, count, step),
        core,
        layout.matmul(
            "output projection", count, step.tokens, output, n_q * d_head + d_model, n_q * d_head
        ),
    )


def _gqa_width(mixer: GroupedQueryAttention) -> Count:
    return mixer.n_q_heads * mixer.d_head


def _gqa_split_width(mixer: GroupedQueryAttention) -> Count:
    return 2.0 * mixer.d_head


def _mla_width(mixer: LatentAttention) -> Count:
    return mixer.n_q_heads * (mixer.kv_rank + mixer.d_rope)


def _mla_elements(layout: Layout, mixer: LatentAttention, tp: Count) -> Count:
    d_model = layout.case.model.d_model
    heads = eq.heads_per_device(mixer.n_q_heads, tp)
    return (
        eq.latent_down_elements(d_model, mixer.q_rank, mixer.kv_rank, mixer.d_rope)
        + eq.latent_query_elements(d_model, heads, mixer.q_rank, mixer.d_nope, mixer.d_rope)
        + eq.latent_up_elements(heads, mixer.kv_rank, mixer.d_nope, mixer.d_value)
        + eq.output_elements(d_model, heads, mixer.d_value)
        + _mla_gate(layout, mixer, tp)
        + sparse.elements(layout, mixer)
    )


def _mla_gate(layout: Layout, mixer: LatentAttention, tp: Count) -> Count:
    """Entries of the output's gate on one of `tp` devices: as many as of the output projection."""
    heads = eq.heads_per_device(mixer.n_q_heads, tp) if mixer.output_gate else 0.0
    return eq.output_elements(layout.case.model.d_model, heads, mixer.d_value)


def _mla_cache(layout: Layout, mixer: LatentAttention, tp: Count) -> Cache:
    """The whole latent vector: by heads, every device of a tensor-parallel group keeps it."""
    elements = eq.latent_kv_elements_per_token(mixer.kv_rank, mixer.d_rope)
    return _cache(layout, elements, UNLIMITED, _ways(layout, 1.0, tp))


def _mla_caches(layout: Layout, mixer: LatentAttention, tp: Count) -> tuple[Cache, ...]:
    return (_mla_cache(layout, mixer, tp), *sparse.caches(mixer))


def _mla_operators(
    layout: Layout, mixer: LatentAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    """Decode attends to the latent vectors with absorbed up-projections; prefill expands them.

    Sparse attention keeps to the latent vectors in both, since every query has tokens of its own.
    """
    d_model = layout.case.model.d_model
    heads = eq.heads_per_device(mixer.n_q_heads, layout.case.plan.tp)
    d_key = mixer.d_nope + mixer.d_rope
    cache = _mla_cache(layout, mixer, layout.case.plan.tp)
    seen, pairs = sparse.read(mixer, cache, step), step.pairs(sparse.seen(mixer, cache))
    share = _core_share(step, cache)
    core_heads = eq.heads_per_device(mixer.n_q_heads, layout.case.plan.tp / as_array(cache.ways))
    if step.decode or mixer.indexer is not None:
        width = mixer.kv_rank + mixer.d_rope
        flops = eq.core_flops(pairs * share, core_heads, width, mixer.kv_rank)
        expanded: Bytes = 0.0
    else:  # Keys and values of every head are written out, and read by the core.
        flops = eq.core_flops(pairs, heads, d_key, mixer.d_value)
        expanded = activation_bytes(seen, heads * (d_key + mixer.d_value), layout.activations)
    rows = layout.spilled(step.tokens, heads * (d_key + mixer.d_value))
    core = Operator(
        "attention core",
        count,
        flops,
        {
            "kv": (seen + step.tokens) * share * cache.bytes_per_token,
            "activations": rows + expanded,
        },
        layout.peak_attention,
        core_kind(step),
        written={"kv": step.tokens * share * cache.bytes_per_token},
        run=sparse.run(layout, mixer, cache, step),
        shared=sparse.shared(mixer, cache, step),
        exchange=layout.core_exchange(
            step.tokens * share * core_heads * (2.0 * mixer.kv_rank + mixer.d_rope),
            step.sequences * share,
        ),
        scores=pairs * heads,
        depth=mixer.kv_rank if step.decode or mixer.indexer is not None else d_key,
        context=seen / step.sequences,
    )
    down = eq.latent_down_elements(d_model, mixer.q_rank, mixer.kv_rank, mixer.d_rope)
    query = eq.latent_query_elements(d_model, heads, mixer.q_rank, mixer.d_nope, mixer.d_rope)
    up = eq.latent_up_elements(heads, mixer.kv_rank, mixer.d_nope, mixer.d_value)
    output = eq.output_elements(d_model, heads, mixer.d_value)
    latent = mixer.q_rank + mixer.kv_rank + mixer.d_rope
    return (
        layout.matmul("latent projection", count, step.tokens, down, d_model + latent, d_model),
        layout.matmul(
            "query projection", count, step.tokens, query, latent + heads * d_key, mixer.q_rank
        ),
        layout.matmul(
            "key and value projection",
            count,
            step.tokens,
            up,
            2.0 * mixer.kv_rank + heads * (mixer.d_nope + mixer.d_value),
            mixer.kv_rank,
        ),
        *sparse.operators(layout, mixer, count, step),
        *_mla_gating(layout, mixer, count, step),
        core,
        layout.matmul(
            "output projection",
            count,
            step.tokens,
            output,
            heads * mixer.d_value + d_model,
            heads * mixer.d_value,
        ),
    )


def _mla_gating(
    layout: Layout, mixer: LatentAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    if not mixer.output_gate:
        return ()
    d_model, tp = layout.case.model.d_model, layout.case.plan.tp
    width = d_model + eq.heads_per_device(mixer.n_q_heads, tp) * mixer.d_value
    gate = _mla_gate(layout, mixer, tp)
    return (layout.matmul("output gate", count, step.tokens, gate, width, d_model),)


def _nothing(layout: Layout, mixer: NoMixer, *rest: object) -> tuple[()]:
    return ()


_KINDS: dict[str, MixerKind] = {
    "gqa": MixerKind(
        _gqa_elements,
        _gqa_caches,
        _gqa_operators,
        _gqa_width,
        lambda mixer: mixer.n_q_heads,
        _gqa_split_width,
    ),
    "mla": MixerKind(
        _mla_elements, _mla_caches, _mla_operators, _mla_width, lambda mixer: mixer.n_q_heads
    ),
    "none": MixerKind(
        lambda layout, mixer, tp: 0.0, _nothing, _nothing, lambda mixer: 0.0, lambda mixer: np.inf
    ),
    **compressed.KINDS,
    **cross.KINDS,
    **eva.KINDS,
    **joint.KINDS,
    **linear_attention.KINDS,
    **state_space.KINDS,
}
"""One entry per kind of mixer: a new kind is a module with a table like these."""
