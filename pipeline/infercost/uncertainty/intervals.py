"""What draws say together: a row per design, with the interval of each metric over its draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infercost.errors import SpecError
from infercost.registry import metrics
from infercost.specs.case import GROUPS
from infercost.table import PLAN_COLUMNS
from infercost.uncertainty.draws import DRAW

if TYPE_CHECKING:
    import pandas as pd

SHARES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
"""Suffixes of columns, and the share of draws below."""


def keys_of(frame: pd.DataFrame) -> list[str]:
    """The columns that tell designs apart: options, batch, plan and axes, but no drawn input."""
    before = list(frame.columns[: list(frame.columns).index("feasible")])
    named = [name for name in before if name in GROUPS or name in PLAN_COLUMNS]
    others = [name for name in before if name not in named and name != DRAW]
    sizes = {name: frame.groupby(DRAW, observed=True)[name].nunique().max() for name in others}
    # An axis takes all its values within each draw; an input takes one, or one per option.
    fixed = [name for name in others if sizes[name] == frame[name].nunique()]
    return [name for name in before if name in named or name in fixed]


def intervals(frame: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Of rows with a column `draw`: per design the 10th, 50th and 90th percentile and the mean.

    `columns` are the metrics to sum up, all by default. Infeasible draws count in
    `feasible_share` alone.
    """
    if DRAW not in frame:
        raise SpecError("intervals", DRAW, "is no column of these rows", "Evaluate with draw=256")
    keys = keys_of(frame)
    chosen = list(columns) or [name for name in metrics() if name in frame]
    groups = frame.groupby(keys, observed=True, sort=False, dropna=False)
    found = groups.agg(draws=(DRAW, "nunique"), feasible_share=("feasible", "mean"))
    for name in chosen:
        for suffix, share in SHARES.items():
            found[f"{name}_{suffix}"] = groups[name].quantile(share)
        found[f"{name}_mean"] = groups[name].mean()
    return found.reset_index()
