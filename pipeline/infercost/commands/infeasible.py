"""Why a point is infeasible: what ran out, by how much, and what would mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from infercost.cost import Evaluation


def why_infeasible(point: Evaluation, limit: str) -> str:
    """What a limit says of a point, or of what works beside it; nothing where it is feasible."""
    who, one = _limited(point)
    reason = _REASONS[limit](one) if limit in _REASONS else ""
    return f"{who}: {reason}" if who and reason else reason


def _limited(point: Evaluation) -> tuple[str, Evaluation]:
    """What breaks a limit first: the case itself, without a name, or what works beside it."""
    import numpy as np

    from infercost.placement import broken_limit

    own = broken_limit(point.layout, point.lengths, point.memory, point.placed)
    if np.all(np.asarray(own) == 0):
        for who, other in (("the lighter model", point.light), ("prefill's pool", point.pool)):
            if other is not None and np.any(np.asarray(other.broken) > 0):
                return who, other
    return "", point


def _modality(point: Evaluation) -> str:
    from infercost.workloads.media import unserved

    return unserved(point.case)


def _plan(_: Evaluation) -> str:
    return (
        "the plan does not fit the model: tp needs as many heads, pp as many layers; ep"
        " must be a multiple of dp, divide tp x dp and not exceed the experts (1 without any)"
    )


def _reach(_: Evaluation) -> str:
    return "the links do not connect that many devices"


def _context(point: Evaluation) -> str:
    from infercost.arrays import number

    longest, most = number(point.lengths.longest), number(point.case.model.max_context)
    return (
        f"requests are longer than the model's context: up to {longest:,.0f} tokens, and it takes"
        f" {most:,.0f}"
    )


def _capacity(point: Evaluation) -> str:
    from infercost.arrays import number

    needed, room = number(point.memory.used), number(point.memory.room)
    return (
        f"memory: {needed / 1e9:.1f} GB needed per device, {room / 1e9:.1f} GB there;"
        " more devices (plan.tp, plan.pp, plan.ep), fewer sequences (batch) or narrower numbers"
        " (+mitigation=[w4,kv8]) need less"
    )


def _endurance(_: Evaluation) -> str:
    return "what is written to a memory that wears out ends its life before its time"


def _missed(point: Evaluation, column: str, place: int) -> str:
    """How far the nearest point of a search is from an objective of service."""
    from infercost.arrays import number
    from infercost.registry import metrics
    from infercost.units import show

    slo = point.case.workload.slo
    limit = number(slo.limits[place]) if slo is not None else float("inf")
    reached = number(point.lengths.mean(metrics()[column].evaluate(point)))
    name, told = ("TTFT, 90th percentile", "ttft") if place == 0 else ("TPOT", "tpot")
    return (
        f"{name}: at best {show(reached, 's', 3)}, at most {show(limit, 's', 3)} asked;"
        f" workload.slo.{told} sets that; more devices, faster ones or shorter prompts help"
    )


_REASONS: dict[str, Callable[[Evaluation], str]] = {
    "modality": _modality,
    "plan": _plan,
    "reach": _reach,
    "context": _context,
    "capacity": _capacity,
    "endurance": _endurance,
    "tpot": lambda point: _missed(point, "tpot_s", 1),
    "ttft": lambda point: _missed(point, "ttft_p90_s", 0),
}
