"""What mitigations do at one point: each alone, and all together, against the case without them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from infercost.commands.output import print_table

if TYPE_CHECKING:
    from infercost.cost import Evaluation

COMPARED = ("ttft_s", "tpot_s", "cost_per_mtoken_usd")
TITLES = ("TTFT", "TPOT", "cost per token")


def mitigation_rows(point: Evaluation) -> list[dict[str, Any]]:
    """Active mitigations in order, then all together: changes against none, and quality lost.

    Changes are ratios minus one; a mitigation that does not stand alone, since another makes room
    for it, has none.
    """
    from infercost.arrays import number

    base = point.case.unmitigated
    if base is None:
        return []
    plain = _values(base)
    rows = []
    for name, mitigation in point.case.mitigation.items():
        loss = number(mitigation.lost())
        alone = _values(base.model_copy(update={"mitigation": {name: mitigation}}))
        measure = mitigation.quality.measure
        rows.append(_row(name, mitigation.name, alone, plain, loss, measure))
    loss = number(point.case.mechanisms.quality_loss)
    rows.append(_row("all", "together", _values(point.case), plain, loss, "losses summed"))
    return rows


def _row(
    key: str, title: str, after: list[float], before: list[float], loss: float, measure: str
) -> dict[str, Any]:
    changes = {
        name: a / b - 1.0 if math.isfinite(a) and math.isfinite(b) else None
        for name, a, b in zip(COMPARED, after, before, strict=True)
    }
    quality = None if math.isnan(loss) else loss
    return {"mitigation": key, "name": title, **changes, "quality_loss": quality, "of": measure}


def _values(case: Any) -> list[float]:
    """The compared columns of a case; not a number where it cannot be, or does not suit."""
    import numpy as np

    from infercost.arrays import number
    from infercost.cost import Evaluation
    from infercost.errors import SpecError
    from infercost.registry import metrics

    try:
        point = Evaluation(case)
    except SpecError:  # another of the set makes room for it
        return [float("nan")] * len(COMPARED)
    if np.any(np.asarray(point.broken) > 0):
        return [float("nan")] * len(COMPARED)
    return [number(metrics()[name].evaluate(point)) for name in COMPARED]


def print_mitigations(rows: list[dict[str, Any]]) -> None:
    """The rows as a table."""
    shown = [
        [
            row["mitigation"],
            *("-" if row[name] is None else f"{row[name]:+.1%}" for name in COMPARED),
            "unknown" if row["quality_loss"] is None else f"{row['quality_loss']:.1%}",
            row["of"],
        ]
        for row in rows
    ]
    headings = ["mitigation", *TITLES, "quality lost", "measured on"]
    print_table("Mitigations: change against none", headings, shown)
