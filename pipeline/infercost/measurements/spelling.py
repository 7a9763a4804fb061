"""Tables of measurements as others write them: names in other letters, units beside numbers."""

from __future__ import annotations

import re
from functools import cache

from infercost.measurements.published import Fault, Row, number, squashed
from infercost.options.question import option_names
from infercost.paths import config_dirs

COUNTS = {
    "n_devices": "gpus?|devices?|chips?|cards?|accelerators?|sockets?",
    "batch": "sequences?|seqs?|requests?|prompts?",
    **dict.fromkeys(("tp", "pp", "dp", "ep"), "gpus?|devices?|ways?|x"),
}
"""Columns of counts, and the words that may follow a number there."""
SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
"""Units of a time, in s."""
RATES = re.compile(r"(tokens?|toks?|t|tps)(/s|/sec|ps)?(/(gpu|device|chip|user))?", re.IGNORECASE)
"""Units of a rate; whose it is the metric says, and a unit may say again."""
WHOSE = {"gpu": "_per_device", "device": "_per_device", "chip": "_per_device", "user": "_per_user"}
"""How a metric ends whose unit says whose it is."""
PARTED = re.compile(r"\d{1,3}\.\d{3}")
"""A count of tokens that may have its thousands parted by a point."""
VENDORS = ("nvidia", "amd", "intel", "google", "apple", "aws")


@cache
def _known(group: str, dirs: tuple[str, ...]) -> dict[str, list[str]]:
    """Options by their squashed names."""
    found: dict[str, list[str]] = {}
    for name in option_names(config_dirs(dirs), group):
        found.setdefault(squashed(name), []).append(name)
    return found


def option_of(group: str, name: str, dirs: tuple[str, ...] = ()) -> str:
    """The option that a name spells in other letters or separators; the name where none is alone.

    A maker before a device, and an owner before a model (`owner/model`), may stand there too.
    """
    known = _known(group, dirs)
    plain = squashed(name.rpartition("/")[2] if group == "model" else name)
    shorter = (plain.removeprefix(v) for v in VENDORS if group == "hardware")
    for spelt in (squashed(name), plain, *shorter):
        if len(known.get(spelt, ())) == 1:
            return known[spelt][0]
    return name


def tidied(row: Row, dirs: tuple[str, ...] = ()) -> dict[str, str]:
    """A row with names as options are called, words in small letters, and numbers in their units.

    Raises `Fault` for a unit that its metric does not have, and a count that reads two ways.
    """
    found = dict(row)
    for group in ("hardware", "model"):
        found[group] = option_of(group, row[group], dirs)
    for column in ("scenario", "metric"):
        found[column] = row[column].lower()
    for column, words in COUNTS.items():
        counted = re.fullmatch(rf"([\d.,]+)\s*(?:{words})", row.get(column) or "", re.IGNORECASE)
        if counted:
            found[column] = counted[1]
    for column in ("prompt_tokens", "output_tokens"):
        if PARTED.fullmatch((row.get(column) or "").strip()):
            whole = row[column].replace(".", "")
            raise Fault(f"{column} {row[column]!r} may be {whole}: write it without a point")
    found["value"] = _value(found)
    return found


def _value(row: Row) -> str:
    """The number of a value that has a unit, in s or as a rate."""
    parts = re.fullmatch(r"([\d.,]+(?:[eE][+-]?\d+)?)\s*([A-Za-zµμ][\w/µμ]*)", row["value"])
    if parts is None:
        return row["value"]
    amount, unit = number({"value": parts[1]}, "value"), parts[2]
    rate, metric = RATES.fullmatch(unit), row["metric"]
    if rate and rate[4] and not metric.endswith(WHOSE[rate[4].lower()]):
        raise Fault(f"value {row['value']!r} is per {rate[4]}, which {metric} is not")
    if "per_s" in metric and rate and unit.lower() not in ("t", "tok", "token", "tokens"):
        return parts[1]
    if "per_s" not in metric and unit.lower() in SECONDS and amount > 0:
        return repr(amount * SECONDS[unit.lower()])
    raise Fault(f"value {row['value']!r} has a unit that {row['metric']} does not have")
