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
OTHERWISE = {
    ("explorer", "hbf"): PAGE,
    ("explorer", "pnm"): PAGE,
    ("explorer", "3d-stack"): PAGE,
    ("explorer", "low-latency"): PAGE,
    ("pnm-vs-pim", "pim-bank-group"): "a rung of AttAcc's ladder beside pim-bank, whose ends are"
    " shown: sources disagree about its shard alone, of 128 or 256 MB",
}
"""By study and direction, how both ends are shown in another way, or why they are not asked for."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def ranged(direction: str) -> set[str]:
    """The numbers of a direction about which sources disagree, those of its bases among them."""
    content = read(CONF / "direction" / f"{direction}.yaml") or {}
    bases = (base for base in content.get("defaults", []) if isinstance(base, str))
    found = {key for base in bases if base[0] not in "/_" for key in ranged(base)}
    return found | set(content.get("ranges", {}))


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


def shown(study: Any, direction: str) -> bool:
    """Whether the study shows what the disagreement about a direction does to its result."""
    if {f"{direction}@best", f"{direction}@worst"} <= named(study):
        return True
    draws = study.get("draws")
    if draws is not None:
        inputs = draws.get("inputs") or [f"direction.{direction}."]
        return any(path.startswith(f"direction.{direction}.") for path in inputs) or bool(
            study.get("break_even")
        )
    axes = study.get("axes", {})
    return any(len(axes.get(f"direction.{direction}.{key}", [])) > 1 for key in ranged(direction))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_shows_both_ends_of_what_sources_say_about_its_directions(name: str) -> None:
    study = read(CONF / "study" / f"{name}.yaml")
    plain = {direction.partition("@")[0] for direction in named(study)}
    asked = {direction for direction in plain if ranged(direction)}
    missing = {d for d in asked if not shown(study, d) and (name, d) not in OTHERWISE}
    assert not missing, f"conf/study/{name}.yaml: add @best and @worst of {sorted(missing)}"


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


def test_ranges_are_found_in_the_bases_of_an_option() -> None:
    assert {"latency", "price", "energy"} <= ranged("hbf") & ranged("hbf-instead")
    assert not ranged("none")


def test_exceptions_are_of_studies_that_name_them() -> None:
    for name, direction in OTHERWISE:
        study = read(CONF / "study" / f"{name}.yaml")
        assert direction in named(study)
        assert not shown(study, direction)


def test_plans_of_flash_take_the_ends_of_the_direction() -> None:
    """Eight stacks of 64 MB read 64 MB / (2 x 50 us) = 0.64 TB/s each at the worst latency."""
    ends = read(CONF / "direction" / "hbf.yaml")["ranges"]
    for end, side in (("best", "low"), ("worst", "high")):
        plan = read(CONF / "plan" / f"prefix-cache-hbf-{end}.yaml")["prefix_cache"]
        assert plan["price"] == ends["price"][side]
    assert plan["bandwidth"] == f"{8 * 64e6 / (2 * 50e-6) / 1e12:g} TB/s"
    assert ends["latency"] == {"low": "1 us", "high": "50 us", "best": "low"}
