"""Power of devices, nodes and racks, and energy by where it goes."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.equations.energy import idle_share
from infercost.equations.serving import passes_in_flight
from infercost.registry import metric

MILLION = 1e6


def _at_work(point: Evaluation) -> Array:
    """Joules per output token that boards draw above idle power."""
    share = 1.0 + idle_share(point.case.economics.utilisation)
    paid = (_resting(point, "idle_power") + _resting(point, "host_power")) * share
    return point.per_token.energy.total / point.case.economics.pue - paid


def _resting(point: Evaluation, power: str) -> Array:
    """Joules per output token at a constant power of the devices at work, of each their own."""
    whole = point.per_token
    total: Array = 0.0
    for share, one, phase in whole.parts or ((1.0, point, whole),):
        total = total + share * getattr(one.case.hardware, power) * phase.device_time.total
    return total


def _mean(point: Evaluation) -> Array:
    return (_resting(point, "idle_power") + _at_work(point)) / point.device_seconds


def _peak(point: Evaluation) -> Array:
    decode = as_array(point.dynamic_power)
    idle = point.case.hardware.idle_power
    if not np.any(as_array(point.prompt_passes) > 0):
        return idle + decode
    prefill = as_array(point.prefill.energy.total / point.prefill.time.total)
    worst = np.max(np.atleast_1d(prefill), axis=-1, keepdims=True)
    peak: Array = idle + np.maximum(decode, worst)
    return peak


def _share(point: Evaluation, name: str) -> float:
    load = point.case.hardware.power
    return np.nan if load is None else float(getattr(load, name))


@metric("W", "P_device")
def device_power(point: Evaluation) -> Array:
    """Mean power of one device while it serves, prefill and decode; never above its limit."""
    return _mean(point)


@metric("W", "P_peak")
def device_peak_power(point: Evaluation) -> Array:
    """Power of one device in the pass that draws most; never above its limit."""
    return _peak(point)


@metric("W", "P_node")
def node_power(point: Evaluation) -> Array:
    """Mean power of a server at work: devices, host, NICs, switches and fans, without cooling."""
    return _share(point, "node") * (_mean(point) + point.case.hardware.host_power)


@metric("W", "P_node_peak")
def node_peak_power(point: Evaluation) -> Array:
    """Power of a server whose devices all run the pass that draws most."""
    return _share(point, "node") * (_peak(point) + point.case.hardware.host_power)


@metric("W", "P_rack")
def rack_power(point: Evaluation) -> Array:
    """Mean power of a rack at work, cooling of the hall left out."""
    return _share(point, "rack") * (_mean(point) + point.case.hardware.host_power)


@metric("W", "P_rack_peak")
def rack_peak_power(point: Evaluation) -> Array:
    """Power of a rack whose devices all run the pass that draws most."""
    return _share(point, "rack") * (_peak(point) + point.case.hardware.host_power)


@metric("1", "s_cap")
def decode_clock(point: Evaluation) -> Array:
    """Clock of a decode pass over nominal under a power cap below the rated limit; else 1."""
    return as_array(point.decode.clock)


@metric("1", "V_cap")
def decode_voltage(point: Evaluation) -> Array:
    """Voltage of a decode pass over nominal, which falls with the clock; 1 without a cap."""
    load = point.case.hardware.power
    floor = 1.0 if load is None else load.voltage_floor
    return floor + (1.0 - floor) * as_array(point.decode.clock)


@metric("J", "E_link")
def decode_link_energy_per_moutput(point: Evaluation) -> Array:
    """Energy that bits on links take in decode per million output tokens: SerDes and optics.

    Part of what boards draw at work. NICs and switches draw whether bits flow or not: they are in
    the energy of hosts.
    """
    return MILLION * point.of_tokens(link_energy(point))


def link_energy(point: Evaluation) -> Array:
    """Joules of messages of the decode passes behind one output token."""
    plan, batch = point.case.plan, point.case.batch
    passes = passes_in_flight(batch, plan.dp, plan.pp)
    sent = point.decode.energy.get("network_bandwidth", 0.0)
    return sent * plan.tp * passes / batch / point.lengths.tokens_per_step


@metric("J", "E_board")
def board_energy_per_mtoken(point: Evaluation) -> Array:
    """Energy of the devices at work per million output tokens: what their power sensors see."""
    return MILLION * point.of_tokens(_at_work(point) + _resting(point, "idle_power"))


@metric("J", "E_host")
def host_energy_per_mtoken(point: Evaluation) -> Array:
    """Energy of hosts, NICs, switches and fans at work per million output tokens."""
    return MILLION * point.of_tokens(_resting(point, "host_power"))


@metric("J", "E_idle")
def idle_energy_per_mtoken(point: Evaluation) -> Array:
    """Energy of devices and hosts while they wait for work, per million output tokens."""
    drawn = _resting(point, "idle_power") + _resting(point, "host_power")
    return MILLION * point.of_tokens(drawn * idle_share(point.case.economics.utilisation))


@metric("J", "E_cooling")
def cooling_energy_per_mtoken(point: Evaluation) -> Array:
    """Energy of cooling and power conversion (PUE above 1) per million output tokens."""
    pue = point.case.economics.pue
    return MILLION * point.of_tokens(point.per_token.energy.total * (pue - 1.0) / pue)
