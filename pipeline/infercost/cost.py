"""The cost model: from a case to times, energy, money and carbon as terms by resource.

A total is always a dictionary of terms that sum to it, one per resource in `RESOURCES`. A term is
the part of the total that its resource bounds, so its share is the stress on that resource and,
where times add, the elasticity of the total to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infercost.arrays import Array, Bytes, Count, Flops, Joules, Seconds, UsdPerSecond
from infercost.equations import carbon, energy, money, roofline, serving
from infercost.lengths import Lengths, lengths_of
from infercost.network import Message
from infercost.operators.base import Block, Layout, Operator, Pass
from infercost.operators.stack import blocks
from infercost.placement import (
    Footprint,
    broken_limit,
    footprint,
    kv_bytes_per_sequence,
)
from infercost.specs.case import Case
from infercost.specs.economics import Ownership

RESOURCES = (
    "compute",
    "weights",
    "kv",
    "activations",
    "network_bandwidth",
    "network_latency",
    "overhead",
    "power",
)
"""What can bound a time: arithmetic; memory bandwidth for weights, KV cache and activations;
link bandwidth; link latency; launches and host; the power limit."""

Terms = dict[str, Array]
"""A total by resource."""


def total(terms: Terms) -> Array:
    """Sum of the terms, in the order of `RESOURCES`, so that the same terms give the same bits."""
    result: Array = 0.0
    for resource in RESOURCES:
        if resource in terms:
            result = result + terms[resource]
    return result


def scaled(terms: Terms, factor: Array) -> Terms:
    """Every term times a factor."""
    return {resource: term * factor for resource, term in terms.items()}


def summed(first: Terms, second: Terms) -> Terms:
    """Two totals together, resource by resource."""
    return {
        resource: first.get(resource, 0.0) + second.get(resource, 0.0)
        for resource in RESOURCES
        if resource in first or resource in second
    }


@dataclass(frozen=True)
class PassCost:
    """One forward pass through all layers of one data-parallel group, per device of a stage.

    `time` sums to the time of the pass; `energy` is dynamic energy. `lower` and `upper` are the
    times with all communication hidden behind work, and with none.
    """

    time: Terms
    energy: Terms
    lower: Seconds
    upper: Seconds
    flops: Flops
    bytes_moved: Bytes
    bytes_sent: Bytes


@dataclass(frozen=True)
class OperatorTime:
    """Roofline of one operator, run once. `terms` sum to the longer of compute and transfer."""

    compute: Seconds
    transfer: Seconds
    terms: Terms


def operator_time(case: Case, operator: Operator) -> OperatorTime:
    """Time of an operator by the resource that binds it: arithmetic, or its streams of traffic."""
    calibration, bandwidth = case.calibration, case.hardware.tier.bandwidth
    compute = roofline.compute_time(operator.flops, operator.peak, calibration.compute_efficiency)
    streams = {
        name: roofline.transfer_time(moved, bandwidth, calibration.memory_efficiency)
        for name, moved in operator.traffic.items()
    }
    transfer: Seconds = sum(streams.values(), start=0.0)
    bound = np.asarray(compute > np.asarray(transfer), dtype=np.float64)
    terms = {name: time * (1.0 - bound) for name, time in streams.items()}
    return OperatorTime(compute, transfer, {**terms, "compute": compute * bound})


def message_terms(message: Message) -> Terms:
    """Time of one message by resource."""
    return {"network_latency": message.latency, "network_bandwidth": message.bandwidth}


def _block_work(case: Case, block: Block) -> Terms:
    """Time of a block's operators, launches included."""
    work: Terms = {}
    for operator in block.operators:
        terms = {
            **operator_time(case, operator).terms,
            "overhead": case.calibration.operator_overhead,
        }
        work = summed(work, scaled(terms, operator.count))
    return work


def _block_communication(block: Block) -> Terms:
    """Time of a block's messages, one after the other."""
    communication: Terms = {}
    for message in block.messages:
        communication = summed(communication, scaled(message_terms(message), message.count))
    return communication


def pass_cost(layout: Layout, step: Pass) -> PassCost:
    """Time and dynamic energy of one pass.

    Within a block, a share `plan.overlap` of communication can run beside work; blocks follow one
    another. The power limit stretches a pass whose dynamic energy it cannot carry in time.
    """
    case = layout.case
    stack = blocks(layout, step)
    time: Terms = {"overhead": case.calibration.step_overhead}
    lower: Seconds = case.calibration.step_overhead
    upper: Seconds = case.calibration.step_overhead
    for block in stack:
        work, communication = _block_work(case, block), _block_communication(block)
        busy, sending = total(work), total(communication)
        overlap = case.plan.overlap
        shown = roofline.exposed_share(busy, sending, overlap)
        time = summed(time, scaled(work, shown))
        time = summed(time, scaled(communication, 2.0 - overlap - shown))
        lower = lower + roofline.overlapped_time(busy, sending, 1.0)
        upper = upper + roofline.overlapped_time(busy, sending, 0.0)
    dynamic = _dynamic_energy(case, stack)
    hardware = case.hardware
    throttle = energy.power_limited_slowdown(
        total(dynamic), total(time), hardware.tdp, hardware.idle_power
    )
    return PassCost(
        time=summed(time, {"power": throttle}),
        energy=dynamic,
        lower=lower,
        upper=upper,
        flops=_over_operators(stack, lambda operator: operator.flops),
        bytes_moved=_over_operators(stack, lambda operator: sum(operator.traffic.values())),
        bytes_sent=_over_messages(stack, lambda message: message.sent),
    )


def _over_operators(stack: tuple[Block, ...], amount: Callable[[Operator], Array]) -> Array:
    """Sum of a quantity over all operators of a pass."""
    return sum((o.count * amount(o) for block in stack for o in block.operators), start=0.0)


def _over_messages(stack: tuple[Block, ...], amount: Callable[[Message], Array]) -> Array:
    """Sum of a quantity over all messages of a pass."""
    return sum((m.count * amount(m) for block in stack for m in block.messages), start=0.0)


def _dynamic_energy(case: Case, stack: tuple[Block, ...]) -> Terms:
    """Energy of arithmetic, memory traffic and messages of one pass on one device of each stage."""
    hardware = case.hardware

    def arithmetic(operator: Operator) -> Joules:
        return energy.arithmetic_energy(operator.flops, hardware.compute_power, operator.peak)

    def movement(stream: str) -> Callable[[Operator], Joules]:
        return lambda operator: energy.movement_energy(
            operator.traffic.get(stream, 0.0), hardware.tier.access_energy
        )

    return {
        "compute": _over_operators(stack, arithmetic),
        "weights": _over_operators(stack, movement("weights")),
        "kv": _over_operators(stack, movement("kv")),
        "activations": _over_operators(stack, movement("activations")),
        "network_bandwidth": _over_messages(stack, lambda message: message.energy),
    }


@dataclass(frozen=True)
class PerToken:
    """What one output token takes of a replica, by resource, for one phase."""

    device_time: Terms
    """Device-seconds."""
    energy: Terms
    """Joules at the meter: dynamic, static and idle, times PUE."""


class Evaluation:
    """One bound case, evaluated. Arrays broadcast over the grid; the last dimension is requests."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.layout = Layout(case)
        self.lengths: Lengths = lengths_of(case.workload, case.trend)

    @cached_property
    def devices(self) -> Count:
        """Devices of one replica: tp · pp · dp."""
        plan = self.case.plan
        return plan.tp * plan.pp * plan.dp

    @cached_property
    def memory(self) -> Footprint:
        """Bytes that must fit on the busiest device."""
        return footprint(self.layout, self.lengths)

    @cached_property
    def broken(self) -> Count:
        """Code of the limit that makes a point infeasible (see `placement.LIMITS`)."""
        return broken_limit(self.layout, self.lengths, self.memory)

    @cached_property
    def sequences(self) -> Count:
        """Sequences in one decode pass of one data-parallel group."""
        plan = self.case.plan
        return serving.sequences_per_pass(self.case.batch, plan.dp, plan.pp)

    @cached_property
    def decode(self) -> PassCost:
        """One decode pass, which gives every sequence in it one token."""

        def visible(window: float) -> Count:
            return self.sequences * self.lengths.context(window)

        return pass_cost(
            self.layout, Pass(self.sequences, self.sequences, visible, visible, decode=True)
        )

    @cached_property
    def prompt_passes(self) -> Count:
        """Passes that the prefill of one batch of prompts takes, by prompt stratum."""
        plan = self.case.plan
        return serving.chunk_passes(plan.prefill_batch * self.lengths.prompt, plan.prefill_chunk)

    @cached_property
    def prefill(self) -> PassCost:
        """One of the passes of a prefill, by prompt stratum."""
        plan, prompt = self.case.plan, self.lengths.prompt
        tokens, passes = plan.prefill_batch * prompt, self.prompt_passes
        rounds = serving.chunk_passes(prompt, plan.prefill_chunk)

        def read(window: float) -> Count:
            # The first round sees nothing but itself; later ones re-read what is cached by then.
            again = (rounds - 1.0) * np.minimum(0.5 * prompt, window)
            return plan.prefill_batch * (prompt + again) / passes

        def pairs(window: float) -> Count:
            return plan.prefill_batch * self.lengths.pairs(window) / passes

        return pass_cost(
            self.layout,
            Pass(tokens / passes, plan.prefill_batch / passes, read, pairs, decode=False),
        )

    @cached_property
    def step_time(self) -> Seconds:
        """Time in which every sequence in flight gets one token, were there no prefill."""
        return total(self.decode.time)

    @cached_property
    def prefill_time(self) -> Seconds:
        """Time of one prefill, by prompt stratum: of a prompt alone, without queueing."""
        return total(self.prefill.time) * self.prompt_passes

    @cached_property
    def prefill_terms(self) -> Terms:
        """Mean time of one prefill by resource."""
        return {
            resource: self.lengths.mean(term * self.prompt_passes)
            for resource, term in self.prefill.time.items()
        }

    def _occupancy(self, time: Seconds) -> Seconds:
        plan = self.case.plan
        return serving.prefill_occupancy(time, plan.prefill_batch, plan.dp, plan.pp)

    @cached_property
    def tpot(self) -> Seconds:
        """Mean time per output token that a user sees."""
        interrupts = 1.0 if self.case.plan.phases == "colocated" else 0.0
        return serving.interrupted_tpot(
            self.step_time,
            self._occupancy(total(self.prefill_terms)),
            self.case.batch,
            self.lengths.prefills_per_step,
            interrupts,
        )

    @cached_property
    def decode_per_token(self) -> PerToken:
        """Decode's part of one output token."""
        share = 1.0 / self.lengths.tokens_per_step
        time = scaled(self.decode.time, self.devices / self.case.batch * share)
        dynamic = scaled(self.decode.energy, self.case.plan.tp / self.sequences * share)
        return self._per_token(time, dynamic)

    @cached_property
    def prefill_per_token(self) -> PerToken:
        """Prefill's part of one output token: a request's prefill over its output tokens."""
        share = self.lengths.prefills_per_step / self.lengths.tokens_per_step
        time = {
            resource: self._occupancy(term) * self.devices * share
            for resource, term in self.prefill_terms.items()
        }
        per_prompt = self.case.plan.tp / self.case.plan.prefill_batch * share
        dynamic = {
            resource: self.lengths.mean(term * self.prompt_passes) * per_prompt
            for resource, term in self.prefill.energy.items()
        }
        return self._per_token(time, dynamic)

    def _per_token(self, time: Terms, dynamic: Terms) -> PerToken:
        """Add static energy, which is spent over time and so bound by what binds the time."""
        hardware, economics = self.case.hardware, self.case.economics
        static = hardware.idle_power + hardware.host_power
        paid = static * (1.0 + energy.idle_share(economics.utilisation))
        at_rest = {r: energy.static_energy(paid, term) for r, term in time.items()}
        return PerToken(time, scaled(summed(dynamic, at_rest), economics.pue))

    @cached_property
    def per_token(self) -> PerToken:
        """Both phases of one output token."""
        decode, prefill = self.decode_per_token, self.prefill_per_token
        return PerToken(
            summed(decode.device_time, prefill.device_time), summed(decode.energy, prefill.energy)
        )

    @cached_property
    def device_rate(self) -> UsdPerSecond:
        """Money per busy device-second, energy apart."""
        hardware, economics = self.case.hardware, self.case.economics
        if not isinstance(economics, Ownership):
            return money.busy_rate(hardware.rental_price, economics.utilisation)
        capital = money.annuity_rate(
            hardware.price,
            economics.discount_rate,
            economics.life,
            economics.life / money.SECONDS_PER_YEAR,
        )
        hosting = money.hosting_rate(hardware.tdp + hardware.host_power, economics.hosting_price)
        return money.busy_rate(capital + hosting, economics.utilisation)

    def cost_terms(self, phase: PerToken) -> Terms:
        """USD per output token by resource: device time at its rate, and energy at the meter."""
        economics = self.case.economics
        price = economics.electricity_price if isinstance(economics, Ownership) else 0.0
        return summed(scaled(phase.device_time, self.device_rate), scaled(phase.energy, price))

    def embodied_terms(self, phase: PerToken) -> Terms:
        """Embodied kgCO2e per output token by resource."""
        hardware, economics = self.case.hardware, self.case.economics
        made = hardware.embodied_carbon + carbon.memory_carbon(
            hardware.tier.capacity, hardware.tier.embodied_carbon
        )
        rate = carbon.embodied_rate(made, economics.life, economics.utilisation)
        return scaled(phase.device_time, rate)

    def operational_terms(self, phase: PerToken) -> Terms:
        """Operational kgCO2e per output token by resource."""
        return scaled(phase.energy, self.case.economics.grid_carbon)

    @cached_property
    def per_token_cost(self) -> Terms:
        """USD per output token by resource, both phases."""
        return self.cost_terms(self.per_token)

    @cached_property
    def device_seconds(self) -> Seconds:
        """Device-seconds per output token, both phases."""
        return total(self.per_token.device_time)

    @cached_property
    def inputs_per_output(self) -> Array:
        """Prompt tokens per output token of the workload; 0 where nothing is prefilled."""
        lengths = self.lengths
        return lengths.prompt_mean * lengths.prefills_per_step / lengths.tokens_per_step

    @cached_property
    def kv_bytes_per_sequence(self) -> Bytes:
        """Cache of one sequence at its mean context on one device, all stages together."""
        return kv_bytes_per_sequence(self.layout, self.lengths)

    @cached_property
    def dynamic_power(self) -> Array:
        """Mean dynamic power of one device in a decode pass."""
        return total(self.decode.energy) / self.step_time
