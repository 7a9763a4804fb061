"""What a row says of the load: how many sequences are in flight, or what decides it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from infercost.measurements import Fault, Row, number, service_limits, stated

MOST_IN_FLIGHT = 2048.0
"""Sequences per replica that a stack takes at most where it fills its memory."""
DEFAULT_IN_FLIGHT = 256.0
"""The same of vLLM where nothing is set (`max_num_seqs`), and of CPUs (assumed)."""


@dataclass(frozen=True)
class Load:
    """Sequences in flight of a whole system, or what decides them."""

    batch: float = math.nan
    """Sequences in flight; NaN where something else decides."""
    per_device: bool = False
    """Whether `batch` is of one device."""
    filled: bool = False
    """More is queued than fits: memory decides, and `limit`."""
    limit: float = MOST_IN_FLIGHT
    """Sequences per replica that a filled stack takes at most."""
    rate: float = math.nan
    """Requests per second of the whole system, where they arrive by themselves."""
    tpot_limit: float = math.inf
    """Mean TPOT that a filled stack must keep to, in s."""
    steady: bool = False
    """Requests come and go: prompts are prefilled while others decode."""


def load_of(row: Row, prompt: float) -> Load:
    """The load behind a row. Raises `Fault` where nothing says how much is in flight."""
    words = row["load"].strip().lower()
    if is_mlperf(row):
        return _mlperf(row)
    if "production" in words:
        raise Fault("a production average, cache hits and idle hours included")
    if "open loop" in words:
        return _open_loop(row)
    if words.startswith("max-load"):
        return Load(filled=True)
    if number(row, "batch") >= 1:
        return Load(batch=number(row, "batch"), steady=row["scenario"].startswith("server"))
    for pattern, meaning in _WORDS:
        found = re.search(pattern, words, re.IGNORECASE)
        if found:
            return meaning(float(found[1]), prompt)
    if words.startswith("max supported"):
        return Load(filled=True, limit=_supported(row))
    raise Fault(f"batch {row['batch']!r} is not stated as a number")


_WORDS: tuple[tuple[str, Callable[[float, float], Load]], ...] = (
    (r"^max_num_seqs (\d+)", lambda n, _: Load(filled=True, limit=n)),
    (r"^max (\d+) per engine", lambda n, _: Load(filled=True, limit=n)),
    (r"^(\d+) \(max batch", lambda n, _: Load(filled=True, limit=n)),
    (r"^(\d+) tokens per GPU", lambda n, prompt: Load(max(n / prompt, 1.0), per_device=True)),
    (r"^(\d+) per GPU", lambda n, _: Load(n, per_device=True)),
    (r"^(\d+) prompts", lambda n, _: Load(n)),
    (r"^(?:closed loop.*?|concurrency )(\d+)", lambda n, _: Load(n, steady=True)),
)
"""Loads in words, by what the number in them says: a limit, or sequences in flight."""


def _supported(row: Row) -> float:
    """The largest batch that a source found for a model, where its words tell: `70B: 128 by`."""
    for size, batch in re.findall(r"(\d+)B: (\d+)", row["load"]):
        if f"-{size}b" in row["model"]:
            return float(batch)
    return MOST_IN_FLIGHT


def _open_loop(row: Row) -> Load:
    """Requests at a rate; or, where more came than could be served, the mean number running."""
    running = stated(row, "notes", r"running sequences (\d+)")
    if running >= 1:
        if row["metric"] not in ("tpot_s", "output_tokens_per_s"):
            raise Fault("TTFT behind a queue: needs a queueing model")
        return Load(batch=running, steady=True)
    rate = stated(row, "load", r"open loop ([\d.]+) req/s")
    if not rate > 0:
        raise Fault(f"the rate of load {row['load']!r} is not stated as a number")
    if row["metric"] not in ("tpot_s", "ttft_s"):
        raise Fault(f"{row['metric']} in an open loop follows arrivals, not the system")
    return Load(rate=rate, steady=True)


def is_mlperf(row: Row) -> bool:
    """Whether a row is a result of MLPerf Inference, whose rules then hold."""
    words = f"{row['prompt_tokens']} {row.get('source', '')} {row.get('block', '')}".lower()
    return "mlperf" in words or "inference_results" in words


def _mlperf(row: Row) -> Load:
    """Offline: all samples are queued. Server: the largest rate that keeps TTFT and TPOT."""
    engine = stated(row, "load", r"max (\d+) per engine")
    default = is_cpu(row) or row["framework"].lower().startswith("vllm")
    limit = DEFAULT_IN_FLIGHT if default else MOST_IN_FLIGHT
    if engine >= 1:
        limit = engine
    if row["scenario"] == "offline":
        return Load(filled=True, limit=limit)
    if row["scenario"] == "latency":  # SingleStream: one query after the other
        return Load(batch=number(row, "batch") if number(row, "batch") >= 1 else 1.0)
    if row["metric"] == "tpot_s":
        running = stated(row, "notes", r"throughput x TPOT\) = (\d+)")
        if not running >= 1:
            raise Fault("TPOT of a service whose sequences in flight are not stated")
        return Load(batch=running, steady=True)
    if row["metric"] == "ttft_s":
        raise Fault("TTFT at the limit of a service: needs a queueing model")
    if is_cpu(row) or row["model"] == "llama-3.1-405b":
        # A prompt alone takes a good part of the TTFT limit there, so that the queue decides:
        # servers reach 36 to 72 % of offline throughput, others 95 %.
        raise Fault("throughput that the TTFT limit decides: needs a queueing model")
    return Load(filled=True, limit=limit, tpot_limit=service_limits(row)[1])


def is_cpu(row: Row) -> bool:
    """Whether a row counts a server's processors as its devices without saying how many."""
    return row["n_devices"].strip().upper() == "CPU"


def devices_of(row: Row) -> int:
    """Devices behind a row. MLPerf calls its servers without accelerators `CPU`.

    Their platforms are `1-node-2S`; one that does not say is of two sockets too (assumed).
    """
    if is_cpu(row):
        sockets = stated(row, "notes", r"1-node-(\d)S")
        return int(sockets) if sockets >= 1 else 2
    count = number(row, "n_devices")
    if not (count >= 1 and count.is_integer()):
        raise Fault(f"n_devices {row['n_devices']!r} is not stated as a number")
    return int(count)
