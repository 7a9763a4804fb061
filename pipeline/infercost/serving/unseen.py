"""What a replay does not see of a case: refused in one line, so that nothing is left out silently.

Requests come from the workload as they are, and passes from how they are served.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from infercost.arrays import as_array
from infercost.errors import SpecError
from infercost.options.question import key_of
from infercost.specs.case import Case

REPLACED = {
    "batch": ("a replay forms its batches pass by pass", "serving.max_sequences"),
    "plan.prefill_chunk": ("a pass takes what is left of its budget", "serving.token_budget"),
    "plan.prefill_batch": ("a pass takes what is left of its budget", "serving.token_budget"),
    "plan.admission_sigma": ("a replay admits requests block by block", "serving.max_sequences"),
}
"""Keys of a case that a way to serve replaces: why, and by which."""

_ADDED = ("prompt_tokens", "cached_share", "output_tokens", "images", "video", "audio")
"""What trends add to requests."""


def refuse_replaced(overrides: Iterable[str]) -> None:
    """Raise `SpecError` for an override of what a way to serve says instead."""
    for text in overrides:
        if key_of(text) in REPLACED:
            why, instead = REPLACED[key_of(text)]
            raise SpecError(
                f"override '{text}'", "", f"sets nothing: {why}", f"Set {instead} instead"
            )


def refuse_unseen(case: Case) -> None:
    """Raise `SpecError` where requests or passes of a mitigated case hold what it does not see."""
    _refuse_trend(case)
    if _any(getattr(case.workload, "cached_tokens", 0.0)):
        fault = "a replay computes every prompt of this workload"
        remedy = "Take a trace with prefix blocks, and serving.prefix_cache"
        raise SpecError(f"workload '{case.workload.name}'", "cached_tokens", fault, remedy)
    how = case.mechanisms
    unseen = {
        "speculation": how.drafting is not None,
        "bytes within a patch": case.model.patches is not None,
        "prefix caching": how.prefix is not None,
        "eviction": how.budget is not None or _any(how.kept, below=1.0),
        "chunked prefill": _any(how.fused),
        "a lighter model beside": how.light is not None,
        "a pool for prefill": how.pool is not None,
    }
    for name, used in unseen.items():
        if used:
            fault = f"a replay's passes do not see {name}"
            remedy = "Leave it out, or say how to serve under serving, such as serving.speculation"
            raise SpecError("mitigation", "", fault, remedy)


def _refuse_trend(case: Case) -> None:
    trend = case.trend
    found = [name for name in _ADDED if _any(getattr(trend, name))]
    found += ["branches"] if _any(trend.branches, above=1.0) else []
    searched = trend.retrieval is not None and _any(trend.retrieval.rounds)
    found += ["retrieval"] if searched else []
    if found:
        fault = "a replay takes requests from the workload as they are"
        remedy = "Take a workload that has them so, or trend=none"
        raise SpecError(f"trend '{trend.name}'", found[0], fault, remedy)


def refuse_plan(case: Case) -> None:
    """Raise `SpecError` where a plan says what a way to serve says instead."""
    plan = case.plan
    unseen = {
        "phases": (plan.phases != "colocated", "Take serving=disaggregated"),
        "prefix_cache.capacity": (
            _any(plan.prefix_cache.capacity),
            "Take serving.prefix_cache=true, or serving=prefix-dram",
        ),
        "placement.shared_context": (_any(plan.placement.shared_context), "Leave it out"),
    }
    for key, (used, remedy) in unseen.items():
        if used:
            fault = "a replay's pools and caches are those of its way to serve"
            raise SpecError(f"plan '{plan.name}'", key, fault, remedy)


def _any(value: Any, above: float = 0.0, below: float = np.inf) -> bool:
    """Whether a number lies above its neutral value, or below it."""
    numbers = as_array(value, dtype=np.float64)
    neutral = numbers < below if below < np.inf else numbers > above
    return bool(np.any(neutral))
