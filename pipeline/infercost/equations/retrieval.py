"""Retrieval: an index of vectors on servers of its own, searched in front of a prompt."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, BytesPerSecond, Count, Ratio, Seconds, Usd, UsdPerSecond


def index_bytes(vectors: Count, vector: Bytes) -> Bytes:
    """Bytes of an index of so many compressed vectors: n b.

    Source: RAGO, arXiv:2503.14649 (64e9 vectors of 96 B: 5.6 TiB). Leaves out the tree above them.
    """
    return vectors * vector


def index_servers(index: Bytes, memory: Bytes) -> Count:
    """Servers whose memory holds the index: max(1, ceil(Q / C))."""
    return np.maximum(np.ceil(index / memory), 1.0)


def search_time(
    index: Bytes, scanned: Ratio, servers: Count, bandwidth: BytesPerSecond, latency: Seconds
) -> Seconds:
    """Time of one search that scans a share of the index on all servers side by side.

        t = t_0 + φ Q / (s W)

    Source: RAGO, arXiv:2503.14649, section 4 (the share scanned is 0.1 %). Leaves out queueing.
    """
    return latency + scanned * index / (servers * bandwidth)


def search_cost(index: Bytes, scanned: Ratio, bandwidth: BytesPerSecond, rate: UsdPerSecond) -> Usd:
    """Price of the servers' time for one search, were they busy: φ Q / W · r for each server.

    On s servers a scan takes 1 / s of the time, so that their number cancels.
    """
    return scanned * index / bandwidth * rate
