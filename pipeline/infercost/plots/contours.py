"""Where one quantity reaches given levels, in the plane of two others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from altair.typing import ChartType

from infercost.plots.axes import LogAxis
from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import (
    MOST,
    as_text,
    by_panel,
    chosen_table,
    colours,
    columns_of,
    lines_over,
)

NONE = "no contour crosses the study's grid"


@figure
def contours(
    data: FigureData,
    x: str,
    y: str,
    value: str,
    levels: list[float],
    panel: str | None = None,
    table: str | None = None,
    title: str | None = None,
    subtitle: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    value_title: str | None = None,
    panel_title: str = "",
    columns: int = 2,
) -> Figure:
    """A line for each of `levels`: at every `x`, the `y` at which `value` reaches it.

    Columns are those of the aggregate `table`, or of the rows without one. Between two values of
    `y` the crossing is found on logarithmic scales; the first from below counts.
    """
    if len(levels) > MOST:
        fault = f"{len(levels)} levels, and a figure has {MOST} colours"
        raise data.fault("contours.levels", fault, "Name fewer")
    roles = {"x": x, "y": y, "value": value, "panel": panel}
    found = columns_of(data, "contours", chosen_table(data, "contours", table), roles)
    shown = crossings(found, levels)
    if shown.empty:
        raise data.fault("contours.levels", NONE, f"{value} is {_range(found['value'])}")
    horizontal = LogAxis.over(found["x"], 330, x_title or f"{x} (log scale)")
    vertical = LogAxis.over(found["y"], 270, y_title or f"{y} (log scale)")
    names = [as_text(level) for level in levels if as_text(level) in set(shown["series"])]
    colour = colours(names, value_title or value)

    def drawn(rows: pd.DataFrame) -> ChartType:
        return lines_over(rows, horizontal.x("x"), vertical.y("y"), colour, (330, 270))

    return Figure(
        chart=by_panel(shown, panel_title, columns, drawn),
        table=shown.rename(
            columns={**{role: name for role, name in roles.items() if name}, "series": value}
        ),
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            f"Along each line {value_title or value} is the same: it trades {x_title or x} "
            f"against {y_title or y}. Lines end where the study's grid or feasibility does."
        ),
    )


def crossings(found: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    """The `y` at which `value` reaches each level, at every `x` of every panel."""
    keys = [key for key in ("panel", "x") if key in found]
    rows: list[dict[str, object]] = []
    for group, points in found.groupby(keys, sort=False, observed=True):
        ordered = points.sort_values("y", kind="stable")
        y, value = ordered["y"].to_numpy(float), ordered["value"].to_numpy(float)
        for level in levels:
            crossing = _first_crossing(np.log(y), np.log(value), np.log(level))
            if crossing is not None:
                place = dict(zip(keys, group, strict=True))
                rows.append({**place, "y": float(np.exp(crossing)), "series": as_text(level)})
    return pd.DataFrame(rows)


def _first_crossing(y: np.ndarray, value: np.ndarray, level: float) -> float | None:
    above = value >= level
    changes = np.flatnonzero(above[1:] != above[:-1])
    if changes.size == 0:
        return None
    i = int(changes[0])
    share = (level - value[i]) / (value[i + 1] - value[i])
    return float(y[i] + share * (y[i + 1] - y[i]))


def _range(values: pd.Series[float]) -> str:
    return f"from {as_text(float(values.min()))} to {as_text(float(values.max()))}"
