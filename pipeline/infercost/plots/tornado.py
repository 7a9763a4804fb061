"""Which uncertain input moves a metric most."""

from __future__ import annotations

import altair as alt
import pandas as pd

from infercost.plots.base import Figure, FigureData, figure

LOW, HIGH = "input in its lowest fifth", "input in its highest fifth"


def swings(rows: pd.DataFrame, metric: str, inputs: list[str]) -> pd.DataFrame:
    """Mean of a metric over the draws in the lowest and in the highest fifth of each input."""
    found = []
    for name in inputs:
        rank = rows[name].rank(pct=True)
        low, high = rows.loc[rank <= 0.2, metric].mean(), rows.loc[rank > 0.8, metric].mean()
        found.append({"input": name, "low": low, "high": high, "swing": abs(high - low)})
    table = pd.DataFrame(found, columns=["input", "low", "high", "swing"])
    return table.sort_values("swing", ascending=False, kind="stable").reset_index(drop=True)


@figure
def tornado(
    data: FigureData,
    metric: str = "cost_per_mtoken_usd",
    relative_to: dict[str, str] | None = None,
    title: str | None = None,
    subtitle: str = "",
    x_title: str | None = None,
    most: int = 12,
) -> Figure:
    """Bars from the metric's mean with an input low to that with it high, the longest first.

    The rows have to be of one design: choose by `where`. `relative_to` (column to value) takes the
    metric over that of another design in the same draw.
    """
    rows = data.rows[data.rows["best"]] if "best" in data.rows else data.rows
    if relative_to:
        ((column, other),) = relative_to.items()
        base = rows[rows[column].astype(str) == other].set_index("draw")[metric]
        rows = rows[rows[column].astype(str) != other]
        rows = rows.assign(**{metric: rows[metric] / rows["draw"].map(base)})
    if rows["draw"].duplicated().any():
        raise data.fault("tornado", "several designs share a draw", "Choose one by 'where'")
    before = list(rows.columns[: list(rows.columns).index("feasible")])
    inputs = [c for c in before if "." in c and rows[c].nunique() > 1]
    if not inputs or rows[metric].notna().sum() < 5:
        raise data.fault("tornado", "no input varies", "Draw some, and choose a feasible design")
    table = swings(rows, metric, inputs)
    shown = table.head(most)
    middle = float(rows[metric].mean())
    ends = pd.concat(
        [
            shown[["input", "low"]].rename(columns={"low": "value"}).assign(end=LOW),
            shown[["input", "high"]].rename(columns={"high": "value"}).assign(end=HIGH),
        ]
    ).assign(middle=middle)
    colour = alt.Color(
        "end:N",
        scale=alt.Scale(domain=[LOW, HIGH], range=["#0072B2", "#E69F00"]),
        legend=alt.Legend(title=None, orient="top"),
    )
    bars = (
        alt.Chart(ends)
        .mark_bar(height=14)
        .encode(
            x=alt.X(
                "middle:Q",
                scale=alt.Scale(zero=False),
                axis=alt.Axis(title=x_title or f"mean {metric}"),
            ),
            x2="value:Q",
            y=alt.Y("input:N", sort=list(shown["input"]), axis=alt.Axis(title=None)),
            color=colour,
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"middle": [middle]}))
        .mark_rule(color="#222222")
        .encode(x="middle:Q")
    )
    return Figure(
        chart=(bars + rule).properties(width=520, height=24 * len(shown)),
        table=table,
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            "For each uncertain input the mean of the metric over the fifth of the draws in which "
            "it is lowest, and over the fifth in which it is highest; the line is the mean of all. "
            "All other inputs vary. Bars of one design; inputs that change nothing are short."
        ),
    )
