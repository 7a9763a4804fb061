"""Searches over loads and designs: the largest rate within an objective, ratios, devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from infercost.serving import summary
from infercost.serving.replay import Outcome
from infercost.serving.requests import Arrivals
from infercost.serving.service import Service


@dataclass(frozen=True)
class Objective:
    """What a service must keep: limits that a share of all requests keeps together."""

    ttft: float
    tpot: float
    share: float = 0.9
    e2e: float = float("inf")

    def kept(self, outcome: Outcome) -> bool:
        """Whether enough requests keep all limits."""
        return summary.attainment(outcome, self.ttft, self.tpot, self.e2e) >= self.share


@dataclass(frozen=True)
class Largest:
    """The largest rate found, and what the service does there; 0 where no rate keeps limits."""

    rate: float
    outcome: Outcome | None
    replays: int


class Runs(Protocol):
    """What replays requests."""

    @property
    def replicas(self) -> int:
        """Replicas of all pools."""

    def run(self, requests: Arrivals, seed: int = 0) -> Outcome:
        """Replay requests."""


def largest_rate(
    service: Runs,
    requests: Arrivals,
    objective: Objective,
    tolerance: float = 0.02,
    seed: int = 0,
    start: float | None = None,
) -> Largest:
    """The largest rate of a trace, its gaps stretched alike, at which the objective is kept.

    Bracketed by doubling from `start` (a request in four seconds per replica where nothing is
    stated), then bisected on a logarithm until the bracket is within `tolerance`. Attainment may
    rise again beyond a fall; the search takes the edge that it brackets.
    """
    replays, best = 0, Largest(0.0, None, 0)

    def good(rate: float) -> Outcome | None:
        nonlocal replays
        replays += 1
        outcome = service.run(requests.at_rate(rate), seed)
        return outcome if objective.kept(outcome) else None

    low, high = 0.0, float("inf")
    rate = service.replicas * 0.25 if start is None else start
    for _ in range(40):
        outcome = good(rate)
        if outcome is not None:
            low, best = rate, Largest(rate, outcome, replays)
        else:
            high = rate
        if low > 0 and high < float("inf"):
            break
        rate = rate * 2.0 if outcome is not None else rate / 2.0
        if rate < 1e-4 or rate > 1e6:
            return Largest(low, best.outcome, replays)
    while high / low > 1.0 + tolerance:
        middle = (low * high) ** 0.5
        outcome = good(middle)
        if outcome is None:
            high = middle
        else:
            low, best = middle, Largest(middle, outcome, replays)
    return Largest(low, best.outcome, replays)


def best_split(
    service: Service, requests: Arrivals, objective: Objective, replicas: int, tolerance: float
) -> dict[tuple[int, int], float]:
    """Largest rate for each split of so many replicas into prefill and decode."""
    found = {}
    for prefill in range(1, replicas):
        split = service.with_replicas(replicas - prefill, prefill)
        found[prefill, replicas - prefill] = largest_rate(
            split, requests, objective, tolerance
        ).rate
    return found


def least(kept: Callable[[int], bool], most: int) -> int:
    """The least count from 1 to `most` that is kept, where more are never worse; 0 for none."""
    if not kept(most):
        return 0
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if kept(middle):
            high = middle
        else:
            low = middle
    return high


def replicas_for(
    service: Service, requests: Arrivals, objective: Objective, most: int = 256, seed: int = 0
) -> int:
    """Least replicas that serve requests at their own rate within the objective; 0 for none."""
    return least(
        lambda count: objective.kept(service.with_replicas(count).run(requests, seed)), most
    )
