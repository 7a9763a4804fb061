"""Published measurements of services, replayed: TTFT, TPOT and throughput against them.

Rows of one run belong together. Two kinds of run are replayed:

- **Open loops** at a stated rate: at that rate.
- **MLPerf's servers**, whose rule is the largest rate at which 99 % of requests keep the limits of
  TTFT and TPOT: throughput is that of the largest such rate of the replay (bisection). Latencies
  are those at the rate that was run, or at the replay's own largest where it does not carry that
  rate: behind an overloaded queue they would grow with the length of the run and tell nothing.

Lengths are the run's means, arrivals Poisson, but for the runs of 300 ShareGPT requests, whose
trace is at hand. Replicas share a rate evenly. Schedulers are those of the stacks, their limits as
rows state them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infercost.calibrate.cases import bound, case_of, cases_of, with_calibration
from infercost.calibrate.settle import BINARY, spread
from infercost.grid import replaced
from infercost.measurements.loads import devices_of, is_mlperf
from infercost.measurements.published import (
    Row,
    lengths,
    number,
    read_table,
    service_limits,
    stated,
)
from infercost.measurements.readings import Reading, Unread, read
from infercost.paths import data_file
from infercost.serving import summary
from infercost.serving.replay import Outcome
from infercost.serving.requests import Arrivals, arrivals, poisson
from infercost.serving.search import Objective, largest_rate
from infercost.serving.service import Service, service_of
from infercost.specs.calibration import Calibration
from infercost.specs.case import Case
from infercost.specs.serving import Serving
from infercost.workloads.traces import read_trace

SHAREGPT = "data/traces/sharegpt_300req_llama31_10rps.parquet"
METRICS = {"ttft_s": "ttft_mean_s", "tpot_s": "tpot_mean_s", "e2e_latency_s": "e2e_mean_s",
           "output_tokens_per_s": "output_tokens_per_s"}  # fmt: skip
"""What a row states, and the metric of a replay that answers it."""
OPEN_LOOP, MLPERF = "open loop", "MLPerf server"
CHUNKED_SINCE = (0, 8)
"""vLLM version from which prefill is chunked by default (V1 engine; recalled)."""
SHARE = 0.99
"""Requests that keep MLPerf's limits (loadgen: 99th percentiles)."""
DURATION, FEWEST, MOST = 600.0, 1000, 5_000
"""Seconds that MLPerf runs at least (loadgen), and bounds on the requests that are replayed."""
OPEN_LOOP_REQUESTS = 3000


@dataclass(frozen=True)
class Run:
    """One service under one load, with the rows that tell of it."""

    kind: str
    rows: tuple[Row, ...]
    case: Case
    """One replica; its calibration is chosen later."""
    reading: Reading
    replicas: float
    rate: float
    """Requests per second of one replica."""
    output: float


def server_rows(table: Path) -> list[Row]:
    """Rows of services whose requests come by themselves, of metrics that a replay answers."""
    rate = re.compile(r"open loop [\d.]+ req/s")
    return [
        row
        for row in read_table(table)
        if row["metric"] in METRICS
        and (rate.search(row["load"]) or (is_mlperf(row) and row["scenario"].startswith("server")))
    ]


_OF_A_RUN = ("hardware", "model", "weight_format", "n_devices", "tp", "framework", "scenario",
             "load", "prompt_tokens", "output_tokens", "system_as_published", "block",
             "source")  # fmt: skip


def runs_of(rows: list[Row]) -> Iterator[Run]:
    """The runs behind rows. MLPerf's rows of latency need their run's throughput for its rate."""
    grouped: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        # Of one MLPerf system each row has a source of its own.
        keys = _OF_A_RUN[:-1] if is_mlperf(row) else _OF_A_RUN[:-2]
        grouped[tuple(row.get(key) or "" for key in keys)].append(row)
    for members in grouped.values():
        for same in _told_apart(members):
            yield _run(same)


def _told_apart(rows: list[Row]) -> list[list[Row]]:
    """Rows of alike systems as runs: each throughput begins one."""
    if not is_mlperf(rows[0]):
        return [rows]
    found: list[list[Row]] = []
    for row in rows:
        if row["metric"] == "output_tokens_per_s" or not found:
            found.append([])
        found[-1].append(row)
    return found


def _run(rows: list[Row]) -> Run:
    row = rows[0]
    kind = MLPERF if is_mlperf(row) else OPEN_LOOP
    how = {"scenario": "offline", "metric": "output_tokens_per_s"}
    reading = read({**row, **(how if kind == MLPERF else {"metric": "tpot_s"})})
    if isinstance(reading, Unread):
        raise ValueError(f"{row['id']}: {reading.reason}")
    cases = cases_of([reading], ())
    if reading.devices:
        base = case_of(cases, reading)
        reading = spread([reading], lambda many, batch: bound(base, many, batch))[0]
    case = case_of(cases, reading)
    if case.hardware.family.startswith("nvidia"):  # sold by decimal names, built in binary
        tier = next(iter(case.hardware.memory))
        whole = case.hardware.memory[tier].capacity * BINARY
        case = replaced(case, ["hardware", "memory", tier, "capacity"], whole)
    for key in ("tp", "pp", "dp", "ep"):
        case = replaced(case, ["plan", key], int(getattr(reading, key)))
    ranks = reading.tp * reading.pp * reading.dp / reading.cores_per_device
    replicas = devices_of(row) / ranks
    output = lengths(row)[1]
    if kind == MLPERF:
        whole_rate = next(number(r, "value") for r in rows if "per_s" in r["metric"]) / output
    else:
        whole_rate = stated(row, "load", r"open loop ([\d.]+) req/s")
    return Run(kind, tuple(rows), case, reading, replicas, whole_rate / replicas, output)


def replayed(run: Run, calibration: Calibration, seed: int = 0) -> Mapping[str, float]:
    """What the replay says to each row of a run, by the row's id."""
    requests = _requests(run, seed)
    service = service_of(with_calibration(run.case, calibration), _serving(run), requests)
    if run.kind == OPEN_LOOP:
        told = _told(service.run(requests, seed))
        told["output_tokens_per_s"] *= run.replicas
    else:
        told = _of_mlperf(run, service, requests, seed)
    return {row["id"]: told[METRICS[row["metric"]]] for row in run.rows}


def _told(outcome: Outcome) -> dict[str, float]:
    return {**summary.latencies(outcome), **summary.load(outcome, 1)}


def _of_mlperf(run: Run, service: Service, requests: Arrivals, seed: int) -> dict[str, float]:
    """Latencies at the rate of the run, if it is carried; throughput at the largest rate."""
    ttft, tpot, e2e = service_limits(run.rows[0])
    limits = Objective(ttft, tpot, SHARE, e2e)
    found = largest_rate(service, requests, limits, seed=seed, start=run.rate)
    if not found.rate:
        return dict.fromkeys(METRICS.values(), math.nan)
    told = _told(service.run(requests.at_rate(min(run.rate, found.rate)), seed))
    told["output_tokens_per_s"] = found.rate * run.output * run.replicas
    return told


def _serving(run: Run) -> Serving:
    """The stack's scheduler; limits where the row states them.

    TensorRT-LLM's in-flight batching runs prompts and decodes in one pass, as chunked prefill does
    with a budget that no prompt here exceeds (gpt-attention.md of its documentation, recalled);
    vLLM does so by default from its V1 engine on. Of others nothing is known: passes of prompts.
    """
    row = run.rows[0]
    version = re.search(r"vLLM (\d+)\.(\d+)", row["framework"])
    chunked = version is not None and (int(version[1]), int(version[2])) >= CHUNKED_SINCE
    sequences = stated(row, "notes", r"max_num_seqs (\d+)")
    budget = stated(row, "notes", r"max_num_batched_tokens (\d+)")
    limit = sequences if sequences >= 1 else run.reading.limit if run.reading.filled else 256
    return Serving(
        name="as measured",
        policy="chunked" if chunked or "TensorRT" in row["framework"] else "prefill-first",
        token_budget=int(budget) if budget >= 1 else 8192,
        max_sequences=int(limit),
        beams=run.reading.beams,
        sources={"default": "assumed: the stack's defaults where the row states none"},
    )


def _requests(run: Run, seed: int) -> Arrivals:
    row = run.rows[0]
    if "300 ShareGPT requests" in (row["notes"] or ""):
        trace = read_trace(data_file(SHAREGPT))
        assert trace.arrival is not None
        return arrivals("ShareGPT", trace.arrival, trace.prompt, trace.output)
    prompt, output = lengths(row)
    count = OPEN_LOOP_REQUESTS
    if run.kind == MLPERF:
        count = int(min(max(DURATION * run.rate, FEWEST), MOST))
    return arrivals(
        row["id"], poisson(run.rate, count, seed),
        np.full(count, round(prompt)), np.full(count, round(output)),
    )  # fmt: skip
