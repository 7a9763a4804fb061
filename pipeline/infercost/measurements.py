"""Tables of published measurements: their rows, the words in them, the numbers behind words."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from infercost.errors import SpecError, nearest
from infercost.paths import ROOT, shown

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

OPTIONAL = ("source", "date", "tp", "pp", "ep", "dp", "parallelism", "tier", "notes", "block")
"""Columns that are read where a table has them."""

Row = Mapping[str, str]


class Fault(ValueError):
    """Why a row cannot be read."""


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
    names = _headings(lines[0]) if lines else []
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


def squashed(name: str) -> str:
    """A name's letters and digits, in small."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _headings(cells: list[str]) -> list[str]:
    """Names of columns; one that nobody knows may spell a missing one: `Prompt tokens`."""
    names = [cell.strip() for cell in cells]
    missing = {squashed(name): name for name in (*COLUMNS, *OPTIONAL) if name not in names}
    return [
        name if name in (*COLUMNS, *OPTIONAL) else missing.pop(squashed(name), name)
        for name in names
    ]


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
    repeated = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if repeated:
        raise SpecError(place, repeated[0], "stands in two columns", "Leave out one of the two")


def _told_apart(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows with ids of their own: a repeated one is numbered, so that no row hides another."""
    seen: dict[str, int] = {}
    for row in rows:
        name = row["id"] or "row"
        seen[name] = seen.get(name, 0) + 1
        row["id"] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return rows


def number(row: Row, column: str) -> float:
    """The number in a column; NaN where there is none, or one that is not finite."""
    text = (row.get(column) or "").strip()
    try:
        found = float(text.replace(",", "") if THOUSANDS.fullmatch(text) else text)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan


THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
"""Numbers with their thousands parted. A decimal comma is none: 1,5 stays unread."""


def stated(row: Row, column: str, pattern: str) -> float:
    """The number that `pattern` finds in the words of a column; NaN where it finds none."""
    found = re.search(pattern, row.get(column) or "", re.IGNORECASE)
    return float(found[1].replace(",", "")) if found else math.nan


UNKNOWN_ERA = "other"
"""The era of frameworks that no pattern knows."""


def era_of(framework: str, date: str = "", filled: bool = False) -> str:
    """The era of software that a framework's name and version belong to, or `other`.

    Where a name comes without a version, the year of `date` stands in for it. Of TensorRT-LLM 1.0
    and 1.1 the public table has maximum loads alone (`filled`), which tell nothing of launches:
    rows that state what is in flight belong to the era whose operators were measured.
    """
    for pattern, era, load in _eras():
        if pattern.search(framework) and not (filled and load == "in-flight"):
            return era if re.search(r"\d", framework) else _era_by_year(era, date)
    return UNKNOWN_ERA


def _era_by_year(era: str, date: str) -> str:
    """The era of the same software that a date falls into: the last one begun, or the first."""
    year, own = re.search(r"20\d\d", date), re.fullmatch(r"(.+)-(20\d\d)", era)
    if year is None or own is None:
        return era
    known = {
        other for _, other, _ in _eras() if re.fullmatch(rf"{re.escape(own[1])}-20\d\d", other)
    }
    begun = [other for other in known if other[-4:] <= year[0]]
    return max(begun) if begun else min(known)


def _reference(name: str) -> list[dict[str, str]]:
    with (ROOT / "data" / "reference" / name).open(newline="") as handle:
        return list(csv.DictReader(handle))


@cache
def _eras() -> list[tuple[re.Pattern[str], str, str]]:
    return [
        (re.compile(row["pattern"], re.IGNORECASE), row["era"], row["load"])
        for row in _reference("eras.csv")
    ]


@cache
def _datasets() -> list[dict[str, str]]:
    return _reference("datasets.csv")


@cache
def _limits() -> list[dict[str, str]]:
    return _reference("service_limits.csv")


FEW = 8.0
"""Tokens of a prompt that its source calls short or of few tokens."""


def lengths(row: Row) -> tuple[float, float]:
    """Mean prompt and output tokens of a row; the output is NaN where nobody states it.

    As stated; else from the rates of all and of output tokens and of requests in the notes; else
    from what is known of the data set (`data/reference/datasets.csv`).
    """
    prompt, output = _tokens(row, "prompt_tokens"), _tokens(row, "output_tokens")
    requests = stated(row, "notes", r"RPS ([\d.]+?)\.?(?:\s|$)")
    total = stated(row, "notes", r"total tok/s ([\d.]+)")
    if math.isnan(prompt) and requests > 0 and total > number(row, "value"):
        value = number(row, "value")
        return (total - value) / requests, value / requests
    known = _dataset(row) if math.isnan(prompt) or math.isnan(output) else None
    if known is not None:
        prompt = float(known["prompt_tokens"]) if math.isnan(prompt) else prompt
        output = float(known["output_tokens"]) if math.isnan(output) else output
    if math.isnan(prompt):
        raise Fault(f"prompt_tokens {row['prompt_tokens']!r} is not a number of a known data set")
    return prompt, output


_COUNT = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
"""A whole number, thousands marked by commas or by nothing."""


def beams(row: Row) -> int:
    """Sequences that decode side by side for each request, of which one is its output."""
    known = _dataset(row)
    return 1 if known is None else int(known["beams"])


def _tokens(row: Row, column: str) -> float:
    """Tokens of one request in a column's words: `512`, `~100`, `2048 context`, `few tokens`.

    What a number is followed by has to be words: `1 024`, `512-2048` and `1,5` are no count.
    """
    text = (row[column] or "").strip()
    total = re.match(r"([\d,]+) total over (\d+)", text, re.IGNORECASE)
    if total:
        return float(total[1].replace(",", "")) / float(total[2])
    if re.match(r"few\b", text, re.IGNORECASE):
        return FEW
    leading = re.match(rf"~?\s*({_COUNT}(?:\.\d+)?)(?:\s+\(?[A-Za-z]|$)", text)
    return float(leading[1].replace(",", "")) if leading else math.nan


def _dataset(row: Row) -> dict[str, str] | None:
    """The data set that a row's prompts are known to come from."""
    words = f"{row['prompt_tokens']} {row.get('source', '')} {row.get('notes', '')}".lower()
    for known in _datasets():
        if known["model"] in ("*", row["model"]) and known["pattern"] in words:
            return known
    return None


def service_limits(row: Row) -> tuple[float, float, float]:
    """TTFT, TPOT and latency of a whole request that a benchmark of a service admits, in s.

    Infinite where it sets none."""
    for limit in _limits():
        if limit["model"] == row["model"] and limit["scenario"] == row["scenario"]:
            ttft, tpot, e2e = (float(limit[k] or math.inf) for k in ("ttft_s", "tpot_s", "e2e_s"))
            return ttft, tpot, e2e
    raise Fault(f"limits of scenario '{row['scenario']}' on {row['model']} are not known")
