"""Tables and JSON on standard output: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


_PIPE = 160
"""Columns of text in a pipe, where neither a terminal nor COLUMNS says how many there are."""
_ENDLESS = 10_000
"""Columns that no table needs."""
_NARROWEST = 60
"""Columns of a terminal below which a table that is too wide runs over, rather than into shreds."""


def console() -> Console:
    """A console as wide as the terminal, or wide enough for any table in a pipe."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            """Leave to the command line what rich would end with exit code 1."""
            raise BrokenPipeError

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    width = shutil.get_terminal_size().columns if known else _PIPE
    return Piped(width=width, highlight=False, soft_wrap=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; columns that hold numbers are aligned right.

    On a terminal, or where COLUMNS is set, texts wrap so that it fits: sentences of the last
    column, then of others, names last. In a pipe a row is a line.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    numeric = [bool(rows) and all(_is_number(r[at]) for r in rows) for at in range(len(columns))]
    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    room = out.width if bounded and out.width >= _NARROWEST else _ENDLESS
    if _spread(_widths(columns, rows, numeric, _ENDLESS)) > room:
        columns = [_broken(n) if is_n else n for n, is_n in zip(columns, numeric, strict=True)]
    widths = _widths(columns, rows, numeric, room)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, width, number in zip(columns, widths, numeric, strict=True):
        # Widths are given, else rich measures every cell three times.
        table.add_column(
            Text(name), width=width, justify="right" if number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.width = max(out.width, _spread(widths))  # cut nothing
    if title:
        out.print(f"\n{title}", style="bold", markup=False)
    out.print(table)


def _spread(widths: Sequence[int]) -> int:
    """Cells of a table: its columns, two between them, and its edges."""
    return sum(widths) + 2 * len(widths) + 1


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], room: int
) -> list[int]:
    """Width of each column: as wide as its longest line, or less where lines may break."""
    from rich.cells import cell_len

    cells = [[name, *(row[at] for row in rows)] for at, name in enumerate(columns)]
    lines = [[line for text in column for line in text.split("\n")] for column in cells]
    whole = [max(map(cell_len, column)) for column in lines]
    if _spread(whole) <= room:
        return whole
    texts = [at for at, number in enumerate(numeric) if not number]
    prose = [at for at in texts if any(" " in t.strip() and len(t) > _SHORT for t in cells[at])]
    found = whole
    for wrapped in (prose[-1:], prose[1:], texts):
        least = {at: min(whole[at], _word(lines[at])) for at in wrapped}
        spare = room - _spread([least.get(at, width) for at, width in enumerate(whole)])
        wanted = sum(whole[at] - least[at] for at in wrapped)
        given = {
            at: least[at] + (whole[at] - least[at]) * max(spare, 0) // max(wanted, 1)
            for at in wrapped
        }
        found = [given.get(at, width) for at, width in enumerate(whole)]
        if spare >= 0:
            break
    return found


_SHORT = 12
"""Letters of a text that stays on its line."""
_HEADING = 16
"""Letters of a column's name that need no break."""


def _broken(name: str) -> str:
    """The name of a column of numbers on two lines, after the underscore nearest its middle."""
    breaks = [at + 1 for at, letter in enumerate(name) if letter == "_"]
    if len(name) <= _HEADING or not breaks:
        return name
    middle = min(breaks, key=lambda at: abs(2 * at - len(name)))
    return f"{name[:middle]}\n{name[middle:]}"


_WORD = 40
"""Cells of a word that a column of texts shows unbroken."""


def _word(lines: Iterable[str]) -> int:
    """Width of the longest word, or of what is shown unbroken of one."""
    return min(_WORD, max((len(word) for line in lines for word in line.split()), default=1))


def _is_number(cell: str) -> bool:
    return not cell or cell == "-" or cell.lstrip("+-")[:1].isdigit()


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
