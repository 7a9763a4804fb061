"""What one output token takes, of one evaluation or of several that share the work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from infercost.arrays import Array
from infercost.terms import Terms

if TYPE_CHECKING:
    from infercost.cost import Evaluation


@dataclass(frozen=True)
class PerToken:
    """What one output token takes of a replica, by resource, for one phase."""

    device_time: Terms
    """Device-seconds."""
    energy: Terms
    """Joules at the meter: dynamic, static and idle, times PUE."""
    parts: tuple[tuple[Array, Evaluation, PerToken], ...] = ()
    """Shares of several evaluations that make it up, each with its own prices; none: one's own."""


def mixed(*parts: tuple[Array, Evaluation, PerToken]) -> PerToken:
    """What several evaluations take together, each for its share, with prices of their own."""
    flat: list[tuple[Array, Evaluation, PerToken]] = []
    for share, one, phase in parts:
        inner = phase.parts or ((1.0, one, phase),)
        flat += [(share * s, e, p) for s, e, p in inner]
    time = summed((share, part.device_time) for share, _, part in flat)
    return PerToken(time, summed((share, part.energy) for share, _, part in flat), tuple(flat))


def summed(terms: Iterable[tuple[Array, Terms]]) -> Terms:
    """The sum of terms, each times its share."""
    return reduce(Terms.plus, (each.times(share) for share, each in terms), Terms())
