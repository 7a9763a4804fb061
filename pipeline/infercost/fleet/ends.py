"""A scenario at both ends of each of its ranges: what does its answer rest on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infercost.fleet.explain import Plan, spent, value_of
from infercost.fleet.part import plan_of
from infercost.fleet.scenario import EVERY, expanded


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
    return [answer(n.partition("@")[2] or "as stated", plan_of(n, dirs, overrides)) for n in names]


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
