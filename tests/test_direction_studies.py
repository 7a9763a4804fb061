"""The studies of the four directions: their sentences, figures and laws, scaled down."""

from __future__ import annotations

import json
from itertools import combinations

import duckdb
import numpy as np
import pandas as pd
import pytest

import infercost
from infercost.__main__ import main
from infercost.compose import Options
from infercost.directions import directed
from infercost.grid import Grid, GridAxis
from infercost.optimise import Search, search
from infercost.options.question import ask, option_names
from infercost.parts import chosen_rows
from infercost.paths import CONF
from infercost.stages.aggregate import query
from infercost.studies import load_study
from studied import aggregates, computed, draws_every_figure, fills_every_sentence, told

FOUR = ("hbf", "pnm", "3d-stack", "low-latency")
SETS = ["+".join(pair) for n in range(1, 5) for pair in combinations(FOUR, n)]
CASE = [
    "hardware",
    "model",
    "workload",
    "trend.prompt_tokens",
    "trend.output_tokens",
    "workload.slo.tpot",
]
STUDIES = ("four-directions", "thermal-3d", "pnm-vs-pim")


def rows(name: str) -> pd.DataFrame:
    return computed(name)[1].rows()


@pytest.mark.parametrize("name", STUDIES)
def test_every_sentence_is_filled(name: str) -> None:
    fills_every_sentence(name, 4)


@pytest.mark.parametrize("name", STUDIES)
def test_every_figure_is_drawn(name: str) -> None:
    draws_every_figure(name)


def test_figures_of_one_kind_have_files_of_their_own() -> None:
    stems = list(load_study("four-directions").drawn)
    assert stems == ["interactions", "interactions-2", "heat-map", "heat-map-2"]


# --- all sixteen combinations


def test_the_study_holds_all_sixteen_combinations_and_both_ends() -> None:
    """Four systems, six models, eight services of two paces; ends of each direction and of all."""
    axes = load_study("four-directions").axes
    ends = [f"{name}@{end}" for end in ("best", "worst") for name in FOUR]
    ends += ["+".join(f"{name}@{end}" for name in FOUR) for end in ("best", "worst")]
    assert sorted(axes["direction"]) == sorted(["none", *SETS, *ends])
    assert len(axes["hardware"]) >= 4
    assert len(axes["model"]) >= 6
    services = [
        len(axes[name]) for name in ("workload", "trend.prompt_tokens", "trend.output_tokens")
    ]
    assert np.prod(services) >= 6
    assert "azure-2023-code" in axes["workload"]


def test_each_objective_has_the_least_of_its_own_column() -> None:
    """No point that another objective chose is better; the value is the column's."""
    frame = rows("four-directions")
    frame = frame[frame["feasible"]]
    for name, group in frame.groupby("objective", observed=True):
        np.testing.assert_array_equal(group["objective_value"], group[name])
    for name in frame["objective"].unique():
        mine = frame[frame["objective"] == name].set_index([*CASE, "direction"])["objective_value"]
        least = frame.groupby([*CASE, "direction"], observed=True)[name].min()
        pd.testing.assert_series_equal(mine.sort_index(), least.sort_index(), check_names=False)


def test_points_keep_the_pace_of_their_service() -> None:
    frame = rows("four-directions")
    frame = frame[frame["feasible"]]
    assert (frame["tpot_s"] <= frame["workload.slo.tpot"]).all()
    assert (frame["ttft_p90_s"] <= 10.0).all()
    assert (frame["workload.slo.tpot"].value_counts() > 0).sum() == 2


def test_a_slower_pace_is_never_dearer() -> None:
    """What meets 20 ms meets 100 ms."""
    frame = rows("four-directions")
    wide = frame[frame["feasible"]].pivot_table(
        index=[*CASE[:-1], "direction", "objective"],
        columns="workload.slo.tpot",
        values="objective_value",
        observed=True,
    )
    both = wide.dropna()
    assert len(both) > 500
    assert (both[0.1] <= both[0.02] * (1 + 1e-12)).all()


def test_the_best_end_of_a_direction_is_at_least_its_worst() -> None:
    gains = aggregates("four-directions")["gains"].set_index(["direction", "compared", "tpot_ms"])
    gains = gains[gains["pools"] == "decode pool"]["gain"]
    for name in FOUR:
        for compared, pace in (("cost", 100), ("power", 100), ("devices", 20)):
            best, worst = (gains[f"{name}@{end}", compared, pace] for end in ("best", "worst"))
            assert best >= worst * (1 - 1e-9), (name, compared)
    assert (gains["none"] == 1).all()


def factorial(interaction: float) -> pd.DataFrame:
    """Costs of sixteen designs: HBF divides by 2, stacking by 3, both by 6 times `interaction`."""
    found = []
    for name in ["none", *SETS]:
        gain = 1.0 * (2 if "hbf" in name else 1) * (3 if "3d-stack" in name else 1)
        gain *= interaction if "hbf" in name and "3d-stack" in name else 1
        found.append({"direction": name, "objective": "decode_cost", "objective_value": 12 / gain})
    case = {"hardware": "h", "model": "m", "workload": "w", "feasible": True}
    case |= {"trend.prompt_tokens": 0.0, "trend.output_tokens": 0.0, "workload.slo.tpot": 0.1}
    return pd.DataFrame(found).assign(**case)


@pytest.mark.parametrize("interaction", [1.0, 0.8, 1.5])
def test_synergy_is_what_a_pair_gives_over_the_product_of_its_two(interaction: float) -> None:
    """Two designs of four have HBF: 2 without stacking, 2 x interaction with it, whatever else."""
    connection = duckdb.connect()
    connection.register("rows", factorial(interaction))
    sql = load_study("four-directions").aggregates["interactions"]
    found = query(connection, "interactions", sql).set_index(["first", "second"])
    pair = found.loc[("hbf", "3d-stack")].set_index(["has_first", "has_second"])
    assert pair["synergy"].tolist() == pytest.approx([interaction] * 4)
    assert pair.loc[(True, False), "gain"] == pytest.approx(2)
    assert pair.loc[(False, True), "gain"] == pytest.approx(3)
    assert pair.loc[(True, True), "gain"] == pytest.approx(6 * interaction)
    others = found.drop(index=("hbf", "3d-stack"))
    assert others["synergy"].to_numpy() == pytest.approx(1)


def test_the_sentence_on_synergy_counts_the_services_that_all_designs_serve() -> None:
    frame = rows("four-directions")
    frame = frame[frame["objective"] == "decode_cost_per_moutput_usd"]
    frame = frame[frame["workload.slo.tpot"] == 0.1]
    cost = frame.pivot_table(
        index=CASE, columns="direction", values="objective_value", observed=True
    )
    gain = np.exp(np.log(cost.rdiv(cost["none"], axis=0)).mean())
    values = told("four-directions", 3)
    assert values["n_slow"] == len(cost.dropna()) == 8
    assert values["all_slow_mid"] == pytest.approx(gain["+".join(FOUR)])
    assert values["apart_slow_mid"] == pytest.approx(np.prod([gain[name] for name in FOUR]))
    pair = gain["hbf+3d-stack"] / gain["hbf"] / gain["3d-stack"]
    assert values["pair_slow"] == pytest.approx(pair)


def test_several_objectives_choose_as_each_alone() -> None:
    names = ("cost_per_mtoken_usd", "decode_step_s")
    composed = next(Options(ask(["plan=tensor-parallel-8"])).cases())
    inner = (GridAxis("batch", {"batch": np.array([1.0, 8.0, 64.0])}),)
    (both,) = search(composed, (), Search(names, inner, False, "best"))
    table = chosen_rows(composed, both, names).to_pandas()
    assert table["objective"].tolist() == list(names)
    for name, batch in zip(names, table["batch"], strict=True):
        (alone,) = search(composed, (), Search(name, inner, False, "best"))
        assert chosen_rows(composed, alone)["batch"].to_pylist() == [batch]
    assert table["batch"].tolist() == [64, 1]


# --- heat


def test_clocks_are_those_of_a_junction_by_hand() -> None:
    """H100: R = r 39.1 K / 700 W, coolant 30 C, 70 W idle, 525.48 W of arithmetic, 0.9001 pJ/bit.

    At 95 C, 2.857 and four times the bandwidth: 65 / 0.15958 = 407.3 W, less 70 and 96.5: 0.458.
    """
    clocks = aggregates("thermal-3d")["clocks"]
    clocks = clocks[clocks["hardware"] == "h100-sxm"]
    assert len(clocks) == 3 * 4 * 4
    joule = 3.9 * 0.2308 * 8e-12
    for found in clocks.itertuples():
        cap = (found.limit_c - 30.0) / (found.resistance * 39.1 / 700.0)
        memory = found.bandwidth_ratio * 3.35e12 * joule
        clock = min((min(cap, 700.0) - 70.0 - memory) / 525.48, 1.0)
        assert found.sustained_clock == pytest.approx(clock, rel=1e-6)
        assert found.power_density_w_per_cm2 == pytest.approx(min(cap, 700.0) / 8.14)
    assert told("thermal-3d", 0)["none"] == pytest.approx(0.458, abs=2e-3)


def test_more_bandwidth_a_colder_limit_or_worse_cooling_never_raises_the_clock() -> None:
    clocks = aggregates("thermal-3d")["clocks"]
    for axis, sign in (("bandwidth_ratio", -1), ("resistance", -1), ("limit_c", 1)):
        others = [a for a in ("bandwidth_ratio", "resistance", "limit_c") if a != axis]
        for _, group in clocks.groupby(["hardware", *others]):
            steps = np.diff(group.sort_values(axis)["sustained_clock"])
            assert (sign * steps >= -1e-12).all()


def test_heat_costs_a_dense_prefill_more_than_decode() -> None:
    gains = aggregates("thermal-3d")["gains"]
    hot = gains[(gains["resistance"] > 2.5) & (gains["batch"] == 1) & (gains["limit_c"] < 96)]
    assert len(hot) > 10
    assert (hot["decode_gain"] >= 1 - 1e-9).all()
    dense = hot[hot["model"] == "llama-3.1-70b"]
    assert (dense["prefill_gain"] < dense["decode_gain"]).all()
    dense = dense[dense["bandwidth_ratio"] >= 4]
    assert (dense["prefill_gain"] < 1).all()
    assert (gains["decode_gain"] <= gains["bandwidth_ratio"] * (1 + 1e-9)).all()


# --- PNM and PIM


def test_units_at_banks_speed_a_phone_up_by_no_more_than_their_arithmetic() -> None:
    """A weight of one byte is 2 FLOP; banks give 1 FLOP/B at 1.35 / 0.1532 = 8.81 times the rate:

    at most 4.41 times the tokens, and on the base die at most twice at its best end.
    """
    mobile = aggregates("pnm-vs-pim")["mobile"]
    one = mobile[(mobile["batch"] == 1) & (mobile["context"] == 2048)]
    phone = one[(one["hardware"] == "phone") & (one["model"] == "llama-3.2-3b")]
    gain = phone.set_index("direction")["gain"]
    assert 2.0 < gain["pim-bank-all"] < 8.81 / 2
    assert 1.5 < gain["pnm@best"] < 2.0
    assert gain["pnm"] == pytest.approx(1)
    assert gain["pim-bank-all"] > gain["pnm@best"]


def test_a_phone_decodes_at_the_rate_at_which_it_reads_its_weights() -> None:
    """3.21e9 weights of a byte (embeddings are tied) over 76.8 GB/s are 41.8 ms at least."""
    frame = rows("pnm-vs-pim")
    phone = frame[(frame["hardware"] == "phone") & (frame["model"] == "llama-3.2-3b")]
    phone = phone[(phone["direction"] == "none") & (phone["batch"] == 1) & (phone["tp"] == 1)]
    step = phone[phone["workload.context"] == 2048]["decode_step_s"].item()
    assert 3.21e9 / 76.8e9 < step < 2 * 3.21e9 / 76.8e9


def test_banks_help_as_many_heads_as_queries_and_lose_with_shared_ones() -> None:
    """MHA needs one FLOP per byte, as banks give; eight queries per head need eight."""
    centre = aggregates("pnm-vs-pim")["data_centre"]
    gain = centre[centre["context"] == 2048].set_index(["hardware", "attention", "direction"])
    gain = gain["gain"]
    assert gain["b200-sxm", "MHA", "pim-bank"] > 2
    assert gain["b200-sxm", "GQA", "pim-bank"] <= 1
    assert gain["b200-sxm", "MLA", "pim-bank"] <= 1 + 1e-5
    assert gain["b200-sxm", "GQA", "pnm"] == pytest.approx(1)


# --- every pair, every device


@pytest.mark.parametrize("combination", SETS)
def test_every_combination_composes_with_every_device(combination: str) -> None:
    hardware = option_names((CONF,), "hardware")
    asked = ask([f"hardware={','.join(hardware)}", f"direction={combination}", "plan=base"])
    cases = [composed.case for composed in Options(asked).cases()]
    assert len(cases) == len(hardware)
    for case in cases:
        device = directed(case)
        assert device.base is not None
        assert list(device.direction) == combination.split("+")
        assert np.all(np.asarray(device.hardware.tdp) > device.hardware.idle_power)


def test_explain_shows_the_tier_map_what_binds_and_the_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """671 GB of weights and long caches do not fit on eight devices as sold; with flash they do."""
    asked = ["hardware=h100-sxm", "+direction=[hbf,low-latency]", "model=deepseek-v3"]
    assert main(["explain", *asked, "trend=long-context"]) == 0
    text = capsys.readouterr().out
    for heading in ("Tier map of one device", "Change against the base system", "what binds"):
        assert heading in text
    assert "infeasible: capacity" in text
    assert "what binds a decode step" in text
    assert "devices would hold model and caches" in " ".join(text.split())
    assert "HBF generation 1" in text
    change = text.split("Change against the base system")[1].split("Totals")[0]
    line = next(row for row in change.splitlines() if "fill the free memory" in row)
    assert not any(word.startswith("-") and len(word) > 1 for word in line.split())


def test_explain_compares_with_the_base_system_that_serves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where eight devices as sold hold no model, the fewest that do: 64, each as on its own."""
    asked = ["hardware=h100-sxm", "model=deepseek-v3", "trend=long-context"]
    assert main(["explain", *asked, "+direction=[hbf,low-latency]", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["base"]["limited_by"] == "capacity"
    base = content["base_that_serves"]
    assert base["feasible"]
    assert base["metrics"]["devices"] == content["base"]["metrics"]["minimum_devices"] == 64
    assert base["plan"]["batch"] == content["plan"]["batch"]
    plan = [f"plan.{name}={base['plan'][name]}" for name in ("tp", "pp", "dp", "ep")]
    alone = infercost.evaluate([*asked, *plan]).iloc[0]
    for name in ("tpot_s", "cost_per_mtoken_usd", "throughput_per_device_per_s"):
        assert base["metrics"][name] == alone[name]
    assert main(["explain", "+direction=hbf", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["base_that_serves"] is None


def test_the_grid_of_a_service_objective_is_judged_point_by_point() -> None:
    """A pace as an axis: the same batches pass each of its values as they do alone."""
    composed = next(Options(ask(["plan=tensor-parallel-8"])).cases())
    inner = (GridAxis("batch", {"batch": np.array([1.0, 8.0, 64.0, 256.0])}),)
    paces = np.array([0.008, 0.1])
    outer = (GridAxis("pace", {"workload.slo.tpot": paces}),)
    how = Search("cost_per_mtoken_usd", inner, True, "best")
    (chosen,) = search(composed, outer, how)
    together = chosen_rows(composed, chosen)["batch"].to_pylist()
    for pace, batch in zip(paces, together, strict=True):
        alone = GridAxis("pace", {"workload.slo.tpot": np.array([pace])})
        (single,) = search(composed, (alone,), how)
        assert chosen_rows(composed, single)["batch"].to_pylist() == [batch]
    assert Grid(outer).size == 2
