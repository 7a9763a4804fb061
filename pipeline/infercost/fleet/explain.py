"""A fleet's plan as rows, and in words by its shadow prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infercost.fleet.abilities import Abilities
from infercost.fleet.model import (
    MUSD,
    POOLS,
    YEAR,
    demand_of,
    discount,
    outside_price,
    price,
    program,
    unit_of,
    working,
)
from infercost.fleet.solve import Solution, solve
from infercost.fleet.worth import cut_needed, year_gain
from infercost.specs.fleet import SERVING, TRAINING, Fleet, Served

SMALL = 1e-6
MILLION = 1e6
NEXT = 0.01
"""Share by which a budget is widened to see what more money would buy."""


@dataclass(frozen=True)
class Row:
    """One number of a plan."""

    quantity: str
    year: int
    value: float
    unit: str
    site: str = ""
    kind: str = ""
    pool: str = ""
    demand: str = ""


@dataclass(frozen=True)
class Plan:
    """A fleet's cheapest plan, and what a little more money would buy."""

    fleet: Fleet
    able: Abilities
    solution: Solution
    richer: Solution
    """With every year's money wider by a hundredth."""


def planned(fleet: Fleet, able: Abilities) -> Plan:
    """Solve a fleet, and once more with a little more money."""
    wider = fleet.model_copy(update={"money": [m * (1 + NEXT) for m in fleet.money]})
    return Plan(fleet, able, solve(program(fleet, able)), solve(program(wider, able)))


def rows(plan: Plan) -> Iterator[Row]:
    """Everything that a study may ask of a plan, one number a row."""
    fleet, solution = plan.fleet, plan.solution
    first = fleet.years[0]
    yield Row("cost", first, solution.cost * MUSD, "USD")
    yield Row("duality_gap", first, solution.gap, "1")
    for key, value in solution.values.items():
        if len(key) != 5 or key[0] == "use":
            continue
        what, site, kind, pool = map(str, key[:4])
        yield Row(what, int(key[4]), value, "device", site, kind, pool)
    for (site, kind, wanted, year), value in uses(solution):
        rate = plan.able.of[kind, wanted].rate * working(fleet, wanted)
        unit = "token/s" if isinstance(fleet.demand[wanted], Served) else "FLOP/s"
        yield Row("use", year, value, "device", site, kind, demand=wanted)
        yield Row("served", year, value * rate, unit, site, kind, demand=wanted)
    yield from _money(plan)
    yield from _values(plan)
    yield from _shadows(plan)


def uses(solution: Solution) -> Iterator[tuple[tuple[str, str, str, int], float]]:
    """Site, kind, class and year of every use, with its devices."""
    for key, value in solution.values.items():
        if key[0] == "use":
            yield (str(key[1]), str(key[2]), str(key[3]), int(key[4])), value


def spent(plan: Plan, solution: Solution, kind: str, year: int) -> float:
    """USD that a plan spends on devices of a kind in a year."""
    bought = solution.total("buy", None, kind, None, year)
    return bought * price(plan.fleet, plan.able, kind, year)


def _money(plan: Plan) -> Iterator[Row]:
    for kind in plan.fleet.kinds:
        cut = cut_needed(plan.fleet, plan.able, plan.solution, kind)
        if cut is not None:
            yield Row("cut_needed", plan.fleet.years[0], cut, "1", kind=kind)
        for year in plan.fleet.years:
            now, then = (spent(plan, s, kind, year) for s in (plan.solution, plan.richer))
            yield Row("spent", year, now, "USD", kind=kind)
            yield Row("next_spent", year, then - now, "USD", kind=kind)


def value_of(plan: Plan, site: str, kind: str, pool: str) -> float:
    """USD that one more device of those installed would save over the horizon.

    It would stand there, could be sold, and would reach the end of its life as the others do.
    """
    fleet, shadow = plan.fleet, plan.solution.shadow
    first = fleet.years[0]
    change = shadow["balance", site, kind, pool, first] + shadow.get(("sold", site, kind), 0.0)
    lives = [e.life_left for e in fleet.installed if (e.site, e.kind) == (site, kind)]
    for year in fleet.years:
        if lives and year >= first + max(lives):
            change -= shadow["age", site, kind, year]
    return -change * MUSD


def money_of(plan: Plan, year: int) -> float:
    """What a dollar more to spend in a year saves, in dollars of that year, itself not counted."""
    later = [y for y in plan.fleet.years if y >= year]
    saved = -sum(plan.solution.shadow["money", y] for y in later)
    return saved / discount(plan.fleet, year)


def _values(plan: Plan) -> Iterator[Row]:
    """Worth of a device that stands today, by pool, whether or not some stand there."""
    first = plan.fleet.years[0]
    for row in plan.solution.shadow:
        if row[0] == "balance" and row[4] == first:
            site, kind, pool = map(str, row[1:4])
            worth = value_of(plan, site, kind, pool)
            stands = sum(
                e.devices
                for e in plan.fleet.installed
                if (e.site, e.kind, e.pool) == (site, kind, pool)
            )
            yield Row("installed", first, stands, "device", site, kind, pool)
            yield Row("worth", first, worth, "USD", site, kind, pool)
            new = plan.able.devices[kind].price
            yield Row("worth_of_price", first, worth / new, "1", site, kind, pool)


def _shadows(plan: Plan) -> Iterator[Row]:
    """What one more unit of each limit saves, in the dollars of its year."""
    fleet, shadow = plan.fleet, plan.solution.shadow
    for year in fleet.years:
        now = discount(fleet, year)
        # Money is counted in millions of dollars, power in MW, carbon in thousands of tonnes.
        yield Row("shadow_money", year, money_of(plan, year), "1")
        yield Row("shadow_carbon", year, -shadow["carbon", year] / now * MUSD / 1e6, "USD/kgCO2e")
        for site in fleet.sites:
            per_watt = -shadow["power", site, year] / now * MUSD / 1e6
            yield Row("shadow_power", year, per_watt, "USD/W", site)
            per_rack = -shadow["space", site, year] / now * MUSD
            yield Row("shadow_space", year, per_rack, "USD", site)
        for wanted in fleet.demand:
            unit = unit_of(fleet, wanted)
            per_unit = -shadow["demand", wanted, year] / now * MUSD / (unit * YEAR)
            served = isinstance(fleet.demand[wanted], Served)
            shown, symbol = (
                (per_unit * MILLION, "USD/Mtoken") if served else (per_unit * 1e18, "USD/EFLOP")
            )
            yield Row("price", year, shown, symbol, demand=wanted)
            outside = plan.solution.values["outside", wanted, year] * unit
            asked = demand_of(fleet, wanted, year)
            yield Row("outside_share", year, outside / asked if asked else 0.0, "1", demand=wanted)


def told(plan: Plan) -> list[str]:
    """The plan in sentences: what becomes of what stands, where money goes, what binds."""
    return [
        *_of_farms(plan),
        *_of_purchases(plan),
        *_of_limits(plan),
        *_of_prices(plan),
        *_of_racks(plan),
        f"No plan is cheaper by more than {max(plan.solution.gap, 1e-12):.0e} of the cost, "
        "by the bound of the dual problem.",
    ]


def _of_racks(plan: Plan) -> Iterator[str]:
    if plan.fleet.whole_racks:
        more = plan.solution.cost / plan.solution.divisible - 1 if plan.solution.divisible else 0.0
        yield (
            f"Purchases are whole racks, which costs {more:.1e} more than if racks could be "
            f"divided; shadow prices and worths are those of racks that can."
        )


def _of_farms(plan: Plan) -> Iterator[str]:
    fleet, solution = plan.fleet, plan.solution
    last = fleet.years[-1]
    for entry in fleet.installed:
        worth = value_of(plan, entry.site, entry.kind, entry.pool)
        new = plan.able.devices[entry.kind].price
        other = {TRAINING: SERVING, SERVING: TRAINING}[entry.pool]
        moved = sum(
            solution.values.get(("convert", entry.site, entry.kind, entry.pool, year), 0.0)
            for year in fleet.years
        )
        gone = sold_early(plan, entry.site, entry.kind)
        idle = [idle_share(plan, entry.site, entry.kind, year) for year in fleet.years]
        yield (
            f"One of the {entry.devices:,.0f} {entry.kind} in {entry.site} set up for {entry.pool}"
            f" is worth {worth:,.0f} USD to the fleet, {worth / new:.0%} of its price when new: "
            f"what one more would save from {fleet.years[0]} to {last}. The plan converts "
            f"{moved / entry.devices if entry.devices else 0:.0%} of them to {other}, sells "
            f"{gone:,.0f} of the kind there before their end, and leaves {max(idle):.0%} idle in "
            f"the worst year. {_earned(plan, entry.site, entry.kind)}"
        )


def _earned(plan: Plan, site: str, kind: str) -> str:
    """What a device earns in each pool at the shadow prices of demand, first year and last."""
    fleet, years = plan.fleet, (plan.fleet.years[0], plan.fleet.years[-1])

    def gain(pool: str, year: int) -> str:
        found = year_gain(fleet, plan.able, plan.solution, site, kind, pool, year)
        return f"{found / discount(fleet, year) * MUSD:,.0f}"

    words = [f"{pool} {' and '.join(gain(pool, year) for year in years)}" for pool in POOLS]
    return (
        f"At the shadow prices of demand a year of one earns, less electricity, {words[0]} USD in "
        f"{years[0]} and {years[1]}, {words[1]}."
    )


def sold_early(plan: Plan, site: str, kind: str) -> float:
    """Devices of a kind that a site sells while they could still run."""
    entries = [e for e in plan.fleet.installed if (e.site, e.kind) == (site, kind)]
    end = plan.fleet.years[0] + max((e.life_left for e in entries), default=0)
    years = [year for year in plan.fleet.years if year < end]
    return sum(plan.solution.total("sell", site, kind, None, year) for year in years)


def idle_share(plan: Plan, site: str, kind: str, year: int) -> float:
    """Share of the devices of a kind in a site that no class uses."""
    stock = sum(plan.solution.values.get(("stock", site, kind, p, year), 0.0) for p in POOLS)
    used = sum(
        plan.solution.values.get(("use", site, kind, d, year), 0.0) for d in plan.fleet.demand
    )
    return max(1.0 - used / stock, 0.0) if stock > SMALL else 0.0


def _of_purchases(plan: Plan) -> Iterator[str]:
    fleet = plan.fleet
    total = {k: sum(spent(plan, plan.solution, k, y) for y in fleet.years) for k in fleet.kinds}
    richer = {k: sum(spent(plan, plan.richer, k, y) for y in fleet.years) for k in fleet.kinds}
    budget = sum(fleet.money)
    everything = sum(total.values())
    if everything < SMALL * budget:
        yield "The plan buys nothing: what stands serves demand, or what is bought elsewhere does."
        return
    parts = [
        f"{name} {share / everything:.0%}"
        for name, share in sorted(total.items(), key=lambda pair: -pair[1])
        if share > 0.005 * everything
    ]
    yield (
        f"Of {everything / 1e9:.2f} billion USD for devices ({everything / budget:.0%} of what may "
        f"be spent) go to {', '.join(parts)}."
    )
    others = {
        k: cut_needed(fleet, plan.able, plan.solution, k)
        for k in fleet.kinds
        if total[k] <= 0.005 * everything
    }
    needed = [f"{k} by {cut:.0%}" for k, cut in others.items() if cut is not None]
    if needed:
        yield f"To be bought, others would have to be cheaper: {', '.join(needed)}."
    more = sum(fleet.money) * NEXT
    change = {k: richer[k] - total[k] for k in fleet.kinds}
    gains = [(k, c) for k, c in change.items() if c > 0.05 * more]
    if gains:
        ordered = sorted(gains, key=lambda pair: -pair[1])
        words = ", ".join(f"{name} ({c / more:.0%})" for name, c in ordered)
        yield f"The next dollars, {NEXT:.0%} more in every year, go to {words}."
    else:
        yield f"More money ({NEXT:.0%} in every year) would buy hardly anything: other limits bind."


def _of_limits(plan: Plan) -> Iterator[str]:
    fleet, shadow = plan.fleet, plan.solution.shadow
    found = []
    for year in fleet.years:
        now = discount(fleet, year)
        saved = money_of(plan, year)
        if saved > 1e-3:
            found.append(f"a dollar more to spend in {year} saves {saved:.2f} USD beyond itself")
        for site in fleet.sites:
            watt = -shadow["power", site, year] / now
            if watt > 1e-3:
                found.append(f"a watt more in {site} in {year} saves {watt:.2f} USD")
            rack = -shadow["space", site, year] / now * MUSD
            if rack > 1:
                found.append(f"a rack more in {site} in {year} saves {rack:,.0f} USD")
        tonne = -shadow["carbon", year] / now * 1e3
        if tonne > 1e-3:
            found.append(f"a tonne more of CO2e in {year} saves {tonne:,.0f} USD")
    yield ("Limits that bind: " + "; ".join(found) + ".") if found else "No limit binds."


def _of_prices(plan: Plan) -> Iterator[str]:
    fleet = plan.fleet
    for wanted, demand in fleet.demand.items():
        served = isinstance(demand, Served)
        scale, symbol = (MILLION, "a million tokens") if served else (1e18, "10^18 FLOP")
        unit = unit_of(fleet, wanted)
        prices = [
            -plan.solution.shadow["demand", wanted, y]
            / discount(fleet, y)
            * MUSD
            / (unit * YEAR)
            * scale
            for y in (fleet.years[0], fleet.years[-1])
        ]
        elsewhere = outside_price(fleet, plan.able, wanted) * scale
        bought = [
            plan.solution.values["outside", wanted, y]
            * unit
            / max(demand_of(fleet, wanted, y), 1e-9)
            for y in fleet.years
        ]
        kinds = sorted(
            {
                k
                for (_, k, d, year), used in uses(plan.solution)
                if d == wanted and used > 1 and year == fleet.years[-1]
            }
        )
        yield (
            f"{wanted.capitalize()}: {symbol} more cost the fleet {prices[0]:.3g} USD in "
            f"{fleet.years[0]} and {prices[1]:.3g} in {fleet.years[-1]}, elsewhere "
            f"{elsewhere:.3g}; {max(bought):.0%} is bought elsewhere in the worst year, and at the "
            f"end {' and '.join(kinds) or 'no device'} is what serves it."
        )
