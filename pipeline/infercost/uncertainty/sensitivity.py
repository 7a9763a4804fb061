"""Which uncertain input matters: Sobol indices of a metric over the draws of each design.

A first-order index is the share of a metric's variance that knowing this input alone would take
away; a total one, the share that is left while only this input is unknown. They need the draws of
Saltelli's design (`draws.sensitivity` of a study) and independent inputs; SALib estimates them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import FloatArray
from infercost.uncertainty.draws import DRAW, problem
from infercost.uncertainty.intervals import keys_of

if TYPE_CHECKING:
    import pandas as pd


def indices(values: FloatArray, inputs: list[str], seed: int = 0) -> pd.DataFrame:
    """First-order and total index of each input, with the half-width of its 95 % interval.

    `values` are of the draws of Saltelli's design, in order.
    """
    import pandas as pd
    from SALib.analyze import sobol

    found = sobol.analyze(problem(inputs), values, calc_second_order=False, seed=seed)
    return pd.DataFrame(
        {
            "input": inputs,
            "first": found["S1"],
            "first_half_width": found["S1_conf"],
            "total": found["ST"],
            "total_half_width": found["ST_conf"],
        }
    )


def sensitivity(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """The indices of each metric and design, beside the columns that tell designs apart.

    Operating points may differ from draw to draw and tell no design apart. A design with an
    infeasible draw, or whose metric does not vary, has none.
    """
    import pandas as pd

    before = list(rows.columns[: list(rows.columns).index("feasible")])
    keys = [name for name in keys_of(rows) if name not in ("batch", "tp", "pp", "dp", "ep")]
    inputs = sorted(name for name in before if "." in name and name not in keys)
    tables = []
    for design, drawn in rows.groupby(keys, observed=True, sort=False, dropna=False):
        ordered = drawn.sort_values(DRAW)
        for metric in metrics:
            values = ordered[metric].to_numpy(np.float64)
            if not np.isfinite(values).all() or np.ptp(values) == 0:
                continue
            table = indices(values, inputs)
            table.insert(0, "metric", metric)
            for place, key in enumerate(keys):
                table.insert(place, key, [design[place]] * len(table))
            tables.append(table)
    return pd.concat(tables) if tables else pd.DataFrame(columns=[*keys, "metric", "input"])
