"""What a device costs and what making it emits, by part; and memory prices of another year."""

from __future__ import annotations

from typing import Any

from infercost.arrays import Array, KgCO2e, Ratio, Usd, as_array
from infercost.equations import silicon
from infercost.specs.bill import Bill, Die, MemoryKind
from infercost.specs.case import Case
from infercost.specs.economics import PriceTrend
from infercost.specs.hardware import Hardware
from infercost.specs.memory import Memory

PER_CM2 = 1e4
"""Square centimetres in a square metre."""
KINDS: tuple[tuple[str, MemoryKind], ...] = (
    ("hbm", "hbm"),
    ("lpddr", "lpddr"),
    ("gddr", "gddr"),
    ("ddr", "ddr"),
    ("mrdimm", "ddr"),
    ("cxl", "ddr"),
    ("nand", "flash"),
    ("high bandwidth flash", "flash"),
    ("hbf", "flash"),
)


def kind_of(memory: Memory) -> MemoryKind:
    """Kind of a memory technology, as markets price it."""
    name = memory.technology.lower()
    return next((kind for start, kind in KINDS if name.startswith(start)), "other")


def price_factor(trend: PriceTrend | None, memory: Memory) -> Ratio:
    """Price of a memory in the year of purchase over the stated one."""
    if trend is None:
        return 1.0
    kind = kind_of(memory)
    years = as_array(trend.year) - trend.stated
    grown = silicon.price_after(trend.growth.get(kind, 1.0), years)
    since = as_array(trend.year) - trend.surge_from
    return grown * silicon.surge(trend.surge.get(kind, 1.0), since, trend.surge_years)


def die_yield(die: Die) -> Ratio:
    """Share of good dies."""
    process, defects = die.process, die.process.defects * PER_CM2
    if process.yield_model == "poisson":
        return silicon.poisson_yield(die.area, defects)
    if process.yield_model == "murphy":
        return silicon.murphy_yield(die.area, defects)
    return silicon.clustered_yield(die.area, defects, process.cluster)


def _die_price(die: Die) -> Usd:
    dies = silicon.dies_per_wafer(die.area, die.process.wafer_diameter)
    return silicon.good_die_price(die.process.wafer_price, dies, die_yield(die))


def _die_carbon(die: Die) -> KgCO2e:
    process = die.process
    return silicon.die_carbon(
        die.area,
        process.fab_energy,
        process.fab_grid,
        process.gas,
        process.materials,
        die_yield(die),
    )


def _memory_price(bill: Bill, name: str, memory: Memory, trend: PriceTrend | None) -> Usd:
    stated: Usd = memory.price * memory.total_capacity
    if name in bill.stack_prices:
        stated = bill.stack_prices[name] * memory.stacks
    return stated * price_factor(trend, memory)


def bill_terms(hardware: Hardware, trend: PriceTrend | None = None) -> dict[str, Usd]:
    """Price of a device by part: they sum to it. None for one without a bill."""
    bill = hardware.bill
    if bill is None:
        return {}
    parts: dict[str, Usd] = {
        f"die {name}": die.count * _die_price(die) for name, die in bill.dies.items()
    }
    for name, memory in hardware.memory.items():
        parts[f"memory {name}"] = _memory_price(bill, name, memory, trend)
    inside: Usd = sum(parts.values(), start=0.0) + bill.packaging
    parts["packaging"] = bill.packaging + 0.0
    parts["package yield loss"] = inside / bill.package_yield - inside
    parts["test"] = bill.test
    cost: Usd = inside / bill.package_yield + bill.test
    parts["vendor's margin"] = silicon.price_at_margin(cost, bill.margin) - cost
    for name in ("board", "host", "nic", "switch", "optics", "rack"):
        parts[name] = getattr(bill, name)
    return parts


def carbon_terms(hardware: Hardware) -> dict[str, KgCO2e]:
    """Carbon of making a device by part, its memory apart. None for one without a bill."""
    bill = hardware.bill
    if bill is None:
        return {}
    parts: dict[str, KgCO2e] = {
        f"die {name}": die.count * _die_carbon(die) / bill.package_yield
        for name, die in bill.dies.items()
    }
    parts["packaging"] = bill.packaging_carbon
    parts["board and server"] = bill.board_carbon
    return parts


def priced(case: Case) -> Case:
    """The case with a price and an embodied carbon for its devices, in the year of purchase.

    A stated price moves with the memory that a device is sold with; its rent moves in proportion.
    What directions and mitigations add is charged at stated prices, but for whole devices.
    """
    trend = case.economics.prices
    hardware = _priced(case.hardware, trend)
    others: dict[str, Any] = {}
    for name, mitigation in case.mitigation.items():
        other = getattr(mitigation, "hardware", None)
        if other is not None and _priced(other, trend) is not other:
            update = {"hardware": _priced(other, trend)}
            others[name] = mitigation.model_copy(update=update)
    if hardware is case.hardware and trend is None and not others:
        return case
    return case.model_copy(
        update={
            "hardware": hardware,
            "economics": case.economics.model_copy(update={"prices": None}),
            "mitigation": {**case.mitigation, **others},
        }
    )


def _priced(hardware: Hardware, trend: PriceTrend | None) -> Hardware:
    update: dict[str, Array] = {}
    if hardware.bill is not None and "price" not in hardware.model_fields_set:
        update["price"] = sum(bill_terms(hardware, trend).values(), start=0.0)
    elif trend is not None:
        extra: Usd = sum(
            (
                memory.price * memory.total_capacity * (price_factor(trend, memory) - 1.0)
                for memory in hardware.memory.values()
            ),
            start=0.0,
        )
        update["price"] = hardware.price + extra
        update["rental_price"] = hardware.rental_price * (1.0 + extra / hardware.price)
    if hardware.bill is not None and "embodied_carbon" not in hardware.model_fields_set:
        update["embodied_carbon"] = sum(carbon_terms(hardware).values(), start=0.0)
    return hardware.model_copy(update=update) if update else hardware
