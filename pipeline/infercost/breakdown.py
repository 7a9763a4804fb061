"""One point taken apart: every operator and message of both phases, and the memory map."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from infercost.arrays import Array, number
from infercost.cost import Evaluation
from infercost.network.messages import Message
from infercost.operators.base import Block, Layout, Operator, Pass
from infercost.operators.stack import blocks
from infercost.passes.drafting import draft_pass
from infercost.passes.forward import (
    launch_overhead,
    message_terms,
    operator_time,
)
from infercost.passes.phases import encoder_passes, step_pass

Row = dict[str, Any]


def operator_rows(point: Evaluation) -> list[Row]:
    """One row per operator and message of a decode step, drafts and light layers included, of the
    median prompt's prefill, and of the encoders in front of it.

    Amounts are per device and for all layers of a block together; the median prompt is one of
    `lengths.QUANTILES`.
    """
    decode = _phase(point, "decode", point.decode_pass, 1.0)
    for name, layout, step, passes in _beside(point):
        decode += _phase(point, "decode", step, passes, layout, f"{name} ")
    prefill = _phase(point, "prefill", point.prefill_pass, point.prompt_passes)
    encoders = (_phase(point, "encode", step, 1.0) for step in encoder_passes(point.layout))
    return sum(encoders, start=decode + prefill)


def first_token_terms(point: Evaluation) -> dict[str, float]:
    """Mean time to first token by what it waits for: retrieval, and resources; they add up to it.

    Rows of `operator_rows` do not: they count the turns of all stages of a pipeline, and messages
    that work hides.
    """
    searched = 0.0 if point.search is None else number(point.search.time)
    terms = {name: number(term) for name, term in point.ttft_terms.items()}
    return {"retrieval": searched, **terms}


def _beside(point: Evaluation) -> list[tuple[str, Layout, Pass, Array]]:
    """Passes of a decode step beside the model's own: name, layout, pass, and how often it runs."""
    found: list[tuple[str, Layout, Pass, Array]] = []
    light, drafting = point.local, point.case.mechanisms.drafting
    if light.layout is not None:
        each = step_pass(light.layout, light.lengths, point.sequences)
        found.append(("bytes,", light.layout, each, light.patch))
    if drafting is not None and point.drafter is not None:
        each = draft_pass(step_pass(point.drafter, point.lengths, point.sequences), drafting)
        found.append(("drafts,", point.drafter, each, drafting.passes))
    return found


CLASSES = {
    "weights": "weights",
    "experts": "routed experts",
    "kv": "KV cache and states",
    "context": "shared context",
    "activations": "activations",
}
"""Tensor classes in words."""


def tier_rows(point: Evaluation) -> list[Row]:
    """One row per memory tier of the busiest device: what lies there, and what a step asks of it.

    A device with one plain memory has none.
    """
    placed = point.placed
    if placed is None:
        return []

    waits = number(point.step_time - point.decode_at_full_rate.time.total)
    rows: list[Row] = []
    for i, (tier, use) in enumerate(zip(placed.tiers, point.decode.tiers, strict=True)):
        life, near = number(point.lives[i]), tier.memory.near
        rows.append(
            {
                "tier": tier.name,
                "technology": tier.memory.technology,
                "stacks": number(tier.memory.stacks),
                "behind": "" if tier.memory.behind is None else tier.memory.behind,
                "near": "" if near is None else near.operators,
                "room_b": number(tier.capacity * point.case.calibration.memory_utilisation),
                "bandwidth_b_per_s": number(tier.bandwidth),
                "peak_b_per_s": number(tier.peak),
                "latency_s": number(tier.memory.latency),
                **{f"{name}_b": number(held[i]) for name, held in placed.bytes_held.items()},
                "held_b": number(placed.on(i)),
                "moved_b": number(use.moved),
                "written_b": number(use.written),
                "stall_s": number(use.stall),
                "access_power_w": number(use.moved * tier.memory.access_energy / point.step_time),
                "life_s": life if np.isfinite(life) else None,
                "waits_s": waits,
            }
        )
    return rows


def _phase(
    point: Evaluation,
    phase: str,
    step: Pass,
    passes: Array,
    layout: Layout | None = None,
    prefix: str = "",
) -> list[Row]:
    def median(value: Array, count: Array) -> float:
        scaled = np.asarray(value) * np.asarray(count) * passes
        return number(point.lengths.quantile(scaled, 0.5))

    rows: list[Row] = []
    layout = layout or point.layout
    for block in blocks(layout, step):
        block = replace(block, name=prefix + block.name)
        for operator in block.operators:
            rows.append(_operator_row(point, phase, step, block, operator, median))
        for message in block.messages:
            rows.append(_message_row(layout, phase, block, message, median))
    return [row for row in rows if row["time_s"] > 0]


def _operator_row(
    point: Evaluation, phase: str, step: Pass, block: Block, operator: Operator, median: Any
) -> Row:
    calibration, decode = point.layout.calibration, step.decode
    bandwidth = point.case.hardware.tier.bandwidth
    routes = point.routes if decode else point.prefill_routes
    time = operator_time(calibration, operator, bandwidth, decode, routes)
    moved = {f"{s}_b": median(b, operator.count) for s, b in operator.traffic.items()}
    terms = {r: median(t, operator.count) for r, t in time.terms.items()}
    launch = median(launch_overhead(calibration, operator, bandwidth, decode), operator.count)
    flops = median(operator.flops, operator.count)
    total = sum(moved.values())
    return {
        "phase": phase,
        "block": block.name,
        "operator": operator.name,
        "flops_flop": flops,
        "weights_b": moved.get("weights_b", 0.0),
        "kv_b": moved.get("kv_b", 0.0),
        "activations_b": moved.get("activations_b", 0.0),
        "sent_b": 0.0,
        "intensity": flops / total if total > 0 else float("inf"),
        "time_s": sum(terms.values()) + launch,
        "overhead_s": launch,
        "bound": max({**terms, "overhead": launch}.items(), key=lambda item: item[1])[0],
        "peak_per_s": number(operator.peak),
    }


def _message_row(layout: Layout, phase: str, block: Block, message: Message, median: Any) -> Row:
    calibration = layout.calibration
    terms = {r: median(t, message.count) for r, t in message_terms(calibration, message).items()}
    return {
        "phase": phase,
        "block": block.name,
        "operator": message.name,
        "flops_flop": 0.0,
        "weights_b": 0.0,
        "kv_b": 0.0,
        "activations_b": 0.0,
        "sent_b": median(message.sent, message.count),
        "intensity": 0.0,
        "time_s": sum(terms.values()),
        "overhead_s": 0.0,
        "bound": max(terms.items(), key=lambda item: item[1])[0],
        "peak_per_s": 0.0,
    }
