"""Operators of state space models: Mamba-1 and Mamba-2."""

from __future__ import annotations

from infercost.arrays import Count
from infercost.equations import state_space as eq
from infercost.equations.attention import heads_per_device, output_elements
from infercost.equations.transformer import shard
from infercost.operators.base import Layout, MixerKind
from infercost.operators.recurrent import Recurrence, recurrent_kind
from infercost.specs.mixers import Mamba1, Mamba2


def _mamba1(layout: Layout, mixer: Mamba1, tp: Count) -> Recurrence:
    d_model, inner = layout.case.model.d_model, shard(mixer.d_inner, tp)
    scan = eq.mamba1_scan_flops(inner, mixer.d_state)
    return Recurrence(
        projection=eq.mamba1_elements(d_model, inner, mixer.d_state, mixer.dt_rank, mixer.d_conv),
        output=output_elements(d_model, 1.0, inner),
        width=3.0 * inner + 2.0 * mixer.d_state,  # input, gate and step; B and C
        inner=inner,
        state=eq.matrix_state(1.0, inner, mixer.d_state),
        past=eq.convolution_state(inner, mixer.d_conv),
        scan=scan,
        update=scan,
    )


def _mamba2(layout: Layout, mixer: Mamba2, tp: Count) -> Recurrence:
    d_model, d_head, d_state = layout.case.model.d_model, mixer.d_head, mixer.d_state
    heads = heads_per_device(mixer.n_heads, tp)
    groups = heads_per_device(mixer.n_groups, tp)
    inner, maps = heads * d_head, 2.0 * groups * d_state
    return Recurrence(
        projection=eq.mamba2_elements(d_model, heads, d_head, d_state, groups, mixer.d_conv),
        output=output_elements(d_model, heads, d_head),
        width=2.0 * inner + maps + heads,
        inner=inner,
        state=eq.matrix_state(heads, d_state, d_head),
        past=eq.convolution_state(inner + maps, mixer.d_conv),
        scan=eq.mamba2_scan_flops(heads, d_head, d_state, groups, mixer.chunk),
        update=eq.mamba2_update_flops(heads, d_head, d_state),
    )


KINDS: dict[str, MixerKind] = {
    "mamba1": recurrent_kind(_mamba1, lambda m: m.d_inner, lambda m: m.d_inner),
    "mamba2": recurrent_kind(_mamba2, lambda m: m.n_heads, lambda m: m.n_heads * m.d_head),
}
