"""How probable it is that each option is the best."""

from __future__ import annotations

import altair as alt
import pandas as pd

from infercost.plots.base import Figure, FigureData, figure
from infercost.plots.panels import COLOURS, MOST, as_text, by_panel


def probabilities(rows: pd.DataFrame, of: str, metric: str, within: list[str]) -> pd.DataFrame:
    """Share of draws in which each option of `of` has the least `metric`, per group of `within`.

    Options meet draw by draw. An infeasible draw of an option never wins; a draw without a feasible
    option counts for `none feasible`.
    """
    rows = rows.assign(**{key: rows[key].astype(object) for key in (of, *within)})
    table = rows.pivot_table(
        index=[*within, "draw"],
        columns=of,
        values=metric,
        aggfunc="min",
        dropna=False,
        observed=True,
    )
    table = table.reindex(columns=pd.unique(rows[of]))
    best = table.fillna(float("inf")).idxmin(axis=1).where(table.notna().any(axis=1), NOTHING)
    counts = best.rename("best").reset_index().groupby([*within, "best"], sort=False).size()
    sizes = best.groupby(level=within, sort=False).size() if within else len(best)
    found = (counts / sizes).rename("probability").reset_index()
    every = [*pd.unique(rows[of]), NOTHING]
    found["order"] = [every.index(name) for name in found["best"]]
    return found.sort_values([*within, "order"]).drop(columns="order").rename(columns={"best": of})


NOTHING = "none feasible"


@figure
def probability_of_best(
    data: FigureData,
    of: str = "direction",
    metric: str = "cost_per_mtoken_usd",
    by: str = "model",
    panel: str | None = None,
    title: str | None = None,
    subtitle: str = "",
    columns: int = 3,
) -> Figure:
    """A bar per value of `by`, split by the share of draws in which each option of `of` is best."""
    rows = data.rows[data.rows["best"]] if "best" in data.rows else data.rows
    within = [by] if panel is None else [by, panel]
    table = probabilities(rows, of, metric, within)
    names = [as_text(name) for name in pd.unique(rows[of])]
    if len(names) > MOST:
        fault = f"'{of}' has {len(names)} options, and a figure {MOST} colours"
        raise data.fault("probability-of-best.of", fault, "Choose some by 'where'")
    shown = table.rename(columns={of: "series", by: "by", **({panel: "panel"} if panel else {})})
    shown = shown.assign(series=shown["series"].map(as_text), by=shown["by"].map(as_text))
    range_ = list(COLOURS[: len(names)])
    if (table[of] == NOTHING).any():
        names, range_ = [*names, NOTHING], [*range_, "#e6e6e6"]
    scale = alt.Scale(domain=names, range=range_)
    ordered = [as_text(name) for name in pd.unique(rows[by])]
    shown["order"] = [names.index(name) for name in shown["series"]]

    def drawn(part: pd.DataFrame) -> alt.Chart:
        chart: alt.Chart = (
            alt.Chart(part[["by", "series", "probability", "order"]])
            .mark_bar()
            .encode(
                x=alt.X(
                    "probability:Q",
                    scale=alt.Scale(domain=[0, 1]),
                    axis=alt.Axis(title="share of draws", format="%"),
                ),
                y=alt.Y("by:N", sort=ordered, axis=alt.Axis(title=None)),
                color=alt.Color("series:N", scale=scale, legend=alt.Legend(title=of)),
                order=alt.Order("order:Q"),
            )
            .properties(width=520 if panel is None else 250, height=26 * len(ordered))
        )
        return chart

    return Figure(
        chart=by_panel(shown, panel, columns, drawn) if panel else drawn(shown),
        table=table,
        title=title or data.question,
        subtitle=subtitle,
        caption=(
            f"Share of the draws in which an option of {of} has the least {metric}, each at its "
            "own best operating point of the draw. Options meet draw by draw: all see the same "
            "sample of the uncertain inputs."
        ),
    )
