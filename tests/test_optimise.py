"""The search for a best operating point, against brute force over the same grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import infercost
from infercost.compose import Options
from infercost.grid import GridAxis
from infercost.optimise import Search, joint_axis, search
from infercost.options.question import ask
from infercost.parts import chosen_rows

BATCHES = [1, 8, 64, 512]
TPS = [1, 2, 4, 8]
OVERRIDES = ["plan=base", "hardware=h100-sxm", "model=llama-3.1-8b", "workload=fixed-lengths"]


def found(keep: str, *more: str, within_slo: bool = False) -> pd.DataFrame:
    options = Options(ask([*OVERRIDES, *more]))
    composed = next(options.cases())
    layout = joint_axis("layout", {"plan.tp": np.array(TPS, float)}, composed, 8)
    inner = (layout, GridAxis("batch", {"batch": np.array(BATCHES, float)}))
    how = Search("cost_per_mtoken_usd", inner, within_slo, keep)
    return pd.concat([chosen_rows(composed, c).to_pandas() for c in search(composed, (), how)])


def every_point(*more: str) -> pd.DataFrame:
    lists = [f"plan.tp={','.join(map(str, TPS))}", f"batch={','.join(map(str, BATCHES))}"]
    return infercost.evaluate([*OVERRIDES, *more, *lists])


def test_the_best_point_is_the_cheapest_feasible_one() -> None:
    cheapest = every_point().loc[lambda t: t.feasible].sort_values("cost_per_mtoken_usd").iloc[0]
    best = found("best")
    assert len(best) == 1
    assert best.cost_per_mtoken_usd.item() == cheapest.cost_per_mtoken_usd
    assert (best.tp.item(), best.batch.item()) == (cheapest.tp, cheapest.batch)


def test_the_front_is_what_no_feasible_point_dominates() -> None:
    grid = every_point().loc[lambda t: t.feasible]
    undominated = {
        (row.tp, row.batch)
        for row in grid.itertuples()
        if not (
            (grid.tpot_s <= row.tpot_s)
            & (grid.cost_per_mtoken_usd <= row.cost_per_mtoken_usd)
            & ((grid.tpot_s < row.tpot_s) | (grid.cost_per_mtoken_usd < row.cost_per_mtoken_usd))
        ).any()
    }
    front = found("pareto")
    assert {(row.tp, row.batch) for row in front.itertuples()} == undominated
    assert front.best.sum() == 1
    assert front.loc[front.best, "cost_per_mtoken_usd"].item() == front.cost_per_mtoken_usd.min()


def test_the_capacity_term_is_what_unlimited_memory_would_save() -> None:
    """24 GB hold 16 GB of weights and few sequences; the same chip with 1 TB is the reference."""
    little = found("best", "hardware.memory.hbm.capacity=24 GB")
    plenty = found("best", "hardware.memory.hbm.capacity=1 TB")
    saved = little.cost_per_mtoken_usd.item() - plenty.cost_per_mtoken_usd.item()
    assert saved > 0
    assert little.capacity_cost_per_mtoken_usd.item() == pytest.approx(saved, rel=1e-9)
    assert plenty.capacity_cost_per_mtoken_usd.item() == 0
    shares = [c for c in little.columns if c.startswith("cost_stress_")]
    assert little[shares].sum(axis=1).item() == pytest.approx(1.0, abs=1e-12)


def test_where_nothing_fits_one_row_says_what_ran_out() -> None:
    row = found("pareto", "hardware.memory.hbm.capacity=1 GB")
    assert len(row) == 1
    assert not row.feasible.item()
    assert row["limited_by"].item() == "capacity"
    assert np.isnan(row.cost_per_mtoken_usd.item())


def test_a_missed_objective_is_named() -> None:
    row = found("best", "+workload.slo.ttft=10 s", "+workload.slo.tpot=1 us", within_slo=True)
    assert row["limited_by"].item() == "tpot"
    row = found("best", "+workload.slo.ttft=1 us", "+workload.slo.tpot=10 s", within_slo=True)
    assert row["limited_by"].item() == "ttft"


def test_joint_axes_leave_out_what_cannot_be_laid_out() -> None:
    """EP must be a multiple of DP and divide TP x DP: with TP 1 only DP = EP = 1 is left."""
    composed = next(Options(ask([*OVERRIDES, "model=mixtral-8x22b"])).cases())
    values = {"plan.dp": np.array([1.0, 4.0]), "plan.ep": np.array([1.0, 2.0])}
    axis = joint_axis("layout", values, composed, 64)
    assert set(zip(axis.values["plan.dp"], axis.values["plan.ep"], strict=True)) == {(1.0, 1.0)}


BETTER = (
    "hardware.scale_up.alpha=0.5 us",
    "hardware.scale_up.bandwidth_out=900 GB/s",
    "hardware.scale_up.domain=16",
    "+hardware.scale_up.endpoint.keep_landing=0",
    "+hardware.scale_up.endpoint.keep_software=0.5",
    "hardware.scale_out.alpha=1 us",
    "hardware.scale_out.bandwidth_out=800 Gbit/s",
    "hardware.scale_up.topology.kind=reducing_switch",
)


@pytest.mark.parametrize("model", ["llama-3.1-70b", "mixtral-8x22b"])
@pytest.mark.parametrize("change", BETTER)
def test_a_better_network_never_makes_the_best_point_worse(change: str, model: str) -> None:
    """Nor any point of the front, on up to 16 devices; of an ideal stack, whose collectives are
    chosen by the time that they take."""
    overrides = [f"model={model}", "calibration=ideal", "workload=azure-2023-code"]
    overrides.append("hardware.scale_up.collectives=[ring,one_shot,two_shot,in_network]")
    before, after = (_front([*overrides, *more]) for more in ([], [change]))
    assert after.cost.min() <= before.cost.min() * (1 + 1e-9)
    for point in before.itertuples():
        as_fast = after.cost[after.tpot <= point.tpot * (1 + 1e-9)]
        assert as_fast.min() <= point.cost * (1 + 1e-9)


def _front(overrides: list[str]) -> pd.DataFrame:
    options = Options(ask([*OVERRIDES, *overrides]))
    composed = next(options.cases())
    degrees = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    layout = joint_axis(
        "layout", dict.fromkeys(("plan.tp", "plan.dp", "plan.ep"), degrees), composed, 16
    )
    inner = (layout, GridAxis("batch", {"batch": np.array(BATCHES, float)}))
    how = Search("cost_per_mtoken_usd", inner, False, "pareto")
    rows = pd.concat([chosen_rows(composed, c).to_pandas() for c in search(composed, (), how)])
    assert rows.feasible.all()
    return pd.DataFrame({"cost": rows.cost_per_mtoken_usd, "tpot": rows.tpot_s})
