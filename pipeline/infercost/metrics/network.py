"""How the devices of a tensor-parallel group reach one another."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.equations.collectives import domains_spanned, ranks_inside
from infercost.equations.topology import hierarchical_mean_hops
from infercost.network.fabric import Shape
from infercost.passes.forward import message_terms
from infercost.registry import metric


def _shapes(point: Evaluation) -> tuple[Shape, Shape, Array, Array]:
    """The group inside a domain and across domains, and how many ranks and domains it has."""
    network, tp = point.layout.network, point.case.plan.tp
    inside = ranks_inside(tp, network.scale_up.reach)
    outside = domains_spanned(tp, network.scale_up.reach)
    return network.scale_up.shape(inside), network.scale_out.shape(outside), inside, outside


@metric("1", "h", always=True)
def tp_hops(point: Evaluation) -> Array:
    """Mean links between two devices of a tensor-parallel group; 1 where no topology is stated."""
    near, far, inside, outside = _shapes(point)
    return hierarchical_mean_hops(inside * outside, inside, near.mean_hops, far.mean_hops)


@metric("1", "h_max", always=True)
def tp_diameter(point: Evaluation) -> Array:
    """Most links between two devices of a tensor-parallel group."""
    near, far, _, _ = _shapes(point)
    return np.maximum(near.diameter, far.diameter)


@metric("B/s", "W_bis", always=True)
def tp_bisection(point: Evaluation) -> Array:
    """Bandwidth one way between the halves of a tensor-parallel group; none for one device."""
    near, far, inside, outside = _shapes(point)
    up, out = point.case.hardware.scale_up, point.case.hardware.scale_out
    within = near.bisection * inside / 2.0 * up.bandwidth_out
    across = far.bisection * outside * inside / 2.0 * out.bandwidth_out
    return np.where(as_array(outside) > 1.0, across, np.where(inside > 1.0, within, np.nan))


@metric("s", "t_AR", always=True)
def decode_all_reduce(point: Evaluation) -> Array:
    """Time of one all-reduce of a decode pass over a tensor-parallel group, hidden or not."""
    message = point.layout.hidden_sum(point.decode_pass.tokens)
    return message_terms(point.layout.calibration, message).total


@metric("1", "p_stale", always=True)
def stale_messages(point: Evaluation) -> Array:
    """Share of scale-up messages that come after the time-out, so that earlier data stand in."""
    return point.layout.network.scale_up.stale


@metric("1", "n_paid", always=True)
def devices_with_spares(point: Evaluation) -> Array:
    """Devices of one replica and those that stand by for it."""
    return point.devices + point.case.plan.spares


@metric("1", "A", always=True)
def availability(point: Evaluation) -> Array:
    """Share of time that a replica serves, failures of devices and spares considered."""
    return point.availability
