"""Where a figure of money, carbon or energy comes from: a tree from the figure to its inputs.

Every node has a value, its unit and how its terms make it; inputs have their source and file.
Each figure is put together anew from its terms, so that a tree that does not come out is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from infercost.arrays import number
from infercost.bill import bill_terms, carbon_terms
from infercost.compose import ComposedCase
from infercost.cost import Evaluation
from infercost.equations import carbon, clocking, energy, money, roofline, silicon
from infercost.errors import SpecError, closest
from infercost.options.places import combination, option_file, place_of
from infercost.options.question import NO_DIRECTION, ask
from infercost.options.witnesses import field_unit, value_at, witness
from infercost.passes.reuse import pool_rate
from infercost.passes.shares import PerToken
from infercost.paths import shown
from infercost.specs.economics import Ownership
from infercost.terms import Terms
from infercost.tracing.columns import columns
from infercost.tracing.nodes import TOLERANCE, Node, formula_of, total

Phases = dict[str, PerToken]
"""What one output token takes, by name of the phase."""


class Tracer:
    """Trees of one point."""

    def __init__(
        self,
        composed: ComposedCase,
        point: Evaluation,
        overrides: Sequence[str],
        dirs: Sequence[str],
    ) -> None:
        self.composed, self.point, self.case = composed, point, point.case
        self.overrides = [text.lstrip("+") for text in overrides]
        self.given, self.dirs = dirs, ask([], tuple(dirs)).dirs
        self._inputs: dict[str, Node] = {}

    def input(self, path: str) -> Node:
        """A number of the options, looked up once."""
        if path not in self._inputs:
            self._inputs[path] = self._input(path)
        return self._inputs[path]

    def _input(self, path: str) -> Node:
        """A number of the options: its source, and the file and line or override that state it."""
        group, _, key = path.partition(".")
        spec: Any = getattr(self.composed.case, group)
        value = value_at(self.case, path)
        unit = field_unit(group, key.split("."))
        stated = [text for text in self.overrides if text.split("=")[0] == path]
        if stated:
            return Node(path, number(value), unit, "input", source="stated", file=stated[-1])
        file, _ = place_of(self.dirs, group, self.composed.options[group], key)
        source = witness(spec, key) or "default of the specification"
        return Node(path, number(value), unit, "input", source=source, file=file)

    def constant(self, name: str, value: float, why: str) -> Node:
        """A number that no option states, and why it is what it is."""
        return Node(name, value, "1", "input", source=why)

    # Replicas -------------------------------------------------------------------------------------

    def of(self, point: Evaluation) -> Tracer:
        """Trees of another replica that shares the work, with the devices that it runs on."""
        if point is self.point:
            return self
        composed, overrides = self.composed, self.overrides
        if point.case.hardware != self.case.hardware:
            hardware = point.case.hardware
            option = option_called(self.dirs, "hardware", hardware.name)
            composed = replace(
                composed,
                case=composed.case.model_copy(update={"hardware": hardware}),
                options={**composed.options, "hardware": option},
            )
            overrides = [text for text in overrides if not text.startswith("hardware.")]
        return Tracer(composed, point, overrides, self.given)

    def shared(
        self, name: str, unit: str, phases: Phases, make: Callable[[Tracer, Phases], Node]
    ) -> Node:
        """What several replicas take, each for its share and by its own tree."""
        nodes = []
        for phase, taken in phases.items():
            for share, one, part in taken.parts or ((1.0, self.point, taken),):
                who = f"{one.case.model.name} on {one.case.hardware.name}"
                does = self.constant("share of the work", number(share), f"mitigation: {who}")
                made = make(self.of(one), {phase: part})
                nodes.append(total(f"{phase}: {who}", unit, [does, made], "product"))
        return total(name, unit, nodes)

    # Time -----------------------------------------------------------------------------------------

    def seconds(self, phases: Phases) -> Node:
        """Device-seconds of one output token, by phase and resource."""
        if parted(phases):
            return self.shared("device-seconds per output token", "s", phases, Tracer.seconds)
        kinds = [
            self._by_resource(f"{name}: device-seconds", "s", phase.device_time, self.timing())
            for name, phase in phases.items()
        ]
        return total("device-seconds per output token", "s", kinds)

    def timing(self) -> tuple[Node, ...]:
        """What times of passes are made of."""
        hardware = self.case.hardware
        inputs = [f"hardware.peak_dense.{name}" for name in hardware.peak_dense]
        inputs += [f"hardware.memory.{name}.bandwidth" for name in hardware.memory]
        inputs += ["hardware.scale_up.bandwidth_out", "hardware.scale_up.alpha"]
        inputs += ["calibration.memory_efficiency", "calibration.compute_efficiency"]
        known = [path for path in inputs if self._stated(path)]
        return tuple(self.input(path) for path in known)

    def _stated(self, path: str) -> bool:
        group, _, key = path.partition(".")
        spec: Any = getattr(self.composed.case, group)
        for step in key.split("."):
            spec = spec.get(step) if isinstance(spec, dict) else getattr(spec, step, None)
        return spec is not None

    def _by_resource(self, name: str, unit: str, terms: Terms, made_of: tuple[Node, ...]) -> Node:
        formula = formula_of(roofline.roofline_time)
        calibration = self.composed.options["calibration"]
        kinds = [
            Node(
                f"bound by {resource}",
                number(value),
                unit,
                "model",
                source=f"operators and messages (infercost explain), calibration {calibration}",
                terms=made_of if position == 0 else (),
            )
            for position, (resource, value) in enumerate(terms.items())
        ]
        return total(name, unit, kinds, formula=formula)

    # Energy ---------------------------------------------------------------------------------------

    def energy(self, phases: Phases) -> Node:
        """Joules at the meter of one output token."""
        name = "energy at the meter per output token"
        if parted(phases):
            return self.shared(name, "J", phases, Tracer.energy)
        formula = "E_IT x PUE"
        made = [self.equipment(phases), self.input("economics.pue")]
        return total(name, "J", made, "product", formula)

    def equipment(self, phases: Phases) -> Node:
        """Joules of devices and hosts per output token, without cooling."""
        at_work, draw = self.active(phases), self.resting("idle_power", "host_power")
        seconds = self.seconds(phases)
        working = total(
            "idle and host power at work",
            "J",
            [draw, seconds],
            "product",
            formula_of(energy.static_energy),
        )
        waited = [draw, seconds, self.idle()]
        waiting = total("idle and host power while waiting", "J", waited, "product")
        return total("equipment", "J", [*at_work, working, waiting])

    def active(self, phases: Phases) -> list[Node]:
        """Joules per output token that boards draw above idle power, by phase."""
        economics, hardware = self.case.economics, self.case.hardware
        idle = number(energy.idle_share(economics.utilisation))
        resting = hardware.idle_power + hardware.host_power
        equations: list[Callable[..., Any]] = [energy.arithmetic_energy, energy.movement_energy]
        equations += [] if hardware.power is None else [clocking.active_power]
        formula = "; ".join(formula_of(equation) for equation in equations)
        found = []
        for name, phase in phases.items():
            paid = resting * (1.0 + idle) * phase.device_time.total
            drawn = number(phase.energy.total / economics.pue - paid)
            terms = self.drawing()
            above = f"{name}: drawn above idle power"
            found.append(Node(above, drawn, "J", "model", formula, terms=terms))
        return found

    def resting(self, *powers: str) -> Node:
        """Watts of a device or its host whatever it does."""
        name = " and ".join(power.removesuffix("_power") for power in powers) + " power"
        return total(name, "W", [self.input(f"hardware.{power}") for power in powers])

    def idle(self) -> Node:
        """Idle time per busy time."""
        used = self.input("economics.utilisation")
        value = number(energy.idle_share(self.case.economics.utilisation))
        formula = formula_of(energy.idle_share)
        return Node("idle time per busy time", value, "1", "equation", formula, terms=(used,))

    def drawing(self) -> tuple[Node, ...]:
        """What boards draw above idle power."""
        paths = ["hardware.compute_power", "hardware.tdp"]
        paths += [f"hardware.memory.{name}.access_energy" for name in self.case.hardware.memory]
        if self.case.hardware.power is not None:
            paths += ["hardware.power.active_share", "hardware.power.arithmetic_ratio"]
        return tuple(self.input(path) for path in paths if self._stated(path))

    # Money ----------------------------------------------------------------------------------------

    def price(self) -> Node:
        """Price of one device, by part where it has a bill, with what options and years add."""
        value, stated = number(self.case.hardware.price), self.composed.case.hardware
        if "price" not in stated.model_fields_set:
            parts = bill_terms(stated, self.composed.case.economics.prices)
            nodes = [self._part(name, number(part), "USD") for name, part in parts.items()]
            rest = value - sum(node.value for node in nodes)
        else:
            base = self.composed.case.hardware.price
            file = self.input("hardware.price")
            nodes = [Node(file.name, number(base), "USD", "input", "", file.source, file.file)]
            rest = value - number(base)
        if abs(rest) > TOLERANCE * abs(value):
            nodes.append(self._added(rest))
        return total("price of a device", "USD", nodes)

    def _added(self, value: float) -> Node:
        """What a device's price has beyond its own, and the options that may add it."""
        name = "directions, mitigations and price trends"
        formula = "(price per byte after - before) x bytes"
        groups, options = ("direction", "mitigation", "economics"), self.composed.options
        chosen = {g: options[g] for g in groups if options[g] != NO_DIRECTION}
        stated = [text for text in self.overrides if text.split(".")[0] in chosen and "." in text]
        source = ", ".join([*(f"{group} {option}" for group, option in chosen.items()), *stated])
        found = {group: combination(option) for group, option in chosen.items()}
        files = [option_file(self.dirs, group, one) for group in found for one in found[group]]
        told = ", ".join(shown(file) for file in files if file is not None)
        return Node(name, value, "USD", "model", formula, source=source, file=told)

    def _part(self, name: str, value: float, unit: str) -> Node:
        kind, _, which = name.partition(" ")
        paths: list[str] = []
        formula = ""
        if kind == "die":
            at = f"hardware.bill.dies.{which}"
            paths = [f"{at}.area", f"{at}.count"]
            paths += [f"{at}.process.{key}" for key in ("wafer_price", "wafer_diameter", "defects")]
            formula = f"{formula_of(silicon.good_die_price)}; {formula_of(silicon.dies_per_wafer)}"
        elif kind == "memory":
            at = f"hardware.memory.{which}"
            paths = [f"{at}.price", f"{at}.capacity"]
            formula = "price per byte x bytes"
        elif name in ("package yield loss", "vendor's margin"):
            paths = [f"hardware.bill.{'margin' if 'margin' in name else 'package_yield'}"]
            formula = formula_of(silicon.price_at_margin) if "margin" in name else "cost / yield"
        elif hasattr(self.composed.case.hardware.bill, name):
            return self.input(f"hardware.bill.{name}")
        terms = tuple(self.input(path) for path in paths if self._stated(path))
        return Node(name, value, unit, "equation", formula, terms=terms)

    def rate(self) -> Node:
        """Money per busy device-second, energy apart."""
        used = self.input("economics.utilisation")
        share = Node("1 / utilisation", 1.0 / used.value, "1", "equation", terms=(used,))
        made, formula = [self.paid(), share], formula_of(money.busy_rate)
        return total("rate of a busy device", "USD/s", made, "product", formula)

    def paid(self) -> Node:
        """Money per device-second, busy or not, energy apart."""
        economics, hardware = self.case.economics, self.case.hardware
        if not isinstance(economics, Ownership):
            return total("rent", "USD/s", [self.input("hardware.rental_price"), *self._pool()])
        years = economics.life / money.SECONDS_PER_YEAR
        capital = number(
            money.annuity_rate(hardware.price, economics.discount_rate, economics.life, years)
        )
        bought = Node(
            "capital",
            capital,
            "USD/s",
            "equation",
            formula_of(money.annuity_rate),
            terms=(
                self.price(),
                self.input("economics.discount_rate"),
                self.input("economics.life"),
            ),
        )
        power = total(
            "power capacity", "W", [self.input("hardware.tdp"), self.input("hardware.host_power")]
        )
        hosted = total(
            "hosting",
            "USD/s",
            [power, self.input("economics.hosting_price")],
            "product",
            formula_of(money.hosting_rate),
        )
        return total("capital and hosting", "USD/s", [bought, hosted, *self._pool()])

    def _pool(self) -> list[Node]:
        """Money per time and device for the memory of a prefix cache that lies apart."""
        value = number(pool_rate(self.case))
        if value == 0.0:
            return []
        paths = ("capacity", "price")
        terms = tuple(self.input(f"plan.prefix_cache.{path}") for path in paths)
        formula = f"{formula_of(money.annuity_rate)} Price of the bytes, over all devices"
        return [Node("prefix cache", value, "USD/s", "equation", formula, terms=terms)]

    def cost(self, phases: Phases) -> Node:
        """USD per output token."""
        if parted(phases):
            return self.shared("cost per output token", "USD", phases, Tracer.cost)
        devices = total(
            "devices",
            "USD",
            [self.seconds(phases), self.rate()],
            "product",
            "device-seconds x rate",
        )
        terms = [devices]
        if isinstance(self.case.economics, Ownership):
            terms.append(
                total(
                    "electricity",
                    "USD",
                    [self.energy(phases), self.input("economics.electricity_price")],
                    "product",
                    formula_of(money.energy_cost),
                )
            )
        return total("cost per output token", "USD", terms)

    # Carbon ---------------------------------------------------------------------------------------

    def operational(self) -> Node:
        """Operational kgCO2e per output token."""
        terms = [self.energy(self.phases), self.input("economics.grid_carbon")]
        terms.append(self.input("economics.hour_factor"))
        return total(
            "operational carbon per output token",
            "kgCO2e",
            terms,
            "product",
            formula_of(carbon.operational_carbon),
        )

    def embodied(self, phases: Phases) -> Node:
        """Embodied kgCO2e per output token."""
        if parted(phases):
            name = "embodied carbon per output token"
            return self.shared(name, "kgCO2e", phases, Tracer.embodied)
        economics, hardware = self.case.economics, self.composed.case.hardware
        if "embodied_carbon" in hardware.model_fields_set:
            made = [self.input("hardware.embodied_carbon")]
        else:
            formula = formula_of(silicon.die_carbon)
            made = [
                Node(name, number(part), "kgCO2e", "equation", formula)
                for name, part in carbon_terms(hardware).items()
            ]
        for name, memory in self.case.hardware.memory.items():
            amount = number(memory.total_capacity * memory.embodied_carbon)
            paths = [f"hardware.memory.{name}.{key}" for key in ("capacity", "embodied_carbon")]
            inputs = tuple(self.input(path) for path in paths if self._stated(path))
            made.append(
                Node(
                    f"memory {name}",
                    amount,
                    "kgCO2e",
                    "equation",
                    formula_of(carbon.memory_carbon),
                    terms=inputs,
                )
            )
        device = total("making a device", "kgCO2e", made)
        share = 1.0 / number(economics.life * economics.utilisation)
        life = Node(
            "per busy second of its life",
            share,
            "1/s",
            "equation",
            formula_of(carbon.embodied_rate),
            terms=(self.input("economics.life"), self.input("economics.utilisation")),
        )
        return total(
            "embodied carbon per output token",
            "kgCO2e",
            [device, life, self.seconds(phases)],
            "product",
        )

    def emitted(self) -> Node:
        """Operational and embodied kgCO2e per output token."""
        terms = [self.operational(), self.embodied(self.phases)]
        return total("carbon per output token", "kgCO2e", terms)

    @cached_property
    def phases(self) -> Phases:
        """Both phases of an output token."""
        return {"decode": self.point.decode_per_token, "prefill": self.point.prefill_per_token}

    # Metrics --------------------------------------------------------------------------------------

    def trace(self, column: str) -> Node:
        """The tree of a column. Raises `SpecError` for one without a tree."""
        known = columns(self)
        if column not in known:
            near = closest(column, list(known))
            raise SpecError(
                "explain --trace",
                column,
                "is no figure of money, energy or carbon",
                f"Known: {', '.join(known)}" if not near else f"Did you mean {near}?",
            )
        return known[column]()


def parted(phases: Phases) -> bool:
    """Whether several replicas share the work, each at its own prices."""
    return any(phase.parts for phase in phases.values())


def option_called(dirs: Sequence[Any], group: str, name: str) -> str:
    """The option of a group whose file states a name; the name where none does."""
    for folder in dirs:
        for file in sorted((Path(folder) / group).glob("*.yaml")):
            if f"\nname: {name}\n" in f"\n{file.read_text()}":
                return file.stem
    return name
