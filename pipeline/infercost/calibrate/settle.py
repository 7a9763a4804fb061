"""What a row leaves open and only a prediction can settle: parallelism, batch, queue.

Batches that a rate of requests or a limit of latency implies depend on how fast the system is. They
are settled once, under the `typical` calibration that nothing was fitted for, and then held: every
calibration acts on the same point, and the passes stay linear in what they are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from infercost.arrays import FloatArray
from infercost.cost import Evaluation
from infercost.measurements.loads import DEFAULT_IN_FLIGHT
from infercost.measurements.readings import Reading, Unread
from infercost.operators.stack import cache_bytes
from infercost.specs.case import Case

FILL = 0.9
"""Share of what the weights leave free that a stack fills with KV: TensorRT-LLM's default."""
BINARY = 1.065
"""NVIDIA's 80 GB are 81,559 MiB in nvidia-smi, 141 GB are 143,771 MiB."""
RUNTIME = 1.5e9
"""Bytes of context, buffers and graphs on each device; assumed."""
WEIGHTS_SHARE = 0.6
"""Most of a device's memory that weights take where a submitter chooses TP for throughput.

NVIDIA's MLPerf v4.1 configurations: Llama 2 70B in FP8 takes TP2 of 80 and 94 GB (88 and 75 % at
TP1) and TP1 of 141 GB (50 %), Mixtral 8x7B in FP8 TP1 of 80 GB (58 %).
"""
NODE = 8
"""Devices of a node: beyond it, a replica adds stages."""
STABLE = 0.5
"""Share of time in prefill beyond which an M/D/1 queue of prompts is not trusted."""

Bind = Callable[[Sequence[Reading], FloatArray], Case]
"""A case with one entry per reading, given readings alike in names and a batch for each."""


def settled(
    readings: Sequence[Reading], bind: Bind, typical: Bind
) -> tuple[list[Reading], list[Unread]]:
    """Readings alike in names with every number settled, and those that cannot be."""
    lost: list[Unread] = []
    if any(r.devices for r in readings):
        readings = spread(readings, bind)
    readings = _filled(readings, bind, lost)
    slow = [r for r in readings if math.isfinite(r.tpot_limit)]
    if slow:
        kept = {r.id: r for r in _within_tpot(slow, typical)}
        readings = [kept.get(r.id, r) for r in readings]
    arriving = [r for r in readings if math.isfinite(r.rate)]
    if arriving:
        served = {r.id: r for r in _served(arriving, typical, lost)}
        readings = [served.get(r.id, r) for r in readings]
    gone = {entry.id for entry in lost}
    return [r for r in readings if r.id not in gone], lost


def _column(values: object, size: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return np.array(np.broadcast_to(array.reshape(-1) if array.ndim else array, (size,)))


def _capacity(case: Case) -> float:
    binary = BINARY if case.hardware.family.startswith("nvidia") else 1.0
    return float(case.hardware.tier.capacity * binary)


def spread(readings: Sequence[Reading], bind: Bind) -> list[Reading]:
    """The least power of two of devices on which weights leave room, repeated over the system."""
    alone = [replace(r, tp=1, pp=1) if r.devices else r for r in readings]
    case = bind(alone, np.ones(len(alone)))
    weights = _column(Evaluation(case).memory.weights, len(alone))
    result = []
    for reading, needed in zip(readings, weights, strict=True):
        if not reading.devices:
            result.append(reading)
            continue
        share = needed / (WEIGHTS_SHARE * _capacity(case))
        ranks = min(2 ** max(math.ceil(math.log2(share)), 0), reading.devices)
        replicas = reading.devices // ranks
        result.append(
            replace(
                reading,
                tp=min(ranks, NODE),
                pp=max(ranks // NODE, 1),
                batch=reading.batch / replicas,
                rate=reading.rate / replicas,
                time_s=reading.time_s * (replicas if reading.per_time else 1),
                devices=0,
            )
        )
    return result


def _filled(readings: Sequence[Reading], bind: Bind, lost: list[Unread]) -> list[Reading]:
    """Filled stacks with as many sequences as memory holds at full length."""
    if not any(r.filled for r in readings):
        return list(readings)
    case = bind(readings, np.ones(len(readings)))
    one = Evaluation(case)
    length = np.array([r.prompt + r.beams * r.output for r in readings]).reshape(-1, 1)
    full = cache_bytes(one.layout, lambda cache: np.minimum(length, cache.window) / cache.ways)
    per_sequence = _column(full, len(readings))
    free = FILL * (_capacity(case) - RUNTIME - _column(one.memory.weights, len(readings)))
    result = []
    for reading, fits in zip(readings, free / per_sequence, strict=True):
        room = fits * reading.dp
        if reading.filled and room < 1:
            lost.append(Unread(reading.id, "the weights leave no room for one request"))
        most = float(np.floor(max(min(room, reading.limit * reading.dp), 1.0)))
        result.append(replace(reading, batch=most) if reading.filled else reading)
    return result


def _within_tpot(readings: Sequence[Reading], typical: Bind) -> list[Reading]:
    """The largest batch, up to the one that fits, whose mean TPOT keeps the limit."""
    most = np.array([r.batch for r in readings])
    low, high = np.ones(len(readings)), most
    limit = np.array([r.tpot_limit for r in readings])
    for _ in range(14):
        middle = np.where(low == 1.0, np.sqrt(low * high), 0.5 * (low + high))
        kept = _tpot(readings, typical, middle) <= limit
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    whole = _tpot(readings, typical, most) <= limit
    batch = np.where(whole, most, np.maximum(np.floor(low), 1.0))
    return [replace(r, batch=float(b)) for r, b in zip(readings, batch, strict=True)]


def _tpot(readings: Sequence[Reading], typical: Bind, batch: FloatArray) -> FloatArray:
    """Mean TPOT at a batch, prefills of the requests that replace others included."""
    return _column(Evaluation(typical(readings, batch)).tpot, len(readings))


def _served(readings: Sequence[Reading], typical: Bind, lost: list[Unread]) -> list[Reading]:
    """Requests that arrive by themselves: Little's law for the batch, M/D/1 for a prompt's wait.

    A request in flight sees one more than the mean of the others, rate x latency. A prompt waits
    for those before it, ρ / (2 (1 - ρ)) prefills at ρ = rate x prefill, and for half of a decode
    step where one is running, 1 - exp(-rate x latency) of the time.
    """
    size = len(readings)
    rate = np.array([r.rate for r in readings])
    output = np.array([r.output for r in readings])
    one = Evaluation(typical(readings, np.ones(size)))
    prefill = _column(one.prefill_time, size)
    others = np.zeros(size)
    for _ in range(30):
        batch = np.minimum(1.0 + others, DEFAULT_IN_FLIGHT)
        others = rate * (prefill + output * _tpot(readings, typical, batch))
    busy = rate * prefill
    result = []
    for k, reading in enumerate(readings):
        if others[k] >= DEFAULT_IN_FLIGHT or busy[k] > STABLE:
            lost.append(Unread(reading.id, "close to saturation: needs a queueing model"))
        elif reading.steps:
            share = others[k] / (1.0 + others[k])  # a request's own prefill is not in its TPOT
            result.append(
                replace(reading, batch=1.0 + others[k], prefills=reading.prefills * share)
            )
        else:
            wait = busy[k] / (2.0 * (1.0 - busy[k]))
            running = 1.0 - math.exp(-others[k])
            result.append(replace(reading, batch=1.0, prefills=1.0 + wait, steps=0.5 * running))
    return result
