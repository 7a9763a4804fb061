"""The fleet's optimum: by brute force where it is small, by its dual where it is large."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infercost import SpecError
from infercost.fleet.abilities import Abilities, Ability, Device
from infercost.fleet.ends import at_ends
from infercost.fleet.explain import Plan, money_of, planned, rows, told, value_of
from infercost.fleet.model import YEAR, discount, outside_price, paid, price, program
from infercost.fleet.part import described, plan_of, write_plan
from infercost.fleet.scenario import expanded, load_fleet
from infercost.fleet.solve import solve
from infercost.fleet.tracing import FleetTracer
from infercost.fleet.worth import cut_needed
from infercost.specs.fleet import Fleet
from infercost.tracing.nodes import Node
from probes import examples

SITE = {
    "power": "10 kW",
    "racks": 6.0,
    "pue": 1.0,
    "electricity_price": "0.1 USD/kWh",
    "hosting_price": "0 USD/kW/month",
    "grid_carbon": "0 kgCO2e/kWh",
}


def fleet_of(**changed: Any) -> Fleet:
    content: dict[str, Any] = {
        "name": "Small",
        "years": [2026, 2027],
        "discount_rate": 0.05,
        "life": "5 year",
        "utilisation": 0.5,
        "mfu": 0.4,
        "training_utilisation": 0.9,
        "conversion": 0.05,
        "salvage": 0.1,
        "outside": 2.0,
        "money": ["60 kUSD", "40 kUSD"],
        "carbon": ["1000 tCO2e", "1000 tCO2e"],
        "sites": {"here": SITE},
        "kinds": {
            "old": {"hardware": "h100-sxm", "per_rack": 1.0, "yearly_price": 0.8},
            "new": {"hardware": "b200-sxm", "per_rack": 1.0, "yearly_price": 0.8},
        },
        "demand": {
            "chat": {
                "kind": "served",
                "model": "llama-3.1-8b",
                "workload": "azure-2023-conversation",
                "tokens": "1000 token/s",
                "growth": [1.5],
            }
        },
        "sources": {"default": "assumed: a test"},
    }
    return Fleet.model_validate(content | changed)


ABLE = Abilities(
    {"old": Device(10_000.0, 1000.0, 100.0, 1e15), "new": Device(25_000.0, 1500.0, 200.0, 2e15)},
    {
        ("old", "chat"): Ability(700.0, 1.0),
        ("new", "chat"): Ability(1900.0, 0.5),
        ("old", "pretraining"): Ability(4e14, 2.5e-12),
        ("new", "pretraining"): Ability(8e14, 1.9e-12),
    },
)


Counts = tuple[int, int]


def by_hand(fleet: Fleet, first: Counts, gone: Counts, second: Counts) -> float:
    """Cost in USD of purchases of both years, with some retired between; nothing stood before."""
    site, kinds = fleet.sites["here"], ("old", "new")
    total, left, stock = 0.0, 0.0, (0, 0)
    for number, (year, bought) in enumerate(zip(fleet.years, (first, second), strict=True)):
        left += fleet.money[number]
        if number:
            stock = (stock[0] - gone[0], stock[1] - gone[1])
        stock = (stock[0] + bought[0], stock[1] + bought[1])
        for kind, count in zip(kinds, bought, strict=True):
            left -= count * price(fleet, ABLE, kind, year)
            total += count * paid(fleet, price(fleet, ABLE, kind, year), year)
        drawn = stock[0] * 1000.0 + stock[1] * 1500.0
        if left < -1e-6 or drawn > site.power or sum(stock) > site.racks:
            return np.inf
        asked = 1000.0 * 1.5**number
        worth = discount(fleet, year)
        for kind, count in (("new", stock[1]), ("old", stock[0])):  # the least energy first
            ability = ABLE.of[kind, "chat"]
            served = min(asked, count * ability.rate * fleet.utilisation)
            asked -= served
            total += served * YEAR * ability.energy * site.electricity_price * worth
        total += asked * YEAR * outside_price(fleet, ABLE, "chat") * worth
    return total


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"money": ["30 kUSD", "10 kUSD"]},
        {"outside": 20.0},
        {"sites": {"here": SITE | {"power": "2.6 kW"}}, "outside": 20.0},
        {"sites": {"here": SITE | {"racks": 1.0}}, "outside": 5.0},
    ],
)
def test_a_small_optimum_is_that_of_all_purchases_tried(changed: dict[str, Any]) -> None:
    """Up to four devices of two kinds in each of two years, and any retired between."""
    fleet = fleet_of(**changed)
    some = list(itertools.product(range(5), repeat=2))
    tried = (
        by_hand(fleet, first, gone, second)
        for first in some
        for gone in itertools.product(range(first[0] + 1), range(first[1] + 1))
        for second in some
    )
    found = solve(program(fleet.model_copy(update={"whole_racks": True}), ABLE))
    assert found.cost * 1e6 == pytest.approx(min(tried), rel=1e-6)
    relaxed = solve(program(fleet, ABLE))
    assert relaxed.cost <= found.cost + 1e-9


PRETRAINING = {"kind": "trained", "flops": "1 PFLOP/s", "growth": [0.5]}


def standing(**changed: Any) -> Fleet:
    """Ten old devices set up for training, five for serving."""
    entry = {"site": "here", "kind": "old", "life_left": 1}
    return fleet_of(
        sites={"here": SITE | {"power": "40 kW", "racks": 40.0, "hosting_price": "9 USD/kW/month"}},
        demand={
            "chat": {
                "kind": "served",
                "model": "llama-3.1-8b",
                "workload": "azure-2023-conversation",
                "tokens": "4000 token/s",
                "growth": [2.0],
            },
            "pretraining": PRETRAINING,
        },
        installed=[
            entry | {"pool": "training", "devices": 10.0},
            entry | {"pool": "serving", "devices": 5.0},
        ],
        **changed,
    )


@pytest.mark.parametrize("pool", ["training", "serving"])
@pytest.mark.parametrize("salvage", [0.0, 0.1])
@pytest.mark.parametrize("life", [1, 2])
def test_the_worth_of_a_device_is_what_one_more_saves(pool: str, salvage: float, life: int) -> None:
    """Its shadow price, against the program solved with a thousandth of a device more."""
    fleet = standing(salvage=salvage)
    fleet = fleet.model_copy(
        update={"installed": [e.model_copy(update={"life_left": life}) for e in fleet.installed]}
    )
    more = fleet.model_copy(
        update={
            "installed": [
                e.model_copy(update={"devices": e.devices + 1e-3 * (e.pool == pool)})
                for e in fleet.installed
            ]
        }
    )
    plan, richer = planned(fleet, ABLE), planned(more, ABLE)
    saved = (plan.solution.cost - richer.solution.cost) * 1e6 / 1e-3
    assert value_of(plan, "here", "old", pool) == pytest.approx(saved, rel=1e-4, abs=1.0)


def test_a_dollar_more_saves_what_its_shadow_price_says() -> None:
    fleet = standing(money=["20 kUSD", "20 kUSD"], outside=10.0)
    plan = planned(fleet, ABLE)
    for number, year in enumerate(fleet.years):
        money = [m + (1.0 if n == number else 0.0) for n, m in enumerate(fleet.money)]
        wider = planned(fleet.model_copy(update={"money": money}), ABLE)
        saved = (plan.solution.cost - wider.solution.cost) * 1e6 / discount(fleet, year)
        assert money_of(plan, year) == pytest.approx(saved, rel=1e-3, abs=1e-4)
    assert money_of(plan, 2026) > 0


def test_a_kind_that_is_cut_as_told_is_bought_and_before_not() -> None:
    """A slow third kind at its price less the cut, a percent less and a percent more of it."""
    slow = Device(10_000.0, 1000.0, 100.0, 0.0)
    fleet = fleet_of(
        kinds={
            "new": {"hardware": "b200-sxm", "per_rack": 1.0},
            "slow": {"hardware": "a100-sxm-80gb", "per_rack": 1.0, "trains": False},
        },
        money=["20 kUSD", "20 kUSD"],
        outside=10.0,
    )

    def able(cheaper: float) -> Abilities:
        devices = {"new": ABLE.devices["new"], "slow": replace(slow, price=1e4 * (1 - cheaper))}
        return Abilities(
            devices,
            {("new", "chat"): ABLE.of["new", "chat"], ("slow", "chat"): Ability(400.0, 2.0)},
        )

    cut = cut_needed(fleet, able(0.0), solve(program(fleet, able(0.0))), "slow")
    assert cut is not None
    assert 0.1 < cut < 0.9
    for factor, bought in ((0.99, False), (1.01, True)):
        found = solve(program(fleet, able(cut * factor)))
        assert (found.total("buy", None, "slow") > 1e-6) is bought


def test_what_is_bought_needs_no_cut(cools: Plan) -> None:
    """Complementary slackness: of a kind that is bought worth and price are equal."""
    for kind in cools.fleet.kinds:
        if cools.solution.total("buy", None, kind) > 1.0:
            assert cut_needed(cools.fleet, cools.able, cools.solution, kind) == pytest.approx(
                0.0, abs=1e-6
            )


def test_all_demand_is_served_and_no_limit_is_passed() -> None:
    fleet = standing()
    plan = planned(fleet, ABLE)
    found = plan.solution
    for year in fleet.years:
        served = found.values["outside", "chat", year] * 4000
        drawn = 0.0
        for kind, device in ABLE.devices.items():
            use = found.values.get(("use", "here", kind, "chat", year), 0.0)
            served += use * ABLE.of[kind, "chat"].rate * fleet.utilisation
            drawn += found.total("stock", "here", kind, None, year) * device.power
            stock = found.values.get(("stock", "here", kind, "serving", year), 0.0)
            assert use <= stock + 1e-9
        assert served >= 4000 * (1 if year == 2026 else 2) * (1 - 1e-9)
        assert drawn <= fleet.sites["here"].power + 1e-6
    # What stood at first has reached its end after one year, in whatever pool.
    assert found.total("stock", "here", "old", None, 2027) == pytest.approx(
        found.total("buy", "here", "old"), abs=1e-9
    )


@settings(max_examples=examples(25))
@given(
    chat=st.floats(0, 1e5),
    training=st.floats(0, 100),
    growth=st.floats(0, 4),
    money=st.just(0.0) | st.floats(1e-3, 1e3),
    power=st.floats(1, 100),
)
def test_no_plan_is_cheaper_than_the_dual_bound(
    chat: float, training: float, growth: float, money: float, power: float
) -> None:
    fleet = standing(
        money=[f"{money} kUSD", f"{money} kUSD"],
    ).model_copy(deep=True)
    demand = {
        "chat": fleet.demand["chat"].model_copy(update={"tokens": chat, "growth": [growth]}),
        "pretraining": fleet.demand["pretraining"].model_copy(
            update={"flops": training * 1e15, "growth": [growth]}
        ),
    }
    sites = {"here": fleet.sites["here"].model_copy(update={"power": power * 1e3})}
    found = solve(program(fleet.model_copy(update={"demand": demand, "sites": sites}), ABLE))
    assert abs(found.gap) < 1e-6 or abs(found.cost * found.gap) < 1e-6


def test_a_plan_without_demand_for_training_makes_the_farm_worth_less() -> None:
    """Of two scenarios the one that trains more values a device set up for training no less."""
    base, worth = standing(), []
    for flops in ("0 FLOP/s", "1 PFLOP/s", "30 PFLOP/s"):
        trained = fleet_of(demand={"pretraining": PRETRAINING | {"flops": flops}})
        fleet = base.model_copy(update={"demand": {**base.demand, **trained.demand}})
        worth.append(value_of(planned(fleet, ABLE), "here", "old", "training"))
    assert worth == sorted(worth)
    assert worth[2] > worth[0]


@pytest.fixture(scope="module")
def cools() -> Plan:
    return plan_of("training-cools")


def test_a_committed_scenario_is_solved_to_its_dual_bound(cools: Plan) -> None:
    """Two sites, six kinds, two pools, six classes, five years."""
    assert len(cools.solution.values) > 500
    assert abs(cools.solution.gap) < 1e-9


def test_a_plan_is_told_in_words(cools: Plan) -> None:
    text = " ".join(told(cools))
    assert "100,000 h100 in campus set up for training is worth" in text
    assert "Of " in text
    assert "billion USD for devices" in text
    for wanted in cools.fleet.demand:
        assert f"{wanted.capitalize()}: " in text


def test_rows_add_up(cools: Plan) -> None:
    """Served and bought elsewhere make all of demand: chat of 3 million tokens a second."""
    frame = pd.DataFrame([vars(row) for row in rows(cools)])
    chat = frame[(frame["demand"] == "chat") & (frame["year"] == 2026)]
    served = chat.loc[chat["quantity"] == "served", "value"].sum()
    outside = chat.loc[chat["quantity"] == "outside_share", "value"].sum()
    assert served + outside * 3e6 == pytest.approx(3e6, rel=1e-6)


def test_a_part_gives_the_same_bytes(tmp_path: Path) -> None:
    plain = described("all-cools")
    for name in ("one", "two"):
        write_plan(plain, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"money": ["1 GUSD", "2 GUSD"]}, "money: has 2 entries for 5 years"),
        ({"years": [2026, 2028, 2029, 2030, 2031]}, "one after another"),
        ({"kinds": {"h100": {"hardware": "h100-sxn"}}}, "there is no hardware 'h100-sxn'"),
        ({"sites": {"campus": {"power": "300 MB"}}}, "sites.campus.power: '300 MB' cannot be read"),
        (
            {"demand": {"training": {"growth": [1.0, 1.1]}}},
            "demand.training.growth: has 2 entries for 4 steps",
        ),
        ({"salvagge": 1.0}, "salvagge: unknown key"),
    ],
)
def test_a_scenario_that_cannot_be_is_one_line(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    (tmp_path / "fleet").mkdir()
    content = {"defaults": ["steady", "_self_"], **changed}
    (tmp_path / "fleet" / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SpecError) as caught:
        described("mine", (str(tmp_path),))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scenarios_are_listed_and_others_refused() -> None:
    assert load_fleet("steady").name == "Steady growth"
    with pytest.raises(SpecError, match="there is no fleet 'stedy'"):
        load_fleet("stedy")


@pytest.mark.parametrize("changed", [{}, {"money": ["30 kUSD", "10 kUSD"]}, {"outside": 20.0}])
def test_two_sites_of_their_own_are_planned_together(changed: dict[str, Any]) -> None:
    """Device by device over both sites, each with power, racks and price of its own: one year."""
    sites = {
        "here": SITE | {"power": "3 kW", "racks": 2.0},
        "there": SITE | {"power": "5 kW", "electricity_price": "0.3 USD/kWh", "pue": 1.5},
    }
    one = {"years": [2026], "money": ["60 kUSD"], "carbon": ["1000 tCO2e"], "sites": sites}
    demand = fleet_of().model_dump()["demand"]["chat"] | {"growth": [], "tokens": "2000 token/s"}
    single = {"money": changed["money"][:1]} if "money" in changed else {}
    fleet = fleet_of(**one | changed | single | {"demand": {"chat": demand}, "whole_racks": True})
    found = solve(program(fleet, ABLE))
    best = np.inf
    for counts in itertools.product(range(4), repeat=4):
        best = min(best, _two_sites(fleet, counts))
    assert found.cost * 1e6 == pytest.approx(best, rel=1e-6)


def _two_sites(fleet: Fleet, counts: tuple[int, ...]) -> float:
    """Cost in USD of some devices of two kinds in two sites in the one year."""
    bought = dict(zip(itertools.product(fleet.sites, ("old", "new")), counts, strict=True))
    prices = {kind: price(fleet, ABLE, kind, 2026) for kind in ("old", "new")}
    total, runs = 0.0, []
    for name, site in fleet.sites.items():
        drawn = (bought[name, "old"] * 1000.0 + bought[name, "new"] * 1500.0) * site.pue
        if drawn > site.power or bought[name, "old"] + bought[name, "new"] > site.racks:
            return np.inf
        for kind in ("old", "new"):
            ability = ABLE.of[kind, "chat"]
            joules = ability.energy * site.pue * site.electricity_price
            runs.append((joules, bought[name, kind] * ability.rate * fleet.utilisation))
            total += bought[name, kind] * paid(fleet, prices[kind], 2026)
    if sum(prices[kind] * count for (_, kind), count in bought.items()) > fleet.money[0]:
        return np.inf
    asked = 2000.0
    for joules, room in sorted(runs):
        served = min(asked, room)
        asked -= served
        total += served * YEAR * joules
    return total + asked * YEAR * outside_price(fleet, ABLE, "chat")


def test_whole_racks_cost_no_less_and_come_whole() -> None:
    """Four devices to a rack: bought in fours, at the shadow prices of racks that divide."""
    kinds = {
        "old": {"hardware": "h100-sxm", "per_rack": 4.0},
        "new": {"hardware": "b200-sxm", "per_rack": 2.0},
    }
    money = ["200 kUSD", "100 kUSD"]
    divided = planned(fleet_of(kinds=kinds, money=money, outside=10.0), ABLE)
    plan = planned(fleet_of(kinds=kinds, money=money, outside=10.0, whole_racks=True), ABLE)
    assert plan.solution.cost >= divided.solution.cost - 1e-12
    assert plan.solution.divisible == pytest.approx(divided.solution.cost, rel=1e-9)
    for key, count in plan.solution.values.items():
        if key[0] == "buy":
            assert count / kinds[str(key[2])]["per_rack"] == pytest.approx(  # type: ignore[operator]
                round(count / kinds[str(key[2])]["per_rack"]),
                abs=1e-6,  # type: ignore[operator]
            )
    assert money_of(plan, 2026) == pytest.approx(money_of(divided, 2026))
    assert "Purchases are whole racks" in " ".join(told(plan))


def test_a_scenario_has_both_ends_of_its_ranges() -> None:
    names = expanded(["training-cools@ends", "steady"])
    assert len(names) == 2 * 11 + 1
    assert load_fleet("training-cools@flash-low").kinds["b200-flash"].direction == "hbf@worst"
    slow = load_fleet("training-cools@training-growth-low")
    assert slow.demand["training"].growth == [0.5] * 4
    assert load_fleet("training-cools@money-high").money == [2.7e9] * 5
    with pytest.raises(SpecError, match="Did you mean 'money-high'"):
        load_fleet("training-cools@money-hi")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sites.campus.power=3", "3 has no unit"),
        ("sites.camp.power=3 MW", "there is no 'camp'. Did you mean 'campus'"),
        ("whole_rack=true", "unknown key. Did you mean 'whole_racks'"),
        ("money", "sets nothing"),
    ],
)
def test_an_override_that_cannot_be_is_one_line(override: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_fleet("steady", (), [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("figure", ["cost", "spent", "worth", "money"])
def test_every_dollar_of_a_plan_leads_back_to_inputs(cools: Plan, figure: str) -> None:
    tree = FleetTracer(cools, "training-cools", (), ()).trace(figure)
    assert tree.faults() == []
    inputs = [node for node in walked(tree) if node.how == "input"]
    assert all(node.source for node in inputs)
    if figure in ("cost", "spent"):
        assert any("h100-sxm" in node.file or "gb300" in node.file for node in inputs)


def walked(node: Node) -> Iterator[Node]:
    yield node
    for term in node.terms:
        yield from walked(term)


def test_the_traced_cost_is_that_of_the_solver(cools: Plan) -> None:
    tree = FleetTracer(cools, "training-cools", (), ()).trace("cost")
    assert sum(term.value for term in tree.terms) == pytest.approx(cools.solution.cost * 1e6)


def test_both_ends_of_every_range_are_told() -> None:
    """Worth as stated lies between the ends of salvage, and a fleet that pays more is told so."""
    found = {end.name: end for end in at_ends("training-cools")}
    farm = "gb200 in campus for training"
    stated = found["as stated"].worth[farm]
    assert found["salvage-low"].worth[farm] < stated < found["salvage-high"].worth[farm]
    assert found["serving-growth-low"].spent < found["as stated"].spent
    assert all(sum(end.shares.values()) == pytest.approx(1, abs=0.02) for end in found.values())
