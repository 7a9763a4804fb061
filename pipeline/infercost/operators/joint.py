"""Operators of a diffusion transformer's attention: latents and text, modulated by the step."""

from __future__ import annotations

from infercost.arrays import Array, Count
from infercost.equations import attention as eq
from infercost.equations import diffusion
from infercost.equations.transformer import shard
from infercost.operators.base import Cache, Layout, MixerKind, Operator, Pass, core_kind
from infercost.specs.mixers import JointAttention
from infercost.workloads.lengths import UNLIMITED


def _projections(layout: Layout, mixer: JointAttention, tp: Count) -> tuple[Count, Count]:
    """Entries of one stream in front of the core and behind it."""
    heads, d_model = eq.heads_per_device(mixer.n_q_heads, tp), layout.case.model.d_model
    query = eq.grouped_query_elements(d_model, heads, heads, mixer.d_head)
    return query, eq.output_elements(d_model, heads, mixer.d_head)


def _modulation(layout: Layout, mixer: JointAttention, tp: Count) -> Count:
    return shard(diffusion.modulation_elements(layout.case.model.d_model, mixer.modulation), tp)


def _elements(layout: Layout, mixer: JointAttention, tp: Count) -> Count:
    return mixer.streams * sum(_projections(layout, mixer, tp)) + _modulation(layout, mixer, tp)


def _caches(layout: Layout, mixer: JointAttention, tp: Count) -> tuple[Cache, ...]:
    """None: every step makes keys and values of all tokens anew."""
    return ()


def _operators(
    layout: Layout, mixer: JointAttention, count: Array, step: Pass
) -> tuple[Operator, ...]:
    tp, d_model = layout.case.plan.tp, layout.case.model.d_model
    inner = eq.heads_per_device(mixer.n_q_heads, tp) * mixer.d_head
    query, output = _projections(layout, mixer, tp)
    kept = 2.0 * inner * layout.activations
    core = Operator(
        "attention core",
        count,
        eq.core_flops(step.pairs(UNLIMITED), inner / mixer.d_head, mixer.d_head, mixer.d_head),
        {
            # Written by the projection and read by the core: keys and values of this pass alone.
            "kv": 2.0 * step.tokens * kept,
            "activations": layout.spilled(step.tokens, 2.0 * inner),
        },
        layout.peak_attention,
        core_kind(step),
        written={"kv": step.tokens * kept},
        exchange=layout.core_exchange(
            2.0 * step.tokens * inner, step.sequences * inner / mixer.d_head
        ),
        scores=step.pairs(UNLIMITED) * inner / mixer.d_head,
        depth=mixer.d_head,
        context=step.tokens / step.sequences,
    )
    modulation = _modulation(layout, mixer, tp)
    width = shard(mixer.modulation * d_model, tp)
    stages = (
        layout.matmul("modulation", count, step.sequences, modulation, d_model + width, d_model),
        layout.matmul("qkv projection", count, step.tokens, query, d_model + 3.0 * inner, d_model),
        core,
        layout.matmul("output projection", count, step.tokens, output, inner + d_model, inner),
    )
    return (stages[0], stages[1].of_copies(mixer.streams), core, stages[3].of_copies(mixer.streams))


KINDS: dict[str, MixerKind] = {
    "joint": MixerKind(
        _elements,
        _caches,
        _operators,
        lambda mixer: mixer.n_q_heads * mixer.d_head,
        lambda mixer: mixer.n_q_heads,
    ),
}
