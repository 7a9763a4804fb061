"""Readings as operators and messages, stacked over all rows: what any calibration acts on.

Operators do not depend on a calibration, so they are taken from the cost model once; predicting all
rows under another calibration is then a few array operations, by the same `operator_time` and
`message_terms` that evaluate a point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce

import numpy as np

from infercost.arrays import Array, FloatArray
from infercost.calibrate.cases import Cases, bound, case_of, formats_of, with_calibration
from infercost.calibrate.settle import Bind, settled
from infercost.cost import Evaluation
from infercost.equations.serving import pipelined_share
from infercost.measurements.readings import Reading, Unread
from infercost.network.messages import Message
from infercost.operators.base import Operator, Pass
from infercost.operators.stack import blocks
from infercost.passes.forward import launch_overhead, message_terms, operator_time
from infercost.specs.calibration import Calibration
from infercost.specs.case import Case

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


At = Callable[[FloatArray], Calibration]
"""The calibration of some rows, with an array entry for each."""

_RATES = ("memory_efficiency", "compute_efficiency")
FELT: dict[str, tuple[str, ...]] = {
    "matmul": (*_RATES, "unpacking_flops"),
    "elementwise": _RATES,
    "experts": (*_RATES, "unpacking_flops", "expert_efficiency", "expert_streaming"),
    "decode_attention": (*_RATES, "attention_memory_efficiency", "kv_rereads"),
    "prefill_attention": (
        *("memory_efficiency", "attention_memory_efficiency"),
        *("attention_compute_efficiency", "score_bytes"),
    ),
}
"""Fitted parameters that the work of a kind of operator depends on."""
FELT_IN_PREFILL = ("half_rate_tokens",)
FELT_BY_MESSAGES = ("network_efficiency", "rank_overhead")
WAYS = 8
"""Choices of algorithms for a message, at most."""


@dataclass(frozen=True)
class Part:
    """An addend of the rows' times. Only `felt` parameters change it."""

    whole: bool
    """Whether it counts as it is; a prefill's is shortened where stages work side by side."""
    felt: tuple[str, ...]
    time: Callable[[At], FloatArray]


def _summed(
    each: Callable[[Calibration], Array],
    row: FloatArray,
    times: FloatArray,
    size: int,
    at: At,
) -> FloatArray:
    """Time of each row from that of its entries."""
    summed = np.bincount(row.astype(np.intp), np.asarray(each(at(row))) * times, size)
    return np.asarray(summed, dtype=np.float64)


def _work(stack: Stack, calibration: Calibration) -> Array:
    time = operator_time(calibration, stack.operator, stack.bandwidth, stack.decode)
    return time.terms.total


def _launch(stack: Stack, calibration: Calibration) -> Array:
    return launch_overhead(calibration, stack.operator, stack.bandwidth, stack.decode)


def _sent(ways: tuple[Message, ...], calibration: Calibration) -> Array:
    """Each message by the algorithms that are fastest under the calibration."""
    return reduce(np.minimum, (message_terms(calibration, way).total for way in ways))


@dataclass(frozen=True)
class Features:
    """Everything of the readings that a calibration needs."""

    readings: tuple[Reading, ...]
    stacks: tuple[Stack, ...]
    messages: tuple[Message, ...]
    """Every message by one choice of algorithms, by the next, and so on; in no time left out."""
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

    def predicted(self, at: At) -> FloatArray:
        """Time of each row; `at(rows)` is the calibration with an array entry for each row."""
        return self.combined([part.time(at) for part in self.parts], at)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Addends of the rows' times, each with the parameters that it feels."""
        size = len(self.readings)
        found: list[Part] = []
        for stack in self.stacks:
            where = (stack.row, stack.times, size)
            work, launch = partial(_work, stack), partial(_launch, stack)
            phase = "decode" if stack.decode else "prefill"
            felt = FELT[stack.operator.kind] + (() if stack.decode else FELT_IN_PREFILL)
            found.append(Part(stack.decode, felt, partial(_summed, work, *where)))
            found.append(
                Part(stack.decode, (f"{phase}_overhead",), partial(_summed, launch, *where))
            )
        sent = partial(_summed, partial(_sent, self.messages), self.message_row, self.message_times)
        return (*found, Part(True, FELT_BY_MESSAGES, partial(sent, size)))

    def combined(self, times: Sequence[FloatArray], at: At) -> FloatArray:
        """Time of each row from the times of its parts: prefills are pipelined, hosts wait."""
        calibration = at(np.arange(len(self.readings), dtype=float))
        total = calibration.step_overhead * self.passes
        total = total + calibration.sequence_overhead * self.sequences
        whole = pipelined_share(self.chunks, self.stages, calibration.pipeline_overlap)
        for part, time in zip(self.parts, times, strict=True):
            total = total + (time if part.whole else time * whole)
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


def features(
    readings: Sequence[Reading], cases: Cases, typical: Calibration
) -> tuple[Features, list[Unread]]:
    """The readings that can be laid out as stacked passes, and those that cannot be.

    Batches that a stack fills by itself are settled under `typical`.
    """
    operators: dict[tuple[str, bool], _Growing] = {}
    messages, hosts = _Growing(), _Growing()
    kept: list[Reading] = []
    refused: list[Unread] = []
    for group in _groups(readings):
        case = case_of(cases, group[0])
        bind = _binding(case)
        placed, lost = settled(group, bind, _binding(with_calibration(case, typical)))
        refused += lost
        if placed:
            _stack(bind, placed, len(kept), operators, messages, hosts)
            kept += placed
    sent, host = messages.done(), hosts.done()
    ways = tuple(
        Message(
            "", 1.0, sent[f"latency {k}"], sent[f"bandwidth {k}"], 0.0, 0.0, sent["synchronised"]
        )
        for k in range(WAYS)
    )
    return (
        Features(
            tuple(kept),
            tuple(
                _stacked(kind, decode, table.done()) for (kind, decode), table in operators.items()
            ),
            ways,
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
        table["depth"],
        table["context"],
        packed=table["packed"],
    )
    return Stack(operator, decode, table["row"], table["times"], table["bandwidth"])


def _groups(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """Readings that differ in numbers alone."""
    groups: dict[tuple[object, ...], list[Reading]] = {}
    for r in readings:
        key = (
            *formats_of(r).items(),
            r.hardware,
            r.model,
            r.cores_per_device,
            r.exchange,
            r.staged,
        )
        groups.setdefault(key, []).append(r)
    yield from groups.values()


def _binding(case: Case) -> Bind:
    """Binds readings that are alike in names, and a batch for each of them, to their case."""
    return lambda readings, batch: bound(case, readings, batch)


def _stack(
    bind: Bind,
    readings: list[Reading],
    start: int,
    operators: dict[tuple[str, bool], _Growing],
    messages: _Growing,
    hosts: _Growing,
) -> None:
    """Append the passes of readings that differ in numbers alone."""
    batch = np.array([r.batch for r in readings])
    point = Evaluation(bind(readings, batch))
    size = len(readings)
    row = np.arange(start, start + size, dtype=float)
    prefills = np.array([r.prefills for r in readings])
    steps = np.array([r.steps for r in readings])
    prompt_passes = np.broadcast_to(np.asarray(point.prompt_passes), (size, 1))[:, 0]
    work: tuple[tuple[bool, Pass, FloatArray], ...] = (
        (
            False,
            _on_top(_rolling(point.prefill_pass, readings), readings),
            prefills * prompt_passes,
        ),
        (True, _rolling(point.decode_pass, readings), steps),
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
                    depth=op.depth,
                    context=op.context,
                    packed=op.packed,
                    bandwidth=point.case.hardware.tier.bandwidth,
                    **{stream: op.traffic.get(stream, 0.0) for stream in STREAMS},
                )
            for message in block.messages:
                messages.add(
                    size,
                    row=row,
                    times=times * _flat(message.count, size),
                    synchronised=message.synchronised,
                    **_ways(message),
                )
    filled = np.array([r.filled for r in readings])
    hosts.add(
        size,
        passes=prefills * prompt_passes + steps,
        sequences=steps * _flat(point.sequences, size),
        chunks=prompt_passes,
        stages=np.array([float(r.pp) for r in readings]),
        scale=np.where(filled, 1.0 / batch, 1.0),
    )


def _ways(message: Message) -> dict[str, Array]:
    """The parts of a message by each choice of algorithms, the last again where there are few."""
    found: dict[str, Array] = {}
    ways = message.ways
    assert len(ways) <= WAYS
    for k in range(WAYS):
        found[f"latency {k}"], found[f"bandwidth {k}"] = ways[min(k, len(ways) - 1)]
    return found


def _rolling(step: Pass, readings: Sequence[Reading]) -> Pass:
    """A pass whose windows are read with the `stale` tokens that their caches still hold."""
    stale = np.array([r.stale for r in readings]).reshape(-1, 1)
    if not stale.any():
        return step
    return replace(
        step,
        kv_read=lambda window: step.kv_read(window + stale),  # type: ignore[arg-type]
    )


def _on_top(prefill: Pass, readings: Sequence[Reading]) -> Pass:
    """A prefill pass whose prompts also attend to `depth` tokens that the cache holds already."""
    depth = np.array([r.depth for r in readings]).reshape(-1, 1)
    if not depth.any():
        return prefill
    return replace(
        prefill,
        kv_read=lambda window: (
            prefill.kv_read(window) + prefill.sequences * np.minimum(depth, window)
        ),
        pairs=lambda window: prefill.pairs(window) + prefill.tokens * np.minimum(depth, window),
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
