"""Operators of linear attention: lightning, gated delta rule, Kimi Delta Attention, RWKV-7."""

from __future__ import annotations

from infercost.arrays import Count
from infercost.equations import state_space as eq
from infercost.equations.attention import heads_per_device, output_elements
from infercost.operators.base import Layout, MixerKind
from infercost.operators.recurrent import Recurrence, recurrent_kind
from infercost.specs.mixers import GatedDelta, KimiDelta, LightningAttention, Rwkv7


def _lightning(layout: Layout, mixer: LightningAttention, tp: Count) -> Recurrence:
    d_model, d_head = layout.case.model.d_model, mixer.d_head
    heads = heads_per_device(mixer.n_heads, tp)
    return Recurrence(
        projection=eq.lightning_elements(d_model, heads, d_head),
        output=output_elements(d_model, heads, d_head),
        width=4.0 * heads * d_head,
        inner=heads * d_head,
        state=eq.matrix_state(heads, d_head, d_head),
        past=0.0,
        scan=eq.linear_scan_flops(heads, d_head, d_head, mixer.chunk),
        update=eq.linear_update_flops(heads, d_head, d_head),
    )


def _gated_delta(layout: Layout, mixer: GatedDelta, tp: Count) -> Recurrence:
    d_model, d_key, d_value = layout.case.model.d_model, mixer.d_key, mixer.d_value
    keys, values = heads_per_device(mixer.n_k_heads, tp), heads_per_device(mixer.n_v_heads, tp)
    mixed, inner = 2.0 * keys * d_key + values * d_value, values * d_value
    return Recurrence(
        projection=eq.gated_delta_elements(d_model, keys, values, d_key, d_value, mixer.d_conv),
        output=output_elements(d_model, values, d_value),
        width=mixed + inner + 2.0 * values,
        inner=inner,
        state=eq.matrix_state(values, d_key, d_value),
        past=eq.convolution_state(mixed, mixer.d_conv),
        scan=eq.delta_scan_flops(values, d_key, d_value, mixer.chunk),
        update=eq.delta_update_flops(values, d_key, d_value),
    )


def _kda(layout: Layout, mixer: KimiDelta, tp: Count) -> Recurrence:
    d_model, d_head = layout.case.model.d_model, mixer.d_head
    heads = heads_per_device(mixer.n_heads, tp)
    inner = heads * d_head
    gate = eq.low_rank_elements(d_model, mixer.gate_rank, inner)
    if mixer.full_gate:
        gate = d_model * inner
    mixed = eq.kimi_delta_elements(d_model, heads, d_head, mixer.gate_rank, mixer.d_conv)
    return Recurrence(
        projection=mixed + gate,
        output=output_elements(d_model, heads, d_head),
        width=5.0 * inner + heads,
        inner=inner,
        state=eq.matrix_state(heads, d_head, d_head),
        past=eq.convolution_state(3.0 * inner, mixer.d_conv),
        scan=eq.delta_scan_flops(heads, d_head, d_head, mixer.chunk),
        update=eq.delta_update_flops(heads, d_head, d_head),
    )


def _rwkv7(layout: Layout, mixer: Rwkv7, tp: Count) -> Recurrence:
    """The token shifts of time mixing and of the channel mixing after it belong to its state."""
    d_model, d_head = layout.case.model.d_model, mixer.d_head
    heads = heads_per_device(mixer.n_heads, tp)
    inner = heads * d_head
    ranks = (mixer.decay_rank, mixer.rate_rank, mixer.value_rank, mixer.gate_rank)
    return Recurrence(
        projection=eq.rwkv7_elements(d_model, heads, d_head, *ranks),
        output=output_elements(d_model, heads, d_head),
        width=7.0 * inner,
        inner=inner,
        state=eq.matrix_state(heads, d_head, d_head),
        past=2.0 * d_model,
        scan=eq.rwkv7_scan_flops(heads, d_head, mixer.chunk),
        update=eq.rwkv7_update_flops(heads, d_head),
    )


KINDS: dict[str, MixerKind] = {
    "lightning": recurrent_kind(_lightning, lambda m: m.n_heads, lambda m: m.n_heads * m.d_head),
    "gated_delta": recurrent_kind(
        _gated_delta, lambda m: m.n_v_heads, lambda m: m.n_v_heads * m.d_value
    ),
    "kda": recurrent_kind(_kda, lambda m: m.n_heads, lambda m: m.n_heads * m.d_head),
    "rwkv7": recurrent_kind(_rwkv7, lambda m: m.n_heads, lambda m: m.n_heads * m.d_head),
}
