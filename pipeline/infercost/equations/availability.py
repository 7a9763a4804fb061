"""Waiting for the slowest rank, and the time that a system with spares serves.

Sources: Rényi 1953 for order statistics of exponential variables; Barlow and Proschan
1975 for systems of which k of n must work.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from infercost.arrays import Array, Count, Ratio, Seconds, as_array


def expected_slowest(n: Count, timeout: Ratio) -> Ratio:
    """Mean of the largest of `n` exponential delays of mean 1, none counted beyond `timeout`.

        E[min(max, τ)] = ∫_0^τ 1 - (1 - e^-x)^n dx = Σ_{k=1..n} u^k / k,   u = 1 - e^-τ

    Without a time-out (τ infinite) the harmonic number H_n = 1 + 1/2 + ... + 1/n. One rank waits
    for nobody but is late itself, on average by 1 - e^-τ. Leaves out tails heavier than
    exponential and ranks that are late together.
    """
    slowest: Ratio = np.vectorize(_power_sum, otypes=[np.float64])(n, -np.expm1(-timeout))
    return slowest


@cache
def _power_sum(n: float, u: float) -> float:
    orders = np.arange(1.0, round(n) + 1.0)
    return float(np.sum(u**orders / orders))


def stale_share(timeout: Ratio) -> Ratio:
    """Share of ranks' messages that come after the time-out: e^-τ. What that costs is quality."""
    return np.exp(-timeout)


def straggling_factor(n: Count, tail: Ratio, timeout: Ratio) -> Ratio:
    """How much longer n ranks wait than without delays, whose mean is `tail` of the latency.

    1 + tail · E[min(max, τ)] for several ranks, τ as a multiple of the mean delay.
    """
    return 1.0 + tail * np.where(as_array(n) > 1.0, expected_slowest(n, timeout), 0.0)


def downtime_share(mtbf: Seconds, repair: Seconds) -> Ratio:
    """Share of time that one device is out: repair / (MTBF + repair), in steady state."""
    return repair / (mtbf + repair)


def standby_availability(n: Count, spares: Count, down: Ratio) -> Ratio:
    """Share of time in which at least `n` of n + s devices work.

        Σ_{i=0..s} C(n + s, i) q^i (1 - q)^(n + s - i),   q the downtime share of one

    Spares stand by on the spot and fail alike; failures are independent.
    """
    total = n + as_array(spares)
    term = (1.0 - down) ** total
    working: Array = term
    for i in range(int(np.max(spares))):
        term = term * (total - i) / (i + 1.0) * down / (1.0 - down)
        working = working + np.where(spares > i, term, 0.0)
    return working


def failover_availability(n: Count, mtbf: Seconds, failover: Seconds) -> Ratio:
    """Share of time left after each failure of one of `n` devices stops all for `failover`.

    1 / (1 + n · failover / MTBF): to detect it, to move work to a spare, to read weights again.
    """
    return 1.0 / (1.0 + n * failover / mtbf)


def provision_factor(n: Count, spares: Count, available: Ratio) -> Ratio:
    """Device time paid over device time at work: (n + s) / (n A)."""
    return (n + spares) / (n * available)
