"""Searches in front of a prompt: time, memory and price on servers of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infercost.arrays import Bytes, Count, Seconds, Usd, as_array
from infercost.equations import retrieval as eq
from infercost.specs.trend import Trend


@dataclass(frozen=True)
class Search:
    """All searches of one request."""

    time: Seconds
    index: Bytes
    servers: Count
    cost: Usd


def search_of(trend: Trend) -> Search | None:
    """What a trend's retrieval takes; nothing where it has none."""
    how = trend.retrieval
    if how is None:
        return None
    index = eq.index_bytes(how.vectors, how.vector)
    servers = eq.index_servers(index, how.server_memory)
    one = eq.search_time(index, how.scanned, servers, how.server_bandwidth, how.latency)
    price = eq.search_cost(index, how.scanned, how.server_bandwidth, how.server_price)
    # What nobody searches needs no index: a dose of 0 leaves the case as it is, whole.
    held = index * as_array(as_array(how.rounds) > 0, dtype=np.float64)
    return Search(how.rounds * one, held, servers, how.rounds * price)
