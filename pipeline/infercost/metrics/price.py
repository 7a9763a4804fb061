"""Energy, money and carbon per million tokens. Output tokens unless the name says otherwise."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.registry import metric

MILLION = 1e6


@metric("J", "E")
def energy_per_mtoken(point: Evaluation) -> Array:
    """Energy at the meter per million output tokens, prefill, idle time and PUE included."""
    return MILLION * point.of_tokens(point.per_token.energy.total)


@metric("J", "E_out")
def decode_energy_per_moutput(point: Evaluation) -> Array:
    """Energy of decode alone per million output tokens, idle time and PUE included."""
    return MILLION * point.of_tokens(point.decode_per_token.energy.total)


@metric("W", "P")
def decode_power(point: Evaluation) -> Array:
    """Mean power of one device in a decode step; never above its limit."""
    return point.case.hardware.idle_power + point.dynamic_power


@metric("USD", "K")
def cost_per_mtoken(point: Evaluation) -> Array:
    """All-in cost per million output tokens: decode, and the prefill of the prompts behind them."""
    return MILLION * point.of_tokens(point.per_token_price)


@metric("USD", "K_C")
def capacity_cost_per_mtoken(point: Evaluation) -> Array:
    """Cost that unlimited memory of the same speed would save at a study's best point, else 0."""
    return MILLION * point.of_tokens(point.per_token_cost["capacity"])


@metric("USD", "K_out")
def decode_cost_per_moutput(point: Evaluation) -> Array:
    """Cost of decode alone per million output tokens."""
    return MILLION * point.of_tokens(point.cost_terms(point.decode_per_token).total)


@metric("USD", "K_in")
def prefill_cost_per_minput(point: Evaluation) -> Array:
    """Cost of prefill alone per million prompt tokens; none for a snapshot."""
    cost = MILLION * point.of_tokens(point.cost_terms(point.prefill_per_token).total)
    with np.errstate(invalid="ignore"):
        return cost / as_array(point.inputs_per_output)


@metric("USD", "K_total")
def cost_per_mtotal(point: Evaluation) -> Array:
    """All-in cost per million tokens, prompts and outputs alike."""
    return cost_per_mtoken(point) / (1.0 + point.inputs_per_output)


@metric("kgCO2e", "G_op")
def operational_carbon_per_mtoken(point: Evaluation) -> Array:
    """Operational carbon per million output tokens."""
    return MILLION * point.of_tokens(point.operational_terms(point.per_token).total)


@metric("kgCO2e", "G_emb")
def embodied_carbon_per_mtoken(point: Evaluation) -> Array:
    """Embodied carbon of the devices per million output tokens."""
    return MILLION * point.of_tokens(point.embodied_terms(point.per_token).total)
