"""Where a replica keeps the caches of prompt prefixes that later requests may share."""

from __future__ import annotations

from typing import Literal

from infercost.specs.fields import (
    BytesOrZeroField,
    BytesPerSecondField,
    FractionField,
    Spec,
    UsdPerByteField,
)


class PrefixCache(Spec):
    """A cache of prefixes, beside those of requests in flight; without room there is none."""

    capacity: BytesOrZeroField = 0.0
    """Bytes for the replica, or the replicas together that serve a trace's requests."""
    policy: Literal["lru", "belady"] = "lru"
    """What leaves first: the least recently used, or what is needed latest, were the future known:
    an upper bound for any policy."""
    bandwidth: BytesPerSecondField | None = None
    """Rate at which a replica loads from a tier apart; none stated: it lies on the devices, takes
    their memory, and nothing is loaded."""
    hidden: FractionField = 0.0
    """Share of the computation of a prompt's rest behind which its prefix can arrive."""
    price: UsdPerByteField = 0.0
    """Price of a tier apart, spread over the economics' life; its power is left out."""
