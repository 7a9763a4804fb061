"""Prefix caches: how much they hold, and how long a prefix takes to come back."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, Bytes, BytesPerSecond, Count, Ratio, Seconds


def blocks_held(capacity: Bytes, block_tokens: Count, per_token: Bytes, state: Bytes) -> Count:
    """Whole blocks that fit into a cache.

        floor(C / (t q + s))

    `per_token` (q) is the KV cache of a token over all layers, `state` (s) what does not grow with
    the context, of which each block keeps a copy so that a request may start behind it.
    """
    fits: Array = np.floor(capacity / (block_tokens * per_token + state))
    return fits


def load_time(tokens: Count, per_token: Bytes, state: Bytes, bandwidth: BytesPerSecond) -> Seconds:
    """Time in which a cached prefix reaches a replica.

        (n q + s) / W

    Of states only the last is brought. Ignores the latency of the first byte.
    """
    return (tokens * per_token + state) / bandwidth


def exposed_load_time(load: Seconds, compute: Seconds, hidden: Ratio) -> Seconds:
    """Part of a load that the computation of the rest of the prompt does not hide.

    t - h min(t, c): at `hidden` = 1 layers arrive while earlier ones are computed.
    """
    return load - hidden * np.minimum(load, compute)
