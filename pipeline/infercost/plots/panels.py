"""What lines, heat maps and contours share: a chosen table, its columns, one panel per value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.errors import nearest
from infercost.plots.base import FigureData
from infercost.units import is_number

COLOURS = ("#332288", "#CC6677", "#44AA99", "#BF9B30", "#AA4499", "#777777")
"""Tol's muted colours, in the order in which a figure takes them."""
MOST = len(COLOURS)


def chosen_table(data: FigureData, figure: str, table: str | None) -> pd.DataFrame:
    """An aggregate of the study by name, or its rows without one."""
    if table is None:
        return data.rows
    if table not in data.aggregates:
        fault = f"the study has no aggregate '{table}'"
        raise data.fault(f"{figure}.table", fault, nearest(table, data.aggregates))
    return data.aggregates[table]


def columns_of(
    data: FigureData, figure: str, frame: pd.DataFrame, wanted: dict[str, str | None]
) -> pd.DataFrame:
    """The columns that a figure shows, under the names of their roles, without empty rows.

    A `mark` or `label` that is missing is no text: tables come from CSV, which knows no empty one.
    """
    for role, column in wanted.items():
        if column is not None and column not in frame:
            fault = f"no column is named '{column}'"
            raise data.fault(f"{figure}.{role}", fault, nearest(column, frame.columns))
    found = pd.DataFrame({role: frame[c] for role, c in wanted.items() if c is not None})
    words = [role for role in ("mark", "label") if role in found]
    found[words] = found[words].fillna("")
    found = found.dropna().reset_index(drop=True)
    if found.empty:
        raise data.fault(figure, "no row has all that the figure shows", "Choose other columns")
    return found


def as_text(value: Any) -> str:
    """A value as a label: numbers with at most three digits."""
    if not is_number(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def in_order(values: pd.Series[Any]) -> list[Any]:
    """Different values: numbers by size, texts as they come."""
    found = list(dict.fromkeys(values.tolist()))
    return sorted(found) if all(isinstance(v, int | float) for v in found) else found


def colours(names: Sequence[str], title: str) -> alt.Color:
    """A colour per name, in the order given."""
    scale = alt.Scale(domain=list(names), range=list(COLOURS[: len(names)]))
    legend = alt.Legend(title=title, orient="top", columns=MOST, symbolStrokeWidth=2)
    return alt.Color("series:N", scale=scale, legend=legend)


def by_panel(
    table: pd.DataFrame,
    title: str,
    columns: int,
    drawn: Callable[[pd.DataFrame], ChartType],
) -> ChartType:
    """One chart per value of the column `panel`, side by side; one alone without it."""
    if "panel" not in table:
        return drawn(table)
    charts = [
        drawn(table[table["panel"] == value]).properties(
            title=alt.Title(f"{title} {as_text(value)}".strip(), fontSize=12, anchor="start")
        )
        for value in in_order(table["panel"])
    ]
    joined: ChartType = alt.concat(*charts, columns=columns, spacing={"row": 18, "column": 18})
    return joined


def series_names(data: FigureData, figure: str, column: str, values: pd.Series[Any]) -> list[str]:
    """The values of a series as text, in order; an error where there are more than colours."""
    names = [as_text(value) for value in in_order(values)]
    if len(names) > MOST:
        fault = f"'{column}' has {len(names)} values, and a figure {MOST} colours"
        raise data.fault(f"{figure}.series", fault, "Choose some by 'where'")
    return names


def lines_over(
    rows: pd.DataFrame,
    x: alt.X,
    y: alt.Y,
    colour: alt.Color,
    size: tuple[int, int],
    *,
    joined: bool = True,
) -> ChartType:
    """A line with points per `series`, along `x`; points alone where they are not `joined`."""
    base = alt.Chart(rows[["x", "y", "series"]].sort_values(["series", "x"], kind="stable"))
    line = base.mark_line(point=alt.OverlayMarkDef(size=22), clip=True)
    marks = line if joined else base.mark_point(filled=True, opacity=1, size=34)
    width, height = size
    chart: ChartType = marks.encode(x=x, y=y, color=colour).properties(width=width, height=height)
    return chart
