"""What must fit in a device's memory, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import Array, BoolArray, Bytes, Count, as_array
from infercost.equations.memory import admitted_context
from infercost.equations.serving import chunk_tokens
from infercost.equations.transformer import activation_bytes
from infercost.operators.attention import mixer_heads
from infercost.operators.base import Cache, Layout, is_sparse
from infercost.operators.stack import cache_bytes, weight_bytes_per_device, widest_rows
from infercost.passes.reuse import pool_bytes
from infercost.workloads.lengths import UNLIMITED, Lengths
from infercost.workloads.media import is_served

if TYPE_CHECKING:
    from infercost.tiers.placed import Placed


@dataclass(frozen=True)
class Footprint:
    """Bytes per device, and the room that the stack may fill, over all tiers."""

    weights: Bytes
    kv: Bytes
    """Caches of requests in flight; what they share is apart."""
    activations: Bytes
    room: Bytes
    context: Bytes = 0.0
    """Cache of the context that all requests share, kept once."""

    def beside(self, other: Footprint) -> Footprint:
        """With weights and caches of another model in the same memory."""
        return Footprint(
            self.weights + other.weights,
            self.kv + other.kv,
            np.maximum(self.activations, other.activations),
            self.room,
            self.context + other.context,
        )

    @property
    def used(self) -> Bytes:
        """All together."""
        return self.weights + self.kv + self.activations + self.context


def footprint(layout: Layout, lengths: Lengths) -> Footprint:
    """Memory of the busiest device of a replica."""
    case = layout.case
    capacity: Bytes = sum((m.total_capacity for m in case.hardware.memory.values()), start=0.0)
    return Footprint(
        weight_bytes_per_device(layout),
        _kv_bytes_per_device(layout, lengths, np.ceil(case.batch / as_array(case.plan.dp))),
        _workspace(layout, lengths),
        capacity * case.calibration.memory_utilisation,
        context_bytes(layout, lengths) + pool_bytes(layout),
    )


def shares_context(layout: Layout) -> bool:
    """Whether requests share a context that is computed beforehand."""
    return bool(np.any(as_array(layout.case.plan.placement.shared_context) > 0))


def kept_context(layout: Layout, lengths: Lengths, window: float) -> Count:
    """Tokens that a sequence in flight still has in a cache, after eviction."""
    kept, budget = layout.case.mechanisms.kept, layout.case.mechanisms.budget
    context = lengths.context(window)
    if np.ndim(window) or window < UNLIMITED:
        return context
    context = context * kept
    if budget is None:
        return context
    capped: Array = lengths.context(budget)  # type: ignore[arg-type]  # an axis over budgets
    return np.minimum(context, capped)


def kept_share(layout: Layout, lengths: Lengths, window: float) -> Array:
    """Share of a cache that stays after eviction; the longest request is held whole until then."""
    mechanisms = layout.case.mechanisms
    if mechanisms.budget is None and np.all(as_array(mechanisms.kept) == 1.0):
        return 1.0
    return kept_context(layout, lengths, window) / lengths.context(window)


def shared_tokens(layout: Layout, lengths: Lengths, window: float = UNLIMITED) -> Count:
    """Tokens of the shared context that a sequence in flight still sees through a window."""
    shared = layout.case.plan.placement.shared_context
    mean = lengths.mean(np.minimum(shared, lengths.prompt))
    behind = np.maximum(lengths.context(UNLIMITED) - window, 0.0)
    return np.clip(mean - behind, 0.0, lengths.context(window))


def context_bytes(layout: Layout, lengths: Lengths) -> Bytes:
    """Cache of the shared context on one device of a stage, kept once; a part where it is split.

    What does not grow with the context belongs to each request. Leaves out the one copy of a state
    from which requests start.
    """
    if not shares_context(layout):
        return 0.0

    def held(cache: Cache) -> Count:
        if not cache.grows:
            return 0.0
        parts = 1.0 if cache.whole else cache.ways
        return shared_tokens(layout, lengths, cache.window) / parts

    return cache_bytes(layout, held)


def _kv_bytes_per_device(layout: Layout, lengths: Lengths, sequences: Count) -> Bytes:
    """Cache of `sequences` requests in flight, each window with its own room."""
    if not lengths.cached:
        return 0.0

    def admitted(cache: Cache) -> Count:
        mean = kept_context(layout, lengths, cache.window)
        longest = np.minimum(lengths.longest, cache.window)
        if shares_context(layout) and cache.grows:
            shared = shared_tokens(layout, lengths, cache.window)
            mean, longest = mean - shared, longest - shared
        tokens = admitted_context(
            cache.sequences(sequences) if cache.whole else sequences,
            mean,
            kept_share(layout, lengths, cache.window) * lengths.deviation(cache.window),
            longest,
            layout.case.plan.admission_sigma,
        )
        return tokens if cache.whole else tokens / cache.ways

    return cache_bytes(layout, admitted)


def kv_bytes_per_sequence(layout: Layout, lengths: Lengths) -> Bytes:
    """Cache that one sequence at its mean context takes on one device of its stage."""
    if not lengths.cached:
        return 0.0
    return cache_bytes(
        layout, lambda cache: kept_context(layout, lengths, cache.window) / cache.ways
    )


def _workspace(layout: Layout, lengths: Lengths) -> Bytes:
    """Activations alive at once: a chunk of prefill, or the decode batch if nothing is prefilled.

    4 D of a normalisation, which reads and writes the residual stream and its copy, and 2 W of the
    widest block, gate and up side by side, in the activations' format.
    """
    plan = layout.case.plan
    prompts = chunk_tokens(plan.prefill_batch * lengths.longest, plan.prefill_chunk)
    decode = np.ceil(layout.case.batch / (as_array(plan.dp) * plan.pp))
    prefills = as_array(lengths.prefills_per_step) > 0
    tokens = np.maximum(np.where(prefills, prompts, 0.0), decode * lengths.per_step)
    return activation_bytes(tokens, widest_rows(layout), layout.activations)


ROUNDING = 1e-12
"""Share of a footprint that sums of parts may be off by."""

LIMITS = ("", "modality", "plan", "reach", "context", "capacity", "endurance", "tpot", "ttft")
"""Why a point is infeasible, by code; the empty text is a feasible one."""


def broken_limit(
    layout: Layout, lengths: Lengths, memory: Footprint, placed: Placed | None = None
) -> Count:
    """Code of the first limit that a point breaks, 0 where it breaks none.

    `placed` is where things lie on a device of several tiers. Endurance depends on rates, and is
    looked at later.
    """
    case = layout.case
    overflows = as_array(memory.used > as_array(memory.room))
    if placed is not None:
        overflows = as_array(placed.overflow > ROUNDING * as_array(memory.used))
    broken = {
        "modality": ~is_served(case),
        "plan": ~is_whole(layout),
        "reach": ~reaches(layout),
        "context": as_array(lengths.longest > as_array(case.model.max_context)),
        "capacity": overflows,
    }
    code: Count = 0.0
    for name in reversed(broken):
        code = np.where(broken[name], float(LIMITS.index(name)), code)
    return code


def reaches(layout: Layout) -> BoolArray:
    """Whether the links connect all devices of a replica, and it with one that prefills for it."""
    plan, network = layout.case.plan, layout.network
    connected = np.maximum(network.scale_out.reach, network.scale_up.reach)
    replicas = 2 if plan.phases == "disaggregated" else 1
    return as_array(replicas * plan.tp * plan.pp * plan.dp <= connected)


def is_whole(layout: Layout) -> BoolArray:
    """Whether the plan divides the model: heads, layers and experts find their devices.

    Experts live in whole data-parallel groups (ep a multiple of dp) and fill the stage evenly.
    """
    case = layout.case
    plan, model = case.plan, case.model
    tp, pp, dp, ep = (as_array(x, dtype=np.float64) for x in (plan.tp, plan.pp, plan.dp, plan.ep))
    heads = min(np.min(as_array(mixer_heads(mixer))) for mixer in model.mixers.values())
    whole = (tp <= heads) & (pp <= sum(layer.count for layer in model.layers.values()))
    if not is_sparse(case):
        return as_array(whole & (ep == 1))
    for ffn in model.ffns.values():
        if ffn.kind == "moe":
            whole = whole & (ep <= ffn.n_experts) & (ffn.n_active <= as_array(ffn.n_experts))
    return as_array(whole & (ep % dp == 0) & ((tp * dp) % ep == 0))
