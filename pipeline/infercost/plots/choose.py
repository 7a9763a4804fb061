"""Which rows a figure shows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from infercost.errors import nearest
from infercost.plots.base import FigureData
from infercost.specs.case import GROUPS


def names(column: pd.Series[Any]) -> list[str]:
    """The values of a column in its own order: of its categories, or of their appearance."""
    present = column.dropna().unique()
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(name) for name in column.dtype.categories if name in present]
    return [str(name) for name in present]


def chosen(data: FigureData, figure: str, column: str, wanted: str | None) -> str:
    """The option that the figure shows: the one asked for, else the first."""
    known = names(data.rows[column])
    if wanted is None:
        return known[0]
    if wanted not in known:
        fault = f"the study holds no {column} '{wanted}'"
        raise data.fault(f"{figure}.{column}", fault, nearest(wanted, known))
    return wanted


def best_rows(data: FigureData, figure: str) -> pd.DataFrame:
    """The best operating point of each accelerator, model and workload, feasible or not.

    A study over further axes has several: the figure's option `where` has to choose among them.
    """
    rows = data.rows[data.rows["best"]] if "best" in data.rows else data.rows
    keys = ["hardware", "model", "workload"]
    if rows.duplicated(keys).any():
        varied = [c for c in GROUPS if c not in keys and c in rows and rows[c].nunique() > 1]
        keys_left = varied or [str(c) for c in rows if "." in str(c) and rows[c].nunique() > 1]
        example = f"Choose by 'where: {{{keys_left[0]}: ...}}'" if keys_left else ""
        fault = "several points stand for one accelerator, model and workload"
        raise data.fault(figure, fault, example)
    return rows.reset_index(drop=True)


def feasible(data: FigureData, figure: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that fit and keep their limits; an error where there are none to draw."""
    kept = rows[rows["feasible"]]
    if kept.empty:
        limits = ", ".join(names(rows["limited_by"])) or "unknown"
        raise data.fault(figure, f"no feasible point to draw (what ran out: {limits})")
    return kept


def text_keys(rows: pd.DataFrame) -> pd.DataFrame:
    """Option names as plain text: categories would meet as a product when grouped."""
    found = [key for key in (*GROUPS, "limited_by", "bound") if key in rows]
    return rows.assign(**{key: rows[key].astype(object) for key in found})
