"""Time and dynamic energy of one forward pass, as terms by the resource that bounds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from infercost.arrays import (
    INSTANT,
    Array,
    Bytes,
    BytesPerSecond,
    Flops,
    Joules,
    Ratio,
    Seconds,
    as_array,
)
from infercost.equations import attention, energy, roofline
from infercost.equations import collectives as eq
from infercost.network.messages import Message, transfer_reached
from infercost.operators.base import Block, Layout, Operator, Pass
from infercost.operators.stack import blocks
from infercost.passes.load_power import at_load
from infercost.specs.calibration import Calibration
from infercost.specs.case import Case
from infercost.terms import Terms
from infercost.tiers.columns import Columns
from infercost.tiers.routes import Routes, is_zero
from infercost.tiers.tiering import OperatorTime, Rates, power_limit


@dataclass(frozen=True)
class TierUse:
    """What a pass asks of one memory tier."""

    name: str
    moved: Bytes
    written: Bytes
    stall: Seconds
    """What its traffic takes longer than at full bandwidth, for want of buffer."""


@dataclass(frozen=True)
class PassCost:
    """One forward pass through all layers of one data-parallel group, per device of a stage.

    `time` sums to the time of the pass; `energy` is what it draws above idle power. `lower` and
    `upper` are the times with all communication hidden behind work, and with none.
    """

    time: Terms
    energy: Terms
    lower: Seconds
    upper: Seconds
    work: Seconds
    """Time of operators and launches alone."""
    communication: Seconds
    """Time of messages alone, hidden or not."""
    flops: Flops
    bytes_moved: Bytes
    bytes_sent: Bytes
    tiers: tuple[TierUse, ...] = ()
    """What it asks of each memory tier, where there are several."""
    clock: Array = 1.0
    """Clock over nominal that a power cap leaves."""
    memory_energy: Joules = 0.0
    """Of `energy`, what bits take to and from memory, without what the device draws meanwhile."""

    def longer(self, by: Terms) -> PassCost:
        """The pass with work added that messages neither hide nor hide behind."""
        more = by.total
        return replace(
            self,
            time=self.time.plus(by),
            lower=self.lower + more,
            upper=self.upper + more,
            work=self.work + more,
        )


STREAMS = ("weights", "kv", "activations")
"""What operators move to and from memory."""

OWN_OVERHEAD = {
    "matmul": "matmul_overhead",
    "experts": "expert_overhead",
    "decode_attention": "attention_overhead",
    "prefill_attention": "prefill_attention_overhead",
    "elementwise": "elementwise_overhead",
}
"""Fixed time that a kind of operator has beyond its launch."""


def launch_overhead(
    calibration: Calibration, operator: Operator, bandwidth: BytesPerSecond, decode: bool
) -> Seconds:
    """Time of one operator that none of its own work hides: launch, set-up, quantised inputs."""
    fixed: Seconds = calibration.decode_overhead if decode else calibration.prefill_overhead
    fixed = fixed + getattr(calibration, OWN_OVERHEAD[operator.kind])
    if operator.kind in ("matmul", "experts"):
        moved = roofline.quantising_bytes(operator.rows, operator.depth, calibration.input_passes)
        fixed = fixed + roofline.depth_time(operator.depth, calibration.depth_overhead)
        fixed = fixed + roofline.transfer_time(moved, bandwidth, 1.0)
    return fixed


def pass_overhead(calibration: Calibration, step: Pass) -> Seconds:
    """Fixed time of one pass: host work, and what each sequence of a decode pass adds.

    Encoders are launched with the prefill that they stand in front of.
    """
    if step.encoder:
        return 0.0
    if not step.decode:
        return calibration.step_overhead
    return calibration.step_overhead + calibration.sequence_overhead * step.sequences


def launch_wait(layout: Layout, step: Pass, busy: Seconds) -> Seconds:
    """Time that devices wait for a host which launches layer after layer."""
    each = layout.case.calibration.layer_launch
    if step.encoder or not np.any(as_array(each) > 0):
        return 0.0
    layers = sum((group.count for group in layout.case.model.layers.values()), start=0)
    return roofline.exposed_launches(layers, each, busy)


def reached_rates(calibration: Calibration, operator: Operator, decode: bool) -> Rates:
    """What a stack reaches of the data sheet with one operator."""
    flops, efficiency = operator.flops, calibration.compute_efficiency
    padding: Array = 1.0
    reached: dict[str, Array] = {
        "weights": calibration.memory_efficiency,
        "activations": calibration.memory_efficiency,
        "kv": calibration.attention_memory_efficiency,
    }
    if operator.kind == "prefill_attention":
        efficiency = calibration.attention_compute_efficiency
        flops = roofline.half_rate_flops(flops, operator.context, calibration.half_rate_prompt)
        flops = roofline.half_rate_flops(flops, operator.depth, calibration.half_rate_head)
    elif operator.kind == "decode_attention":
        reached["kv"] = roofline.shared_read_efficiency(
            calibration.attention_memory_efficiency, operator.sharing, calibration.kv_rereads
        )
        padding = roofline.tile_padding(operator.context, calibration.context_tile)
        padding = padding * roofline.group_reads(operator.sharing, calibration.group_rereads)
    elif operator.kind == "experts":
        efficiency = efficiency * calibration.expert_efficiency
        streaming = calibration.expert_efficiency**calibration.expert_streaming
        reached["weights"] = reached["weights"] * streaming
    if operator.kind in ("matmul", "experts"):
        grouped = operator.kind == "experts"
        half = calibration.half_rate_group if grouped else calibration.half_rate_rows
        half = half + (0.0 if decode else calibration.half_rate_tokens)
        flops = roofline.half_rate_flops(flops, operator.rows, half)
        flops = flops + (calibration.unpacking_flops if decode else 0.0) * operator.packed
    ramp = (calibration.kv_ramp, calibration.kv_ramp_half + INSTANT)
    ramped = ramp if operator.kind == "decode_attention" else None
    return Rates(flops + operator.conversion, efficiency, reached, padding, ramped)


def asked(calibration: Calibration, operator: Operator, decode: bool) -> tuple[Operator, Rates]:
    """An operator with the scores that its kernel moves, and what a stack reaches with it."""
    rates = reached_rates(calibration, operator, decode)
    if operator.kind != "prefill_attention":
        return operator, rates
    scores = attention.score_traffic(operator.scores, calibration.score_bytes)
    moved = operator.traffic["activations"] + scores
    return replace(operator, traffic={**operator.traffic, "activations": moved}), rates


def _asked_once(
    calibration: Calibration, operator: Operator, decode: bool, routes: Routes
) -> tuple[Operator, Rates]:
    return routes.demands.once(operator, "asked", lambda: asked(calibration, operator, decode))


def operator_time(
    calibration: Calibration,
    operator: Operator,
    bandwidth: BytesPerSecond,
    decode: bool,
    routes: Routes | None = None,
) -> OperatorTime:
    """Time of an operator by the resource that binds it: arithmetic, or its streams of traffic.

    `bandwidth` is that of a plain device's memory; `routes` lead through tiers.
    """
    if routes is not None:
        return routes.time(*_asked_once(calibration, operator, decode, routes))
    operator, rates = asked(calibration, operator, decode)
    traffic = operator.traffic
    compute = roofline.compute_time(rates.flops, operator.peak, rates.efficiency)
    streams = {name: rates.stream(name, moved, bandwidth) for name, moved in traffic.items()}
    transfer: Seconds = sum(streams.values(), start=0.0)
    bound = as_array(compute > as_array(transfer), dtype=np.float64)
    terms = {name: time * (1.0 - bound) for name, time in streams.items()}
    return OperatorTime(compute, transfer, Terms({**terms, "compute": compute * bound}))


def message_terms(calibration: Calibration, message: Message) -> Terms:
    """Time of one message by resource."""
    waiting = calibration.rank_overhead * (message.synchronised - 1.0)
    return Terms(
        network_latency=message.latency
        + waiting
        + calibration.collective_overhead * eq.one_shot_steps(message.synchronised),
        network_bandwidth=transfer_reached(calibration, message.latency, message.bandwidth),
    )


Timed = tuple[tuple[Operator, OperatorTime], ...]


def timed(
    calibration: Calibration, case: Case, block: Block, decode: bool, routes: Routes | None
) -> Timed:
    """A block's operators, each with its time."""
    bandwidth = case.hardware.tier.bandwidth
    if routes is None:
        return tuple(
            (operator, operator_time(calibration, operator, bandwidth, decode))
            for operator in block.operators
        )
    return tuple(
        (operator, routes.time_in_columns(*_asked_once(calibration, operator, decode, routes)))
        for operator in block.operators
    )


def work_of(calibration: Calibration, case: Case, operators: Timed, decode: bool) -> Terms:
    """Time of operators, launches included."""
    work, main = Terms(), case.hardware.tier.bandwidth
    for operator, time in operators:
        launch = launch_overhead(calibration, operator, main, decode)
        if time.columns is not None:
            work = _with_columns(work, operator, time, time.columns, launch)
            continue
        terms = time.terms.plus(Terms(overhead=launch))
        work = work.plus(terms.times(operator.count))
    return work


def near_arithmetic(operators: Timed) -> Seconds:
    """Time that arithmetic of units near memory binds: the device's clock does not run them."""
    near = (
        operator.count * time.terms.get("compute", 0.0) * time.near
        for operator, time in operators
        if not is_zero(time.near)
    )
    return sum(near, start=0.0)


def _with_columns(
    work: Terms, operator: Operator, time: OperatorTime, columns: Columns, launch: Seconds
) -> Terms:
    """Work, and an operator that arithmetic binds in all but some columns."""
    sure = Terms(compute=columns.outside(time.compute), overhead=launch)
    part = time.terms.times(columns.at(operator.count))
    return columns.added_terms(work.plus(sure.times(operator.count)), part)


def block_communication(calibration: Calibration, block: Block) -> Terms:
    """Time of a block's messages, one after the other."""
    communication = Terms()
    for message in block.messages:
        communication = communication.plus(message_terms(calibration, message).times(message.count))
    return communication


def pass_cost(
    layout: Layout,
    step: Pass,
    routes: Routes | None = None,
    stack: tuple[Block, ...] | None = None,
) -> PassCost:
    """Time and dynamic energy of one pass.

    Within a block, a share `plan.overlap` of communication can run beside work; blocks follow one
    another. The power limit stretches a pass whose dynamic energy it cannot carry in time. `routes`
    lead through the tiers of a device that has more than one plain memory. `stack` are its blocks,
    where they are known already.
    """
    case, calibration = layout.case, layout.calibration
    stack = blocks(layout, step) if stack is None else stack
    if routes is not None and routes.brief:
        return brief_cost(layout, step, routes, stack)
    host: Seconds = pass_overhead(calibration, step)
    time = Terms(overhead=host)
    lower: Seconds = host
    upper: Seconds = host
    working: Seconds = host
    talking: Seconds = 0.0
    operators: Timed = ()
    for block in stack:
        mine = timed(calibration, case, block, step.decode, routes)
        operators = (*operators, *mine)
        work = work_of(calibration, case, mine, step.decode)
        communication = block_communication(calibration, block)
        busy, sending = work.total, communication.total
        overlap = case.plan.overlap
        if is_zero(overlap):  # the same without arrays of ones
            time = time.plus(work).plus(communication)
        else:
            shown = roofline.exposed_share(busy, sending, overlap)
            time = time.plus(work.times(shown))
            time = time.plus(communication.times(2.0 - overlap - shown))
        working, talking = working + busy, talking + sending
        lower = lower + np.maximum(busy, sending)
        upper = upper + (busy + sending)
    waiting = launch_wait(layout, step, time.total)
    time, working = time.plus(Terms(overhead=waiting)), working + waiting
    lower, upper = lower + waiting, upper + waiting
    dynamic = _dynamic_energy(case, stack, operators, routes)
    hardware = case.hardware
    throttle = energy.power_limited_slowdown(
        dynamic.total, time.total, power_limit(hardware), hardware.idle_power
    )
    time = time.plus(Terms(power=throttle))
    drawn = at_load(hardware, time, dynamic, power_limit(hardware), near_arithmetic(operators))
    throttle = throttle + drawn.slowdown
    return PassCost(
        time=time.plus(Terms(power=drawn.slowdown)),
        energy=drawn.energy,
        lower=lower + throttle,
        upper=upper + throttle,
        work=working,
        communication=talking,
        flops=_over_operators(stack, lambda operator: operator.flops),
        bytes_moved=_over_operators(stack, lambda operator: sum(operator.traffic.values())),
        bytes_sent=_over_messages(stack, lambda message: message.sent),
        tiers=() if routes is None else tuple(_uses(stack, routes)),
        clock=drawn.clock,
        memory_energy=sum((dynamic.get(stream, 0.0) for stream in STREAMS), 0.0),
    )


def brief_cost(layout: Layout, step: Pass, routes: Routes, stack: tuple[Block, ...]) -> PassCost:
    """The time of a pass as one term, and what it writes: all that tier maps are chosen by.

    The same time as `pass_cost` finds by resource, but for what a cap below the rated limit adds.
    """
    case = layout.case
    time: Seconds = pass_overhead(layout.calibration, step)
    operators: list[tuple[Operator, Ratio]] = []
    for block in stack:
        known = _known_once(layout.calibration, case, block, step, routes)
        busy, near = _busy(known, routes)
        operators += near
        if is_zero(case.plan.overlap):
            time = time + (busy + known.messages)
        else:
            time = time + roofline.overlapped_time(busy, known.messages, case.plan.overlap)
    time = time + launch_wait(layout, step, time)
    limit, idle = power_limit(case.hardware), case.hardware.idle_power
    dynamic = routed_energy(case, stack, operators, routes).total
    time = time + energy.power_limited_slowdown(dynamic, time, limit, idle)
    pairs = zip(routes.tiers, routes.written(tuple(o for o, _ in operators)), strict=True)
    uses = tuple(TierUse(tier.name, 0.0, written, 0.0) for tier, written in pairs)
    none = Terms(overhead=0.0)
    return PassCost(Terms(overhead=time), none, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, uses)


@dataclass(frozen=True)
class _Known:
    """What is known of a block's time whatever the map."""

    launches: Seconds
    messages: Seconds
    operators: list[_Asked]


class _Asked(NamedTuple):
    """An operator, as a stack runs it, and what is known of all of its runs."""

    operator: Operator
    how: tuple[Operator, Rates]
    sure: Seconds
    """Their time in the columns in which arithmetic binds under any map."""
    left: Columns | None
    """The other columns; None where those are all."""


def _known_once(
    calibration: Calibration, case: Case, block: Block, step: Pass, routes: Routes
) -> _Known:
    return routes.demands.once(
        block, "known", lambda: _known_times(calibration, case, block, step, routes)
    )


def _known_times(
    calibration: Calibration, case: Case, block: Block, step: Pass, routes: Routes
) -> _Known:
    """What is known of a block's time whatever the map."""
    main = case.hardware.tier.bandwidth
    launches: Seconds = 0.0
    operators = []
    for operator in block.operators:
        launch = launch_overhead(calibration, operator, main, step.decode)
        launches = launches + operator.count * launch
        how = _asked_once(calibration, operator, step.decode, routes)
        columns = routes.open_columns(*how)
        sure: Seconds = 0.0
        if columns is not None:
            sure = operator.count * columns.outside(routes.compute(*how))
        operators.append(_Asked(operator, how, sure, columns))
    return _Known(launches, block_communication(calibration, block).total, operators)


def _busy(known: _Known, routes: Routes) -> tuple[Seconds, list[tuple[Operator, Ratio]]]:
    """Time of a block's operators and launches; and its operators, with whether each is near.

    Added up in order, so that bits do not depend on what other points of a grid ask for.
    """
    busy = known.launches
    operators: list[tuple[Operator, Ratio]] = []
    for operator, how, sure, columns in known.operators:
        near: Ratio = 0.0
        if columns is None:
            total, near = routes.total(*how)
            busy = busy + operator.count * total
        else:
            busy = busy + sure
        if columns is not None and columns.places.size:
            total, near = routes.total(*how, columns)
            busy = columns.added(busy, columns.at(operator.count) * total)
        operators.append((operator, near))
    return busy, operators


def _uses(stack: tuple[Block, ...], routes: Routes) -> Iterator[TierUse]:
    """What a pass asks of each tier."""
    operators = tuple(operator for block in stack for operator in block.operators)
    moved, written = routes.moved(operators), routes.written(operators)
    for tier, total, new in zip(routes.tiers, moved, written, strict=True):
        yield TierUse(tier.name, total, new, total / tier.bandwidth - total / tier.peak)


def _over_operators(stack: tuple[Block, ...], amount: Callable[[Operator], Array]) -> Array:
    """Sum of a quantity over all operators of a pass."""
    return sum((o.count * amount(o) for block in stack for o in block.operators), start=0.0)


def weights_read(stack: tuple[Block, ...]) -> Bytes:
    """Bytes of weights that a pass reads on one device of each stage."""
    return _over_operators(stack, lambda operator: operator.traffic.get("weights", 0.0))


def _over_messages(stack: tuple[Block, ...], amount: Callable[[Message], Array]) -> Array:
    """Sum of a quantity over all messages of a pass."""
    return sum((m.count * amount(m) for block in stack for m in block.messages), start=0.0)


def _dynamic_energy(
    case: Case, stack: tuple[Block, ...], operators: Timed, routes: Routes | None
) -> Terms:
    """Energy of arithmetic, memory traffic and messages of one pass on one device of each stage."""
    if routes is not None:
        return routed_energy(case, stack, [(o, time.near) for o, time in operators], routes)
    each = case.hardware.tier.access_energy

    def movement(stream: str) -> Callable[[Operator], Joules]:
        return lambda operator: energy.movement_energy(operator.traffic.get(stream, 0.0), each)

    moving = Terms({stream: _over_operators(stack, movement(stream)) for stream in STREAMS})
    return _energy_beside(case, stack).plus(moving)


def _energy_beside(case: Case, stack: tuple[Block, ...]) -> Terms:
    """Energy of arithmetic at its nominal clock and of messages."""
    hardware = case.hardware

    def arithmetic(operator: Operator) -> Joules:
        return energy.arithmetic_energy(operator.flops, hardware.compute_power, operator.peak)

    sent = _over_messages(stack, lambda message: message.energy)
    return Terms(compute=_over_operators(stack, arithmetic), network_bandwidth=sent)


def routed_energy(
    case: Case,
    stack: tuple[Block, ...],
    operators: Sequence[tuple[Operator, Ratio]],
    routes: Routes,
) -> Terms:
    """The same where traffic spreads over tiers, of operators that may run near memory."""
    known = routes.demands.once(stack, "beside", lambda: _energy_beside(case, stack))
    scaled = Terms({**known, "compute": known["compute"] * routes.arithmetic_scale})
    return scaled.plus(routes.all_movement(operators))
