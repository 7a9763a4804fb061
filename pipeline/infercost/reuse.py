"""What a replica's prefix cache takes: memory or a pool apart, time to load, money."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, Bytes, Seconds, UsdPerSecond
from infercost.equations import caching, money
from infercost.lengths import Lengths
from infercost.operators.base import Layout
from infercost.operators.stack import kv_bytes_per_token, state_bytes_per_sequence
from infercost.prefix_cache import Pool
from infercost.specs.case import Case
from infercost.specs.economics import Ownership


def has_pool(case: Case) -> bool:
    """Whether the plan keeps a cache of prefixes."""
    return bool(np.any(np.asarray(case.plan.prefix_cache.capacity) > 0))


def pool_of(layout: Layout) -> Pool | None:
    """Room for prefixes in the bytes of the case's model; none where the plan keeps none."""
    how = layout.case.plan.prefix_cache
    if not has_pool(layout.case):
        return None
    per_token, state = kv_bytes_per_token(layout), state_bytes_per_sequence(layout)
    return Pool(how.capacity, per_token, state, how.policy)


def pool_bytes(layout: Layout) -> Bytes:
    """Bytes of the cache on one device, evenly spread; 0 where it lies apart from devices."""
    plan = layout.case.plan
    if plan.prefix_cache.bandwidth is not None or not has_pool(layout.case):
        return 0.0
    return plan.prefix_cache.capacity / (plan.tp * plan.pp * plan.dp)


def load_time(layout: Layout, lengths: Lengths, compute: Seconds) -> Seconds:
    """Time that a prefill waits for cached prefixes, by prompt stratum."""
    how = layout.case.plan.prefix_cache
    if how.bandwidth is None or not lengths.reuses:
        return 0.0
    found = np.asarray(np.asarray(lengths.cached_prompt) > 0, dtype=np.float64)
    state: Bytes = state_bytes_per_sequence(layout) * found
    load = layout.case.plan.prefill_batch * caching.load_time(
        lengths.cached_prompt,
        kv_bytes_per_token(layout),
        state,
        how.bandwidth,
    )
    return caching.exposed_load_time(load, compute, how.hidden)


def pool_rate(case: Case) -> UsdPerSecond:
    """Money per time for the memory of a cache that lies apart, per device of the replica."""
    how, economics, plan = case.plan.prefix_cache, case.economics, case.plan
    if how.bandwidth is None or not has_pool(case):
        return 0.0
    years: Array = economics.life / money.SECONDS_PER_YEAR
    interest = economics.discount_rate if isinstance(economics, Ownership) else 0.0
    price = how.capacity * how.price / (plan.tp * plan.pp * plan.dp)
    return money.annuity_rate(price, interest, economics.life, years)
