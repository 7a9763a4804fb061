"""Prefixes found in a cache: what of prompts is found, memory or a pool apart, time, money.

A plan's cache is simulated over a trace, or a workload or a trend states its hits (`lengths_of`); a
mitigation states a share of each prompt (`found_prefixes`). No case has both. What follows from the
tokens found is the same: prompts computed in part, bytes to load, how much of that stays exposed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infercost.arrays import Array, Bytes, Count, Seconds, UsdPerSecond, as_array
from infercost.equations import caching, money
from infercost.equations.attention import attended_pairs
from infercost.operators.base import Cache, Layout
from infercost.operators.stack import (
    cache_bytes,
    kv_bytes_per_token,
    state_bytes_per_sequence,
)
from infercost.specs.case import Case
from infercost.specs.economics import Ownership
from infercost.workloads.lengths import Lengths
from infercost.workloads.prefix_cache import Pool


def has_pool(case: Case) -> bool:
    """Whether the plan keeps a cache of prefixes."""
    return bool(np.any(as_array(case.plan.prefix_cache.capacity) > 0))


def pool_of(layout: Layout) -> Pool | None:
    """Room for prefixes in the bytes of the case's model; none where the plan keeps none."""
    how = layout.case.plan.prefix_cache
    if not has_pool(layout.case):
        return None
    per_token, state = kv_bytes_per_token(layout), state_bytes_per_sequence(layout)
    return Pool(how.capacity, per_token, state, how.policy)


def found_prefixes(case: Case, lengths: Lengths) -> Lengths:
    """The lengths with the share of each prompt's head that a mitigation finds."""
    prefix = case.mechanisms.prefix
    if prefix is None:
        return lengths
    found = np.minimum(lengths.prompt * prefix.hit_rate, lengths.prompt - 1.0)
    return replace(
        lengths,
        cached_prompt=found,
        cached_pairs=lambda window: attended_pairs(found, window),
    )


def pool_bytes(layout: Layout) -> Bytes:
    """Bytes of the cache on one device, evenly spread; 0 where it lies apart from devices."""
    plan, prefix = layout.case.plan, layout.case.mechanisms.prefix
    if prefix is not None:
        tiers = layout.case.hardware.memory.values()
        return prefix.own_share * sum((m.total_capacity for m in tiers), start=0.0)
    if plan.prefix_cache.bandwidth is not None or not has_pool(layout.case):
        return 0.0
    return plan.prefix_cache.capacity / (plan.tp * plan.pp * plan.dp)


def load_time(layout: Layout, lengths: Lengths, compute: Seconds) -> Seconds:
    """Time that a prefill waits for cached prefixes, by prompt stratum.

    Rates are a replica's for a plan's cache, a device's for a mitigation's, which brings of a
    window only what it still sees.
    """
    how, prefix = layout.case.plan.prefix_cache, layout.case.mechanisms.prefix
    prompts = layout.case.plan.prefill_batch
    if not lengths.reuses:
        return 0.0
    if prefix is not None:
        load = prompts * found_bytes(layout, lengths) / prefix.bandwidth
        return caching.exposed_load_time(load, compute, prefix.overlap)
    if how.bandwidth is None:
        return 0.0
    found = as_array(as_array(lengths.cached_prompt) > 0, dtype=np.float64)
    state: Bytes = state_bytes_per_sequence(layout) * found
    load = prompts * caching.load_time(
        lengths.cached_prompt,
        kv_bytes_per_token(layout),
        state,
        how.bandwidth,
    )
    return caching.exposed_load_time(load, compute, how.hidden)


def found_bytes(layout: Layout, lengths: Lengths) -> Bytes:
    """Caches of a prompt's found head on one device of a stage, windows cut, by prompt stratum."""
    return _head_bytes(layout, lengths.cached_prompt)


def _head_bytes(layout: Layout, head: Count) -> Bytes:
    def kept(cache: Cache) -> Count:
        held: Count = np.minimum(head, cache.window) / (1.0 if cache.whole else cache.ways)
        if not cache.grows:
            held = np.where(as_array(head) > 0, cache.window, 0.0)
        return held

    return cache_bytes(layout, kept)


def pool_rate(case: Case) -> UsdPerSecond:
    """Money per time for the memory of a cache that lies apart, per device of the replica."""
    how, economics, plan = case.plan.prefix_cache, case.economics, case.plan
    if how.bandwidth is None or not has_pool(case):
        return 0.0
    years: Array = economics.life / money.SECONDS_PER_YEAR
    interest = economics.discount_rate if isinstance(economics, Ownership) else 0.0
    price = how.capacity * how.price / (plan.tp * plan.pp * plan.dp)
    return money.annuity_rate(price, interest, economics.life, years)


def handed_bytes(layout: Layout, lengths: Lengths) -> Bytes:
    """Caches of a prefill's whole prompts on one device of a stage, windows cut, by stratum."""
    return layout.case.plan.prefill_batch * _head_bytes(layout, lengths.prompt)
