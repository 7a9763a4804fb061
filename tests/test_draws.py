"""Uncertain inputs: what may be stated, how it is drawn, what intervals and shares follow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from infercost import SpecError, evaluate, intervals
from infercost.__main__ import main
from infercost.parts import Part, write_part
from infercost.plots.probability_of_best import NOTHING, probabilities
from infercost.plots.tornado import swings
from infercost.specs.draws import Distribution
from infercost.stages.report import drawn
from infercost.studies import load_study, plan_study
from infercost.uncertainty.draws import SALTELLI, quantile, shares
from infercost.uncertainty.sensitivity import indices, sensitivity

PRICE = "hardware.price={uniform: [20000 USD, 30000 USD]}"


def mean_of(kind: Any, *values: float, weights: tuple[float, ...] = ()) -> float:
    u = shares(["x"], 2**14, 1)["x"]
    return float(quantile(Distribution(kind=kind, values=values, weights=weights), u).mean())


def test_means_are_those_of_the_distributions() -> None:
    """(2 + 4)/2; (e - 1)/ln e; (0 + 1 + 5)/3; sqrt(1 x 4) e^(s^2/2) with s = ln 4 / 2.5631."""
    assert mean_of("uniform", 2, 4) == pytest.approx(3, rel=1e-4)
    assert mean_of("loguniform", 1, np.e) == pytest.approx(np.e - 1, rel=1e-4)
    assert mean_of("triangular", 0, 1, 5) == pytest.approx(2, rel=1e-4)
    sigma = np.log(4) / 2.5631031310892007
    assert mean_of("lognormal", 1, 4) == pytest.approx(2 * np.exp(sigma**2 / 2), rel=1e-3)
    assert mean_of("choices", 1, 3) == pytest.approx(2, rel=1e-4)
    assert mean_of("choices", 1, 3, weights=(0.25, 0.75)) == pytest.approx(2.5, rel=1e-4)


def test_a_lognormal_has_its_tenth_and_ninetieth_percentile() -> None:
    found = quantile(Distribution(kind="lognormal", values=(3, 7)), np.array([0.1, 0.9]))
    assert found == pytest.approx([3, 7])


def test_all_distributions_rise_with_the_share() -> None:
    u = np.linspace(0.001, 0.999, 500)
    for kind, values in {
        "uniform": (1, 2),
        "loguniform": (1, 9),
        "triangular": (1, 1, 4),
        "lognormal": (1, 2),
        "choices": (1, 2, 3),
    }.items():
        found = quantile(Distribution(kind=kind, values=values), u)  # type: ignore[arg-type]
        assert (np.diff(found) >= 0).all(), kind


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    one, same, other = (shares(["a", "b"], 1000, seed) for seed in (7, 7, 8))
    assert one["a"].tobytes() == same["a"].tobytes()
    assert one["a"].tobytes() != other["a"].tobytes()


def test_a_copula_gives_the_correlation_of_scores_and_keeps_the_margins() -> None:
    """A Gaussian copula of rho has Spearman's 6 / pi asin(rho / 2): 0.582 at 0.6."""
    points = shares(["a", "b", "c"], 2**13, 3, [{"between": ["a", "c"], "rho": 0.6}])
    frame = pd.DataFrame(points)
    expected = 6 / np.pi * np.arcsin(0.3)
    assert frame["a"].corr(frame["c"], method="spearman") == pytest.approx(expected, abs=0.01)
    assert abs(frame["a"].corr(frame["b"], method="spearman")) < 0.01
    assert np.quantile(frame["c"], [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.01)


def test_correlations_that_contradict_one_another_are_refused() -> None:
    """a goes with b and with c, but b against c: no three numbers can."""
    pairs = [("a", "b", 0.9), ("a", "c", 0.9), ("b", "c", -0.9)]
    with pytest.raises(SpecError, match="contradict"):
        shares("abc", 8, 0, [{"between": [a, b], "rho": rho} for a, b, rho in pairs])


def test_without_draws_the_nominal_value_is_taken() -> None:
    """The middle of 20,000 and 30,000 USD, the geometric middle of 10,000 and 40,000, the mode."""
    expected = evaluate(["hardware.price=25000 USD"])["cost_per_mtoken_usd"][0]
    assert evaluate([PRICE])["cost_per_mtoken_usd"][0] == pytest.approx(expected, rel=1e-12)
    for text, nominal in {
        "{loguniform: [10000 USD, 40 kUSD]}": "20000 USD",
        "{triangular: [1 kUSD, 2 kUSD, 9 kUSD]}": "2 kUSD",
        "{lognormal: [10000 USD, 40000 USD]}": "20000 USD",
        "{choices: [7 kUSD, 9 kUSD]}": "7 kUSD",
        "{uniform: [7 kUSD, 9 kUSD], nominal: 7.5 kUSD}": "7.5 kUSD",
    }.items():
        found = evaluate([f"hardware.price={text}"])["cost_per_mtoken_usd"][0]
        stated = evaluate([f"hardware.price={nominal}"])["cost_per_mtoken_usd"][0]
        assert found == pytest.approx(stated, rel=1e-12), text


def test_each_draw_is_the_evaluation_of_its_values() -> None:
    drawn = evaluate([PRICE, "draw=4", "draw.seed=5", "batch=8,64"])
    assert len(drawn) == 8
    row = drawn[(drawn["batch"] == 64) & (drawn["draw"] == 2)].iloc[0]
    price = float(row["hardware.price"])
    assert 20000 <= price <= 30000
    alone = evaluate([f"hardware.price={price!r} USD", "batch=64"])
    assert row["cost_per_mtoken_usd"] == pytest.approx(alone["cost_per_mtoken_usd"][0], rel=1e-12)


def test_designs_share_their_draws() -> None:
    """Prices from 20 to 30 and from 40 to 60 thousand USD: in each draw one is twice the other."""
    drawn = evaluate([PRICE, "draw=16", "hardware=h100-sxm", "economics=owner,rental"])
    by_draw = drawn.pivot(index="draw", columns="economics", values="hardware.price")
    assert (by_draw["owner"] == by_draw["rental"]).all()


def test_ranges_of_a_direction_are_drawn_and_not_where_an_end_is_chosen() -> None:
    drawn = evaluate(["direction=none,hbf,hbf@best", "draw=32"])
    price = "direction.hbf.memory.hbf.price"
    hbf = drawn[drawn["direction"] == "hbf"][price] * 1e9
    assert hbf.between(0.975, 3.12).all()
    assert hbf.median() == pytest.approx(np.sqrt(0.975 * 3.12), rel=0.1)  # even in the logarithm
    assert drawn[drawn["direction"] != "hbf"][price].isna().all()
    fixed = drawn[drawn["direction"] != "hbf"].groupby("direction")["cost_per_mtoken_usd"]
    assert (fixed.nunique() == 1).all()


def test_a_number_of_a_direction_or_mitigation_may_be_drawn_by_an_override() -> None:
    """Two options that combine: each draw has its own price and depth of drafts."""
    drawn = evaluate(
        [
            "direction=none,hbf",
            "direction.hbf.price={uniform: [1 USD/GB, 2 USD/GB]}",
            "+mitigation=speculation-eagle",
            "mitigation.speculation-eagle.drafted={choices: [1, 4]}",
            "draw=16",
            "draw.inputs=[direction.hbf.price, mitigation.speculation-eagle.drafted]",
        ]
    )
    price = drawn["direction.hbf.memory.hbf.price"] * 1e9
    assert price[drawn["direction"] == "none"].isna().all()
    assert price[drawn["direction"] == "hbf"].between(1, 2).all()
    assert set(drawn["mitigation.speculation-eagle.drafted"]) == {1.0, 4.0}
    alone = evaluate(["+direction=hbf", "direction.hbf.price={uniform: [1 USD/GB, 2 USD/GB]}"])
    middle = evaluate(["+direction=hbf", "direction.hbf.price=1.5 USD/GB"])
    assert alone["cost_per_mtoken_usd"][0] == pytest.approx(middle["cost_per_mtoken_usd"][0])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["hardware.price={uniform: [2, 3 USD]}"], "2 has no unit"),
        (["hardware.price={uniform: [3 USD, 2 USD]}"], "goes from 3 USD to 2 USD"),
        (["hardware.price={uniform: [3 USD]}"], "Write [low, high]"),
        (["hardware.price={uniform: [1 USD, 2 USD], lognormal: [1 USD, 2 USD]}"], "at once"),
        (["hardware.price={uniform: [1 USD, 2 USD], mean: 2}"], "unknown key 'mean'"),
        (["hardware.price={lognormal: [0 USD, 2 USD]}"], "both above 0"),
        (["economics.utilisation={uniform: [0.5, 1.5]}"], "1.5 is out of range"),
        (["plan.tp={uniform: [1, 2]}"], "Write choices"),
        (["plan.tp={choices: [1, 2], weights: [1]}"], "one per choice"),
        (["batch={choices: [8, 64]}", "draw=8"], "Write an axis such as batch=8,64"),
        (["+direction=hbf", "direction.hbf.price={uniform: [2, 3 USD/GB]}"], "2 has no unit"),
        (["draw=8"], "no option of this question states an uncertain number"),
        ([PRICE, "draw=0"], "cannot be read"),
        ([PRICE, "draw=8", "draw.seeds=2"], "Did you mean 'draw.seed'?"),
        ([PRICE, "draw.seed=2"], "Add for example draw=256"),
        ([PRICE, "draw=8", "draw.inputs=[hardware.tdp]"], "no option states it as uncertain"),
        (["direction=hbf", "direction.hbf.price=1 USD/GB", "draw=8",
          "draw.inputs=[direction.hbf.price]"], "is an axis or fixed"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        evaluate(overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_distribution_in_an_option_that_is_not_whole_tells_what_is_missing() -> None:
    with pytest.raises(SpecError) as caught:
        evaluate(["trend=rag", "+trend.retrieval.rounds={uniform: [1, 2]}", "draw=8"])
    assert "trend.retrieval.vector: required key is missing" in str(caught.value)
    assert "goes from" not in str(caught.value)


def test_an_option_in_a_file_may_be_uncertain(tmp_path: Path) -> None:
    (tmp_path / "economics").mkdir()
    file = tmp_path / "economics" / "mine.yaml"
    content = {
        "defaults": ["owner", "_self_"],
        "electricity_price": {"triangular": ["0.05 USD/kWh", "0.08 USD/kWh", "0.2 USD/kWh"]},
        "sources": {"electricity_price": "assumed: a contract to be signed"},
    }
    file.write_text(yaml.safe_dump(content))
    drawn = evaluate(["economics=mine", "draw=8"], dirs=(str(tmp_path),))
    price = drawn["economics.electricity_price"] * 3.6e6
    assert price.between(0.05, 0.2).all()
    assert price.nunique() == 8
    content["electricity_price"] = {"triangular": ["0.05 USD", "0.08 USD/kWh", "0.2 USD/kWh"]}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(SpecError, match=r"mine\.yaml:\d+: electricity_price: '0.05 USD' cannot be"):
        evaluate(["economics=mine"], dirs=(str(tmp_path),))


def test_intervals_are_quantiles_over_draws_of_each_design() -> None:
    """Cost is linear in price, so that its median is that of the middle price."""
    drawn = evaluate([PRICE, "draw=256", "batch=8,64"])
    found = intervals(drawn, ["cost_per_mtoken_usd"])
    assert list(found["batch"]) == [8, 64]
    assert (found["draws"] == 256).all()
    middle = evaluate(["hardware.price=25000 USD", "batch=8,64"])["cost_per_mtoken_usd"]
    low = evaluate(["hardware.price=21000 USD", "batch=8,64"])["cost_per_mtoken_usd"]
    assert found["cost_per_mtoken_usd_p50"].to_numpy() == pytest.approx(middle.to_numpy(), rel=1e-3)
    assert found["cost_per_mtoken_usd_p10"].to_numpy() == pytest.approx(low.to_numpy(), rel=2e-3)


def test_sobol_indices_of_the_g_function_are_the_analytic_ones() -> None:
    """Sobol's G of six inputs has indices in closed form (Saltelli and Sobol 1995)."""
    from SALib.test_functions import Sobol_G

    a = np.array([0.0, 0.5, 1.0, 3.0, 9.0, 99.0])
    names = [f"x{i}" for i in range(6)]
    points = shares(names, 2**14, 1, design=SALTELLI)
    values = Sobol_G.evaluate(np.column_stack([points[name] for name in names]), a=a)
    found = indices(values, names)
    first, total = Sobol_G.sensitivity_index(a), Sobol_G.total_sensitivity_index(a)
    large = first > 0.1
    assert found["first"].to_numpy()[large] == pytest.approx(first[large], rel=0.02)
    assert found["total"].to_numpy()[large] == pytest.approx(total[large], rel=0.02)
    assert found["first"].to_numpy() == pytest.approx(first, abs=0.005)


def test_a_draw_with_the_least_metric_is_won() -> None:
    rows = pd.DataFrame(
        {
            "direction": ["a", "b"] * 4,
            "model": "m",
            "draw": [0, 0, 1, 1, 2, 2, 3, 3],
            "cost": [1.0, 2.0, 1.0, np.nan, 3.0, 2.0, np.nan, np.nan],
        }
    )
    found = probabilities(rows, "direction", "cost", ["model"]).set_index("direction")
    assert found["probability"].to_dict() == {"a": 0.5, "b": 0.25, NOTHING: 0.25}


def test_a_tornado_is_longest_for_the_input_that_matters() -> None:
    points = pd.DataFrame(shares(["large.x", "small.x"], 1024, 1))
    points["y"] = 10 * points["large.x"] + points["small.x"]
    found = swings(points, "y", ["small.x", "large.x"])
    assert list(found["input"]) == ["large.x", "small.x"]
    assert found["swing"][0] == pytest.approx(10 * 0.8, rel=0.02)  # middles of the fifths


STUDY: dict[str, Any] = {
    "name": "mine",
    "question": "Is it?",
    "axes": {"direction": ["none", "hbf"], "workload.context": [8192]},
    "split": "direction",
    "overrides": ["workload=snapshot"],
    "draws": {
        "count": 8,
        "seed": 3,
        "inputs": {
            "direction.hbf.price": "stated",
            "economics.electricity_price": {
                "uniform": ["0.05 USD/kWh", "0.1 USD/kWh"],
                "source": "assumed: a test",
            },
        },
        "correlations": [
            {
                "between": ["direction.hbf.price", "economics.electricity_price"],
                "rho": 0.5,
                "source": "assumed: a test",
            }
        ],
    },
    "optimise": {
        "minimise": "cost_per_mtoken_usd",
        "within_slo": False,
        "largest_replica": 8,
        "over": {"batch": [8, 64]},
    },
    "keep": "best",
}


def study_of(folder: Path, **changed: Any) -> str:
    (folder / "study").mkdir(exist_ok=True)
    (folder / "study" / "mine.yaml").write_text(yaml.safe_dump(STUDY | changed))
    return str(folder)


def test_a_study_draws_the_same_for_all_parts_and_to_the_byte(tmp_path: Path) -> None:
    plan = plan_study("mine", dirs=(study_of(tmp_path),))
    files = {label: tmp_path / f"{label}.parquet" for label in plan.parts}
    for label, plain in plan.parts.items():
        write_part(json.loads(json.dumps(plain)), files[label])
        again = tmp_path / "again.parquet"
        write_part(plain, again)
        assert again.read_bytes() == files[label].read_bytes()
    none, hbf = (pd.read_parquet(files[label]) for label in ("none", "hbf"))
    assert list(none.columns) == list(hbf.columns)
    electricity = "economics.electricity_price"
    assert (none[electricity].to_numpy() == hbf[electricity].to_numpy()).all()
    assert len(none) == len(hbf) == 8
    assert plan.points_of("none") == 16


def test_a_study_may_land_some_metrics_only(tmp_path: Path) -> None:
    draws = STUDY["draws"] | {"columns": ["tpot_s"]}
    plan = plan_study("mine", dirs=(study_of(tmp_path, draws=draws),))
    table, _ = next(Part.of(plan.parts["none"]).tables())
    assert "tpot_s" in table.column_names
    assert "cost_per_mtoken_usd" not in table.column_names


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"inputs": {"hardware.tdp": {"uniform": ["1 W", "2 W"]}}}, "has no source"),
        ({"inputs": {"direction.pnm.energy": "stated"}}, "no case takes direction 'pnm'"),
        ({"columns": ["cost"]}, "no metric 'cost'"),
        ({"sensitivity": ["tpot_s"]}, "independent inputs only"),
        ({"sensitivity": ["tpot_s"], "correlations": [], "count": 9}, "no power of two"),
    ],
)
def test_draws_of_a_study_that_cannot_be(tmp_path: Path, changed: Any, said: str) -> None:
    draws = STUDY["draws"] | ({} if "sensitivity" in changed else {"correlations": []}) | changed
    with pytest.raises(SpecError) as caught:
        plan_study("mine", dirs=(study_of(tmp_path, draws=draws),))
    assert said in str(caught.value)


def test_shares_of_a_linear_cost_are_those_of_its_slopes(tmp_path: Path) -> None:
    """Cost is linear in two independent uniform inputs: their shares are (slope x width)^2."""
    prices = ("hardware.price", ["20 kUSD", "60 kUSD"])
    powers = ("economics.electricity_price", ["0.05 USD/kWh", "0.25 USD/kWh"])
    drawn = {
        path: {"uniform": ends, "source": "assumed: a test"} for path, ends in (prices, powers)
    }
    metric = "decode_cost_per_moutput_usd"
    study = study_of(
        tmp_path,
        axes={"direction": ["none"], "workload.context": [8192]},
        draws={"count": 256, "seed": 1, "inputs": drawn, "sensitivity": [metric]},
    )
    plan = plan_study("mine", dirs=(study,))
    assert plan.points_of("none") == 256 * (2 + 2) * 2  # two batches to choose from
    write_part(plan.parts["none"], tmp_path / "rows.parquet")
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == 256 * 4
    found = sensitivity(rows, [metric]).set_index("input")

    def cost(path: str, value: str) -> float:
        middle = ["hardware.price=40 kUSD", "economics.electricity_price=0.15 USD/kWh"]
        fixed = [*middle, "workload=snapshot", "workload.context=8192", "batch=64"]
        return float(evaluate([*fixed, f"{path}={value}"])[metric][0])

    width = {path: cost(path, ends[1]) - cost(path, ends[0]) for path, ends in (prices, powers)}
    total = sum(w**2 for w in width.values())
    for path, wide in width.items():
        assert found.loc[path, "first"] == pytest.approx(wide**2 / total, rel=0.02, abs=0.005)
        assert found.loc[path, "total"] == pytest.approx(wide**2 / total, rel=0.02, abs=0.005)


def test_what_a_study_draws_itself_is_told_with_its_assumptions(tmp_path: Path) -> None:
    told = list(drawn(load_study("mine", (study_of(tmp_path),))))
    assert told[0].key == "economics.electricity_price"
    assert told[0].value == "uniform: ['0.05 USD/kWh', '0.1 USD/kWh']"
    assert told[1].key == "direction.hbf.price and economics.electricity_price"


def test_one_point_is_explained_without_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", PRICE, "draw=8"]) == 2
    assert "'draw': draws many points" in capsys.readouterr().err


def test_draws_are_printed_as_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    """Cost at the 10th percentile of the price, 21,000 USD, and at the 90th, 29,000."""
    assert main(["evaluate", PRICE, "draw=256"]) == 0
    printed = capsys.readouterr().out
    low, high = (
        evaluate([f"hardware.price={p} USD"])["cost_per_mtoken_usd"][0] for p in (21000, 29000)
    )
    assert "256 draws: median (10th to 90th percentile)" in printed
    told = re.search(r"\(([0-9.]+) to ([0-9.]+)\)", printed)
    assert told is not None
    assert [float(end) for end in told.groups()] == pytest.approx([low, high], rel=2e-3)
