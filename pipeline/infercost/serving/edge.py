"""A small model on the user's own machine in front of a service: on demand, the cloud answers.

Each user has a machine of one's own and asks one thing at a time, so that nobody waits at the edge.
A **router** decides on the prompt who answers. A **cascade** lets the machine answer first; what is
not good enough is asked of the cloud afterwards, and an answer is shown only once it is judged.
Which requests the machine can answer is drawn, by a share that does not depend on their length.

Left out: the network between user and cloud, the time and energy of router or judge, what a machine
draws while it does not answer, heat that slows it down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from infercost.arrays import FloatArray, number
from infercost.cost import Evaluation
from infercost.serving import summary
from infercost.serving.closed import prompt_times
from infercost.serving.replay import Outcome
from infercost.serving.requests import Arrivals, IntArray
from infercost.serving.service import Service
from infercost.serving.tables import StepTables, step_tables
from infercost.specs.case import Case
from infercost.specs.serving import Edge, Serving

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EdgeAndCloud:
    """A service behind machines of the users. Searches see what the cloud itself serves."""

    cloud: Service
    case: Case
    """The users' machine and its model."""
    edge: Edge
    tables: StepTables
    budget: float

    @property
    def devices(self) -> float:
        """Devices of the cloud."""
        return self.cloud.devices

    @property
    def replicas(self) -> int:
        """Replicas of the cloud."""
        return self.cloud.replicas

    def run(self, requests: Arrivals, seed: int = 0) -> Outcome:
        """What the cloud sees of the requests: those that machines do not answer, and when."""
        return self.cloud.run(self._asked_of_cloud(requests, seed)[1], seed)

    def seen(self, requests: Arrivals, seed: int = 0) -> Outcome:
        """What users see of all requests."""
        index, asked = self._asked_of_cloud(requests, seed)
        return self._joined(requests, self.cloud.run(asked, seed), index)

    def answered(self, requests: Arrivals, seed: int = 0) -> dict[str, float]:
        """Metrics over all requests: latencies are the users', energy and price of both places."""
        index, asked = self._asked_of_cloud(requests, seed)
        outcome = self.cloud.run(asked, seed)
        seen = self._joined(requests, outcome, index)
        told = self.cloud.told(outcome) | summary.latencies(seen)
        served, everybody = max(told["finished"], 1.0), max(float(seen.finished.sum()), 1.0)
        told |= {"requests": float(requests.size), "finished": float(seen.finished.sum())}
        told |= {"slo_attainment": float("nan"), "goodput_requests_per_s": float("nan")}
        local = self._is_local(requests, seed)
        seconds, joules = self.worked(requests, seed)
        energy = joules / everybody
        electricity = energy * getattr(self.case.economics, "electricity_price", 0.0)
        usd = told["cost_per_request_usd"] * served / everybody + electricity
        tokens = max(float(seen.done[seen.finished].sum()), 1.0)
        return told | {
            "energy_per_request_j": told["energy_per_request_j"] * served / everybody + energy,
            "cost_per_request_usd": usd,
            "cost_per_mtoken_usd": usd * everybody / tokens * 1e6,
            "edge_share": float(local.mean()),
            "edge_energy_per_request_j": energy,
            "edge_machine_per_request_usd": seconds / everybody * self._rate(),
        }

    def worked(self, requests: Arrivals, seed: int) -> tuple[float, float]:
        """Seconds and joules of all machines that answer, whether or not it is good enough."""
        works = self._is_local(requests, seed) | (self.edge.order == "cascade")
        _, whole, joules = self.times(requests)
        return float(whole[works].sum()), float(joules[works].sum())

    def _is_local(self, requests: Arrivals, seed: int) -> Bools:
        """Whether the machine's answer is good enough, by request."""
        drawn = np.random.Generator(np.random.PCG64(seed)).random(requests.size)
        return np.asarray(drawn < self.edge.share)

    def _asked_of_cloud(self, requests: Arrivals, seed: int) -> tuple[IntArray, Arrivals]:
        """Places of the requests that the cloud gets, in order, and those requests."""
        index = np.flatnonzero(~self._is_local(requests, seed))
        times = requests.arrival[index]
        if self.edge.order == "cascade":
            times = times + self.times(requests)[1][index]
        order = np.argsort(times, kind="stable")
        index = index[order]
        return index, requests.chosen(index).with_arrivals(times[order])

    def times(self, requests: Arrivals) -> tuple[FloatArray, FloatArray, FloatArray]:
        """First token and whole answer on the machine, and its energy at the wall, by request."""
        prompt, output = requests.prompt.astype(float), requests.output.astype(float)
        first = prompt_times(self.tables, prompt, self.budget)
        whole = first + self._steps(prompt, output, 0)
        dynamic = prompt_times(self.tables, prompt, self.budget, 1) + self._steps(prompt, output, 1)
        hardware = Evaluation(self.case).case.hardware
        draw = float(hardware.idle_power) + float(hardware.host_power)
        return first, whole, dynamic + draw * whole

    def _steps(self, prompt: FloatArray, output: FloatArray, kind: int) -> FloatArray:
        """Time (0) or energy (1) of all decode steps of one sequence alone."""
        c = self.tables.c
        at = np.arange(c[-1] + 1.0)
        total = np.concatenate([[0.0], np.cumsum(np.interp(at, c, self.tables.decode[kind, 0]))])
        begin, end = (prompt + 1.0).astype(int), (prompt + output).astype(int)
        steps: FloatArray = total[end] - total[np.minimum(begin, end)]
        return steps

    def _joined(self, requests: Arrivals, outcome: Outcome, index: IntArray) -> Outcome:
        """All requests as users see them: an answer that has to be judged appears as a whole."""
        arrival, size = requests.arrival, requests.size
        first, whole, _ = self.times(requests)
        made, last, started = arrival + first, arrival + whole, arrival.copy()
        if self.edge.order == "cascade":
            made = last.copy()
        finished, rejected = np.ones(size, np.bool_), np.zeros(size, np.bool_)
        done, nothing = requests.output.copy(), np.zeros(size, np.int64)
        made[index], last[index], done[index] = outcome.first, outcome.last, outcome.done
        started[index] = outcome.started
        finished[index], rejected[index] = outcome.finished, outcome.rejected
        return replace(
            outcome, arrival=arrival, prompt=requests.prompt, output=requests.output,
            started=started, first=made, last=last, done=done, found=nothing, preempted=nothing,
            finished=finished, rejected=rejected,
        )  # fmt: skip

    def _rate(self) -> float:
        """USD per second of use of the machine, bought and idle the rest of its time."""
        return number(Evaluation(self.case).device_rate)


def edge_of(cloud: Service, case: Case, serving: Serving, requests: Arrivals) -> EdgeAndCloud:
    """Machines of the users in front of a cloud."""
    assert serving.edge is not None
    alone = serving.model_copy(update={"max_sequences": 1})
    tables = step_tables(case, alone, float(requests.longest + 1))
    return EdgeAndCloud(cloud, case, serving.edge, tables, float(serving.token_budget))
