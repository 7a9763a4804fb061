"""A design that serves: a case and a way to serve, replayed at any load, and told in numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from infercost.errors import SpecError
from infercost.serving import summary
from infercost.serving.replay import HandOver, Outcome, Pool, replay, replay_pools
from infercost.serving.requests import Arrivals
from infercost.serving.tables import kv_room, step_tables
from infercost.serving.worn import memory_life
from infercost.specs.case import Case
from infercost.specs.serving import Serving


@dataclass(frozen=True)
class Service:
    """Pools of replicas ready to replay requests. `prefill` is a pool of its own, or none."""

    case: Case
    serving: Serving
    pool: Pool
    prefill: Pool | None = None
    prefill_case: Case | None = None
    over: HandOver | None = None

    @property
    def devices(self) -> float:
        """All devices, of both pools."""
        return _devices(self.case) * self.pool.replicas + self.prefill_devices

    @property
    def prefill_devices(self) -> float:
        """Devices of the pool that prefills alone."""
        if self.prefill is None or self.prefill_case is None:
            return 0.0
        return _devices(self.prefill_case) * self.prefill.replicas

    @property
    def replicas(self) -> int:
        """Replicas of both pools."""
        return self.pool.replicas + (0 if self.prefill is None else self.prefill.replicas)

    def with_replicas(self, decode: int, prefill: int = 0) -> Service:
        """The same design with other numbers of replicas."""
        first = None if self.prefill is None else replace(self.prefill, replicas=prefill)
        return replace(self, pool=replace(self.pool, replicas=decode), prefill=first)

    def run(self, requests: Arrivals, seed: int = 0) -> Outcome:
        """Replay requests; of two pools, the sums of both."""
        if self.prefill is None or self.over is None:
            return replay(self.pool, requests, seed)
        made, whole, _ = replay_pools(self.prefill, self.pool, self.over, requests, seed)
        added = ("busy_s", "energy_j", "prompt_tokens_computed", "waiting_request_s", "passes")
        totals = dict(whole.totals)
        for name in added:
            totals[name] += made.totals[name]
        totals["peak_queue"] = max(totals["peak_queue"], made.totals["peak_queue"])
        time = (whole.last - whole.arrival)[whole.finished].sum()
        totals["in_system_request_s"] = float(time)
        totals["prefill_busy_s"] = made.totals["busy_s"]
        return replace(whole, totals=totals)

    def answered(self, requests: Arrivals, seed: int = 0) -> dict[str, float]:
        """All metrics of a replay of these requests."""
        outcome = self.run(requests, seed)
        if requests.thought is None:
            return self.told(outcome)
        return self.told(outcome) | summary.answers(outcome, requests.thought)

    def told(self, outcome: Outcome) -> dict[str, float]:
        """All metrics of a replay."""
        found = summary.load(outcome, self.replicas)
        found |= summary.latencies(outcome)
        horizon = found["horizon_s"]
        joules, usd = summary.costs(self.case, _devices(self.case) * self.pool.replicas, outcome,
                                    horizon)  # fmt: skip
        if self.prefill_case is not None and self.prefill is not None:
            rest = replace(outcome, totals={**outcome.totals, "energy_j": 0.0})
            more = summary.costs(self.prefill_case, self.prefill_devices, rest, horizon)
            joules, usd = joules + more[0], usd + more[1]
        served, tokens = max(found["finished"], 1.0), max(float(outcome.done.sum()), 1.0)
        found["devices"] = self.devices
        found["memory_life_s"] = self._memory_life(outcome, horizon)
        found["energy_per_request_j"], found["cost_per_request_usd"] = joules / served, usd / served
        found["cost_per_mtoken_usd"] = usd / tokens * 1e6
        found["prefill_utilisation"] = found["decode_utilisation"] = float("nan")
        if self.prefill is not None:
            share = outcome.totals["prefill_busy_s"] / (self.prefill.replicas * horizon)
            found["prefill_utilisation"] = share
            whole = found["utilisation"] * self.replicas - share * self.prefill.replicas
            found["decode_utilisation"] = whole / self.pool.replicas
        slo = getattr(self.case.workload, "slo", None)
        good = summary.attainment(outcome, *slo.limits) if slo else float("nan")
        found["slo_attainment"] = good
        found["goodput_requests_per_s"] = good * found["requests"] / horizon
        return found | _NO_EDGE

    def _memory_life(self, outcome: Outcome, horizon: float) -> float:
        """Of the pool whose memory is worn out first; NaN where none wears."""
        computed = outcome.totals["prompt_tokens_computed"]
        decoded = float(outcome.done.sum())
        devices = _devices(self.case) * self.pool.replicas
        if self.prefill is None or self.prefill_case is None:
            life = memory_life(self.case, devices, horizon, decoded, computed)
        else:  # The decode pool writes each prompt's cache that it gets.
            received = float(outcome.prompt[outcome.finished].sum())
            life = min(
                memory_life(self.case, devices, horizon, decoded, received),
                memory_life(self.prefill_case, self.prefill_devices, horizon, 0.0, computed),
            )
        return life if np.isfinite(life) else float("nan")


_NO_EDGE = dict.fromkeys(
    ("edge_share", "edge_energy_per_request_j", "edge_machine_per_request_usd"), 0.0
)
"""So that services with and without machines of users are rows of one table."""


def _devices(case: Case) -> float:
    return float(case.plan.tp * case.plan.pp * case.plan.dp)


def pool_of(case: Case, serving: Serving, requests: Arrivals, replicas: int) -> Pool:
    """A pool of a case's replicas, its tables long enough for the requests."""
    longest = float(requests.longest + 1)
    if longest - 1 > float(case.model.max_context):
        over = int((requests.prompt + requests.output > case.model.max_context).sum())
        fault = (
            f"{over} of {requests.size} requests are longer than the model's context of"
            f" {case.model.max_context}"
        )
        raise SpecError(f"trace '{requests.name}'", "", fault, "Take another model, or cut them")
    point_blocks, token_bytes = kv_room(case, serving, requests.mean_context)
    return Pool(
        step_tables(case, serving, longest),
        serving,
        replicas,
        int(case.plan.dp * case.plan.pp),
        point_blocks,
        token_bytes,
    )


def service_of(
    case: Case, serving: Serving, requests: Arrivals, prefill_case: Case | None = None
) -> Service:
    """A service of a case; the prefill pool, where there is one, may be of another case."""
    _check_plan(case)
    decode = pool_of(case, serving, requests, serving.replicas)
    if not serving.prefill_replicas:
        return Service(case, serving, decode)
    first = prefill_case or case
    if first.model.name != case.model.name:
        fault = f"prefills {first.model.name} for {case.model.name}"
        raise SpecError("prefill pool", "model", fault, "Both pools serve one model")
    plain = serving.model_copy(update={"max_prefills": serving.max_prefills})
    pool = pool_of(first, plain, requests, serving.prefill_replicas)
    stages = int(first.plan.pp)
    pool = replace(pool, groups=int(first.plan.dp), n_blocks=pool.n_blocks * stages, stages=stages)
    later = replace(decode, serving=serving.model_copy(update={"prefix_cache": False}))
    return Service(case, serving, later, pool, first, _hand_over(first, serving))


def _check_plan(case: Case) -> None:
    """Refuse what the analytical model calls infeasible for reasons other than lengths."""
    from infercost.directions import directed
    from infercost.operators.base import Layout
    from infercost.placement import is_whole

    if not bool(np.all(is_whole(Layout(directed(case))))):
        raise SpecError(f"plan '{case.plan.name}'", "plan", "does not divide the model")


def _hand_over(case: Case, serving: Serving) -> HandOver:
    """The stated transfer, or all scale-out links of a replica together."""
    bandwidth: Any = serving.transfer_bandwidth
    if bandwidth is None:
        bandwidth = float(case.hardware.scale_out.bandwidth_out) * _devices(case)
    return HandOver(float(bandwidth), float(serving.transfer_latency))
