"""What the figures of a study of measurements share: its rows, its classes, its examinations."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from infercost.plots.base import FigureData

EXAMINATIONS = {
    "no calibration": ("ideal_error", "#999999"),
    "fitted to the row too": ("error", "#66CCEE"),
    "block left out": ("error_out_of_block", "#4477AA"),
    "system left out": ("error_out_of_system", "#228833"),
    "model left out": ("error_out_of_model", "#CCBB44"),
    "software stack left out": ("error_out_of_stack", "#EE6677"),
    "stack but three rows left out": ("error_out_of_stack_but_three", "#AA3377"),
}
"""What a fit had seen of a row -> the column of its error, and its colour (Tol's bright ones)."""
PHASES = {
    "decode": "#4477AA",
    "prefill": "#EE6677",
    "end-to-end": "#228833",
    "max-load": "#CCBB44",
}
"""Phases in the order of figures, with their colours; others follow in grey."""
OTHER = "#999999"


def predicted_rows(data: FigureData, figure: str) -> pd.DataFrame:
    """Rows with a prediction. A study of anything but measurements has none."""
    if "unmapped" not in data.rows or "error" not in data.rows:
        fault = "shows a study of measurements"
        raise data.fault(figure, fault, "Give the study 'measurements:' or drop the figure")
    rows = data.rows[data.rows["unmapped"].astype(str) == ""]
    if rows.empty:
        raise data.fault(figure, "no row of the table could be read")
    names = ("phase", "tier", "hardware", "model", "family", "era", "calibration", "level")
    return rows.assign(**{name: rows[name].astype(str) for name in names}).reset_index(drop=True)


def examinations(rows: pd.DataFrame) -> dict[str, str]:
    """The examinations that the rows went through, each with its column."""
    return {
        name: column
        for name, (column, _) in EXAMINATIONS.items()
        if column in rows and bool(rows[column].notna().any())
    }


def best_examination(rows: pd.DataFrame) -> tuple[str, str]:
    """By blocks left out, or the prediction itself where nothing was examined."""
    known = examinations(rows)
    name = "block left out" if "block left out" in known else "fitted to the row too"
    return name, known[name]


def examination_colour(names: list[str], title: str = "the fit") -> alt.Color:
    """Colour by examination."""
    scale = alt.Scale(domain=names, range=[EXAMINATIONS[name][1] for name in names])
    return alt.Color("fit:N", scale=scale, legend=alt.Legend(title=title, orient="top", columns=6))


def phases(rows: pd.DataFrame) -> list[str]:
    """Phases that the rows speak of, in the order of figures."""
    present = list(dict.fromkeys(rows["phase"]))
    return sorted(present, key=lambda p: list(PHASES).index(p) if p in PHASES else len(PHASES))


def phase_colour(rows: pd.DataFrame, **legend: Any) -> alt.Color:
    """Colour by phase."""
    names = phases(rows)
    scale = alt.Scale(domain=names, range=[PHASES.get(name, OTHER) for name in names])
    return alt.Color(
        "phase:N", scale=scale, legend=alt.Legend(title="phase", orient="top", **legend)
    )


CLASSES = {"phase": "phase and tier", "family": "class of systems", "era": "era of software"}
"""What classes are formed by -> in words."""
FEWEST = 10
"""Rows that a class needs to be shown; the others are put together."""


def classes(rows: pd.DataFrame) -> pd.DataFrame:
    """Every row once per way of classing, with the name of its class and its size."""
    parts = []
    for column, meaning in CLASSES.items():
        label = rows[column]
        if column == "phase":
            label = rows["phase"] + ", " + rows["tier"].where(rows["tier"] != "", "no tier")
        count = label.map(label.value_counts())
        label = label.where(count >= FEWEST, f"fewer than {FEWEST} rows each")
        count = label.map(label.value_counts())
        parts.append(rows.assign(by=meaning, label=label + " (" + count.astype(str) + ")"))
    return pd.concat(parts, ignore_index=True)


def ordered(table: pd.DataFrame, by: str, value: str) -> list[str]:
    """Labels of one way of classing, the smallest value first."""
    mine = table[table["by"] == by].sort_values([value, "label"], kind="stable")
    return list(dict.fromkeys(mine["label"]))


def p90(values: pd.Series[float]) -> float:
    """The 90th percentile."""
    return float(np.quantile(values.dropna(), 0.9)) if values.notna().any() else float("nan")
