"""The whole model as blocks: groups of layers, embeddings, hand-over between stages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

import numpy as np

from infercost.arrays import Bytes, Count, as_array
from infercost.equations.transformer import (
    activation_bytes,
    embedding_elements,
    feed_forward_elements,
    shard,
)
from infercost.operators.attention import (
    mixer_caches,
    mixer_elements,
    mixer_elements_per_device,
    mixer_messages,
    mixer_operators,
)
from infercost.operators.base import HEAD, Block, Cache, Layout, Operator, Pass
from infercost.operators.changed import changed, converted, exited, staged
from infercost.operators.encoders import encoder_blocks, encoder_elements
from infercost.operators.feedforward import (
    ffn_elements,
    ffn_elements_per_device,
    ffn_messages,
    ffn_operators,
    ffn_width,
)
from infercost.specs.generation import MediaDiffusion
from infercost.specs.model import LayerGroup, Model, MultiTokenPrediction


def blocks(layout: Layout, step: Pass) -> tuple[Block, ...]:
    """Every operator and message of one pass over all layers, per device."""
    if step.encoder:
        return encoder_blocks(layout, step)
    groups = tuple(
        exited(layout, step, partial(_layers, layout, name, layer))
        for name, layer in layout.case.model.layers.items()
    )
    whole = (*groups, _head(layout, step), _hand_over(layout, step))
    return tuple(changed(layout, step, converted(layout, staged(layout, block))) for block in whole)


def _layers(layout: Layout, name: str, layer: LayerGroup, step: Pass) -> Block:
    model = layout.case.model
    mixer, ffn = model.mixers[layer.mixer], model.ffns[layer.ffn]
    count: Count = layer.count
    if mixer.kind == "cross" and np.any(as_array(step.encoded) == 0):
        # Layers that attend across are passed over where there is nothing to attend to.
        count = count * as_array(step.encoded > as_array(0.0), dtype=np.float64)
    # One reduction after the mixer and one after the feed-forward block, or one for both.
    alone = "none" in (mixer.kind, ffn.kind)
    reductions = count if layer.parallel or alone else 2.0 * count
    return Block(
        name,
        (
            layout.normalisation("normalisation", reductions, step.tokens),
            *mixer_operators(layout, mixer, count, step),
            *ffn_operators(layout, ffn, count, step),
            *_own(layout, layer, step),
        ),
        (
            layout.hidden_sum(step.tokens, reductions),
            *mixer_messages(layout, mixer, count, step),
            *ffn_messages(layout, ffn, count, step),
        ),
    )


def _own(layout: Layout, layer: LayerGroup, step: Pass) -> tuple[Operator, ...]:
    """What each layer of a group multiplies beside the weights that it shares with others."""
    if not np.any(as_array(layer.own) > 0):
        return ()
    own, d_model = shard(layer.own, layout.case.plan.tp), layout.case.model.d_model
    return (layout.matmul("adapters", layer.count, step.tokens, own, 2.0 * d_model, d_model),)


def _head(layout: Layout, step: Pass) -> Block:
    """Token lookup and the projection to logits, split over the tensor-parallel group."""
    model, tp = layout.case.model, layout.case.plan.tp
    if isinstance(model.generation, MediaDiffusion):
        entries = shard(model.generation.embedding, tp)
        wide = 2.0 * model.d_model
        embedding = layout.matmul("embeddings", 1.0, step.sequences, entries, wide, model.d_model)
        return Block("head", (embedding,))
    rows = activation_bytes(step.tokens, model.d_model, layout.tables)
    lookup = Operator("embedding", 1.0, 0.0, {"weights": rows}, layout.peak, "elementwise")
    width = shard(model.vocab, tp)
    head = layout.wide_matmul(
        HEAD,
        1.0,
        step.sequences * step.logits,
        width * model.d_model,
        width + model.d_model,
        model.d_model,
    )
    return Block("head", (lookup, layout.normalisation("normalisation", 1.0, step.tokens), head))


def _hand_over(layout: Layout, step: Pass) -> Block:
    """Activations from one pipeline stage to the next, each device its share."""
    plan, model = layout.case.plan, layout.case.model
    rows = activation_bytes(step.tokens, model.d_model, layout.activations)
    message = layout.network.point_to_point(
        "hand-over", plan.pp - 1.0, shard(rows, plan.tp), plan.tp * plan.dp * plan.pp
    )
    return Block("pipeline", (), (message,))


def parameters(layout: Layout, *, active: bool = False) -> Count:
    """Parameters of the model from its dimensions; `active` are those that one token visits.

    Leaves out norms and biases (below 0.1 % in all known models) and modules that draft tokens;
    encoders count, but no token of text visits them.
    """
    model = layout.case.model
    total: Count = embedding_elements(model.vocab, model.d_model, model.positions)
    total = total + (0.0 if model.tied_embeddings else model.vocab * model.d_model)
    for layer in model.layers.values():
        ffn = ffn_elements(layout, model.ffns[layer.ffn], active=active)
        mixer = mixer_elements(layout, model.mixers[layer.mixer])
        total = total + stored_sets(layer) * (mixer + ffn.total)
        total = total + layer.count * layer.own
    if isinstance(model.generation, MediaDiffusion):
        total = (total + model.generation.embedding) * (1 if active else model.generation.experts)
    total = total + light_elements(model)
    return total if active else total + encoder_elements(layout)


def light_elements(model: Model) -> Count:
    """Entries of the layers beside a model's own that take its bytes, and of their table."""
    light = None if model.patches is None else model.patches.local
    if light is None:
        return 0.0
    width, matrices = light.d_model, 3.0 if light.gated else 2.0
    block = feed_forward_elements(width, light.d_ff, matrices) + 4.0 * width**2
    return light.count * block + embedding_elements(light.vocab, width, 0)


def stored_sets(layer: LayerGroup) -> Count:
    """Sets of weights that a group of layers keeps: one for each, unless they share."""
    return layer.count if layer.stored is None else layer.stored


def draft_parameters(layout: Layout) -> Count:
    """Parameters of the modules that draft tokens, embeddings and head apart, which they share.

    Each joins the last hidden state with the next token's embedding (2 D²), then runs one layer.
    Source: DeepSeek-V3, arXiv:2412.19437, section 2.2.
    """
    model = layout.case.model
    if model.multi_token_prediction is None:
        return 0.0
    return model.multi_token_prediction.depth * (
        2.0 * model.d_model**2 + _module_elements(layout, model.multi_token_prediction)
    )


def _module_elements(layout: Layout, module: MultiTokenPrediction) -> Count:
    ffn = ffn_elements(layout, layout.case.model.ffns[module.ffn])
    mixer = mixer_elements(layout, layout.case.model.mixers[module.mixer])
    return mixer + ffn.total


def weight_bytes_per_device(layout: Layout) -> Bytes:
    """Bytes of weights on one device; stages are taken as evenly filled."""
    model, plan = layout.case.model, layout.case.plan
    tables = 1.0 if model.tied_embeddings else 2.0
    embedding = model.vocab * model.d_model * tables + model.positions * model.d_model
    total: Bytes = shard(embedding, plan.tp) * layout.tables
    for layer in model.layers.values():
        ffn = ffn_elements_per_device(layout, model.ffns[layer.ffn])
        mixer = mixer_elements_per_device(layout, model.mixers[layer.mixer])
        dense = (mixer + ffn.weights) * layout.weights + ffn.tables * layout.tables
        total = total + stored_sets(layer) * (dense + ffn.experts * layout.experts)
        if np.any(as_array(layer.own) > 0):
            total = total + layer.count * shard(layer.own, plan.tp) * layout.weights
    if isinstance(model.generation, MediaDiffusion):
        ends = shard(model.generation.embedding, plan.tp) * layout.weights
        total = (total + ends) * model.generation.experts
    if model.encoders:
        total = total + shard(encoder_elements(layout), plan.tp) * layout.weights
    return shard(total, plan.pp)


def expert_bytes_per_device(layout: Layout) -> Bytes:
    """Bytes of routed experts among the weights of one device."""
    model = layout.case.model
    total: Bytes = 0.0
    for layer in model.layers.values():
        ffn = ffn_elements_per_device(layout, model.ffns[layer.ffn])
        total = total + stored_sets(layer) * ffn.experts * layout.experts
    if isinstance(model.generation, MediaDiffusion):
        total = total * model.generation.experts
    return shard(total, layout.case.plan.pp)


def kv_bytes_per_token(layout: Layout, tp: Count = 1) -> Bytes:
    """Bytes that a token adds to the cache of one of `tp` devices, all layers, no window reached.

    With `tp` = 1 this is the published figure of a model. States do not grow, and add nothing.
    """
    return _cache_bytes(layout, tp, lambda cache: 1.0 if cache.grows else 0.0)


def state_bytes_per_sequence(layout: Layout, tp: Count = 1) -> Bytes:
    """Bytes per sequence that do not grow with its context: states, encoders' keys and values."""
    return _cache_bytes(layout, tp, lambda cache: 0.0 if cache.grows else cache.window)


def cache_bytes(layout: Layout, held: Callable[[Cache], Count]) -> Bytes:
    """Cache on one device of a stage, where `held(cache)` tokens of each layer's kind are kept.

    A state is a cache whose window is one token (see `operators.base.Cache`).
    """
    plan = layout.case.plan
    return shard(_cache_bytes(layout, plan.tp, held), plan.pp)


def _cache_bytes(layout: Layout, tp: Count, held: Callable[[Cache], Count]) -> Bytes:
    model = layout.case.model
    total: Bytes = 0.0
    for layer in model.layers.values():
        for cache in mixer_caches(layout, model.mixers[layer.mixer], tp):
            total = total + layer.count * held(cache) * cache.bytes_per_token
    return total


def widest_rows(layout: Layout) -> Count:
    """Elements per token of the widest pair of activations alive at once on one device."""
    model, plan = layout.case.model, layout.case.plan
    widths = [ffn_width(ffn, model.d_model, plan.tp) for ffn in model.ffns.values()]
    widest = reduce(np.maximum, widths)
    return 4.0 * model.d_model + 2.0 * widest
