"""A total as terms by resource: what every time, energy, price and carbon is kept as.

A term is the part of a total that its resource bounds. Its share of the total is the stress on the
resource and, where the total is linear in the terms, its elasticity to the resource. It is not
where the power limit holds: there energy sets the time, and `power` is only what it adds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, reduce
from operator import add

from infercost.arrays import Array, as_array, surely

RESOURCES = (
    "compute",
    "weights",
    "kv",
    "activations",
    "memory_latency",
    "network_bandwidth",
    "network_latency",
    "overhead",
    "power",
    "thermal",
    "capacity",
)
"""What can bound a time: arithmetic; memory bandwidth for weights, KV cache and activations;
access latency of a memory; link bandwidth; link latency; launches and host; the power limit; heat
that lowers the clock. Memory capacity bounds money alone: it forces devices, or keeps batches small
(see `infercost.optimise`)."""


class Terms(dict[str, Array]):
    """Terms of one total by resource. Never changed once made."""

    @cached_property
    def total(self) -> Array:
        """Sum of the terms in the order of `RESOURCES`, so that equal terms give equal bits."""
        present = [self[resource] for resource in RESOURCES if resource in self]
        return reduce(add, present) if present else 0.0

    @cached_property
    def is_positive(self) -> bool:
        """Whether the total is sure to be above zero everywhere, so that shares are defined."""
        return surely(as_array(self.total) > 0)

    def times(self, factor: Array) -> Terms:
        """Every term times a factor."""
        return Terms({resource: term * factor for resource, term in self.items()})

    def each(self, function: Callable[[Array], Array]) -> Terms:
        """A linear function of every term."""
        return Terms({resource: function(term) for resource, term in self.items()})

    def plus(self, other: Terms) -> Terms:
        """Two totals together, resource by resource."""
        merged = Terms(self)
        for resource, term in other.items():
            merged[resource] = merged[resource] + term if resource in merged else term
        return merged
