"""Where sources disagree about hardware, a study shows its result at both ends, or draws ranges.

A study names a direction in its axes, its overrides or the cases of its replays. A tier of flash
for cached prefixes is a plan or a store of its own, and is named there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infercost.paths import CONF

STUDIES = sorted(path.stem for path in (CONF / "study").glob("*.yaml"))
PAGE = "infercost.explorer.ends evaluates the first design of the page at both ends, shown below it"
WHOLE = "contexts and weights are read whole, nothing is priced, and nothing is written to flash"
OTHERWISE: dict[tuple[str, str], dict[str, str]] = {
    ("explorer", "hbf"): dict.fromkeys(("latency", "page", "energy", "price", "endurance"), PAGE),
    ("explorer", "pnm"): dict.fromkeys(("energy", "bandwidth", "power"), PAGE),
    ("explorer", "3d-stack"): dict.fromkeys(
        ("bandwidth", "energy", "capacity", "limit", "resistance", "clock_exponent"), PAGE
    ),
    ("explorer", "low-latency"): dict.fromkeys(
        (
            f"{link}_{part}"
            for link in ("scale_up", "scale_out")
            for part in ("software", "nic", "landing")
        ),
        PAGE,
    ),
    ("h3-published", "hbf"): dict.fromkeys(("page", "price", "endurance"), WHOLE),
    ("thermal-3d", "3d-stack"): {"capacity": "kept, so that gains compare at equal memory"},
    ("hbf-sizing", "hbf"): {"endurance": "caches stay in HBM, so that no cell is written"},
}
"""By study, direction and number: how both ends are shown otherwise, or why they are not asked."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def ranges(direction: str) -> dict[str, Any]:
    """Numbers of a direction about which sources disagree, those of its bases among them."""
    content = read(CONF / "direction" / f"{direction}.yaml") or {}
    found: dict[str, Any] = {}
    for base in content.get("defaults", []):
        if isinstance(base, str) and base[0] not in "/_":
            found |= ranges(base)
    found |= content.get("ranges", {})
    return found


def paths(direction: str) -> dict[str, str]:
    """Short names of the parameters of a direction, and where they stand in it."""
    content = read(CONF / "direction" / f"{direction}.yaml") or {}
    found: dict[str, str] = {}
    for base in content.get("defaults", []):
        if isinstance(base, str) and base[0] not in "/_":
            found |= paths(base)
    found |= content.get("parameters", {})
    return found


def words(study: Any) -> list[str]:
    """Overrides of a study, those of its cases among them."""
    replays = study.get("replays") or {}
    cases = [word for case in replays.get("cases", {}).values() for word in case]
    return [*study.get("overrides", []), *replays.get("overrides", []), *cases]


def named(study: Any) -> set[str]:
    """Directions as the study names them, each alone, with its end if it takes one."""
    axes = study.get("axes", {}).get("direction", [])
    found = ["+".join(value) if isinstance(value, list) else str(value) for value in axes]
    for word in words(study):
        _, _, text = word.partition("direction=")
        found += re.split(r"[\[\],]", text) if word.lstrip("+").startswith("direction=") else []
    for tie in ((study.get("break_even") or {}).get("ties") or {}).values():
        found += map(str, tie["between"])
    return {name for text in found for name in text.split("+") if name}


def hidden(study: Any, direction: str) -> set[str]:
    """Numbers of a direction whose two ends do not show in the result of a study.

    They show where an axis reaches both; where the number is drawn; or where the direction is taken
    at both ends by name, and no axis says otherwise.
    """
    at_ends = {f"{direction}@best", f"{direction}@worst"} <= named(study)
    return {
        key
        for key, ends in ranges(direction).items()
        if not drawn(study, direction, key)
        and not reached(study, direction, key, ends)
        and not (at_ends and f"direction.{direction}.{key}" not in study.get("axes", {}))
    }


def drawn(study: Any, direction: str, key: str) -> bool:
    """Draws take all that sources disagree about, unless they name their inputs."""
    if study.get("draws") is None:
        return False
    inputs = study["draws"].get("inputs")
    return inputs is None or f"direction.{direction}.{key}" in inputs


def reached(study: Any, direction: str, key: str, ends: Any) -> bool:
    values = study.get("axes", {}).get(f"direction.{direction}.{key}", [])
    texts = {value if isinstance(value, str) else float(value) for value in values}
    return {ends["low"], ends["high"]} <= texts


def silent(study: Any, direction: str) -> set[str]:
    """Ends that a study computes, and that none of its sentences is about."""
    said = yaml.safe_dump(study.get("answers", []), width=10**6)
    if {f"{direction}@best", f"{direction}@worst"} <= named(study):
        everything = "LIKE ''%@%''" in said or "LIKE '%@%'" in said
        cases = {"best": " at best", "worst": " at worst"}
        return {
            end
            for end, case in cases.items()
            if f"{direction}@{end}" not in said and case not in said and not everything
        }
    axes = study.get("axes", {})
    swept = (key for key in ranges(direction) if f"direction.{direction}.{key}" in axes)
    return {key for key in swept if f"direction.{direction}.{paths(direction)[key]}" not in said}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_shows_both_ends_of_what_sources_say_about_its_directions(name: str) -> None:
    """Every number of every direction that it names, and in words."""
    study = read(CONF / "study" / f"{name}.yaml")
    for direction in {direction.partition("@")[0] for direction in named(study)}:
        excused = set(OTHERWISE.get((name, direction), {}))
        place = f"conf/study/{name}.yaml: {direction}"
        missing = hidden(study, direction) - excused
        assert not missing, f"{place}: add {direction}@best and @worst, or both ends of {missing}"
        untold = silent(study, direction) - excused
        assert not untold, f"{place}: no answer is about {untold}"


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "fleet").glob("*.yaml")))
def test_a_fleet_that_may_buy_a_direction_has_both_ends_of_it(name: str) -> None:
    fleet = read(CONF / "fleet" / f"{name}.yaml")
    base = read(CONF / "fleet" / "_base.yaml")
    ends = [
        end for r in {**base["ranges"], **fleet.get("ranges", {})}.values() for end in r.values()
    ]
    for kind, content in fleet.get("kinds", {}).items():
        direction = content.get("direction", "none")
        if ranges(direction):
            for end in ("best", "worst"):
                assert {f"kinds.{kind}.direction": f"{direction}@{end}"} in ends, (kind, end)


def test_the_study_of_fleets_takes_a_scenario_at_every_end() -> None:
    scenarios = read(CONF / "study" / "fleet-shift.yaml")["fleet"]["scenarios"]
    assert any(name.endswith("@ends") for name in scenarios)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_shows_both_ends_of_a_store_of_flash_for_prefixes(name: str) -> None:
    """A plan has its ends beside it by name; a store of a replica is stated in full at each."""
    study = read(CONF / "study" / f"{name}.yaml")
    plans = {str(plan) for plan in study.get("axes", {}).get("plan", [])}
    plans |= {word.partition("=")[2] for word in words(study) if word.startswith("plan=")}
    flash = {plan for plan in plans if plan.startswith("prefix-cache-hbf")}
    ends = {f"prefix-cache-hbf-{end}" for end in ("best", "worst")}
    assert not flash or ends <= flash
    stores = {s for word in words(study) for s in re.findall(r"\{name: hbf,[^}]*\}", word)}
    latencies = {found for store in stores for found in re.findall(r"latency: ([^,}]*)", store)}
    assert not stores or {"1 us", "50 us"} <= latencies


def test_some_study_has_each_kind_of_store_of_flash() -> None:
    """Else the test above would hold of nothing."""
    texts = [(CONF / "study" / f"{name}.yaml").read_text() for name in STUDIES]
    assert any("prefix-cache-hbf" in text for text in texts)
    assert any("{name: hbf," in text for text in texts)


def test_ranges_are_found_in_the_bases_of_an_option() -> None:
    assert {"latency", "price", "energy"} <= set(ranges("hbf")) & set(ranges("hbf-instead"))
    assert not ranges("none")


def test_ranges_have_the_ends_that_are_in_print() -> None:
    """Latency, page, energy and price of flash, the energy of a base die: values of the sources.

    1 us to tens of us and 4 KiB to tens of KB (Ma and Patterson, table and text); below twice to
    four times HBM's energy; a 16th to a fifth of its price; a third (2-3x lower power) to 8 % less.
    """
    flash, unit = ranges("hbf"), ranges("pnm")
    assert (flash["latency"]["low"], flash["latency"]["high"]) == ("1 us", "50 us")
    assert (flash["page"]["low"], flash["page"]["high"]) == ("4 KiB", "64 KiB")
    hbm = {name: read(CONF / "memory" / f"{name}.yaml") for name in ("hbm3e", "hbm4")}
    per_bit = float(hbm["hbm3e"]["access_energy"].split()[0])
    assert float(flash["energy"]["high"].split()[0]) == pytest.approx(4 * per_bit)
    assert float(flash["energy"]["low"].split()[0]) == pytest.approx(80 / 1.638 / 8, rel=1e-2)
    price = float(hbm["hbm4"]["price"].split()[0])
    assert float(flash["price"]["low"].split()[0]) == pytest.approx(price / 16)
    assert float(flash["price"]["high"].split()[0]) == pytest.approx(price / 5)
    assert unit["energy"]["low"] == pytest.approx(1 / 3, rel=0.02)
    assert unit["energy"]["high"] == pytest.approx(3.29 / 3.59, rel=1e-3)


def test_exceptions_are_of_studies_that_name_them() -> None:
    for (name, direction), excused in OTHERWISE.items():
        study = read(CONF / "study" / f"{name}.yaml")
        assert direction in named(study)
        assert set(excused) <= hidden(study, direction) | silent(study, direction)


def test_a_study_of_one_end_alone_is_found_out() -> None:
    """Latency on an axis that stops short, price nowhere, and an answer that names neither."""
    study: Any = {
        "axes": {"direction": ["none", "hbf"], "direction.hbf.latency": ["1 us", "20 us"]},
        "answers": [{"values": "SELECT 1"}],
    }
    assert {"latency", "price"} <= hidden(study, "hbf")
    study["axes"]["direction.hbf.latency"].append("50 us")
    assert "latency" not in hidden(study, "hbf")
    assert silent(study, "hbf") == {"latency"}
    study["axes"]["direction"] = ["hbf@best", "hbf@worst"]
    assert not hidden(study, "hbf")
    assert silent(study, "hbf") == {"best", "worst"}
    study["draws"] = {"count": 4, "inputs": {"direction.pnm.energy": "stated"}}
    assert hidden(study, "pnm") == {"bandwidth", "power"}


def test_plans_of_flash_take_the_ends_of_the_direction() -> None:
    """Eight stacks of 64 MB read 64 MB / (2 x 50 us) = 0.64 TB/s each at the worst latency."""
    ends = read(CONF / "direction" / "hbf.yaml")["ranges"]
    for end, side in (("best", "low"), ("worst", "high")):
        plan = read(CONF / "plan" / f"prefix-cache-hbf-{end}.yaml")["prefix_cache"]
        assert plan["price"] == ends["price"][side]
    assert plan["bandwidth"] == f"{8 * 64e6 / (2 * 50e-6) / 1e12:g} TB/s"
    assert ends["latency"] == {"low": "1 us", "high": "50 us", "best": "low"}
