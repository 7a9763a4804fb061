"""Bills of materials, yields, trends of prices, bases of cost, carbon of making and running."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import infercost
from infercost.bill import bill_terms, carbon_terms, die_yield, price_factor, priced
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.equations import carbon, silicon
from infercost.errors import SpecError
from infercost.evaluation import evaluate
from infercost.grid import Grid
from infercost.options.question import ask
from infercost.specs.economics import PriceTrend
from infercost.units import parse

CM2, KWH, YEAR = 1e-4, 3.6e6, 365 * 24
CHIP = """
defaults:
  - /memory@memory.hbm: hbm3
  - /link@scale_up: nvlink-4
  - /link@scale_out: infiniband-ndr
  - /bill@bill: accelerator-2026
  - _self_
name: H100 by its parts
family: nvidia-datacentre
peak_dense: {bf16: 989 TFLOP/s}
on_chip: 50 MiB
memory: {hbm: {capacity: 80 GB, bandwidth: 3.35 TB/s}}
scale_up: {bandwidth_out: 450 GB/s, domain: 8}
scale_out: {bandwidth_out: 400 Gbit/s, domain: 1024}
tdp: 700 W
idle_power: 70 W
compute_power: 525 W
host_power: 575 W
rental_price: 1.30 USD/h
sources: {default: "assumed: an example"}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("own")
    (folder / "hardware").mkdir()
    (folder / "hardware" / "parts.yaml").write_text(CHIP)
    return str(folder)


def point(*overrides: str, dirs: tuple[str, ...] = ()) -> Evaluation:
    options = Options(ask(list(overrides), dirs))
    return Evaluation(Grid(()).bind(next(iter(options.cases())).case))


# --- Yield ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defects", "area", "published"), [(0.75, 3.80, 0.12), (0.30, 3.89, 0.36), (0.70, 1.86, 0.32)]
)
def test_yield_of_the_textbook(defects: float, area: float, published: float) -> None:
    """Exercises 1.1 b, 1.2 a, b; α = 4 (hennessy-patterson-4)."""
    found = silicon.clustered_yield(area * CM2, defects / CM2, 4.0)
    assert found == pytest.approx(published, abs=0.005)


def test_dies_and_price_of_a_die_of_the_textbook() -> None:
    """Exercise 1.2 a: 182 - 33.8 = 148 dies of 3.89 cm² a wafer; 500 / (148 · 0.36) = 9.38 USD."""
    dies = silicon.dies_per_wafer(3.89 * CM2, 0.3)
    assert dies == pytest.approx(148, abs=0.5)
    assert silicon.good_die_price(500.0, 148.0, 0.36) == pytest.approx(9.38, abs=0.005)


def test_yields_of_a_published_calculator() -> None:
    """A D = 0.081: Poisson 92.2 %, Murphy 92.3 %, negative binomial (α = 3) 92.3 %, Seeds 92.5 %.

    legitlads.com, yield calculator; Seeds' model is α = 1.
    """
    area, defects = 0.81 * CM2, 0.1 / CM2
    assert silicon.poisson_yield(area, defects) == pytest.approx(0.922, abs=5e-4)
    assert silicon.murphy_yield(area, defects) == pytest.approx(0.923, abs=7e-4)
    assert silicon.clustered_yield(area, defects, 3.0) == pytest.approx(0.923, abs=7e-4)
    assert silicon.clustered_yield(area, defects, 1.0) == pytest.approx(0.925, abs=5e-4)


@given(area=st.floats(0.01, 8.5), defects=st.floats(0.0, 1.0))
def test_poisson_is_the_pessimist(area: float, defects: float) -> None:
    poisson, murphy, clustered = (
        silicon.poisson_yield(area * CM2, defects / CM2),
        silicon.murphy_yield(area * CM2, defects / CM2),
        silicon.clustered_yield(area * CM2, defects / CM2, 3.0),
    )
    assert 0 < poisson <= murphy + 1e-9
    assert poisson <= clustered + 1e-12 <= 1 + 1e-9


# --- Bill -----------------------------------------------------------------------------------------


def test_bill_of_an_h100_comes_to_what_analysts_say(own: str) -> None:
    """Parts at cost 3320 USD, of which 1350 for memory; chip 28000 USD (Silicon Analysts)."""
    at = point("hardware=parts", dirs=(own,))
    parts = {
        name: float(np.ravel(value)[0]) for name, value in bill_terms(at.case.hardware).items()
    }
    outside = sum(parts[name] for name in ("board", "host", "nic", "switch", "optics", "rack"))
    chip = sum(parts.values()) - outside
    assert parts["memory hbm"] == pytest.approx(80 * 16.9)
    assert chip - parts["vendor's margin"] == pytest.approx(3320, rel=0.05)
    assert chip == pytest.approx(28000, rel=0.05)


def test_device_by_its_parts_costs_what_buyers_pay(own: str) -> None:
    """38580 USD with its share of cluster network (Epoch AI), within a tenth."""
    frame = evaluate(["hardware=parts"], (own,))
    assert frame["device_price_usd"][0] == pytest.approx(38580, rel=0.1)


def test_parts_sum_to_the_price(own: str) -> None:
    at = point("hardware=parts", dirs=(own,))
    hardware = at.case.hardware
    assert sum(bill_terms(hardware).values()) == pytest.approx(float(np.ravel(hardware.price)[0]))
    assert sum(carbon_terms(hardware).values()) == pytest.approx(
        float(np.ravel(hardware.embodied_carbon)[0])
    )


def test_an_axis_of_die_area_moves_price_and_carbon(own: str) -> None:
    frame = evaluate(
        ["hardware=parts", "hardware.bill.dies.compute.area=200 mm2,400 mm2,800 mm2"], (own,)
    )
    assert frame["device_price_usd"].is_monotonic_increasing
    assert frame["embodied_carbon_per_mtoken_kgco2e"].is_monotonic_increasing
    assert frame["tpot_s"].nunique() == 1


def test_a_stated_price_is_taken_over_the_bill(own: str) -> None:
    frame = evaluate(["hardware=parts", "+hardware.price=10000 USD"], (own,))
    assert frame["device_price_usd"][0] == 10000


def test_a_device_without_price_and_bill_is_refused(own: str, tmp_path: Path) -> None:
    (tmp_path / "hardware").mkdir()
    text = CHIP.replace("  - /bill@bill: accelerator-2026\n", "")
    (tmp_path / "hardware" / "bare.yaml").write_text(text)
    with pytest.raises(SpecError, match="price is missing: state it, or a bill of materials"):
        evaluate(["hardware=bare"], (str(tmp_path),))


def test_a_process_yields_by_the_model_that_it_names(own: str) -> None:
    """8 cm² at 0.1 killer defects a cm²: 0.8 of them; Murphy ((1 - e^-0.8) / 0.8)²."""
    die = point("hardware=parts", dirs=(own,)).case.hardware.bill.dies["compute"]  # type: ignore[union-attr]
    expected = {
        "poisson": np.exp(-0.8),
        "murphy": ((1 - np.exp(-0.8)) / 0.8) ** 2,
        "negative_binomial": (1 + 0.8 / 3) ** -3,
    }
    for model, share in expected.items():
        update = {"yield_model": model, "defects": 0.1, "cluster": 3.0}
        process = die.process.model_copy(update=update)
        found = die_yield(die.model_copy(update={"area": 8 * CM2, "process": process}))
        assert found == pytest.approx(share), model


def test_losses_and_margin_of_a_bill_by_hand(own: str) -> None:
    """Two of a hundred packages lose dies, memory and themselves; a margin of 0.88 is 22 / 3 of

    the cost: 0.88 / 0.12. Making two per cent more dies emits as much more.
    """
    hardware = point("hardware=parts", dirs=(own,)).case.hardware
    parts = {name: float(np.ravel(value)[0]) for name, value in bill_terms(hardware).items()}
    inside = parts["die compute"] + parts["memory hbm"] + 750
    assert parts["packaging"] == 750
    assert parts["package yield loss"] == pytest.approx(inside * 2 / 98)
    cost = inside * 100 / 98 + 920
    assert parts["vendor's margin"] == pytest.approx(cost * 0.88 / 0.12)
    outside = {name: parts[name] for name in ("board", "host", "nic", "switch", "optics", "rack")}
    assert list(outside.values()) == [2555, 2638, 1364, 1406, 2400, 1000]
    die = hardware.bill.dies["compute"]  # type: ignore[union-attr]
    process = die.process
    carbon_of_area = process.fab_grid * process.fab_energy + process.gas + process.materials
    made = carbon_terms(hardware)
    assert made["die compute"] == pytest.approx(
        814e-6 * carbon_of_area / die_yield(die) / 0.98, rel=1e-12
    )
    assert (made["packaging"], made["board and server"]) == (5, 780)


# --- Trends and bases -----------------------------------------------------------------------------


def test_prices_of_2030_follow_the_trend_of_the_paper(own: str) -> None:
    """HBM by 1.16 a year: 4 years give 1.16^4 = 1.811 of 16.9 USD/GB · 80 GB."""
    at = point("hardware=parts", dirs=(own,))
    trend = point("economics=owner-hbm-up-ddr-down", "economics.prices.year=2030").case.economics
    assert trend.prices is None, "taken once, by the price of the device"
    options = Options(ask(["economics=owner-hbm-up-ddr-down", "economics.prices.year=2030"], ()))
    later = next(iter(options.cases())).case.economics.prices
    assert later is not None
    parts = bill_terms(at.case.hardware, later.model_copy(update={"year": 2030.0}))
    assert parts["memory hbm"] == pytest.approx(80 * 16.9 * 1.16**4)


def test_a_stated_price_moves_with_its_memory_and_the_rent_in_proportion() -> None:
    """80 GB at 16.9 USD/GB by 1.16 a year, four years: 1095.98 USD more than 38580."""
    year = ("economics=owner-hbm-up-ddr-down", "economics.prices.year=2030")
    before, later = (point(*words).case.hardware for words in ((), year))
    extra = 80 * 16.9 * (1.16**4 - 1)
    assert later.price == pytest.approx(before.price + extra)
    assert later.rental_price == pytest.approx(before.rental_price * (1 + extra / before.price))


def test_devices_of_a_pool_are_priced_alike() -> None:
    words = ["+mitigation=disaggregation", "economics=owner-hbm-up-ddr-down"]
    options = Options(ask([*words, "economics.prices.year=2030"], ()))
    case = next(iter(options.cases())).case
    ((name, pool),) = case.mitigation.items()
    own = {name: pool.model_copy(update={"hardware": case.hardware})}
    found = priced(case.model_copy(update={"mitigation": own}))
    assert found.mitigation[name].hardware.price == found.hardware.price  # type: ignore[attr-defined]
    assert found.hardware.price > case.hardware.price
    assert priced(found) is found, "once"


def test_a_shortage_comes_on_top_of_the_trend() -> None:
    """HBM in 2027, half of the two years on: 1.16 · (1 + 0.2 / 2); flash 0.9 · (1 + 0.575 / 2)."""
    trend = PriceTrend.model_validate(
        {
            "name": "test",
            "stated": 2026.0,
            "year": 2027.0,
            "growth": {"hbm": 1.16, "flash": 0.9},
            "surge": {"hbm": 1.2, "flash": 1.575},
            "surge_from": 2026.0,
            "surge_years": 2.0,
            "sources": {},
        }
    )
    memory = point().case.hardware.memory["hbm"]
    for technology, factor in (("HBM3", 1.16 * 1.1), ("NAND", 0.9 * 1.2875), ("SRAM", 1.0)):
        named = memory.model_copy(update={"technology": technology})
        assert price_factor(trend, named) == pytest.approx(factor), technology
    assert price_factor(None, memory) == 1


def test_a_surge_fades_in_a_straight_line() -> None:
    assert silicon.surge(1.9, np.array([-1.0, 0.0, 1.0, 2.0, 5.0]), 2.0) == pytest.approx(
        [1.0, 1.9, 1.45, 1.0, 1.0]
    )


def test_the_year_of_stated_prices_changes_nothing() -> None:
    frame = evaluate(["economics=owner,owner-hbm-up-ddr-down"])
    assert frame["cost_per_mtoken_usd"].nunique() == 1


def test_bases_of_cost_by_hand() -> None:
    """Rental: 1.30 USD/h over utilisation 0.6. Owner: an annuity of 8 % over 5 years is

    0.08 / (1 - 1.08^-5) = 0.25046 of the price a year; hosting of 1.275 kW at 150 USD/kW/month.
    """
    hour = 3600.0
    rental = float(np.ravel(point("economics=rental").device_rate)[0]) * hour
    assert rental == pytest.approx(1.30 / 0.6)
    owner = float(np.ravel(point("economics=owner").device_rate)[0]) * hour
    hours = 365.25 * 24
    expected = (38580 * 0.08 / (1 - 1.08**-5) + 1.275 * 150 * 12) / hours / 0.6
    assert owner == pytest.approx(expected, rel=1e-6)


def test_a_cached_prompt_token_costs_less_than_one_computed() -> None:
    frame = evaluate(["hardware=h100-sxm,mi300x", "model=llama-3.1-8b", "plan=base", "batch=8"])
    cached, computed = frame["cached_cost_per_minput_usd"], frame["prefill_cost_per_minput_usd"]
    assert np.all(cached > 0)
    assert np.all(cached < computed)


def test_cached_token_by_hand() -> None:
    """Llama-3.1-8B: 131,072 B a token over 50 GB/s at an efficiency of 1, rent apart from power."""
    frame = evaluate(
        ["model=llama-3.1-8b", "plan=base", "batch=1", "calibration=ideal", "economics=rental"]
    )
    seconds = 131_072 / 50e9
    expected = 1e6 * seconds * 1.30 / 3600 / 0.6
    assert frame["cached_cost_per_minput_usd"][0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("tp", "pp", "dp"), [(8, 1, 1), (2, 1, 4), (1, 4, 2), (2, 2, 2)])
def test_a_cached_token_takes_the_links_of_its_group_alone(tp: int, pp: int, dp: int) -> None:
    """Llama-3.1-70B: 327,680 B a token over the links of tp x pp devices, 50 GB/s each, while

    these wait: as many device-seconds however many they are, and other groups go on.
    """
    layout = [f"plan.tp={tp}", f"plan.pp={pp}", f"plan.dp={dp}", "batch=16"]
    frame = evaluate(
        ["model=llama-3.1-70b", "calibration=ideal", "economics=rental", "plan=base", *layout]
    )
    expected = 1e6 * 327_680 / 50e9 * 1.30 / 3600 / 0.6
    assert frame["cached_cost_per_minput_usd"][0] == pytest.approx(expected, rel=1e-6)


# --- Carbon ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy", "gas", "published"), [(2.15, 200, 12.9), (2.75, 225, 16.2), (3.25, 275, 19.2)]
)
def test_die_of_act(energy: float, gas: float, published: float) -> None:
    """8.15 cm² at full yield in Taiwan (642 g/kWh), 99 % abatement, raw materials left out."""
    found = silicon.die_carbon(
        8.15 * CM2, energy * KWH / CM2, 0.642 / KWH, gas / 1e3 / CM2, 0.0, 1.0
    )
    assert found == pytest.approx(published, rel=0.01)


def test_memory_and_electricity_of_act() -> None:
    """48 GB at 65 g/GB: 3.1 kg. 512 GB of TLC at 5.6 g/GB: 2.9 kg. 1 kW for a year in the USA."""
    assert silicon.stacked_carbon(48e9, 65e-3 / 1e9, 1.0) == pytest.approx(3.1, rel=0.01)
    found = float(silicon.stacked_carbon(512e9, 5.6e-3 / 1e9, 1.0))
    assert found == pytest.approx(512 * 5.6 / 1000, rel=0.01)
    assert round(found, 1) == 2.9  # as printed, which is 1.1 % above
    assert carbon.operational_carbon(1e3 * YEAR * 3600, 0.369 / KWH) == pytest.approx(
        3232, rel=0.01
    )


def test_spoiled_stacks_are_paid_for_in_carbon() -> None:
    assert silicon.stacked_carbon(1e9, 65e-3 / 1e9, 0.5) == pytest.approx(0.13)


def test_carbon_of_an_answer_is_that_of_its_tokens() -> None:
    """Conversation of 2023: mean answer of 211 tokens."""
    at = point()
    frame = evaluate([])
    tokens = float(np.ravel(at.lengths.output_mean)[0])
    for kind in ("operational", "embodied"):
        per_token = frame[f"{kind}_carbon_per_mtoken_kgco2e"][0] / 1e6
        assert frame[f"{kind}_carbon_per_answer_kgco2e"][0] == pytest.approx(per_token * tokens)


def test_hours_and_regions_move_operational_carbon_alone() -> None:
    frame = evaluate(["economics=owner,owner-france,owner-peak-hours"]).set_index("economics")
    operational = frame["operational_carbon_per_mtoken_kgco2e"]
    assert operational["owner-france"] / operational["owner"] == pytest.approx(0.04144 / 0.3844)
    assert operational["owner-peak-hours"] / operational["owner"] == pytest.approx(1.2)
    assert frame["embodied_carbon_per_mtoken_kgco2e"].nunique() == 1


# --- Memory prices against the catalogue ----------------------------------------------------------

CONF = Path(infercost.__file__).parents[2] / "conf/memory"
REFERENCE = Path(__file__).parents[1] / "data/reference/memory_prices.csv"


def memories() -> list[dict[str, str]]:
    with REFERENCE.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", memories(), ids=lambda row: row["technology"])
def test_memory_costs_per_byte_and_per_bandwidth_what_the_market_says(row: dict[str, str]) -> None:
    """USD/GB inside the printed range; USD per GB/s is that times the printed GB per GB/s."""
    content = yaml.safe_load((CONF / f"{row['option']}.yaml").read_text())
    per_gb = parse(content["price"], "USD/B") * 1e9
    assert float(row["low"]) <= per_gb <= float(row["high"])
    capacity, bandwidth = float(row["stack_gb"]), float(row["stack_gb_per_s"])
    assert per_gb * capacity / bandwidth == pytest.approx(float(row["usd_per_gb_per_s"]), rel=0.5)


def price_of(option: str) -> float:
    """USD per GB that an option states."""
    return parse(yaml.safe_load((CONF / f"{option}.yaml").read_text())["price"], "USD/B") * 1e9


def test_prices_that_are_told_by_another_memory() -> None:
    """CXL at 1.3 times DDR5; flash of high bandwidth at 1/16 to 1/5 of HBM4; on-die SRAM 5,000."""
    assert price_of("cxl-ddr5") == pytest.approx(1.3 * price_of("ddr5"))
    assert 1 / 16 <= price_of("hbf-1") / price_of("hbm4") <= 1 / 5
    assert price_of("sram") == pytest.approx(5000)


def test_every_memory_with_a_price_of_its_own_is_held_against_the_market() -> None:
    """Others take the price of a sibling, of DDR5 or of HBM4, or are assumed as their files say."""
    held = {row["option"] for row in memories()} | {"cxl-ddr5", "hbf-1", "sram"}
    rest = {file.stem for file in CONF.glob("*.yaml")} - held
    for option in rest:
        content = yaml.safe_load((CONF / f"{option}.yaml").read_text())
        inherits = "price" not in content and "defaults" in content
        assert inherits or content["sources"]["price"].startswith(("assumed", "derived")), option
