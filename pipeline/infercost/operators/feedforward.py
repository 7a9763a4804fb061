"""Operators of feed-forward blocks: dense and mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infercost.arrays import Array, Count, Ratio, as_array
from infercost.equations.moe import exchanged_bytes, expected_distinct_experts
from infercost.equations.transformer import (
    feed_forward_elements,
    matmul_flops,
    shard,
)
from infercost.network.messages import Message
from infercost.operators.base import ROUTER, Layout, Operator, Pass
from infercost.specs.feedforward import (
    DenseFeedForward,
    FeedForward,
    MixtureOfExperts,
    NoFeedForward,
)


@dataclass(frozen=True)
class Elements:
    """Weight entries of one block by the format they are kept in."""

    weights: Count
    experts: Count
    tables: Count = 0.0
    """Of the router, kept as embeddings and head are."""

    @property
    def total(self) -> Count:
        """All of them."""
        return self.weights + self.experts + self.tables


def matrices(ffn: DenseFeedForward | MixtureOfExperts) -> float:
    """Matrices of one block or expert: three where gated, else two."""
    return 3.0 if ffn.gated else 2.0


def ffn_elements(layout: Layout, ffn: FeedForward, *, active: bool = False) -> Elements:
    """Weight entries of one layer's block over all devices; `active` counts what a token visits."""
    d_model = layout.case.model.d_model
    if isinstance(ffn, NoFeedForward):
        return Elements(0.0, 0.0)
    if isinstance(ffn, DenseFeedForward):
        one = feed_forward_elements(d_model, ffn.d_ff, matrices(ffn))
        return Elements(one * ffn.streams, 0.0)
    expert = feed_forward_elements(expert_width(layout, ffn), ffn.d_ff, matrices(ffn))
    return Elements(
        _shared(layout, ffn, 1),
        expert * (ffn.n_active if active else ffn.n_experts),
        d_model * ffn.n_experts,
    )


def ffn_elements_per_device(layout: Layout, ffn: FeedForward) -> Elements:
    """Weight entries of one layer's block that one device of a stage holds."""
    plan, d_model = layout.case.plan, layout.case.model.d_model
    if isinstance(ffn, NoFeedForward):
        return Elements(0.0, 0.0)
    if isinstance(ffn, DenseFeedForward):
        whole = feed_forward_elements(d_model, ffn.d_ff, matrices(ffn)) * ffn.streams
        return Elements(shard(whole, plan.tp), 0.0)
    expert = feed_forward_elements(expert_width(layout, ffn), ffn.d_ff, matrices(ffn))
    return Elements(
        _shared(layout, ffn, plan.tp),
        shard(expert * ffn.n_experts, plan.tp * plan.dp),
        d_model * ffn.n_experts,
    )


def expert_width(layout: Layout, ffn: MixtureOfExperts) -> Count:
    """Width in which routed experts work: a latent one, or the model's."""
    d_model: Count = layout.case.model.d_model
    return ffn.d_latent if np.any(as_array(ffn.d_latent) > 0) else d_model


def _shared(layout: Layout, ffn: MixtureOfExperts, tp: Count) -> Count:
    """Weight entries of shared experts, and of projections to a latent width."""
    d_model = layout.case.model.d_model
    shared = feed_forward_elements(d_model, ffn.d_ff_shared, matrices(ffn))
    latent = 2.0 * d_model * ffn.d_latent
    return shard(shared + latent, tp)


def ffn_operators(
    layout: Layout, ffn: FeedForward, count: Array, step: Pass
) -> tuple[Operator, ...]:
    """The operators of `count` feed-forward blocks on one device."""
    if isinstance(ffn, NoFeedForward):
        return ()
    if isinstance(ffn, DenseFeedForward):
        pair = _gated_pair(layout, "feed-forward", ffn, ffn.d_ff, count, step)
        return pair if ffn.streams == 1 else tuple(o.of_copies(ffn.streams) for o in pair)
    d_model = layout.case.model.d_model
    router = layout.wide_matmul(
        ROUTER, count, step.tokens, d_model * ffn.n_experts, d_model + ffn.n_experts, d_model
    )
    routed = _routed(layout, ffn, count, step)
    if np.any(as_array(ffn.d_latent) > 0):
        routed = (*routed, *_latent_pair(layout, ffn, count, step))
    if ffn.d_ff_shared == 0:
        return (router, *routed)
    shared = _gated_pair(layout, "shared experts", ffn, ffn.d_ff_shared, count, step)
    return (router, *routed, *shared)


def _latent_pair(
    layout: Layout, ffn: MixtureOfExperts, count: Array, step: Pass
) -> tuple[Operator, ...]:
    """Projections to and from the latent width of routed experts, split like a dense block."""
    d_model, latent = layout.case.model.d_model, shard(ffn.d_latent, layout.case.plan.tp)
    return tuple(
        layout.matmul(name, count, step.tokens, d_model * latent, d_model + latent, depth)
        for name, depth in (("latent down", d_model), ("latent up", latent))
    )


def _gated_pair(
    layout: Layout,
    name: str,
    ffn: DenseFeedForward | MixtureOfExperts,
    d_ff: Count,
    count: Array,
    step: Pass,
) -> tuple[Operator, ...]:
    """Up (and gate) projection, then down projection, split over the tensor-parallel group."""
    d_model, tp = layout.case.model.d_model, layout.case.plan.tp
    width, ups = shard(d_ff, tp), matrices(ffn) - 1.0
    up, down = d_model * width * ups, width * d_model
    return (
        layout.matmul(f"{name} up", count, step.tokens, up, d_model + width, d_model),
        layout.matmul(f"{name} down", count, step.tokens, down, width + d_model, width),
    )


def _routed(
    layout: Layout, ffn: MixtureOfExperts, count: Array, step: Pass
) -> tuple[Operator, ...]:
    """Routed experts of one device, whose weights are read if any token of the stage visits them.

    The busiest device has `trend.expert_skew` times the mean load. Each touched expert is read
    whole, once per pass; touched ones are counted as under uniform routing.
    """
    plan, d_model, skew = layout.case.plan, expert_width(layout, ffn), _skew(layout)
    stage = plan.tp * plan.dp
    tokens = step.tokens * plan.dp
    visits = shard(tokens * ffn.n_active, stage) * skew
    touched = expected_distinct_experts(tokens, ffn.n_experts, ffn.n_active)
    ups = matrices(ffn) - 1.0
    sizes = {
        "routed experts up": (d_model * ffn.d_ff * ups, d_model + ffn.d_ff, d_model),
        "routed experts down": (d_model * ffn.d_ff, ffn.d_ff + d_model, ffn.d_ff),
    }
    return tuple(
        Operator(
            name,
            count,
            matmul_flops(visits, elements),
            {
                "weights": shard(touched * elements, stage) * layout.experts,
                "activations": layout.spilled(visits, width),
            },
            layout.peak,
            "experts",
            rows=tokens * ffn.n_active / touched * skew,
            depth=depth,
            run=elements * layout.experts * plan.ep / stage,
            dependent=touched / plan.ep if name == "routed experts up" else None,
            packed=layout.packed(shard(touched * elements, stage), layout.experts),
            exchange=layout.exchange(visits, width, elements, touched / stage),
        )
        for name, (elements, width, depth) in sizes.items()
    )


def _skew(layout: Layout) -> Ratio:
    """Load of the busiest device over the mean: with all tokens there, as many as share experts.

    Devices that split every expert among them (`ep` of 1) are busy alike.
    """
    skew: Ratio = np.minimum(layout.case.trend.expert_skew, layout.case.plan.ep)
    return skew


def ffn_messages(layout: Layout, ffn: FeedForward, count: Array, step: Pass) -> tuple[Message, ...]:
    """Dispatch and combine between data-parallel groups; none where experts are at hand.

    The devices of a tensor-parallel group hold the same tokens after their all-reduce, so experts
    spread over that group need no exchange: the block's own all-reduce sums their results.
    """
    if not isinstance(ffn, MixtureOfExperts):
        return ()
    plan = layout.case.plan
    if np.all(as_array(plan.dp) == 1):
        return ()
    expert_tp = plan.tp * plan.dp / plan.ep
    # The busiest rank receives its share times the skew, and all wait for it.
    gathered = plan.exchange == "gather"
    sender = step.tokens * expert_tp / plan.tp * (1.0 if gathered else _skew(layout))
    copies: Count = plan.dp if gathered else ffn.n_active
    return tuple(
        layout.network.all_to_all(
            name,
            count,
            exchanged_bytes(sender, copies, expert_width(layout, ffn), element),
            plan.dp,
            plan.tp,
            ffn.n_active * expert_tp if plan.exchange == "merged" else None,
        )
        for name, element in (("dispatch", layout.dispatch), ("combine", layout.combine))
    )


def ffn_width(ffn: FeedForward, d_model: Count, tp: Count) -> Count:
    """Elements per token of a block's widest rows on one of `tp` devices."""
    if isinstance(ffn, NoFeedForward):
        return 0.0
    if isinstance(ffn, DenseFeedForward):
        return shard(ffn.d_ff, tp)
    return shard(ffn.n_active * (ffn.d_ff + d_model), tp)
