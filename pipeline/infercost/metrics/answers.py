"""Money and carbon of an answer and of a cached prompt token; the price of a device."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.equations import money
from infercost.equations.roofline import transfer_time
from infercost.registry import metric

MILLION = 1e6


@metric("USD", "K_cached")
def cached_cost_per_minput(point: Evaluation) -> Array:
    """Cost per million prompt tokens whose cache another node sends: transfer time, no storage.

    Devices of the group that takes the prompt wait, each for its share of heads and layers.
    """
    lengths, hardware = point.lengths, point.case.hardware
    context = as_array(lengths.context(np.inf))
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token = point.kv_bytes_per_sequence / np.where(context > 0, context, np.nan)
    time = transfer_time(
        per_token,
        hardware.scale_out.bandwidth_out,
        point.case.calibration.network_efficiency,
    )
    busy = time * point.devices * point.provision / point.case.plan.dp
    power = (hardware.idle_power + hardware.host_power) * point.case.economics.pue
    rate = point.device_rate + money.energy_cost(power, _electricity(point))
    return MILLION * point.of_tokens(busy * rate)


def _electricity(point: Evaluation) -> Array:
    return getattr(point.case.economics, "electricity_price", 0.0)


def _per_answer(point: Evaluation, per_output: Array) -> Array:
    return per_output * point.lengths.output_mean


@metric("USD", "K_ans")
def cost_per_answer(point: Evaluation) -> Array:
    """All-in cost of one answer of the workload, searches left out; none for a snapshot."""
    return _per_answer(point, point.per_token_price)


@metric("J", "E_ans")
def energy_per_answer(point: Evaluation) -> Array:
    """Energy at the meter of one answer; none for a snapshot."""
    return _per_answer(point, point.per_token.energy.total)


@metric("kgCO2e", "G_ans_op")
def operational_carbon_per_answer(point: Evaluation) -> Array:
    """Operational carbon of one answer; none for a snapshot."""
    return _per_answer(point, point.operational_terms(point.per_token).total)


@metric("kgCO2e", "G_ans_emb")
def embodied_carbon_per_answer(point: Evaluation) -> Array:
    """Embodied carbon of one answer over the life of the devices; none for a snapshot."""
    return _per_answer(point, point.embodied_terms(point.per_token).total)


@metric("kgCO2e", "G")
def carbon_per_mtoken(point: Evaluation) -> Array:
    """Operational and embodied carbon per million output tokens."""
    operational = point.operational_terms(point.per_token).total
    embodied = point.embodied_terms(point.per_token).total
    return MILLION * point.of_tokens(operational + embodied)


@metric("USD", "K_dev", always=True)
def device_price(point: Evaluation) -> Array:
    """Price of one device with its share of server and network, in the year of purchase."""
    return as_array(point.case.hardware.price)
