"""A scenario at both ends of each of its ranges: what does its answer rest on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infercost.compose import Options
from infercost.fleet.abilities import Abilities, abilities, question_of
from infercost.fleet.explain import Plan, planned, spent, value_of
from infercost.fleet.scenario import AT, EVERY, expanded, load_fleet
from infercost.specs.fleet import Fleet


@dataclass(frozen=True)
class End:
    """The answer at one end of one range."""

    name: str
    worth: dict[str, float]
    """USD that one more device of each farm would save."""
    spent: float
    shares: dict[str, float]
    """Of what is spent, by kind of device."""


def at_ends(name: str, dirs: tuple[str, ...] = (), overrides: Sequence[str] = ()) -> list[End]:
    """The scenario as stated, and at each end."""
    names = [name, *expanded([f"{name}@{EVERY}"], dirs)]
    known: dict[str, Abilities] = {}
    found = []
    for each in names:
        fleet = load_fleet(each, dirs, overrides)
        devices = _devices(fleet)
        if devices not in known:
            known[devices] = abilities(fleet, Options(question_of(fleet, dirs)))
        plan = planned(fleet, known[devices])
        found.append(answer(each.partition(AT)[2] or "as stated", plan))
    return found


def _devices(fleet: Fleet) -> str:
    """All that decides what a device does for a class: ends that leave it alone share it."""
    kept = {"kinds", "overrides", "largest_replica", "mfu", "format"}
    amounts = {"tokens", "flops", "growth"}
    asked = {n: wanted.model_dump_json(exclude=amounts) for n, wanted in fleet.demand.items()}
    return f"{fleet.model_dump_json(include=kept)}{asked}"


def answer(name: str, plan: Plan) -> End:
    """What a plan says about farms and the next dollars."""
    worth = {
        f"{entry.kind} in {entry.site} for {entry.pool}": value_of(
            plan, entry.site, entry.kind, entry.pool
        )
        for entry in plan.fleet.installed
    }
    by_kind = {
        kind: sum(spent(plan, plan.solution, kind, year) for year in plan.fleet.years)
        for kind in plan.fleet.kinds
    }
    total = sum(by_kind.values())
    ordered = sorted(by_kind.items(), key=lambda pair: -pair[1])
    shares = {kind: usd / total for kind, usd in ordered if usd > 0.005 * total}
    return End(name, worth, total, shares)
