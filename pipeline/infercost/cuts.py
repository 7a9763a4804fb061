"""Parts cut to size: along the sample where there is one, else along the longest axis."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from infercost.errors import SpecError
from infercost.registry import metrics
from infercost.specs.study import PartSize

Plain = dict[str, Any]
VALUE = 8
"""Bytes of a number."""
KEYS = 20
"""Columns of a row beside its metrics, about: options, plan, verdict, axes."""

MOST_PARTS = 10_000
"""Jobs that Snakemake can still plan, for one value of the split axis."""


def cut(label: str, part: Plain, size: PartSize) -> Iterator[tuple[str, Plain]]:
    """A part in pieces of at most `size`, by name; a piece has one point of the cut axis at least.

    A piece is described by its own values alone, so that a changed value concerns one piece.
    """
    row = VALUE * (len(metrics()) + KEYS)
    most = max(min(size.rows, int(size.size / row)), 1)
    lengths = [len(next(iter(axis["values"].values()))) for axis in part["axes"]]
    cases = prod(len(names) for names in part["chosen"].values())
    cases *= prod(len(next(iter(axis["values"].values()))) for axis in part["labels"])
    count = part["stretch"][1] if part.get("sample") else 1
    if cases * prod(lengths) * count <= most or (count == 1 and max(lengths, default=1) == 1):
        yield label, part
        return
    sampled = count > 1
    longest = 0 if sampled else lengths.index(max(lengths))
    total = count if sampled else lengths[longest]
    step = max(most * total // (cases * prod(lengths) * count), 1)
    if total // step > MOST_PARTS:
        fault = f"makes {total // step:,} parts of '{label}', more than {MOST_PARTS:,}"
        raise SpecError("study", "part", fault, "Take larger parts, or fewer points")
    for number, start in enumerate(range(0, total, step)):
        stop = min(start + step, total)
        piece = _stretch(part, start, stop) if sampled else _values(part, longest, start, stop)
        yield f"{label}-{number:04d}", piece


def _stretch(part: Plain, start: int, stop: int) -> Plain:
    return {**part, "stretch": [start, stop]}


def _values(part: Plain, position: int, start: int, stop: int) -> Plain:
    """Values of one axis from `start` up to `stop`."""
    axes = list(part["axes"])
    values = {path: given[start:stop] for path, given in axes[position]["values"].items()}
    axes[position] = {**axes[position], "values": values}
    return {**part, "axes": axes}
