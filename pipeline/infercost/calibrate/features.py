"""Readings as operators and messages, stacked over all rows: what any calibration acts on.

Operators do not depend on a calibration, so they are taken from the cost model once; predicting all
rows under another calibration is then a few array operations, by the same `operator_time` and
`message_terms` that evaluate a point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infercost.arrays import Array, FloatArray
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.equations.serving import pipelined_share
from infercost.network import Message
from infercost.operators.base import Operator, Pass
from infercost.operators.stack import blocks
from infercost.passes import launch_overhead, message_terms, operator_time
from infercost.placement import cache_bytes
from infercost.question import Question
from infercost.readings import Reading, Unread
from infercost.specs.calibration import Calibration
from infercost.specs.case import Case

FILL = 0.9
"""Share of what the weights leave free that a stack fills with KV: TensorRT-LLM's default."""
BINARY = 1.065
"""NVIDIA's 80 GB are 81,559 MiB in nvidia-smi, 141 GB are 143,771 MiB."""
RUNTIME = 1.5e9
"""Bytes of context, buffers and graphs on each device; assumed."""
MOST_IN_FLIGHT = 2048.0
"""Sequences per replica that a stack takes at most where it fills its memory."""

Cases = dict[tuple[str, str], Case]
"""A case by the names of its hardware and model."""

STREAMS = ("weights", "kv", "activations")


@dataclass(frozen=True)
class Stack:
    """Operators of one kind and phase over all rows; `row` says whose each entry is."""

    operator: Operator
    decode: bool
    row: FloatArray
    times: FloatArray
    """How often the operator runs in the row's work."""
    bandwidth: FloatArray


@dataclass(frozen=True)
class Features:
    """Everything of the readings that a calibration needs."""

    readings: tuple[Reading, ...]
    stacks: tuple[Stack, ...]
    messages: Message
    message_row: FloatArray
    message_times: FloatArray
    passes: FloatArray
    """Passes in the row's work, for the host's part."""
    sequences: FloatArray
    """Sequences times decode passes in the row's work."""
    chunks: FloatArray
    """Passes of a prefill, which may follow one another through the stages of a pipeline."""
    stages: FloatArray
    scale: FloatArray
    """Stated time over the time of the work: 1, or 1 / batch where a batch is filled."""
    seconds: FloatArray
    """Stated times."""

    def predicted(self, at: Callable[[FloatArray], Calibration]) -> FloatArray:
        """Time of each row; `at(rows)` is the calibration with an array entry for each row."""
        size = len(self.readings)
        total, prefill = np.zeros(size), np.zeros(size)
        for stack in self.stacks:
            index = stack.row.astype(np.intp)
            calibration = at(stack.row)
            time = operator_time(calibration, stack.operator, stack.bandwidth, stack.decode)
            each = time.terms.total + launch_overhead(calibration, stack.decode)
            phase = total if stack.decode else prefill
            phase += np.bincount(index, np.asarray(each) * stack.times, size)
        calibration = at(self.message_row)
        waits = np.asarray(message_terms(calibration, self.messages).total) * self.message_times
        total += np.bincount(self.message_row.astype(np.intp), waits, size)
        calibration = at(np.arange(size, dtype=float))
        total += prefill * pipelined_share(self.chunks, self.stages, calibration.pipeline_overlap)
        total = total + calibration.step_overhead * self.passes
        total = total + calibration.sequence_overhead * self.sequences
        return np.asarray(total * self.scale)


@dataclass
class _Growing:
    """Columns that rows are appended to."""

    columns: dict[str, list[FloatArray]] = field(default_factory=dict)

    def add(self, size: int, **values: Array) -> None:
        for name, value in values.items():
            flat = np.asarray(value, dtype=np.float64)
            flat = flat.reshape(-1) if flat.ndim else flat
            self.columns.setdefault(name, []).append(np.broadcast_to(flat, (size,)))

    def done(self) -> dict[str, FloatArray]:
        found = {name: np.concatenate(pieces) for name, pieces in self.columns.items()}
        return defaultdict(lambda: np.zeros(0), found)


def features(readings: Sequence[Reading], cases: Cases) -> tuple[Features, list[Unread]]:
    """The readings that can be laid out as stacked passes, and those that cannot be."""
    operators: dict[tuple[str, bool], _Growing] = {}
    messages, hosts = _Growing(), _Growing()
    kept: list[Reading] = []
    refused: list[Unread] = []
    for group in _groups(readings):
        placed, lost = _placed(cases, group)
        refused += lost
        if placed:
            _stack(cases, placed, len(kept), operators, messages, hosts)
            kept += [reading for reading, _ in placed]
    sent, host = messages.done(), hosts.done()
    message = Message("", 1.0, sent["latency"], sent["bandwidth"], 0.0, 0.0, sent["synchronised"])
    return (
        Features(
            tuple(kept),
            tuple(
                _stacked(kind, decode, table.done()) for (kind, decode), table in operators.items()
            ),
            message,
            sent["row"],
            sent["times"],
            host["passes"],
            host["sequences"],
            host["chunks"],
            host["stages"],
            host["scale"],
            np.array([r.time_s for r in kept]),
        ),
        refused,
    )


def _stacked(kind: str, decode: bool, table: dict[str, FloatArray]) -> Stack:
    operator = Operator(
        "",
        1.0,
        table["flops"],
        {stream: table[stream] for stream in STREAMS},
        table["peak"],
        kind,  # type: ignore[arg-type]
        table["rows"],
        table["sharing"],
        table["scores"],
    )
    return Stack(operator, decode, table["row"], table["times"], table["bandwidth"])


def cases_of(readings: Sequence[Reading], dirs: tuple[str, ...]) -> Cases:
    """A case of every hardware and model that the readings name."""
    from infercost.paths import config_dirs

    names = {
        "hardware": tuple(dict.fromkeys(r.hardware for r in readings)),
        "model": tuple(dict.fromkeys(r.model for r in readings)),
        "workload": ("fixed-lengths",),
        "plan": ("base",),
        "calibration": ("ideal",),
    }
    options = Options(Question(names, dirs=config_dirs(dirs)))
    return {(c.options["hardware"], c.options["model"]): c.case for c in options.cases()}


def _groups(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """Readings that differ in numbers alone."""
    groups: dict[tuple[object, ...], list[Reading]] = {}
    for r in readings:
        key = (r.hardware, r.model, r.weights, r.kv, r.cores_per_device)
        groups.setdefault(key, []).append(r)
    yield from groups.values()


def case_of(cases: Cases, reading: Reading) -> Case:
    """The case of one reading, its numbers aside: formats, and cores as devices where they rank."""
    case = cases[reading.hardware, reading.model]
    chosen = {"weights": reading.weights, "experts": reading.weights}
    if reading.kv != "native":
        chosen["kv"] = reading.kv
    if reading.weights in ("fp8", "int8", "nvfp4"):
        chosen["compute"] = {"nvfp4": "fp4"}.get(reading.weights, reading.weights)
    elif reading.weights != "native":
        chosen["compute"] = "fp16" if reading.weights == "fp16" else "bf16"
    formats = case.plan.formats.model_copy(update=chosen)
    changes: dict[str, Any] = {"plan": case.plan.model_copy(update={"formats": formats})}
    if reading.cores_per_device > 1:
        changes["hardware"] = _core(case.hardware, reading.cores_per_device)
    return case.model_copy(update=changes)


def _core(hardware: Any, cores: int) -> Any:
    """One of `cores` equal cores of a device, as a device."""
    tier_name, tier = next(iter(hardware.memory.items()))
    part = tier.model_copy(
        update={"capacity": tier.capacity / cores, "bandwidth": tier.bandwidth / cores}
    )
    link = hardware.scale_up.model_copy(
        update={
            "bandwidth_out": hardware.scale_up.bandwidth_out / cores,
            "domain": hardware.scale_up.domain * cores,
        }
    )
    return hardware.model_copy(
        update={
            "peak_dense": {name: peak / cores for name, peak in hardware.peak_dense.items()},
            "memory": {tier_name: part},
            "on_chip": hardware.on_chip / cores,
            "scale_up": link,
        }
    )


def _bound(case: Case, readings: Sequence[Reading], batch: FloatArray) -> Case:
    """The case with one entry per reading in each of its numbers."""

    def column(values: Sequence[float] | FloatArray) -> FloatArray:
        return np.asarray(values, dtype=np.float64).reshape(-1, 1)

    plan = case.plan.model_copy(
        update={
            "tp": column([r.tp for r in readings]),
            "pp": column([r.pp for r in readings]),
            "dp": column([r.dp for r in readings]),
            "ep": column([r.ep for r in readings]),
            "prefill_batch": column(np.maximum(batch / [r.dp for r in readings], 1.0)),
            "prefill_chunk": column([r.chunk for r in readings]),
        }
    )
    workload = case.workload.model_copy(
        update={
            "prompt_tokens": column([r.prompt for r in readings]),
            "output_tokens": column([r.output for r in readings]),
        }
    )
    return case.model_copy(update={"plan": plan, "workload": workload, "batch": column(batch)})


def _placed(cases: Cases, group: list[Reading]) -> tuple[list[tuple[Reading, float]], list[Unread]]:
    """Readings with their batch: as stated, or as many requests as memory holds at full length."""
    case = case_of(cases, group[0])
    one = Evaluation(_bound(case, group, np.ones(len(group))))
    hardware = case.hardware
    binary = BINARY if hardware.family.startswith("nvidia") else 1.0
    room = hardware.tier.capacity * binary
    length = np.array([r.prompt + r.output for r in group]).reshape(-1, 1)
    full = cache_bytes(one.layout, lambda cache: np.minimum(length, cache.window) / cache.ways)
    per_sequence = np.broadcast_to(full, (len(group), 1))[:, 0]
    weights = np.broadcast_to(np.asarray(one.memory.weights), (len(group), 1))[:, 0]
    placed, lost = [], []
    for index, reading in enumerate(group):
        if np.isfinite(reading.batch):
            placed.append((reading, reading.batch))
            continue
        free = FILL * (room - RUNTIME - weights[index])
        fits = free * reading.dp / per_sequence[index]
        if fits < 1:
            lost.append(Unread(reading.id, "the weights leave no room for one request"))
            continue
        placed.append((reading, float(np.floor(min(fits, MOST_IN_FLIGHT * reading.dp)))))
    return placed, lost


def _stack(
    cases: Cases,
    placed: list[tuple[Reading, float]],
    start: int,
    operators: dict[tuple[str, bool], _Growing],
    messages: _Growing,
    hosts: _Growing,
) -> None:
    """Append the passes of readings that differ in numbers alone."""
    readings = [reading for reading, _ in placed]
    batch = np.array([b for _, b in placed])
    point = Evaluation(_bound(case_of(cases, readings[0]), readings, batch))
    size = len(readings)
    row = np.arange(start, start + size, dtype=float)
    prefills = np.array([r.prefills for r in readings])
    steps = np.array([r.steps for r in readings])
    prompt_passes = np.broadcast_to(np.asarray(point.prompt_passes), (size, 1))[:, 0]
    work: tuple[tuple[bool, Pass, FloatArray], ...] = (
        (False, point.prefill_pass, prefills * prompt_passes),
        (True, point.decode_pass, steps),
    )
    for decode, step, times in work:
        for block in blocks(point.layout, step):
            for op in block.operators:
                operators.setdefault((op.kind, decode), _Growing()).add(
                    size,
                    row=row,
                    times=times * _flat(op.count, size),
                    flops=op.flops,
                    peak=op.peak,
                    rows=op.rows,
                    sharing=op.sharing,
                    scores=op.scores,
                    bandwidth=point.case.hardware.tier.bandwidth,
                    **{stream: op.traffic.get(stream, 0.0) for stream in STREAMS},
                )
            for message in block.messages:
                messages.add(
                    size,
                    row=row,
                    times=times * _flat(message.count, size),
                    latency=message.latency,
                    bandwidth=message.bandwidth,
                    synchronised=message.synchronised,
                )
    filled = np.array([not np.isfinite(r.batch) for r in readings])
    hosts.add(
        size,
        passes=prefills * prompt_passes + steps,
        sequences=steps * _flat(point.sequences, size),
        chunks=prompt_passes,
        stages=np.array([float(r.pp) for r in readings]),
        scale=np.where(filled, 1.0 / batch, 1.0),
    )


def _flat(values: Array, size: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return np.broadcast_to(array.reshape(-1) if array.ndim else array, (size,))


def calibration_at(base: Calibration, values: dict[str, FloatArray]) -> Callable[..., Calibration]:
    """Calibration with `values` (one entry per reading) in place of the base's numbers."""

    def at(rows: FloatArray) -> Calibration:
        index = rows.astype(np.intp)
        return base.model_copy(update={name: v[index] for name, v in values.items()})

    return at
