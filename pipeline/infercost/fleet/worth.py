"""What a device would be worth to a plan at its shadow prices, and how much cheaper it had to be.

Shadow prices of demand, power, racks, carbon and money are those of the plan as it is: what a whole
farm of another kind would change about them is left out.
"""

from __future__ import annotations

from infercost.fleet.abilities import Abilities
from infercost.fleet.model import (
    KT,
    MUSD,
    POOLS,
    YEAR,
    buyable,
    discount,
    energy_of,
    life_years,
    paid,
    pool_of,
    price,
    unit_of,
    working,
)
from infercost.fleet.solve import Solution
from infercost.specs.fleet import Fleet


def year_gain(
    fleet: Fleet, able: Abilities, solution: Solution, site: str, kind: str, pool: str, year: int
) -> float:
    """Millions of dollars that a device of a pool earns in a year, at the class that pays best."""
    here, shadow, worth = fleet.sites[site], solution.shadow, discount(fleet, year) / MUSD
    best = 0.0
    for wanted in fleet.demand:
        ability = able.of[kind, wanted]
        if pool_of(fleet, wanted) != pool or ability.rate == 0:
            continue
        joules = energy_of(fleet, able, site, kind, wanted)
        served = ability.rate * working(fleet, wanted) / unit_of(fleet, wanted)
        earned = -shadow["demand", wanted, year] * served
        earned -= joules * here.electricity_price * worth
        earned += joules * here.grid_carbon / KT * shadow["carbon", year]
        best = max(best, earned)
    return best


def year_cost(
    fleet: Fleet, able: Abilities, solution: Solution, site: str, kind: str, year: int
) -> float:
    """Millions of dollars that a device takes by standing there: hosting, power and racks."""
    here, shadow = fleet.sites[site], solution.shadow
    watts = able.devices[kind].power
    hosting = watts * here.hosting_price * YEAR * discount(fleet, year) / MUSD
    power = -shadow["power", site, year] * watts * here.pue / 1e6
    return hosting + power - shadow["space", site, year] / fleet.kinds[kind].per_rack


def worth_when_new(
    fleet: Fleet, able: Abilities, solution: Solution, site: str, kind: str, pool: str, year: int
) -> float:
    """Millions of dollars that a device is worth from a year on, retired when it is best to."""
    total = best = 0.0
    for later in fleet.years:
        if year <= later < year + life_years(fleet):
            total += year_gain(fleet, able, solution, site, kind, pool, later)
            total -= year_cost(fleet, able, solution, site, kind, later)
            best = max(best, total)
    return best


def cut_needed(fleet: Fleet, able: Abilities, solution: Solution, kind: str) -> float | None:
    """Share by which a kind would have to be cheaper to be bought: 0 if it is; none if never sold.

    A price takes its annuity, and the money that other purchases then lack.
    """
    cuts = []
    for year in fleet.years:
        if not buyable(fleet, kind, year):
            continue
        new = price(fleet, able, kind, year)
        money = -sum(solution.shadow["money", later] for later in fleet.years if later >= year)
        taken = paid(fleet, new, year) / MUSD + new / MUSD * money
        made = -solution.shadow["carbon", year] * able.devices[kind].embodied / KT
        for site in fleet.sites:
            for pool in POOLS:
                worth = worth_when_new(fleet, able, solution, site, kind, pool, year)
                cuts.append(1.0 - (worth - made) / taken)
    return max(min(cuts), 0.0) if cuts else None
