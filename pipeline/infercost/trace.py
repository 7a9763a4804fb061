"""Where a figure of money, carbon or energy comes from: a tree from the figure to its inputs.

Every node has a value, its unit and how its terms make it; inputs have their source and file.
Each figure is put together anew from its terms, so that a tree that does not come out is found.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from infercost.arrays import Array
from infercost.bill import bill_terms, carbon_terms
from infercost.compose import ComposedCase
from infercost.cost import Evaluation
from infercost.equations import carbon, clocking, energy, money, roofline, silicon
from infercost.errors import SpecError, closest
from infercost.places import place_of
from infercost.question import ask
from infercost.registry import metrics
from infercost.shares import PerToken
from infercost.specs.economics import Ownership
from infercost.terms import Terms
from infercost.witnesses import field_unit, witness

UNITS = ("USD", "J", "kgCO2e")
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Node:
    """A figure, how it is made, and what of."""

    name: str
    value: float
    unit: str
    how: str
    """`sum` or `product` of its terms, `equation` of them, `input`, or `model` of a pass."""
    formula: str = ""
    source: str = ""
    file: str = ""
    terms: tuple[Node, ...] = field(default=())

    def to_plain(self) -> dict[str, Any]:
        """As plain data, empty entries left out."""
        told: dict[str, Any] = {"name": self.name, "value": self.value, "unit": self.unit}
        told |= {"how": self.how, "formula": self.formula, "source": self.source}
        told |= {"file": self.file, "terms": [term.to_plain() for term in self.terms]}
        return {key: value for key, value in told.items() if value not in ("", [])}

    def faults(self) -> list[str]:
        """Nodes whose terms do not make them."""
        found = [fault for term in self.terms for fault in term.faults()]
        values = [term.value for term in self.terms]
        made = {"sum": sum(values), "product": prod(values)}.get(self.how, self.value)
        if not np.isclose(made, self.value, rtol=TOLERANCE, atol=0.0, equal_nan=True):
            found.append(f"{self.name}: {self.value} is not {made}, the {self.how} of its terms")
        return found


def number(value: Array) -> float:
    """The one number of a point."""
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])


def formula_of(equation: Callable[..., Any]) -> str:
    """Name of an equation and what its docstring says first, formula included."""
    words = inspect.cleandoc(equation.__doc__ or "").split("\n\n")
    indented = [part.strip() for part in words[1:] if part.startswith("    ")]
    told = " ".join(" ".join(words[0].split()).split())
    module = equation.__module__.rpartition(".")[2]
    return f"{module}.{equation.__name__}: {told} {' '.join(indented)}".strip()


def total(name: str, unit: str, terms: Sequence[Node], how: str = "sum", formula: str = "") -> Node:
    """A sum or a product of terms."""
    values = [term.value for term in terms]
    value = sum(values) if how == "sum" else prod(values)
    return Node(name, value, unit, how, formula, terms=tuple(terms))


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
        self.dirs = ask([], tuple(dirs)).dirs
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
        value: Any = getattr(self.case, group)
        for step in key.split("."):
            value = value[step] if isinstance(value, dict) else getattr(value, step)
        unit = field_unit(group, key.split("."))
        stated = [text for text in self.overrides if text.split("=")[0] == path]
        if stated:
            return Node(path, number(value), unit, "input", source="stated", file=stated[-1])
        file, _ = place_of(self.dirs, group, self.composed.options[group], key)
        source = witness(spec, key) or "default of the specification"
        return Node(path, number(value), unit, "input", source=source, file=file)

    def constant(self, name: str, value: float, why: str) -> Node:
        return Node(name, value, "1", "input", source=why)

    # Time -----------------------------------------------------------------------------------------

    def seconds(self, phases: dict[str, PerToken]) -> Node:
        """Device-seconds of one output token, by phase and resource."""
        kinds = [
            self._by_resource(f"{name}: device-seconds", "s", phase.device_time, self._timing())
            for name, phase in phases.items()
        ]
        return total("device-seconds per output token", "s", kinds)

    def _timing(self) -> tuple[Node, ...]:
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

    def energy(self, phases: dict[str, PerToken]) -> Node:
        """Joules at the meter of one output token."""
        economics, hardware = self.case.economics, self.case.hardware
        seconds = self.seconds(phases)
        idle = number(energy.idle_share(economics.utilisation))
        resting = hardware.idle_power + hardware.host_power
        equations: list[Callable[..., Any]] = [energy.arithmetic_energy, energy.movement_energy]
        equations += [] if hardware.power is None else [clocking.active_power]
        active = []
        for name, phase in phases.items():
            paid = resting * (1.0 + idle) * phase.device_time.total
            drawn = number(phase.energy.total / economics.pue - paid)
            active.append(
                Node(
                    f"{name}: drawn above idle power",
                    drawn,
                    "J",
                    "model",
                    terms=self._drawing(),
                    formula="; ".join(formula_of(equation) for equation in equations),
                )
            )
        draw = total(
            "idle and host power",
            "W",
            [self.input("hardware.idle_power"), self.input("hardware.host_power")],
        )
        working = total(
            "idle and host power at work",
            "J",
            [draw, seconds],
            "product",
            formula_of(energy.static_energy),
        )
        share = Node(
            "idle time per busy time",
            idle,
            "1",
            "equation",
            formula_of(energy.idle_share),
            terms=(self.input("economics.utilisation"),),
        )
        waiting = total("idle and host power while waiting", "J", [draw, seconds, share], "product")
        equipment = total("equipment", "J", [*active, working, waiting])
        return total(
            "energy at the meter per output token",
            "J",
            [equipment, self.input("economics.pue")],
            "product",
            "E_IT x PUE",
        )

    def _drawing(self) -> tuple[Node, ...]:
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
            nodes.append(
                Node(
                    "directions, mitigations and price trends",
                    rest,
                    "USD",
                    "model",
                    "(price per byte after - before) x bytes",
                )
            )
        return total("price of a device", "USD", nodes)

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
        economics, hardware = self.case.economics, self.case.hardware
        busy = formula_of(money.busy_rate)
        used = self.input("economics.utilisation")
        share = Node("1 / utilisation", 1.0 / used.value, "1", "equation", terms=(used,))
        if not isinstance(economics, Ownership):
            rent = self.input("hardware.rental_price")
            return total("rate of a busy device", "USD/s", [rent, share], "product", busy)
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
        paid = total("capital and hosting", "USD/s", [bought, hosted])
        return total("rate of a busy device", "USD/s", [paid, share], "product", busy)

    def cost(self, phases: dict[str, PerToken]) -> Node:
        """USD per output token."""
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

    def embodied(self) -> Node:
        """Embodied kgCO2e per output token."""
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
            [device, life, self.seconds(self.phases)],
            "product",
        )

    def emitted(self) -> Node:
        """Operational and embodied kgCO2e per output token."""
        terms = [self.operational(), self.embodied()]
        return total("carbon per output token", "kgCO2e", terms)

    @cached_property
    def phases(self) -> dict[str, PerToken]:
        """Both phases of an output token. Raises `SpecError` where two replicas share it."""
        found = {"decode": self.point.decode_per_token, "prefill": self.point.prefill_per_token}
        if any(phase.parts for phase in found.values()):
            fault = "replicas of two kinds share the work, each at its own prices"
            raise SpecError(
                "override 'mitigation'", "", f"{fault}: no one tree", "Trace each of them alone"
            )
        return found

    # Metrics --------------------------------------------------------------------------------------

    def trace(self, column: str) -> Node:
        """The tree of a column. Raises `SpecError` for one without a tree."""
        known = self._roots()
        if column not in known:
            near = closest(column, list(known))
            raise SpecError(
                "explain --trace",
                column,
                "is no figure of money, energy or carbon",
                f"Known: {', '.join(known)}" if not near else f"Did you mean {near}?",
            )
        scale, root, per = known[column]
        value = number(metrics()[column].evaluate(self.point))
        unit = metrics()[column].unit
        if scale is None:
            return root()
        factor = Node(per, scale, "1", "input", source="definition of the column, or the workload")
        made = root()
        return Node(column, value, unit, "product", metrics()[column].meaning, terms=(made, factor))

    def _roots(self) -> dict[str, tuple[float | None, Callable[[], Node], str]]:
        point, million = self.point, 1e6
        output = number(point.lengths.output_mean)
        request = output * number(point.lengths.branches)
        inputs = number(point.inputs_per_output)
        both, decode = self.phases, {"decode": self.phases["decode"]}
        prefill = {"prefill": self.phases["prefill"]}
        tokens, answer, whole = "tokens", "output tokens of an answer", "outputs of a request"
        per_input = million / inputs if inputs > 0 else np.nan
        return {
            "cost_per_mtoken_usd": (million, lambda: self.cost(both), tokens),
            "decode_cost_per_moutput_usd": (million, lambda: self.cost(decode), tokens),
            "prefill_cost_per_minput_usd": (
                per_input,
                lambda: self.cost(prefill),
                "tokens over prompt tokens per output token",
            ),
            "cost_per_mtotal_usd": (
                million / (1 + inputs),
                lambda: self.cost(both),
                "tokens over tokens per output",
            ),
            "cost_per_answer_usd": (output, lambda: self.cost(both), answer),
            "cost_per_request_usd": (request, lambda: self.cost(both), whole),
            "energy_per_mtoken_j": (million, lambda: self.energy(both), tokens),
            "decode_energy_per_moutput_j": (million, lambda: self.energy(decode), tokens),
            "energy_per_answer_j": (output, lambda: self.energy(both), answer),
            "energy_per_request_j": (request, lambda: self.energy(both), whole),
            "operational_carbon_per_mtoken_kgco2e": (million, self.operational, tokens),
            "operational_carbon_per_answer_kgco2e": (output, self.operational, answer),
            "embodied_carbon_per_mtoken_kgco2e": (million, self.embodied, tokens),
            "embodied_carbon_per_answer_kgco2e": (output, self.embodied, answer),
            "carbon_per_mtoken_kgco2e": (million, self.emitted, tokens),
            "device_price_usd": (None, self.price, ""),
        }
