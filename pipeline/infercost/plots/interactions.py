"""Whether two changes help each other: what one gives without and with the other, pair by pair."""

from __future__ import annotations

import altair as alt
import pandas as pd
from altair.typing import ChartType

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import by_panel, chosen_table, colours, columns_of

SIZE = (150, 190)
ROLES = ("first", "second", "has_first", "has_second", "gain", "synergy")
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5, 7, 10, 20)
WITHOUT, WITH = "without the second", "with the second"


@figure
def interactions(
    data: FigureData,
    table: str,
    title: str | None = None,
    subtitle: str = "",
    y_title: str = "gain (log scale)",
    columns: int = 3,
) -> Figure:
    """`gain` without and with a `first` change, a line each for those without and with a `second`.

    The aggregate `table` has those columns, `has_first` and `has_second` as truths, and `synergy`:
    what the first gives beside the second over what it gives without. Lines in parallel on the
    logarithmic axis are of changes that multiply.
    """
    frame = chosen_table(data, "interactions", table)
    shown = columns_of(data, "interactions", frame, {role: role for role in ROLES})
    if shown.duplicated(["first", "second", "has_first", "has_second"]).any():
        raise data.fault("interactions", "a pair has several values", "Choose some by 'where'")
    shown["panel"] = [
        f"{a} × {b}: {s:.2f}"
        for a, b, s in zip(shown["first"], shown["second"], shown["synergy"], strict=True)
    ]
    shown["series"] = [WITH if has else WITHOUT for has in shown["has_second"]]
    shown["x"] = ["with the first" if has else "without" for has in shown["has_first"]]
    low, high = 0.98 * float(shown["gain"].min()), 1.02 * float(shown["gain"].max())
    vertical = alt.Y(
        "gain:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(title=y_title, values=[t for t in TICKS if low <= t <= high], format="~r"),
    )

    def drawn(rows: pd.DataFrame) -> ChartType:
        base = alt.Chart(rows[["x", "series", "gain"]])
        axis = alt.Axis(title=None, labelAngle=0, domain=False, ticks=False)
        marks = base.mark_line(point=alt.OverlayMarkDef(size=40)).encode(
            x=alt.X("x:N", sort=["without", "with the first"], axis=axis),
            y=vertical,
            color=colours((WITHOUT, WITH), "of each pair"),
        )
        chart: ChartType = marks.properties(width=SIZE[0], height=SIZE[1])
        return chart

    return Figure(
        chart=by_panel(shown, "", columns, drawn),
        table=shown[list(ROLES)],
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            "Geometric mean of the gain over all settings of the others. Above each pair stands "
            "what its first gives beside the second over what it gives without: 1 where both "
            "multiply, less where they overlap, more where they help each other."
        ),
    )
