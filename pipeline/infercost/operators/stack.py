"""The whole model as blocks: groups of layers, embeddings, hand-over between stages."""

from __future__ import annotations

from functools import reduce

import numpy as np

from infercost.arrays import Bytes, Count
from infercost.equations.transformer import activation_bytes, embedding_elements, shard
from infercost.operators.attention import (
    mixer_cache,
    mixer_elements,
    mixer_elements_per_device,
    mixer_messages,
    mixer_operators,
)
from infercost.operators.base import Block, Layout, Operator, Pass
from infercost.operators.feedforward import (
    ffn_elements,
    ffn_elements_per_device,
    ffn_messages,
    ffn_operators,
)
from infercost.specs.model import LayerGroup


def blocks(layout: Layout, step: Pass) -> tuple[Block, ...]:
    """Every operator and message of one pass over all layers, per device."""
    groups = tuple(
        _layers(layout, name, layer, step) for name, layer in layout.case.model.layers.items()
    )
    return (*groups, _head(layout, step), _hand_over(layout, step))


def _layers(layout: Layout, name: str, layer: LayerGroup, step: Pass) -> Block:
    model, count = layout.case.model, layer.count
    mixer, ffn = model.mixers[layer.mixer], model.ffns[layer.ffn]
    # One reduction after the mixer and one after the feed-forward block, or one for both.
    reductions = count if layer.parallel else 2.0 * count
    return Block(
        name,
        (
            layout.normalisation("normalisation", reductions, step.tokens),
            *mixer_operators(layout, mixer, count, step),
            *ffn_operators(layout, ffn, count, step),
        ),
        (
            layout.hidden_sum(step.tokens, reductions),
            *mixer_messages(layout, mixer, count, step),
            *ffn_messages(layout, ffn, count, step),
        ),
    )


def _head(layout: Layout, step: Pass) -> Block:
    """Token lookup and the projection to logits, split over the tensor-parallel group."""
    model, tp = layout.case.model, layout.case.plan.tp
    rows = activation_bytes(step.tokens, model.d_model, layout.weights)
    lookup = Operator("embedding", 1.0, 0.0, {"weights": rows}, layout.peak, "elementwise")
    width = shard(model.vocab, tp)
    head = layout.matmul(
        "language model head",
        1.0,
        step.sequences,
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

    Leaves out norms and biases (below 0.1 % in all known models).
    """
    model = layout.case.model
    embedding = embedding_elements(model.vocab, model.d_model, model.positions)
    total: Count = embedding + (0.0 if model.tied_embeddings else model.vocab * model.d_model)
    for layer in model.layers.values():
        ffn = ffn_elements(layout, model.ffns[layer.ffn], active=active)
        mixer = mixer_elements(layout, model.mixers[layer.mixer])
        total = total + layer.count * (mixer + ffn.weights + ffn.experts)
    return total


def weight_bytes_per_device(layout: Layout) -> Bytes:
    """Bytes of weights on one device; stages are taken as evenly filled."""
    model, plan = layout.case.model, layout.case.plan
    tables = 1.0 if model.tied_embeddings else 2.0
    embedding = model.vocab * model.d_model * tables + model.positions * model.d_model
    total: Bytes = shard(embedding, plan.tp) * layout.weights
    for layer in model.layers.values():
        ffn = ffn_elements_per_device(layout, model.ffns[layer.ffn])
        mixer = mixer_elements_per_device(layout, model.mixers[layer.mixer])
        dense = (mixer + ffn.weights) * layout.weights
        total = total + layer.count * (dense + ffn.experts * layout.experts)
    return shard(total, plan.pp)


def expert_bytes_per_device(layout: Layout) -> Bytes:
    """Bytes of routed experts among the weights of one device."""
    model = layout.case.model
    total: Bytes = 0.0
    for layer in model.layers.values():
        ffn = ffn_elements_per_device(layout, model.ffns[layer.ffn])
        total = total + layer.count * ffn.experts * layout.experts
    return shard(total, layout.case.plan.pp)


def kv_bytes_per_token(layout: Layout, tp: Count = 1) -> Bytes:
    """Bytes that a token adds to the cache of one of `tp` devices, all layers, no window reached.

    With `tp` = 1 this is the published figure of a model.
    """
    model = layout.case.model
    total: Bytes = 0.0
    for layer in model.layers.values():
        cache = mixer_cache(layout, model.mixers[layer.mixer], tp)
        total = total + layer.count * cache.bytes_per_token
    return total


def widest_rows(layout: Layout) -> Count:
    """Elements per token of the widest pair of activations alive at once on one device."""
    model, plan = layout.case.model, layout.case.plan
    widths = [
        shard(ffn.d_ff, plan.tp)
        if ffn.kind == "dense"
        else shard(ffn.n_active * (ffn.d_ff + model.d_model), plan.tp)
        for ffn in model.ffns.values()
    ]
    widest = reduce(np.maximum, widths)
    return 4.0 * model.d_model + 2.0 * widest
