"""Where joules and dollars of a replay come from: trees down to passes, prices, and the options.

Devices are paid for and draw their static power over the whole horizon, idle time included, so that
the economics' utilisation is no input: the replay shows its own. What passes took, the horizon,
requests and tokens are leaves that the replay counted. `Node.faults` tells a tree that does not
come out at the reported figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from infercost.arrays import number
from infercost.cost import Evaluation
from infercost.equations import availability, energy, money
from infercost.errors import SpecError, closest
from infercost.options.places import place_of
from infercost.options.question import ask, winning
from infercost.options.witnesses import witness
from infercost.serving.ask import DEFAULT, one_composed, sorted_words
from infercost.serving.edge import EdgeAndCloud
from infercost.serving.requests import Arrivals
from infercost.serving.service import Service
from infercost.serving.study import MEANINGS, unit_of
from infercost.specs.economics import Ownership
from infercost.tracing.nodes import Node, formula_of, total
from infercost.tracing.trees import Tracer

UNITS = ("USD", "J", "kgCO2e")


@dataclass(frozen=True)
class Site:
    """One pool: trees of its case, busy all the time that it is paid for, and its devices."""

    tracer: Tracer
    devices: Node
    passes: Node | None
    """Energy that passes took beyond static power, where it is this pool's to account for."""


class ReplayTracer:
    """Trees of one replay."""

    def __init__(
        self,
        service: Service | EdgeAndCloud,
        requests: Arrivals,
        seed: int,
        overrides: Sequence[str],
        dirs: Sequence[str],
    ) -> None:
        self.edge = service if isinstance(service, EdgeAndCloud) else None
        self.cloud = service if isinstance(service, Service) else service.cloud
        self.requests, self.seed = requests, seed
        self.given, self.dirs = tuple(dirs), ask([], tuple(dirs)).dirs
        self.words = sorted_words(list(overrides))
        self.reported = service.answered(requests, seed)
        self.seen = service.run(requests, seed) if self.edge is None else self.edge.seen(
            requests, seed
        )  # fmt: skip
        self.outcome = self.seen if self.edge is None else self.edge.run(requests, seed)

    @property
    def columns(self) -> list[str]:
        """Every figure of money, energy or carbon that a replay reports."""
        return [name for name in self.reported if unit_of(name) in UNITS]

    def trace(self, column: str) -> Node:
        """The tree of a column. Raises `SpecError` for one without a tree."""
        known: dict[str, Callable[[], list[Node]]] = {
            "cost_per_mtoken_usd": lambda: [self.usd(), self.per_million()],
            "cost_per_request_usd": lambda: [self.usd(), self.per_request()],
            "energy_per_request_j": lambda: [self.joules(), self.per_request()],
            "edge_energy_per_request_j": lambda: [self.machines(), self.per_request()],
            "edge_machine_per_request_usd": lambda: [self.machine_price(), self.per_request()],
        }
        if column not in known:
            near = closest(column, list(known))
            remedy = f"Did you mean {near}?" if near else f"Known: {', '.join(known)}"
            fault = "is no figure of money or energy of a replay"
            raise SpecError("replay --trace", column, fault, remedy)
        value, meaning = self.reported[column], MEANINGS[column]
        terms = tuple(known[column]())
        return Node(column, value, unit_of(column), "product", meaning, terms=terms)

    # Inputs ---------------------------------------------------------------------------------------

    def counted(self, name: str, value: float, unit: str, *terms: Node) -> Node:
        """What the replay counted, of which requests, and what made it so."""
        workload = self.cloud.case.workload
        option = self.main.tracer.composed.options["workload"]
        rate = f"at {self.requests.rate:.6g} requests/s, seed {self.seed}"
        source = f"replay of {self.requests.size} requests of {option} {rate}"
        stated = witness(workload, "file") if hasattr(workload, "file") else ""
        source += f" ({stated})" if stated else ""
        file, _ = place_of(self.dirs, "workload", option, "file")
        return Node(name, value, unit, "model", source=source, file=file, terms=terms)

    def serving(self, key: str) -> Node:
        """A number of the way to serve."""
        value = float(getattr(self.cloud.serving, key))
        stated = [text for text in self.words.serving if text.startswith(f"serving.{key}=")]
        if stated:
            return Node(f"serving.{key}", value, "1", "input", source="stated", file=stated[-1])
        named = [text for text in self.words.serving if text.startswith("serving=")]
        option = named[-1].partition("=")[2] if named else DEFAULT
        file, _ = place_of(self.dirs, "serving", option, key)
        source = witness(self.cloud.serving, key) or "default of the specification"
        return Node(f"serving.{key}", value, "1", "input", source=source, file=file)

    def tracer(self, changes: Sequence[str], always: bool) -> Tracer:
        """Trees of the case with some changes; `always` pays for it busy or not."""
        words = winning(self.words.case, changes)
        composed = one_composed(words, self.given)
        case = composed.case
        if always:
            busy = case.economics.model_copy(update={"utilisation": 1.0})
            case = case.model_copy(update={"economics": busy})
        return Tracer(composed, Evaluation(case), words, self.given)

    # Pools ----------------------------------------------------------------------------------------

    @cached_property
    def main(self) -> Site:
        """The pool that decodes; what passes of both pools took is accounted for here."""
        tracer = self.tracer([], always=True)
        took = self.outcome.totals["energy_j"]
        source = "step tables of the cost model (serving.tables), summed over all passes"
        passes = Node("drawn by passes", took, "J", "model", source=source, terms=tracer.drawing())
        return Site(tracer, self._devices(tracer, "replicas"), passes)

    @cached_property
    def sites(self) -> dict[str, Site]:
        """All pools by name."""
        if self.cloud.prefill is None:
            return {"devices": self.main}
        first = self.tracer(self.words.prefill, always=True)
        pool = Site(first, self._devices(first, "prefill_replicas"), None)
        return {"decode pool": self.main, "prefill pool": pool}

    def _devices(self, tracer: Tracer, replicas: str) -> Node:
        degrees = [tracer.input(f"plan.{name}") for name in ("tp", "pp", "dp")]
        return total("devices", "1", [self.serving(replicas), *degrees], "product")

    @cached_property
    def horizon(self) -> Node:
        """Seconds that the service stands."""
        value, times = self.outcome.last.max() - self.outcome.arrival[0], self.main.tracer.timing()
        return self.counted("first arrival to last token", float(value), "s", *times)

    # Sums -----------------------------------------------------------------------------------------

    def joules_at(self, site: Site) -> Node:
        """Joules of a pool at the meter over the horizon."""
        draw = site.tracer.resting("idle_power", "host_power")
        formula = formula_of(energy.static_energy)
        standing = [draw, site.devices, self.horizon]
        static = total("idle and host power all the time", "J", standing, "product", formula)
        made = [static] if site.passes is None else [site.passes, static]
        equipment = total("equipment", "J", made)
        cooled = [equipment, site.tracer.input("economics.pue")]
        return total("energy at the meter", "J", cooled, "product", "E_IT x PUE")

    def joules(self) -> Node:
        """Joules of all pools, and of users' machines."""
        terms = [self._named(name, self.joules_at(site)) for name, site in self.sites.items()]
        terms += [] if self.edge is None else [self.machines()]
        return total("energy of the replay", "J", terms)

    def usd_at(self, site: Site) -> Node:
        """USD of a pool over the horizon."""
        tracer = site.tracer
        paid = [tracer.paid(), site.devices, self._spares(tracer), self.horizon]
        stand = total("devices over the horizon", "USD", paid, "product", "rate x devices x time")
        terms = [stand]
        if isinstance(tracer.case.economics, Ownership):
            terms.append(self._electricity(tracer, self.joules_at(site)))
        return total("cost", "USD", terms)

    def usd(self) -> Node:
        """USD of all pools, and of the electricity of users' machines."""
        terms = [self._named(name, self.usd_at(site)) for name, site in self.sites.items()]
        if self.edge is not None and isinstance(self.edge.case.economics, Ownership):
            terms.append(self._electricity(self.machine, self.machines()))
        return total("cost of the replay", "USD", terms)

    def _electricity(self, tracer: Tracer, joules: Node) -> Node:
        made = [joules, tracer.input("economics.electricity_price")]
        return total("electricity", "USD", made, "product", formula_of(money.energy_cost))

    def _spares(self, tracer: Tracer) -> Node:
        terms = [tracer.input("plan.spares")]
        if tracer.case.hardware.reliability is not None:
            names = ("mtbf", "repair", "failover")
            terms += [tracer.input(f"hardware.reliability.{name}") for name in names]
        value, formula = number(tracer.point.provision), formula_of(availability.provision_factor)
        return Node("spares and failures", value, "1", "equation", formula, terms=tuple(terms))

    @staticmethod
    def _named(name: str, node: Node) -> Node:
        return replace(node, name=f"{name}: {node.name}")

    # Per request and token ------------------------------------------------------------------------

    def per_request(self) -> Node:
        """One over the requests that were finished."""
        done = self.counted("finished requests", max(float(self.seen.finished.sum()), 1.0), "1")
        return Node("1 / requests", 1.0 / done.value, "1", "equation", terms=(done,))

    def per_million(self) -> Node:
        """A million over the output tokens that were made."""
        made = self.seen.done if self.edge is None else self.seen.done[self.seen.finished]
        tokens = self.counted("output tokens", max(float(made.sum()), 1.0), "1")
        return Node("10^6 / tokens", 1e6 / tokens.value, "1", "equation", terms=(tokens,))

    # Machines of users ----------------------------------------------------------------------------

    @cached_property
    def machine(self) -> Tracer:
        """Trees of a user's own machine, as much in use as its economics say."""
        return self.tracer(self.words.edge, always=False)

    @cached_property
    def answering(self) -> Node:
        """Seconds that users' machines answer."""
        assert self.edge is not None
        seconds = self.edge.worked(self.requests, self.seed)[0]
        return self.counted("machines at work", seconds, "s", *self.machine.timing())

    def machines(self) -> Node:
        """Joules of users' machines while they answer."""
        if self.edge is None:
            return self._no_machine("J")
        standing = [self.machine.resting("idle_power", "host_power"), self.answering]
        static = total("idle and host power at work", "J", standing, "product")
        drawn = self.edge.worked(self.requests, self.seed)[1] - static.value
        source, terms = "step tables of the cost model (serving.tables)", self.machine.drawing()
        passes = Node("drawn by passes", drawn, "J", "model", source=source, terms=terms)
        return total("users' machines: energy", "J", [passes, static])

    def machine_price(self) -> Node:
        """USD of users' machines by the time they work."""
        if self.edge is None:
            return self._no_machine("USD")
        made = [self.machine.rate(), self.answering]
        return total("users' machines: price", "USD", made, "product", "rate x time at work")

    def _no_machine(self, unit: str) -> Node:
        why = "serving: no machine of users answers"
        return Node("users' machines", 0.0, unit, "input", source=why)
