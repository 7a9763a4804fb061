"""What must fit in a device's memory, and whether it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from infercost.arrays import BoolArray, Bytes, Count
from infercost.equations.memory import admitted_context
from infercost.equations.serving import chunk_tokens
from infercost.equations.transformer import activation_bytes, shard
from infercost.lengths import Lengths
from infercost.media import is_served
from infercost.operators.attention import mixer_caches, mixer_heads
from infercost.operators.base import Cache, Layout, is_sparse
from infercost.operators.stack import weight_bytes_per_device, widest_rows


@dataclass(frozen=True)
class Footprint:
    """Bytes per device, and the room that the stack may fill."""

    weights: Bytes
    kv: Bytes
    activations: Bytes
    room: Bytes

    @property
    def used(self) -> Bytes:
        """All three together."""
        return self.weights + self.kv + self.activations


def footprint(layout: Layout, lengths: Lengths) -> Footprint:
    """Memory of the busiest device of a replica."""
    case = layout.case
    return Footprint(
        weight_bytes_per_device(layout),
        _kv_bytes_per_device(layout, lengths, np.ceil(case.batch / np.asarray(case.plan.dp))),
        _workspace(layout, lengths),
        case.hardware.tier.capacity * case.calibration.memory_utilisation,
    )


def cache_bytes(layout: Layout, held: Callable[[Cache], Count]) -> Bytes:
    """Cache on one device of a stage, where `held(cache)` tokens of each layer's kind are kept.

    A state is a cache whose window is one token (see `operators.base.Cache`).
    """
    case = layout.case
    total: Bytes = 0.0
    for layer in case.model.layers.values():
        for cache in mixer_caches(layout, case.model.mixers[layer.mixer], case.plan.tp):
            total = total + layer.count * held(cache) * cache.bytes_per_token
    return shard(total, case.plan.pp)


def _kv_bytes_per_device(layout: Layout, lengths: Lengths, sequences: Count) -> Bytes:
    """Cache of `sequences` requests in flight, each window with its own room."""
    if not lengths.cached:
        return 0.0

    def admitted(cache: Cache) -> Count:
        tokens = admitted_context(
            cache.sequences(sequences) if cache.whole else sequences,
            lengths.context(cache.window),
            lengths.deviation(cache.window),
            np.minimum(lengths.longest, cache.window),
            layout.case.plan.admission_sigma,
        )
        return tokens if cache.whole else tokens / cache.ways

    return cache_bytes(layout, admitted)


def kv_bytes_per_sequence(layout: Layout, lengths: Lengths) -> Bytes:
    """Cache that one sequence at its mean context takes on one device of its stage."""
    if not lengths.cached:
        return 0.0
    return cache_bytes(layout, lambda cache: lengths.context(cache.window) / cache.ways)


def _workspace(layout: Layout, lengths: Lengths) -> Bytes:
    """Activations alive at once: a chunk of prefill, or the decode batch if nothing is prefilled.

    Residual stream twice, its normalised copy and the widest block, in the activations' format.
    """
    plan = layout.case.plan
    prompts = chunk_tokens(plan.prefill_batch * lengths.longest, plan.prefill_chunk)
    decode = np.ceil(layout.case.batch / (np.asarray(plan.dp) * plan.pp))
    prefills = np.asarray(lengths.prefills_per_step) > 0
    tokens = np.maximum(np.where(prefills, prompts, 0.0), decode * lengths.per_step)
    return activation_bytes(tokens, widest_rows(layout), layout.activations)


LIMITS = ("", "modality", "plan", "reach", "context", "capacity", "tpot", "ttft")
"""Why a point is infeasible, by code; the empty text is a feasible one."""


def broken_limit(layout: Layout, lengths: Lengths, memory: Footprint) -> Count:
    """Code of the first limit that a point breaks, 0 where it breaks none."""
    case = layout.case
    broken = {
        "modality": ~is_served(case),
        "plan": ~is_whole(layout),
        "reach": ~reaches(layout),
        "context": np.asarray(lengths.longest > np.asarray(case.model.max_context)),
        "capacity": np.asarray(memory.used > np.asarray(memory.room)),
    }
    code: Count = 0.0
    for name in reversed(broken):
        code = np.where(broken[name], float(LIMITS.index(name)), code)
    return code


def reaches(layout: Layout) -> BoolArray:
    """Whether the links connect all devices of a replica."""
    plan, network = layout.case.plan, layout.network
    connected = np.maximum(network.scale_out.reach, network.scale_up.reach)
    return np.asarray(plan.tp * plan.pp * plan.dp <= connected)


def is_whole(layout: Layout) -> BoolArray:
    """Whether the plan divides the model: heads, layers and experts find their devices.

    Experts live in whole data-parallel groups (ep a multiple of dp) and fill the stage evenly.
    """
    case = layout.case
    plan, model = case.plan, case.model
    tp, pp, dp, ep = (np.asarray(x, dtype=float) for x in (plan.tp, plan.pp, plan.dp, plan.ep))
    heads = min(np.min(np.asarray(mixer_heads(mixer))) for mixer in model.mixers.values())
    whole = (tp <= heads) & (pp <= sum(layer.count for layer in model.layers.values()))
    if not is_sparse(case):
        return np.asarray(whole & (ep == 1))
    for ffn in model.ffns.values():
        if ffn.kind == "moe":
            whole = whole & (ep <= ffn.n_experts) & (ffn.n_active <= np.asarray(ffn.n_experts))
    return np.asarray(whole & (ep % dp == 0) & ((tp * dp) % ep == 0))
