"""Tables and JSON on standard output: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


WIDEST = 10_000
"""Columns that no table needs."""


def console() -> Console:
    """A console as wide as the terminal, or wide enough for any table in a pipe."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            """Leave to the command line what rich would end with exit code 1."""
            raise BrokenPipeError

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    return Piped(width=width, highlight=False, soft_wrap=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; columns that hold numbers are aligned right."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        cells = [row[position].lstrip("+-") for row in rows]
        numeric = all(cell[:1].isdigit() or not cell for cell in cells)
        lines = [
            line for text in (name, *(row[position] for row in rows)) for line in text.split("\n")
        ]
        table.add_column(
            Text(name),
            justify="right" if numeric and rows else "left",
            no_wrap=True,
            width=max(map(cell_len, lines)),  # else rich measures every cell three times
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out = console()
    wide = out.options.update(max_width=WIDEST)
    out.width = max(out.width, out.measure(table, options=wide).maximum)  # wrap, cut nothing
    if title:
        out.print(f"\n{title}", style="bold", markup=False)
    out.print(table)


def print_notes(lines: Iterable[str]) -> None:
    """What a reader of a result should know, beside it."""
    for line in lines:
        print(f"infercost: note: {line}", file=sys.stderr)


def print_json(content: Any) -> None:
    """JSON with NaN and infinity as null: what every parser reads."""
    escaped = not (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(_plain(content), indent=1, ensure_ascii=escaped))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def bar(share: float, width: int = 24) -> str:
    """A share as a bar of blocks."""
    return "█" * round(share * width)


def shown_unit(column: str) -> str:
    """The unit that a column's values are printed with: none for ratios and tokens per second."""
    from infercost.quantities import quantity

    unit = quantity(column).unit
    return "" if unit in ("1", "token/s") else unit


def shown(value: float, column: str) -> str:
    """A value of a column with its unit; a dash where there is none."""
    from infercost.units import show

    return "-" if math.isnan(value) else show(value, shown_unit(column))


def change(before: float, after: float) -> str:
    """By how much a value changes; a dash where that cannot be said."""
    return f"{after / before - 1.0:+.1%}" if before > 0 and after > 0 else "-"


def what_binds(content: Mapping[str, Any]) -> str:
    """What bounds the cost of a token at a point, or why there is none."""
    if not content["feasible"]:
        return f"infeasible: {content['limited_by']}"
    return str(content["bound"]).replace("_", " ")
