"""What must fit where."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, as_array
from infercost.cost import Evaluation
from infercost.equations.memory import devices_for_capacity, smallest_system
from infercost.operators.stack import (
    draft_parameters,
    kv_bytes_per_token,
    parameters,
    state_bytes_per_sequence,
)
from infercost.registry import metric
from infercost.workloads.lengths import UNLIMITED


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
    """Room for the KV cache on the busiest device."""
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


@metric("1", "n_min", always=True)
def minimum_devices(point: Evaluation) -> Array:
    """Fewest devices, a power of two, whose memory holds what this replica keeps."""
    return smallest_system(devices_for_memory(point))


@metric("B", "Q_context", always=True)
def context_memory(point: Evaluation) -> Array:
    """Cache of the context that all requests share, kept once on the busiest device."""
    return point.memory.context


@metric("1", "f_main")
def main_memory_share(point: Evaluation) -> Array:
    """Share of a decode step's memory traffic that the device's main memory carries."""
    tiers = point.decode.tiers
    if not tiers:
        return 1.0
    total = sum((tier.moved for tier in tiers), start=np.zeros(()))
    return np.where(total > 0, tiers[0].moved / np.where(total > 0, total, 1.0), 1.0)


@metric("s", "t_stall")
def buffer_stall(point: Evaluation) -> Array:
    """Time that a decode step's memory traffic takes longer for want of buffers, per device."""
    stalls = (tier.stall for tier in point.decode.tiers)
    return sum(stalls, start=0.0)


@metric("s", "t_life")
def memory_life(point: Evaluation) -> Array:
    """Life of the memory that wears out first; none where no memory wears out."""
    life = as_array(point.memory_life, dtype=np.float64)
    return np.where(np.isfinite(life), life, np.nan)


@metric("W", "P_memory")
def decode_memory_power(point: Evaluation) -> Array:
    """Mean power of a device's memory traffic in a decode step, its bits alone."""
    return point.decode.memory_energy / point.step_time


@metric("1", "B_max", always=True)
def batch_for_memory(point: Evaluation) -> Array:
    """Sequences at the mean context whose KV cache fills the replica's free memory, if any is."""
    kept = point.memory.weights + point.memory.activations + point.memory.context
    free = np.maximum(point.memory.room - kept, 0.0)
    return free * point.case.plan.dp / _known(point.kv_bytes_per_sequence)


def _known(size: Array) -> Array:
    """Bytes where there are any; not a number where nothing is cached."""
    return np.where(as_array(size) > 0, size, np.nan)
