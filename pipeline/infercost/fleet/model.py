"""The fleet's linear program: variables, constraints and costs, each by name.

Variables are numbers of devices per site, kind, pool (training or serving) and year, and, of `use`,
device-years given to a class of demand. Money is in millions of dollars of the first year's worth;
rates are scaled to those of the first year's demand. What a device that is bought costs is spread
as an annuity over its life, and what of that lies beyond the last year is not charged: what follows
the last year needs no assumption.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from infercost.arrays import FloatArray
from infercost.equations import money
from infercost.fleet.abilities import Abilities
from infercost.specs.fleet import SERVING, TRAINING, Fleet, Served

Key = tuple[str | int, ...]
POOLS = (TRAINING, SERVING)
OTHER = {TRAINING: SERVING, SERVING: TRAINING}
YEAR = money.SECONDS_PER_YEAR
MUSD, KT = 1e6, 1e6
"""Millions of dollars; thousands of tonnes, in kg."""


@dataclass
class Program:
    """min c x  with  A x = b  for rows that say so, A x <= b  for the others, x >= 0."""

    variables: dict[Key, int] = field(default_factory=dict)
    cost: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    equal: dict[Key, float] = field(default_factory=dict)
    """Right side of each equation."""
    most: dict[Key, float] = field(default_factory=dict)
    """Right side of each bound from above."""
    entries: dict[Key, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    whole: set[int] = field(default_factory=set)
    """Variables that are whole numbers."""

    def variable(self, *key: str | int, cost: float = 0.0) -> int:
        """The position of a variable, made where it is new; `cost` adds to its cost."""
        position = self.variables.setdefault(key, len(self.variables))
        self.cost[position] += cost
        return position

    def add(self, row: Key, position: int, coefficient: float) -> None:
        """Add to the coefficient of a variable in a row."""
        entries = self.entries[row]
        entries[position] = entries.get(position, 0.0) + coefficient

    def costs(self) -> FloatArray:
        """Cost of each variable."""
        return np.array([self.cost[i] for i in range(len(self.variables))])

    def matrix(self, rows: Iterable[Key]) -> sparse.csr_array:
        """Coefficients of some rows."""
        data, row_of, column_of = [], [], []
        for number, row in enumerate(rows):
            for position, value in self.entries[row].items():
                data.append(value)
                row_of.append(number)
                column_of.append(position)
        shape = (len(list(rows)), len(self.variables))
        return sparse.csr_array((data, (row_of, column_of)), shape=shape)


def program(fleet: Fleet, able: Abilities) -> Program:
    """The program of a fleet."""
    built = Program()
    for site in fleet.sites:
        for kind in fleet.kinds:
            for pool in _pools(fleet, able, kind):
                _stock(built, fleet, able, site, kind, pool)
            _use(built, fleet, able, site, kind)
            _aging(built, fleet, able, site, kind)
    _limits(built, fleet, able)
    _demand(built, fleet, able)
    if fleet.whole_racks:
        _whole_racks(built, fleet)
    return built


def discount(fleet: Fleet, year: int) -> float:
    """Worth of a dollar of a year in dollars of the first."""
    return float((1.0 + fleet.discount_rate) ** -(year - fleet.years[0]))


def price(fleet: Fleet, able: Abilities, kind: str, year: int) -> float:
    """Price of a device that is bought in a year."""
    trend = fleet.kinds[kind].yearly_price ** (year - fleet.years[0])
    return able.devices[kind].price * float(trend)


def life_years(fleet: Fleet) -> int:
    """Whole years that a bought device runs."""
    return max(round(fleet.life / YEAR), 1)


def paid(fleet: Fleet, price_: float, year: int) -> float:
    """What of a purchase is charged within the horizon: its annuity, year by year, discounted."""
    life = life_years(fleet)
    yearly = YEAR * float(money.annuity_rate(price_, fleet.discount_rate, fleet.life, life))
    return sum(yearly * discount(fleet, y) for y in fleet.years if year <= y < year + life)


def buyable(fleet: Fleet, kind: str, year: int) -> bool:
    """Whether a kind is for sale in a year."""
    return fleet.kinds[kind].first_year <= year <= fleet.kinds[kind].last_year


def demand_of(fleet: Fleet, wanted: str, year: int) -> float:
    """Mean demand of a class in a year, in tokens or FLOP per second."""
    demand = fleet.demand[wanted]
    first = demand.tokens if isinstance(demand, Served) else demand.flops
    steps = demand.growth[: year - fleet.years[0]]
    return first * float(np.prod(steps))


def unit_of(fleet: Fleet, wanted: str) -> float:
    """The rate in which a class is counted: its first year's, or a thousandth of a device's."""
    least = 1.0 if isinstance(fleet.demand[wanted], Served) else 1e12
    return max(demand_of(fleet, wanted, fleet.years[0]), least)


def working(fleet: Fleet, wanted: str) -> float:
    """Share of its time that a device works for a class."""
    served = isinstance(fleet.demand[wanted], Served)
    return fleet.utilisation if served else fleet.training_utilisation


def pool_of(fleet: Fleet, wanted: str) -> str:
    """The pool that serves a class."""
    return SERVING if isinstance(fleet.demand[wanted], Served) else TRAINING


def _pools(fleet: Fleet, able: Abilities, kind: str) -> list[str]:
    """Pools in which a kind is of any use or stands."""
    useful = {pool_of(fleet, d) for d in fleet.demand if able.of[kind, d].rate > 0}
    stands = {entry.pool for entry in fleet.installed if entry.kind == kind}
    return [pool for pool in POOLS if pool in useful | stands]


def _stock(built: Program, fleet: Fleet, able: Abilities, site: str, kind: str, pool: str) -> None:
    """Devices of a year are those of the year before, and what comes less what goes."""
    device, here = able.devices[kind], fleet.sites[site]
    for year in fleet.years:
        worth = discount(fleet, year) / MUSD
        hosting = device.power * here.hosting_price * YEAR
        stock = built.variable("stock", site, kind, pool, year, cost=hosting * worth)
        row: Key = ("balance", site, kind, pool, year)
        built.equal[row] = 0.0
        built.add(row, stock, 1.0)
        if year == fleet.years[0]:
            built.equal[row] = sum(
                e.devices for e in fleet.installed if (e.site, e.kind, e.pool) == (site, kind, pool)
            )
        else:
            built.add(row, built.variable("stock", site, kind, pool, year - 1), -1.0)
        new = price(fleet, able, kind, year)
        if buyable(fleet, kind, year):
            cost = paid(fleet, new, year) / MUSD
            built.add(row, built.variable("buy", site, kind, pool, year, cost=cost), -1.0)
        built.add(row, built.variable("retire", site, kind, pool, year), 1.0)
        if _stands(fleet, site, kind):
            # Only what stands today is sold: of a purchase just the years in use are charged.
            brings = -fleet.salvage * life_left(fleet, site, kind, year) * device.price * worth
            sold = built.variable("sell", site, kind, pool, year, cost=brings)
            built.add(row, sold, 1.0)
            built.most["sold", site, kind] = _stands(fleet, site, kind)
            built.add(("sold", site, kind), sold, 1.0)
        if OTHER[pool] in _pools(fleet, able, kind):
            cost = fleet.conversion * device.price * worth
            away = built.variable("convert", site, kind, pool, year, cost=cost)
            built.add(row, away, 1.0)
            built.add(row, built.variable("convert", site, kind, OTHER[pool], year), -1.0)


def _stands(fleet: Fleet, site: str, kind: str) -> float:
    """Devices of a kind that stand in a site when the first year begins."""
    return sum(e.devices for e in fleet.installed if (e.site, e.kind) == (site, kind))


def life_left(fleet: Fleet, site: str, kind: str, year: int) -> float:
    """Share of its remaining life that a device which stands today still has in a year."""
    lives = [e.life_left for e in fleet.installed if (e.site, e.kind) == (site, kind)]
    return max(1.0 - (year - fleet.years[0]) / max(lives), 0.0)


def _use(built: Program, fleet: Fleet, able: Abilities, site: str, kind: str) -> None:
    """Devices of a pool are given to its classes; each uses energy while it works."""
    here = fleet.sites[site]
    for pool in _pools(fleet, able, kind):
        for year in fleet.years:
            row: Key = ("room", site, kind, pool, year)
            built.most[row] = 0.0
            built.add(row, built.variable("stock", site, kind, pool, year), -1.0)
            for wanted in fleet.demand:
                ability = able.of[kind, wanted]
                if pool_of(fleet, wanted) == pool and ability.rate > 0:
                    joules = energy_of(fleet, able, site, kind, wanted)
                    cost = joules * here.electricity_price * discount(fleet, year) / MUSD
                    use = built.variable("use", site, kind, wanted, year, cost=cost)
                    built.add(row, use, 1.0)


def energy_of(fleet: Fleet, able: Abilities, site: str, kind: str, wanted: str) -> float:
    """Joules at the meter of a device-year given to a class."""
    ability = able.of[kind, wanted]
    busy = working(fleet, wanted) * YEAR
    return ability.rate * ability.energy * busy * fleet.sites[site].pue


def _aging(built: Program, fleet: Fleet, able: Abilities, site: str, kind: str) -> None:
    """By the end of its life a device has been retired, in whatever pool."""
    life, pools = life_years(fleet), _pools(fleet, able, kind)
    for year in fleet.years:
        gone = sum(
            e.devices
            for e in fleet.installed
            if (e.site, e.kind) == (site, kind) and year >= fleet.years[0] + e.life_left
        )
        bought = [y for y in fleet.years if y + life <= year and buyable(fleet, kind, y)]
        if not gone and not bought:
            continue
        row: Key = ("age", site, kind, year)
        built.most[row] = -gone
        for pool in pools:
            for earlier in range(fleet.years[0], year + 1):
                built.add(row, built.variable("retire", site, kind, pool, earlier), -1.0)
                if _stands(fleet, site, kind):
                    built.add(row, built.variable("sell", site, kind, pool, earlier), -1.0)
            for earlier in bought:
                built.add(row, built.variable("buy", site, kind, pool, earlier), 1.0)


def _limits(built: Program, fleet: Fleet, able: Abilities) -> None:
    """Power and racks of each site, money and carbon of each year."""
    for number, year in enumerate(fleet.years):
        # What is not spent stays to be spent in later years.
        built.most["money", year] = sum(fleet.money[: number + 1]) / MUSD
        built.most["carbon", year] = fleet.carbon[number] / KT
        for site, limits in fleet.sites.items():
            built.most["power", site, year] = limits.power / 1e6
            built.most["space", site, year] = limits.racks
    for key, position in list(built.variables.items()):
        if len(key) != 5:
            continue
        what, site, kind, third = map(str, key[:4])
        year = int(key[4])
        if what == "stock":
            here = fleet.sites[site]
            watts = able.devices[kind].power * here.pue
            built.add(("power", site, year), position, watts / 1e6)
            built.add(("space", site, year), position, 1 / fleet.kinds[kind].per_rack)
        elif what == "buy":
            cost = price(fleet, able, kind, year)
            _spend(built, fleet, year, position, cost)
            built.add(("carbon", year), position, able.devices[kind].embodied / KT)
        elif what == "convert":
            cost = fleet.conversion * able.devices[kind].price
            _spend(built, fleet, year, position, cost)
        elif what == "use":
            joules = energy_of(fleet, able, site, kind, third)
            grams = joules * fleet.sites[site].grid_carbon
            built.add(("carbon", year), position, grams / KT)


def _spend(built: Program, fleet: Fleet, year: int, position: int, cost: float) -> None:
    """Money that is spent in a year is gone in that and all later ones."""
    for later in fleet.years:
        if later >= year:
            built.add(("money", later), position, cost / MUSD)


def _demand(built: Program, fleet: Fleet, able: Abilities) -> None:
    """All demand is served, by the fleet or at a price from outside."""
    for wanted in fleet.demand:
        unit = unit_of(fleet, wanted)
        for year in fleet.years:
            row: Key = ("demand", wanted, year)
            built.most[row] = -demand_of(fleet, wanted, year) / unit
            cost = outside_price(fleet, able, wanted) * unit * YEAR * discount(fleet, year) / MUSD
            built.add(row, built.variable("outside", wanted, year, cost=cost), -1.0)
            for site in fleet.sites:
                for kind in fleet.kinds:
                    rate = able.of[kind, wanted].rate * working(fleet, wanted) / unit
                    if rate > 0:
                        use = built.variable("use", site, kind, wanted, year)
                        built.add(row, use, -rate)


def outside_price(fleet: Fleet, able: Abilities, wanted: str) -> float:
    """USD per token or FLOP that is bought elsewhere: a multiple of the least all-in price."""
    life = life_years(fleet)
    least = np.inf
    for kind, device in able.devices.items():
        ability = able.of[kind, wanted]
        if ability.rate == 0:
            continue
        owned = float(money.annuity_rate(device.price, fleet.discount_rate, fleet.life, life))
        for site in fleet.sites.values():
            hosting = device.power * site.hosting_price
            per_unit = (owned + hosting) / (ability.rate * working(fleet, wanted))
            power = ability.energy * site.pue * site.electricity_price
            least = min(least, per_unit + power)
    return fleet.outside * least if np.isfinite(least) else 0.0


def _whole_racks(built: Program, fleet: Fleet) -> None:
    """Purchases are whole racks, counted by a variable; what is retired is whole devices."""
    for key, position in list(built.variables.items()):
        if key[0] in ("retire", "sell"):
            built.whole.add(position)
        elif key[0] == "buy":
            racks = built.variable("racks", *key[1:])
            built.whole.add(racks)
            row: Key = ("whole", *key[1:])
            built.equal[row] = 0.0
            built.add(row, position, 1.0)
            built.add(row, racks, -fleet.kinds[str(key[2])].per_rack)
