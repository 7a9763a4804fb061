"""Speed of replays as JSON: python tests/benchmarks/measure_serving.py > serving.json

CPU seconds of one core, the compiled loop already in its cache; `make benchmark` runs it. Sizes are
replayed in growing order, so that each peak of memory is its own.
"""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import numpy as np

from infercost.serving.ask import asked_service
from infercost.serving.requests import Arrivals, arrivals, poisson
from infercost.serving.search import Objective, largest_rate
from infercost.serving.service import Service

HOUR = ["hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8", "workload=azure-2023-conversation"]


def peak() -> float:
    """Largest memory of this process so far, in B."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def replayed(service: Service, requests: Arrivals) -> dict[str, float]:
    """CPU time and peak of memory of one replay."""
    start = time.process_time()
    outcome = service.run(requests)
    took = time.process_time() - start
    return {
        "requests": requests.size,
        "cpu_s": took,
        "passes": outcome.totals["passes"],
        "output_tokens": outcome.totals["output_tokens"],
        "peak_b": peak(),
    }


def repeated(requests: Arrivals, count: int) -> Arrivals:
    """Lengths of a trace over and over, Poisson arrivals at its rate."""
    prompt, output = np.resize(requests.prompt, count), np.resize(requests.output, count)
    return arrivals("repeated", poisson(requests.rate, count, 0), prompt, output)


def main() -> dict[str, Any]:
    """The Azure conversation hour, growing numbers of its requests, and a search over it."""
    service, hour = asked_service(HOUR, (), 0, None, 0)
    assert isinstance(service, Service)
    service.run(hour.head(10))  # compiled, or read from the cache of compiled code
    found: dict[str, Any] = {"hour": replayed(service, hour)}
    found["sizes"] = [replayed(service, repeated(hour, 10**n)) for n in (4, 5, 6)]
    start = time.process_time()
    best = largest_rate(service, hour, Objective(2.0, 0.1))
    found["search"] = {
        "cpu_s": time.process_time() - start,
        "replays": best.replays,
        "rate_per_s": best.rate,
    }
    return found


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
