"""Where two designs tie: the solver on known functions, and on the cost model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from infercost import SpecError, evaluate
from infercost.arrays import FloatArray
from infercost.break_even import BEYOND, between, find_ties, write_ties
from infercost.commands.breakeven import told
from infercost.operating import BATCHES
from infercost.studies import plan_study


def test_a_line_ties_where_it_should_for_every_cell_at_once() -> None:
    """Cost a + b x against c ties at x = (c - a) / b: 2, 8, and never below 100."""
    a, b, c = np.array([1.0, 2.0, 1.0]), np.array([1.0, 0.5, 0.1]), np.array([3.0, 6.0, 50.0])

    def ratio(x: FloatArray, index: FloatArray) -> FloatArray:
        i = index.astype(int)
        return np.log((a[i] + b[i] * np.exp(x)) / c[i])

    found = find_ties(ratio, 3, 0.1, 100.0)
    assert found.value[:2] == pytest.approx([2.0, 8.0], rel=1e-5)
    assert np.isnan(found.value[2])
    assert found.verdict == ["tie", "tie", "first always"]
    assert found.low == pytest.approx([1.1 / 3, 2.05 / 6, 1.01 / 50])


def test_a_jump_is_told_and_so_is_a_design_that_never_serves() -> None:
    """First stops serving at 7; second never serves; neither does."""

    def ratio(x: FloatArray, index: FloatArray) -> FloatArray:
        jump = np.where(np.exp(x) < 7, -1.0, BEYOND)
        cases = [jump, np.full(x.shape, -BEYOND), np.full(x.shape, np.nan), np.zeros(x.shape)]
        return np.choose(index.astype(int), cases)

    found = find_ties(ratio, 4, 1.0, 100.0)
    assert found.verdict == ["jump", "only first feasible", "neither feasible", "equal"]
    assert found.value[0] == pytest.approx(7.0, rel=1e-4)


HERE = ["model=llama-3.1-8b", "plan=base", "workload=azure-2023-conversation"]


def best(overrides: list[str]) -> float:
    batches = ",".join(map(str, BATCHES))
    rows = evaluate([*HERE, *overrides, f"batch={batches}"])
    fast = rows["feasible"] & (rows["tpot_s"] <= 0.1) & (rows["ttft_p90_s"] <= 2.0)
    return float(rows.loc[fast, "cost_per_mtoken_usd"].min())


def test_at_the_tie_both_designs_cost_the_same() -> None:
    """A purchase price at which owning an H100 costs what renting it does, found another way."""
    rows = between(
        [*HERE, "economics=owner,rental"],
        "hardware.price",
        ["1 kUSD", "1 MUSD"],
        "cost_per_mtoken_usd",
        1,
    ).to_pandas()
    assert list(rows["verdict"]) == ["tie"]
    assert rows["unit"][0] == "kUSD"
    price = float(rows["break_even"][0])
    owned = best(["economics=owner", f"hardware.price={price!r} kUSD"])
    assert owned == pytest.approx(best(["economics=rental"]), rel=1e-4)
    assert "below, owner is better" in told(rows, "cost_per_mtoken_usd")[0]


def test_without_a_tie_the_better_one_is_named() -> None:
    rows = between(
        [*HERE, "hardware=h100-sxm,a100-sxm-80gb"],
        "economics.electricity_price",
        ["0.01 USD/kWh", "0.2 USD/kWh"],
        "cost_per_mtoken_usd",
        1,
    ).to_pandas()
    assert rows["verdict"][0].endswith(" always")
    (sentence,) = told(rows, "cost_per_mtoken_usd")
    assert "do not tie" in sentence
    assert rows["verdict"][0].removesuffix(" always") + " is always better" in sentence


def test_draws_give_the_tie_an_interval() -> None:
    """The dearer the rent, the dearer a device may be to buy: in proportion, but for power."""
    rows = between(
        [
            *HERE,
            "economics=owner,rental",
            "hardware.rental_price={uniform: [1 USD/h, 3 USD/h]}",
            "draw=8",
        ],
        "hardware.price",
        ["1 kUSD", "1 MUSD"],
        "cost_per_mtoken_usd",
        1,
    ).to_pandas()
    assert list(rows["verdict"]) == ["tie"] * 8
    ordered = rows.sort_values("hardware.rental_price")
    price, rent = ordered["break_even"].to_numpy(), ordered["hardware.rental_price"].to_numpy()
    slope = np.diff(price) / np.diff(rent)
    assert slope == pytest.approx(slope.mean(), rel=0.02)
    assert "in 80 % of draws" in told(rows, "cost_per_mtoken_usd")[0]


@pytest.mark.parametrize(
    ("overrides", "path", "ends", "said"),
    [
        (["hardware=h100-sxm"], "hardware.price", ["1 USD", "2 USD"], "no group"),
        (["economics=owner,rental"], "hardware.price", ["2 USD", "1 USD"], "both above 0"),
        (["economics=owner,rental"], "hardware.price", ["1 W", "2 W"], "cannot be read in USD"),
        (["economics=owner,rental"], "hardware.prise", ["1 USD", "2 USD"], "unknown key 'prise'"),
        (["economics=owner,rental", "model=llama-3.1-8b,llama-3.1-70b"], "hardware.price",
         ["1 USD", "2 USD"], "--of"),
        (["direction=none,pnm"], "direction.hbf.price", ["1 USD/GB", "2 USD/GB"], "no case takes"),
    ],
)  # fmt: skip
def test_what_cannot_tie_is_one_line(
    overrides: list[str], path: str, ends: list[str], said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        between(overrides, path, ends, "cost_per_mtoken_usd", 1)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


STUDY: dict[str, Any] = {
    "name": "mine",
    "question": "When?",
    "axes": {"workload.context": [4096, 65536]},
    "overrides": ["workload=snapshot", "plan=base", "model=llama-3.1-8b"],
    "optimise": {
        "minimise": "decode_cost_per_moutput_usd",
        "within_slo": False,
        "largest_replica": 1,
        "over": {"batch": [1, 8, 64]},
    },
    "break_even": {
        "of": "economics",
        "ties": {
            "price": {
                "between": ["owner", "rental"],
                "input": "hardware.price",
                "range": ["1 kUSD", "1 MUSD"],
            }
        },
    },
}


def test_a_study_of_ties_has_a_row_per_case(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text(yaml.safe_dump(STUDY))
    plan = plan_study("mine", dirs=(str(tmp_path),))
    assert list(plan.parts) == ["price"]
    assert write_ties(plan.parts["price"], tmp_path / "rows.parquet") == 2
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(rows["verdict"]) == ["tie", "tie"]
    assert list(rows["workload.context"]) == [4096.0, 65536.0]
    # Where only the price of time differs, the tie is the same for all contexts but for energy.
    assert rows["break_even"].nunique() == 2
    assert rows["break_even"][0] == pytest.approx(rows["break_even"][1], rel=0.2)


def test_ties_of_a_study_have_the_same_columns_and_draws(tmp_path: Path) -> None:
    """Of a tie whose input is drawn too, the draw gives way: the column is empty there."""
    rent = {"uniform": ["2 USD/h", "4 USD/h"], "source": "assumed: a test"}
    price = {"uniform": ["30 kUSD", "40 kUSD"], "source": "assumed: a test"}
    inputs = {"hardware.rental_price": rent, "hardware.price": price}
    ties = dict(STUDY["break_even"]["ties"])
    ties["rent"] = {
        "between": ["owner", "rental"],
        "input": "hardware.rental_price",
        "range": ["0.1 USD/h", "10 USD/h"],
    }
    study = STUDY | {
        "draws": {"count": 4, "inputs": inputs},
        "break_even": {"of": "economics", "ties": ties},
    }
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text(yaml.safe_dump(study))
    plan = plan_study("mine", dirs=(str(tmp_path),))
    found = {}
    for label, plain in plan.parts.items():
        write_ties(plain, tmp_path / f"{label}.parquet")
        found[label] = pd.read_parquet(tmp_path / f"{label}.parquet")
    assert list(found["price"].columns) == list(found["rent"].columns)
    assert found["price"]["hardware.price"].isna().all()
    assert found["rent"]["hardware.price"].notna().all()
    # The tie in price at a drawn rent, and back: the tie in rent at that price is that rent.
    rented = found["price"]["hardware.rental_price"] * 3600
    assert found["price"]["break_even"].corr(rented) == pytest.approx(1.0, abs=0.02)
