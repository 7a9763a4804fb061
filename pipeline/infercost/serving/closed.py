"""A service in closed form: prompts as a queue, the batch as a fixed point, the rate as its limit.

Prompts wait as in M/G/k behind passes that decode too; a batch is as large as Little's law makes
it. Valid where arrivals are Poisson and memory does not run out; `infercost replay` tells both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infercost.arrays import FloatArray
from infercost.equations import queueing
from infercost.serving.requests import Arrivals
from infercost.serving.service import Service
from infercost.serving.tables import StepTables


@dataclass(frozen=True)
class Steady:
    """A steady state at a rate of requests per replica; infinite where there is none."""

    ttft: float
    tpot: float
    batch: float
    """Sequences in flight per data-parallel group."""


def prompt_times(
    tables: StepTables, prompt: FloatArray, budget: float, kind: int = 0
) -> FloatArray:
    """Time (or energy: `kind` 1) to prefill prompts alone, in chunks of the budget."""
    total, left, cached = np.zeros(prompt.size), prompt.copy(), np.zeros(prompt.size)
    while np.any(left > 0):
        chunk = np.minimum(left, budget)
        one = np.interp(chunk, tables.m, tables.prefill[kind])
        one = one + bilinear(tables.prefill_attention[kind], tables.m, tables.h, chunk, cached)
        total = total + np.where(chunk > 0, one, 0.0)
        left, cached = left - chunk, cached + chunk
    return total


def bilinear(
    table: FloatArray, x: FloatArray, y: FloatArray, at: FloatArray, by: FloatArray
) -> FloatArray:
    """Bilinear interpolation on axes x and y."""
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, x.size - 2)
    j = np.clip(np.searchsorted(y, by, side="right") - 1, 0, y.size - 2)
    u, v = (at - x[i]) / (x[i + 1] - x[i]), (by - y[j]) / (y[j + 1] - y[j])
    low = table[i, j] * (1 - v) + table[i, j + 1] * v
    high: FloatArray = table[i + 1, j] * (1 - v) + table[i + 1, j + 1] * v
    return low * (1 - u) + high * u


def steady_state(service: Service, requests: Arrivals, rate: float) -> Steady:
    """TTFT, TPOT and batch of a colocated service at so many requests per second in all.

    Prefill takes a share ρ of a replica's time, so that a step takes t(B) / (1 - ρ) on average:
    B = λ n TPOT(B) is solved by iteration. A prompt waits for those before it (M/G/1 per replica)
    and for half of the step that runs.
    """
    pool = service.pool
    tables, engines = pool.tables, pool.groups
    prompt = requests.prompt.astype(np.float64)
    times = prompt_times(tables, prompt, float(pool.serving.token_budget))
    mean, variation = float(times.mean()), float(times.var() / times.mean() ** 2)
    mine = rate / pool.replicas / engines
    busy = mine * mean
    if busy >= 1.0:
        return Steady(float("inf"), float("inf"), float("inf"))
    output = float(requests.output.mean())
    context = np.array([requests.mean_context])
    batch, step = 0.0, 0.0
    for _ in range(200):
        at = np.array([max(batch, 1.0)])
        step = float(bilinear(tables.decode[0], tables.n, tables.c, at, context)[0])
        new = mine * max(output - 1.0, 0.0) * step / (1.0 - busy)
        if new > pool.serving.max_sequences:
            return Steady(float("inf"), float("inf"), float("inf"))
        if abs(new - batch) <= 1e-9 * max(new, 1.0):
            break
        batch = new
    wait = float(np.asarray(queueing.mg1_wait(mine, mean, variation)))
    running = 1.0 - float(np.exp(-batch))
    return Steady(mean + wait + 0.5 * running * step, step / (1.0 - busy), batch)


def capacity(service: Service, requests: Arrivals, ttft: float, tpot: float) -> float:
    """Largest rate whose mean TTFT and TPOT keep the limits, by bisection; 0 where none does."""

    def kept(rate: float) -> bool:
        state = steady_state(service, requests, rate)
        return state.ttft <= ttft and state.tpot <= tpot

    low, high = 0.0, 1.0
    while kept(high) and high < 1e6:
        low, high = high, 2.0 * high
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low
