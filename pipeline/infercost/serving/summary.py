"""Metrics of a replay: differences of named instants, and sums over them.

    TTFT = first - arrival      TPOT = (last - first) / (n - 1)      E2E = last - arrival

Quantiles are over finished requests; of gaps between tokens, over tokens (within 1.1 %).
"""

from __future__ import annotations

import numpy as np

from infercost.arrays import FloatArray, number
from infercost.cost import Evaluation
from infercost.serving.replay import Outcome
from infercost.serving.requests import IntArray
from infercost.specs.case import Case
from infercost.specs.serving import MOST_TIERS

QUANTILES = (0.5, 0.9, 0.99)


def ttft(outcome: Outcome) -> FloatArray:
    """Arrival to first token of each finished request."""
    times: FloatArray = (outcome.first - outcome.arrival)[outcome.finished]
    return times


def tpot(outcome: Outcome) -> FloatArray:
    """Mean gap after the first token, of each finished request; 0 where one token was asked."""
    span = (outcome.last - outcome.first)[outcome.finished]
    times: FloatArray = span / np.maximum(outcome.output[outcome.finished] - 1, 1)
    return times


def e2e(outcome: Outcome) -> FloatArray:
    """Arrival to last token of each finished request."""
    times: FloatArray = (outcome.last - outcome.arrival)[outcome.finished]
    return times


def quantile(values: FloatArray, q: float) -> float:
    """Empirical quantile: the least value that a share q of all does not exceed."""
    if values.size == 0:
        return float("nan")
    return float(np.quantile(values, q, method="inverted_cdf"))


def gap_quantile(gaps: FloatArray, q: float) -> float:
    """Quantile of gaps between tokens from their histogram: the middle of its bin."""
    from infercost.serving.kernel import BINS_PER_OCTAVE, LEAST_GAP

    total = gaps.sum()
    if total == 0:
        return float("nan")
    k = int(np.searchsorted(np.cumsum(gaps), q * total))
    return LEAST_GAP * float(2.0 ** ((k - 0.5) / BINS_PER_OCTAVE)) if k else 0.0


def latencies(outcome: Outcome) -> dict[str, float]:
    """TTFT, TPOT, gaps and E2E: mean and quantiles, in s."""
    found: dict[str, float] = {}
    several = outcome.output[outcome.finished] > 1
    kinds = {"ttft": ttft(outcome), "tpot": tpot(outcome)[several], "e2e": e2e(outcome)}
    for name, values in kinds.items():
        found[f"{name}_mean_s"] = float(values.mean()) if values.size else float("nan")
        for q in QUANTILES:
            found[f"{name}_p{round(100 * q)}_s"] = quantile(values, q)
    for q in QUANTILES:
        found[f"itl_p{round(100 * q)}_s"] = gap_quantile(outcome.gaps, q)
    wait = (outcome.started - outcome.arrival)[outcome.finished]
    found["wait_mean_s"] = float(wait.mean()) if wait.size else float("nan")
    return found


def answers(outcome: Outcome, thought: IntArray) -> dict[str, float]:
    """Arrival to the first token of the answer, behind the thoughts, in s.

    A request's tokens are taken to come at its mean pace: no instant but the first and the last is
    kept.
    """
    pace = (outcome.last - outcome.first) / np.maximum(outcome.output - 1, 1)
    behind = (outcome.first - outcome.arrival + thought * pace)[outcome.finished]
    found = {"answer_mean_s": float(behind.mean()) if behind.size else float("nan")}
    for q in QUANTILES:
        found[f"answer_p{round(100 * q)}_s"] = quantile(behind, q)
    found["thought_share"] = float(thought.sum() / outcome.output.sum())
    return found


def attainment(
    outcome: Outcome, ttft_limit: float, tpot_limit: float, e2e_limit: float = float("inf")
) -> float:
    """Share of all requests, rejected ones included, that keep the limits."""
    good = (ttft(outcome) <= ttft_limit) & (tpot(outcome) <= tpot_limit)
    good &= e2e(outcome) <= e2e_limit
    return float(good.sum() / outcome.arrival.size)


def load(outcome: Outcome, replicas: int) -> dict[str, float]:
    """What the service did: counts, rates, queue, cache, use."""
    totals, size = outcome.totals, outcome.arrival.size
    computed = max(totals["prompt_tokens_computed"], 1.0)
    horizon = max(float(outcome.last.max()) - float(outcome.arrival[0]), 1e-12)
    asked = float(outcome.prompt[~outcome.rejected].sum())
    # As many as there may be, so that services with more or fewer are rows of one table.
    found = [*map(float, outcome.hits), *[0.0] * MOST_TIERS][: MOST_TIERS + 1]
    return {
        "requests": float(size),
        "finished": float(outcome.finished.sum()),
        "rejected": float(outcome.rejected.sum()),
        "horizon_s": horizon,
        "requests_per_s": float(outcome.finished.sum()) / horizon,
        "output_tokens_per_s": float(outcome.done.sum()) / horizon,
        "utilisation": totals["busy_s"] / (replicas * horizon),
        "in_system_mean": totals["in_system_request_s"] / horizon,
        "queue_mean": totals["waiting_request_s"] / horizon,
        "queue_peak": totals["peak_queue"],
        "batch_mean": totals["sequence_steps"] / max(totals["decode_passes"], 1.0),
        "preemptions": totals["preemptions"],
        "recomputed_share": totals["recomputed_tokens"] / computed,
        "kv_mean": totals["kv_use_s"] / max(totals["busy_s"], 1e-12),
        "kv_peak": totals["kv_peak"],
        "prefix_hit_share": float(outcome.found.sum()) / max(asked, 1.0),
        **{f"hit_share_tier_{k}": hits / max(asked, 1.0) for k, hits in enumerate(found)},
    }


def costs(case: Case, devices: float, outcome: Outcome, horizon: float) -> tuple[float, float]:
    """Joules at the meter and USD of `devices` over the horizon, idle time included.

    Dynamic energy is what the passes took; static power and the price run all the time. The
    economics' utilisation does not count: the replay shows its own.
    """
    paid = case.model_copy(
        update={"economics": case.economics.model_copy(update={"utilisation": 1.0})}
    )
    point, economics = Evaluation(paid), paid.economics
    hardware = point.case.hardware
    static = (hardware.idle_power + hardware.host_power) * devices * horizon
    joules = (outcome.totals["energy_j"] + static) * economics.pue
    provision = point.provision
    rate = number(point.device_rate)
    electricity = getattr(economics, "electricity_price", 0.0)
    usd = rate * devices * number(provision) * horizon + joules * electricity
    return number(joules), number(usd)
