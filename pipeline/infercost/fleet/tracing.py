"""Where a dollar of a fleet's plan comes from: a tree down to devices, options and the scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from infercost.equations import money
from infercost.errors import SpecError, closest
from infercost.fleet.explain import Plan, money_of, rows, uses, value_of
from infercost.fleet.model import (
    MUSD,
    YEAR,
    demand_of,
    discount,
    energy_of,
    life_left,
    outside_price,
    paid,
    price,
    unit_of,
)
from infercost.options.places import place_of
from infercost.options.witnesses import witness
from infercost.paths import config_dirs
from infercost.tracing.nodes import Node, formula_of, total

SOLVED = "the cheapest plan (HiGHS)"


class FleetTracer:
    """Trees of one plan."""

    def __init__(
        self, plan: Plan, scenario: str, dirs: Sequence[str], overrides: Sequence[str]
    ) -> None:
        self.plan, self.scenario = plan, scenario.partition("@")[0]
        self.dirs = config_dirs(tuple(dirs))
        self.stated = {text.lstrip("+").partition("=")[0]: text for text in overrides}

    def trace(self, figure: str) -> Node:
        """The tree of a figure. Raises `SpecError` for one without a tree."""
        known: dict[str, Callable[[], Node]] = {
            "cost": self.cost,
            "spent": self.spent,
            "worth": self.worth,
            "money": self.money,
            "power": self.power,
        }
        if figure not in known:
            near = closest(figure, list(known))
            remedy = f"Did you mean {near}?" if near else f"Known: {', '.join(known)}"
            raise SpecError("fleet --trace", figure, "is no figure of a plan", remedy)
        return known[figure]()

    def input(self, path: str, value: float, unit: str) -> Node:
        """A number of the scenario: its source and place."""
        if path in self.stated:
            return Node(path, value, unit, "input", source="stated", file=self.stated[path])
        file, _ = place_of(self.dirs, "fleet", self.scenario, path)
        source = witness(self.plan.fleet, path) or "assumed"
        return Node(f"fleet.{path}", value, unit, "input", source=source, file=file)

    def solved(self, name: str, value: float, unit: str) -> Node:
        """A number that the solver chose."""
        return Node(name, value, unit, "model", source=SOLVED)

    def option(self, kind: str, what: str, value: float, unit: str) -> Node:
        """A number of a kind's hardware option, its direction's changes included."""
        chosen = self.plan.fleet.kinds[kind]
        file, _ = place_of(self.dirs, "hardware", chosen.hardware, what)
        source = f"infercost explain --trace device_price_usd hardware={chosen.hardware}"
        if chosen.direction != "none":
            source += f" +direction={chosen.direction}"
        named = f"hardware {chosen.hardware}: {what}"
        return Node(named, value, unit, "input", source=source, file=file)

    def price(self, kind: str, year: int) -> Node:
        """USD of a device that is bought in a year."""
        fleet, steps = self.plan.fleet, year - self.plan.fleet.years[0]
        new = self.option(kind, "price", self.plan.able.devices[kind].price, "USD")
        yearly = self.input(f"kinds.{kind}.yearly_price", fleet.kinds[kind].yearly_price, "1")
        trend = yearly.value**steps
        moved = Node(f"price trend of {steps} years", trend, "1", "equation", terms=(yearly,))
        return total(f"price of {kind} in {year}", "USD", [new, moved], "product")

    def discounted(self, year: int) -> Node:
        """Worth of a dollar of a year in dollars of the first."""
        rate = self.input("discount_rate", self.plan.fleet.discount_rate, "1")
        worth = discount(self.plan.fleet, year)
        return Node(f"discount of {year}", worth, "1", "equation", "(1 + r)^-n", terms=(rate,))

    def bought(self, charged: bool) -> list[Node]:
        """Every purchase, as it is paid for or as what of it is charged within the horizon."""
        fleet, found = self.plan.fleet, []
        for key, devices in self.plan.solution.values.items():
            if key[0] != "buy" or devices <= 0:
                continue
            site, kind, year = str(key[1]), str(key[2]), int(key[4])
            terms = [self.solved("devices", devices, "device"), self.price(kind, year)]
            if charged:
                share = paid(fleet, price(fleet, self.plan.able, kind, year), year) / terms[1].value
                inputs = tuple(
                    self.input(name, float(getattr(fleet, name)), unit)
                    for name, unit in (("discount_rate", "1"), ("life", "s"))
                )
                formula = formula_of(money.annuity_rate) + " Years within the horizon, discounted."
                named = "share charged within the horizon"
                terms.append(Node(named, share, "1", "equation", formula, terms=inputs))
            what = f"{kind} for {key[3]} in {site}, {year}"
            found.append(total(what, "USD", terms, "product"))
        return found

    def spent(self) -> Node:
        """USD for devices, undiscounted."""
        return total("spent on devices", "USD", self.bought(charged=False))

    def cost(self) -> Node:
        """USD of the plan in dollars of the first year."""
        parts = {
            "purchases": self.bought(charged=True),
            "hosting": self.hosting(),
            "electricity": self.electricity(),
            "conversions and sales": self.moved(),
            "bought elsewhere": self.elsewhere(),
        }
        made = [total(name, "USD", nodes) for name, nodes in parts.items() if nodes]
        value = self.plan.solution.cost * MUSD
        return Node("cost of the plan", value, "USD", "sum", terms=tuple(made))

    def hosting(self) -> list[Node]:
        """Room for what stands."""
        fleet, found = self.plan.fleet, []
        for key, devices in self.plan.solution.values.items():
            if key[0] == "stock" and devices > 0:
                site, kind, year = str(key[1]), str(key[2]), int(key[4])
                here = fleet.sites[site].hosting_price
                terms = [
                    self.solved("devices", devices, "device"),
                    self.option(kind, "tdp", self.plan.able.devices[kind].power, "W"),
                    self.input(f"sites.{site}.hosting_price", here, "USD/(W s)"),
                    Node("seconds of a year", YEAR, "s", "input", source="definition"),
                    self.discounted(year),
                ]
                found.append(total(f"{kind} in {site}, {year}", "USD", terms, "product"))
        return found

    def electricity(self) -> list[Node]:
        """Energy at the meter of devices at work."""
        fleet, able, found = self.plan.fleet, self.plan.able, []
        for (site, kind, wanted, year), devices in uses(self.plan.solution):
            if devices > 0:
                joules = energy_of(fleet, able, site, kind, wanted)
                formula = "rate x energy of a unit x share of time x seconds of a year x PUE"
                layout = able.of[kind, wanted].layout
                each = Node("J of a device-year", joules, "J", "model", formula, source=layout)
                tariff = fleet.sites[site].electricity_price
                terms = [
                    self.solved("devices", devices, "device"),
                    each,
                    self.input(f"sites.{site}.electricity_price", tariff, "USD/J"),
                    self.discounted(year),
                ]
                what = f"{kind} in {site} for {wanted}, {year}"
                found.append(total(what, "USD", terms, "product"))
        return found

    def moved(self) -> list[Node]:
        """Conversions to the other pool, and sales of what stands."""
        fleet, found = self.plan.fleet, []
        for key, devices in self.plan.solution.values.items():
            if key[0] not in ("convert", "sell") or devices <= 0:
                continue
            kind, year = str(key[2]), int(key[4])
            new = self.option(kind, "price", self.plan.able.devices[kind].price, "USD")
            name = "conversion" if key[0] == "convert" else "salvage"
            share = self.input(name, getattr(fleet, name), "1")
            terms = [self.solved("devices", devices, "device"), new, share, self.discounted(year)]
            if key[0] == "sell":
                left = life_left(fleet, str(key[1]), kind, year)
                terms.append(Node("life left, as income", -left, "1", "equation", "-(1 - t / T)"))
            what = f"{key[0]} {kind} in {key[1]}, {year}"
            found.append(total(what, "USD", terms, "product"))
        return found

    def elsewhere(self) -> list[Node]:
        """What the fleet cannot serve."""
        fleet, found = self.plan.fleet, []
        for wanted in fleet.demand:
            for year in fleet.years:
                share = self.plan.solution.values["outside", wanted, year]
                if share <= 0:
                    continue
                amount = share * unit_of(fleet, wanted) * YEAR
                asked = demand_of(fleet, wanted, year) * YEAR
                each = outside_price(fleet, self.plan.able, wanted)
                factor = self.input("outside", fleet.outside, "1")
                least = Node(
                    "least all-in price",
                    each / factor.value,
                    "USD",
                    "model",
                    "of the cheapest kind and site, owned and busy as here",
                )
                terms = [
                    self.solved(f"tokens or FLOP, of {asked:.4g} asked for", amount, "1"),
                    total("price elsewhere", "USD", [least, factor], "product"),
                    self.discounted(year),
                ]
                found.append(total(f"{wanted}, {year}", "USD", terms, "product"))
        return found

    def worth(self) -> Node:
        """What one more device of each farm saves: shadow prices, listed beside each other."""
        nodes = [
            Node(
                f"{entry.kind} in {entry.site} for {entry.pool}",
                value_of(self.plan, entry.site, entry.kind, entry.pool),
                "USD",
                "model",
                "what one more saves: shadow prices of its balance, sale and age",
                source=SOLVED,
            )
            for entry in self.plan.fleet.installed
        ]
        return total("worth of one more of each", "USD", nodes)

    def money(self) -> Node:
        """What a dollar more saves beyond itself, year by year."""
        nodes = [
            Node(
                str(year),
                money_of(self.plan, year),
                "1",
                "model",
                "shadow prices of the money of this year and later ones",
                source=SOLVED,
            )
            for year in self.plan.fleet.years
        ]
        return total("what a dollar more saves, summed over years", "1", nodes)

    def power(self) -> Node:
        """What a watt more saves, site by site and year by year, in dollars of the year."""
        nodes = [
            Node(
                f"{row.site}, {row.year}",
                row.value,
                row.unit,
                "model",
                "shadow price of the site's power",
                source=SOLVED,
            )
            for row in rows(self.plan)
            if row.quantity == "shadow_power"
        ]
        return total("what a watt more saves, summed over sites and years", "USD/W", nodes)
