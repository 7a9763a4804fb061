"""Published measurements as readings: which point each row is, and which time it states.

A reading says how many prefills and decode steps make up the time that a row states, so that any
calibration can predict it from the same two passes. A row that cannot be read has a reason.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infercost.errors import SpecError, nearest
from infercost.paths import ROOT, config_dirs, shown
from infercost.question import option_names
from infercost.specs.formats import BITS

COLUMNS = (
    "id",
    "hardware",
    "model",
    "weight_format",
    "kv_format",
    "n_devices",
    "framework",
    "scenario",
    "load",
    "batch",
    "prompt_tokens",
    "output_tokens",
    "metric",
    "value",
)
"""Columns that a table of measurements must have."""

STATIC_CHUNK = 1e9
"""Static batching: a prefill is one pass, however long."""
CHUNKS = {"llama-cpp-2024": 512.0, "llama-cpp-metal": 512.0, "llama-cpp-2025": 2048.0}
"""Tokens per pass of stacks that cut a prompt; in-flight batching takes 8192."""
IN_FLIGHT_CHUNK = 8192.0


@dataclass(frozen=True)
class Reading:
    """One row as a point and a time: `time_s` = `prefills` prefills and `steps` decode steps."""

    id: str
    hardware: str
    model: str
    weights: str
    kv: str
    era: str
    tp: int
    pp: int
    dp: int
    ep: int
    batch: float
    """Sequences per replica; NaN where the stack fills its memory (`load` max-load)."""
    prompt: float
    output: float
    chunk: float
    prefills: float
    """Prefills of `batch` prompts each."""
    steps: float
    time_s: float
    """What the row states, as the time of that work; per request where `batch` is to be filled."""
    value: float
    per_time: bool
    """Whether the row states a rate rather than a time."""
    phase: str
    cores_per_device: int = 1


@dataclass(frozen=True)
class Unread:
    """A row that cannot be read, and why."""

    id: str
    reason: str


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV of measurements, no cell of them missing.

    Raises `SpecError` for a file that is none, a missing column, or a row longer than the header.
    """
    place = shown(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise SpecError(place, "", f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        fault = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise SpecError(place, "", fault, "Save the table as CSV") from None
    names = [name.strip() for name in lines[0]] if lines else []
    _check_header(place, names)
    rows: list[dict[str, str]] = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) > len(names) and any(cells[len(names) :]):
            fault = f"row {number} has {len(cells)} cells under {len(names)} columns"
            raise SpecError(place, "", fault, "Quote texts that hold a comma")
        if any(cells):
            filled = [*cells, *[""] * len(names)]
            rows.append({name: cell.strip() for name, cell in zip(names, filled, strict=False)})
    if not rows:
        raise SpecError(place, "", "holds no row", "Write a line for each measurement")
    return _told_apart(rows)


def _check_header(place: str, names: list[str]) -> None:
    if not any(names):
        raise SpecError(place, "", "is empty", f"Its first line names {', '.join(COLUMNS)}")
    if len(names) == 1 and re.search(r"[;\t|]", names[0]):
        fault = "has one column"
        raise SpecError(place, "", fault, "Separate cells by commas")
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        fault = "column is missing" if len(missing) == 1 else "columns are missing"
        raise SpecError(place, ", ".join(missing), fault, nearest(missing[0], names))


def _told_apart(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows with ids of their own: a repeated one is numbered, so that no row hides another."""
    seen: dict[str, int] = {}
    for row in rows:
        name = row["id"] or "row"
        seen[name] = seen.get(name, 0) + 1
        row["id"] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return rows


def era_of(framework: str) -> str:
    """The era of software that a framework's name and version belong to, or `other`."""
    for pattern, era in _eras():
        if pattern.search(framework):
            return era
    return UNKNOWN_ERA


UNKNOWN_ERA = "other"
"""The era of frameworks that no pattern knows."""


@cache
def _eras() -> list[tuple[re.Pattern[str], str]]:
    with (ROOT / "data" / "reference" / "eras.csv").open(newline="") as handle:
        return [(re.compile(row["pattern"]), row["era"]) for row in csv.DictReader(handle)]


@cache
def _known(group: str, dirs: tuple[str, ...]) -> frozenset[str]:
    return frozenset(option_names(config_dirs(dirs), group))


def read(row: Mapping[str, str], dirs: tuple[str, ...] = ()) -> Reading | Unread:
    """One row as a reading, or why it is none."""
    try:
        return _read(row, dirs)
    except _Fault as fault:
        return Unread(row["id"], str(fault))


class _Fault(ValueError):
    """Why a row cannot be read."""


def _read(row: Mapping[str, str], dirs: tuple[str, ...]) -> Reading:
    for group in ("hardware", "model"):
        if row[group] not in _known(group, dirs):
            raise _Fault(f"no {group} option '{row[group]}'")
    for column in ("weight_format", "kv_format"):
        if row[column] and row[column] not in BITS:
            raise _Fault(f"{column} '{row[column]}' is no known number format")
    if not _number(row, "n_devices") >= 1:
        raise _Fault(f"n_devices {row['n_devices']!r} is not stated as a number")
    value = _number(row, "value")
    if not 0 < value < math.inf:
        raise _Fault(f"value {row['value']!r} is not a positive number")
    if "open loop" in row["load"] or row["scenario"].startswith("server"):
        raise _Fault("served under load: needs a queueing model")
    filled = row["load"].startswith("max-load")
    prompt, output = _tokens(row, "prompt_tokens"), _tokens(row, "output_tokens", missing=2.0)
    batch = math.nan if filled else _number(row, "batch")
    if not filled and not batch >= 1:
        raise _Fault(f"batch {row['batch']!r} is not stated as a number")
    era = era_of(row["framework"])
    tp, pp, dp, ep, cores = _degrees(row)
    if not filled and dp > 1 and ep == 1:
        batch /= dp  # replicas share the batch
    work = _work(row, batch, output, filled)
    seconds = _seconds(row, value, batch, output, filled, dp if ep == 1 else 1, work)
    chunk = IN_FLIGHT_CHUNK if filled else CHUNKS.get(era, STATIC_CHUNK)
    return Reading(
        id=row["id"],
        hardware=row["hardware"],
        model=row["model"],
        weights=row["weight_format"] or "native",
        kv=row["kv_format"] or _unstated_kv(row, era),
        era=era,
        tp=tp,
        pp=pp,
        dp=1 if ep == 1 else dp,
        ep=ep,
        batch=batch,
        prompt=max(prompt, 1.0),
        output=max(output, 2.0),
        chunk=chunk,
        prefills=work[0],
        steps=work[1],
        time_s=seconds,
        value=value,
        per_time="per_s" in row["metric"],
        phase=work[2],
        cores_per_device=cores,
    )


def _unstated_kv(row: Mapping[str, str], era: str) -> str:
    """ModelOpt's FP8 and NVFP4 checkpoints, which TensorRT-LLM documents serve, cache in FP8."""
    quantised = row["weight_format"] in ("fp8", "nvfp4")
    return "fp8" if quantised and era in ("trt-llm-2024", "trt-llm-2025") else "native"


def _number(row: Mapping[str, str], column: str) -> float:
    try:
        return float(row[column])
    except (TypeError, ValueError):
        return math.nan


def _tokens(row: Mapping[str, str], column: str, missing: float | None = None) -> float:
    text = (row[column] or "").strip()
    number = _number(row, column)
    if math.isfinite(number) and number >= 0:
        return number
    few = re.match(r"~?(\d+)|few", text)
    if text.startswith("few"):
        return 8.0
    if few and text.startswith("~") and few[1]:
        return float(few[1])
    if missing is not None and not text:
        return missing
    raise _Fault(f"{column} {text!r} is not a number")


def _degrees(row: Mapping[str, str]) -> tuple[int, int, int, int, int]:
    """TP, PP, DP, EP, and cores per device where cores are the ranks."""
    devices = int(_number(row, "n_devices"))
    words = row.get("parallelism", "") or ""
    sparse = _is_sparse(row["model"])
    if "split" in words:
        return 1, devices, 1, 1, 1
    if "NeuronCores" in words:
        return 2 * devices, 1, 1, 1, 2
    attention_dp = re.match(r"DEP(\d+)", words)
    if attention_dp or (sparse and "attention-DP" in row.get("notes", "")):
        pp = int(_number(row, "pp")) if _number(row, "pp") > 0 else 1
        return 1, pp, devices // pp, devices // pp, 1
    if re.search(r"EP\d|ZeRO|chips|weight-stationary", words):
        raise _Fault(f"parallelism '{words}' is outside what rows are read as")
    tp, pp, dp = (
        int(_number(row, name)) if _number(row, name) > 0 else 0 for name in ("tp", "pp", "dp")
    )
    dp, pp = max(dp, 1), max(pp, 1)
    tp = tp or max(devices // (pp * dp), 1)
    if tp * pp * dp != devices:
        if tp * pp > devices:
            raise _Fault(f"tp {tp} x pp {pp} exceeds {devices} devices")
        dp = devices // (tp * pp)
    return tp, pp, dp, 1, 1


@cache
def _is_sparse(model: str) -> bool:
    for folder in config_dirs():
        file = folder / "model" / f"{model}.yaml"
        if file.is_file():
            return "kind: moe" in file.read_text()
    return False


def _work(
    row: Mapping[str, str], batch: float, output: float, filled: bool
) -> tuple[float, float, str]:
    """Prefills and decode steps behind a row's time, and the phase it speaks of."""
    scenario, metric = row["scenario"], row["metric"]
    if scenario == "prefill" or metric in ("ttft_s", "prefill_time_s", "prefill_tokens_per_s"):
        return 1.0, 0.0, "prefill"
    if scenario == "decode":
        return 0.0, 1.0, "decode"
    if metric == "total_tokens_per_s":
        raise _Fault("total tokens/s mix prompts and outputs")
    if filled:
        return 1.0, output, "max-load"
    return 1.0, max(output - 1.0, 1.0), "end-to-end"


def _seconds(
    row: Mapping[str, str],
    value: float,
    batch: float,
    output: float,
    filled: bool,
    replicas: int,
    work: tuple[float, float, str],
) -> float:
    """The time of the work behind a row. For a filled batch, of one request's share of it."""
    metric, devices = row["metric"], _number(row, "n_devices")
    if metric in ("tpot_s", "decode_step_time_s", "ttft_s", "prefill_time_s", "e2e_latency_s"):
        return value
    if metric == "seconds_per_output_token":
        return value * batch
    if metric == "prefill_tokens_per_s":
        return batch * replicas * _tokens(row, "prompt_tokens") / value
    per_step = 1.0 if work[2] == "decode" else output
    if metric == "output_tokens_per_s_per_user":
        return per_step / value
    rate = value * (devices if metric.endswith("per_device") else 1.0) / replicas
    if metric.startswith("output_tokens_per_s"):
        return per_step / rate * (1.0 if filled else batch)
    raise _Fault(f"metric '{metric}' is not one that is predicted")
