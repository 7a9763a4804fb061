"""Waiting in closed form: queues of prompts, batches at a load, and what DistServe derives."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Count, PerSecond, Ratio, Seconds


def utilisation(rate: PerSecond, service: Seconds, servers: Count = 1.0) -> Ratio:
    """Share of time that a server is busy: ρ = λ S / k. From 1 on, the queue has no end."""
    return rate * service / servers


def md1_wait(rate: PerSecond, service: Seconds) -> Seconds:
    """Mean wait for one server where arrivals are Poisson and services all alike (M/D/1).

        W = ρ S / (2 (1 - ρ))

    Infinite from ρ = 1 on. Source: Pollaczek-Khinchine with no variance.
    """
    return mg1_wait(rate, service, 0.0)


def mg1_wait(rate: PerSecond, service: Seconds, squared_variation: Ratio) -> Seconds:
    """Mean wait for one server where services vary (M/G/1, first come first served).

        W = (1 + C²) / 2 · ρ S / (1 - ρ)

    C² is the squared coefficient of variation of services. Infinite from ρ = 1 on.
    Source: Pollaczek-Khinchine. Exact.
    """
    busy = utilisation(rate, service)
    with np.errstate(divide="ignore"):
        return 0.5 * (1.0 + squared_variation) * busy * service / np.maximum(1.0 - busy, 0.0)


def mgk_wait(
    rate: PerSecond, service: Seconds, squared_variation: Ratio, servers: Count
) -> Seconds:
    """Mean wait for the first free of k servers behind one queue (M/G/k), approximately.

        W = (1 + C²) / 2 · S ρ^(√(2 (k + 1)) - 1) / (k (1 - ρ))

    Exact for k = 1, within a few per cent at high load else. Source: Sakasegawa 1977, eq. for
    M/M/k, scaled as Lee and Longton do. Arrivals in bursts wait longer.
    """
    busy = utilisation(rate, service, servers)
    power = np.sqrt(2.0 * (servers + 1.0)) - 1.0
    with np.errstate(divide="ignore"):
        queued = busy**power / (servers * np.maximum(1.0 - busy, 0.0))
    return 0.5 * (1.0 + squared_variation) * queued * service


def pipelined_ttft(rate: PerSecond, service: Seconds, stages: Count = 1.0) -> Seconds:
    """Mean TTFT of equal prompts through a pipeline that takes D in all and a stage D / s.

        D + λ (D/s)² / (2 (1 - λ D/s));   s = 2: D + λ D² / (4 (2 - λ D))

    Source: distserve, section 3.1, for s = 1 and 2.
    """
    return service + md1_wait(rate, service / stages)


def parallel_ttft(rate: PerSecond, service: Seconds, speedup: Ratio) -> Seconds:
    """Mean TTFT of equal prompts on a server that is K times as fast.

        D / K + λ D² / (2 K (K - λ D))

    Source: distserve, section 3.1, tensor parallelism with speedup K.
    """
    return service / speedup + md1_wait(rate, service / speedup)
