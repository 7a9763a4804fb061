"""What must fit where."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array
from infercost.cost import Evaluation
from infercost.equations.memory import devices_for_capacity
from infercost.lengths import UNLIMITED
from infercost.operators.stack import (
    draft_parameters,
    kv_bytes_per_token,
    parameters,
    state_bytes_per_sequence,
)
from infercost.registry import metric


@metric("1", "n", always=True)
def devices(point: Evaluation) -> Array:
    """Devices of one replica: tp x pp x dp."""
    return point.devices


@metric("1", "N", always=True)
def parameter_count(point: Evaluation) -> Array:
    """Parameters of the model from its dimensions."""
    return parameters(point.layout)


@metric("1", "N_active", always=True)
def active_parameter_count(point: Evaluation) -> Array:
    """Parameters that one token visits, embeddings included."""
    return parameters(point.layout, active=True)


@metric("B", "q_KV", always=True)
def kv_per_token(point: Evaluation) -> Array:
    """Bytes of KV cache per token over all layers, kept once; none where nothing is cached."""
    return kv_bytes_per_token(point.layout) if point.lengths.cached else 0.0


@metric("B", "q_state", always=True)
def state_per_sequence(point: Evaluation) -> Array:
    """Bytes per sequence that do not grow with context over all layers: recurrent states."""
    return state_bytes_per_sequence(point.layout)


@metric("1", "N_mtp", always=True)
def draft_parameter_count(point: Evaluation) -> Array:
    """Parameters of multi-token-prediction modules, read only where drafts are decoded."""
    return draft_parameters(point.layout)


@metric("1", "S", always=True)
def context(point: Evaluation) -> Array:
    """Mean context of a sequence in flight, in tokens."""
    return point.lengths.context(UNLIMITED)


@metric("B", "Q_W", always=True)
def weight_memory(point: Evaluation) -> Array:
    """Weights on the busiest device."""
    return point.memory.weights


@metric("B", "Q_KV", always=True)
def kv_memory(point: Evaluation) -> Array:
    """KV cache kept room for on the busiest device."""
    return point.memory.kv


@metric("B", "Q_act", always=True)
def activation_memory(point: Evaluation) -> Array:
    """Activations alive at once on one device."""
    return point.memory.activations


@metric("B", "C", always=True)
def memory_room(point: Evaluation) -> Array:
    """Memory of one device that the serving stack may fill."""
    return point.memory.room


@metric("1", "Q/C", always=True)
def memory_share(point: Evaluation) -> Array:
    """Memory needed over memory that may be filled; above 1 does not fit."""
    return point.memory.used / point.memory.room


@metric("1", "n_C", always=True)
def devices_for_memory(point: Evaluation) -> Array:
    """Devices whose memory would just hold what this replica keeps, as a real number."""
    return point.devices * devices_for_capacity(point.memory.used, point.memory.room)


@metric("1", "B_max", always=True)
def batch_for_memory(point: Evaluation) -> Array:
    """Sequences at the mean context whose KV cache fills the replica's free memory."""
    free = point.memory.room - point.memory.weights - point.memory.activations
    return free * point.case.plan.dp / _known(point.kv_bytes_per_sequence)


def _known(size: Array) -> Array:
    """Bytes where there are any; not a number where nothing is cached."""
    return np.where(np.asarray(size) > 0, size, np.nan)
