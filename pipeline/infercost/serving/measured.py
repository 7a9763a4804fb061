"""Published measurements of open-loop services, replayed: TTFT, TPOT and throughput against them.

Rows of one run belong together. Lengths are the run's means, arrivals Poisson at its rate, but for
the runs of 300 ShareGPT requests, whose trace is at hand. Calibrations are those of the row's stack
as fitted, so that rows which a fit saw are in sample.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infercost.calibrate.cases import calibrations, case_of, cases_of, with_calibration
from infercost.calibrate.settle import BINARY
from infercost.grid import replaced
from infercost.layouts import layout_of
from infercost.loads import devices_of
from infercost.measurements import Fault, Row, era_of, lengths, number, read_table, stated
from infercost.paths import data_file
from infercost.readings import Reading
from infercost.serving import summary
from infercost.serving.requests import Arrivals, arrivals, poisson
from infercost.serving.service import service_of
from infercost.specs.case import Case
from infercost.specs.serving import Serving
from infercost.traces import read_trace
from infercost.validation import chosen_calibrations

SHAREGPT = "data/traces/sharegpt_300req_llama31_10rps.parquet"
METRICS = {"ttft_s": "ttft_mean_s", "tpot_s": "tpot_mean_s", "e2e_latency_s": "e2e_mean_s",
           "output_tokens_per_s": "output_tokens_per_s"}  # fmt: skip
"""What a row states, and the metric of a replay that answers it."""
CHUNKED_SINCE = (0, 8)
"""vLLM version from which prefill is chunked by default (V1 engine; recalled)."""


@dataclass(frozen=True)
class Compared:
    """One row of the table: stated and replayed."""

    id: str
    metric: str
    calibration: str
    stated: float
    replayed: float

    @property
    def error(self) -> float:
        """Replayed over stated, less 1."""
        return self.replayed / self.stated - 1.0


def open_loop_rows(table: Path) -> list[Row]:
    """Rows of services whose requests come at a stated rate."""
    rate = re.compile(r"open loop [\d.]+ req/s")
    return [row for row in read_table(table) if rate.search(row["load"])]


def compared(rows: list[Row], seed: int = 0) -> list[Compared]:
    """Every row that states a known metric, replayed once per run."""
    runs: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    keys = ("hardware", "model", "weight_format", "n_devices", "tp", "framework", "load")
    for row in rows:
        if row["metric"] in METRICS:
            lengths_ = (row["prompt_tokens"], row["output_tokens"])
            runs[(*(row[key] for key in keys), *lengths_)].append(row)
    found = []
    for run in runs.values():
        told, calibration = _replayed(run[0], seed)
        found += [
            Compared(
                row["id"], row["metric"], calibration, number(row, "value"),
                told[METRICS[row["metric"]]],
            )
            for row in run
        ]  # fmt: skip
    return found


def _replayed(row: Row, seed: int) -> tuple[dict[str, float], str]:
    case, replicas, calibration = _case(row)
    requests = _requests(row, replicas, seed)
    outcome = service_of(case, _serving(row), requests).run(requests, seed)
    found = {**summary.latencies(outcome), **summary.load(outcome, 1)}
    found["output_tokens_per_s"] *= replicas
    return found, calibration


def _case(row: Row) -> tuple[Case, int, str]:
    """The case of one replica under its stack's calibration, and how many replicas share a rate."""
    prompt, output = lengths(row)
    layout = layout_of(row, devices_of(row))
    replicas = layout.dp if layout.ep == 1 else 1
    reading = Reading(
        id=row["id"], hardware=row["hardware"], model=row["model"],
        weights=row["weight_format"] or "native", kv=row["kv_format"] or "native",
        era=era_of(row["framework"]), tp=layout.tp, pp=layout.pp,
        dp=1 if layout.ep == 1 else layout.dp, ep=layout.ep, batch=1.0, prompt=prompt,
        output=output, chunk=8192.0, prefills=0.0, steps=1.0, time_s=1.0, value=1.0,
        per_time=False, phase="served",
    )  # fmt: skip
    name = chosen_calibrations([reading])[0][0]
    case = with_calibration(case_of(cases_of([reading], ()), reading), calibrations([name])[name])
    if case.hardware.family.startswith("nvidia"):  # sold by decimal names, built in binary
        tier = next(iter(case.hardware.memory))
        whole = case.hardware.memory[tier].capacity * BINARY
        case = replaced(case, ["hardware", "memory", tier, "capacity"], whole)
    for key in ("tp", "pp", "dp", "ep"):
        case = replaced(case, ["plan", key], int(getattr(reading, key)))
    return case, int(replicas), name


def _serving(row: Row) -> Serving:
    """vLLM's scheduler of the row's version; limits where the row states them."""
    version = re.search(r"vLLM (\d+)\.(\d+)", row["framework"])
    chunked = version is not None and (int(version[1]), int(version[2])) >= CHUNKED_SINCE
    sequences = stated(row, "notes", r"max_num_seqs (\d+)")
    budget = stated(row, "notes", r"max_num_batched_tokens (\d+)")
    return Serving(
        name="as measured",
        policy="chunked" if chunked else "prefill-first",
        token_budget=int(budget) if budget >= 1 else 8192,
        max_sequences=int(sequences) if sequences >= 1 else 256,
        sources={"default": "assumed: the stack's defaults where the row states none"},
    )


def _requests(row: Row, replicas: int, seed: int) -> Arrivals:
    rate = stated(row, "load", r"open loop ([\d.]+) req/s")
    if not rate > 0:
        raise Fault(f"the rate of load {row['load']!r} is not stated as a number")
    if "300 ShareGPT requests" in (row["notes"] or ""):
        trace = read_trace(data_file(SHAREGPT))
        assert trace.arrival is not None
        return arrivals("ShareGPT", trace.arrival, trace.prompt, trace.output)
    prompt, output = lengths(row)
    count = 3000
    return arrivals(
        row["id"], poisson(rate / replicas, count, seed),
        np.full(count, round(prompt)), np.full(count, round(output)),
    )  # fmt: skip
