"""The columns of money, energy and carbon, each put together from the trees of one output token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from infercost.arrays import number
from infercost.equations import money, retrieval
from infercost.equations.energy import movement_energy
from infercost.equations.roofline import transfer_time
from infercost.metrics.power import link_energy
from infercost.registry import metrics
from infercost.specs.economics import Ownership
from infercost.tracing.nodes import Node, formula_of, total

if TYPE_CHECKING:
    from infercost.tracing.trees import Phases, Tracer

Columns = dict[str, Callable[[], Node]]
MILLION = 1e6
SEARCHED = ("capacity_cost_per_mtoken_usd",)
"""Columns that a study's search alone knows: it compares points with memory limited and not."""
TOKENS, ANSWER, REQUEST = "tokens", "output tokens of an answer", "outputs of a request"


def columns(tracer: Tracer) -> Columns:
    """Every column with a tree, and how to make it."""
    point = tracer.point
    output = number(point.lengths.output_mean)
    request = output * number(point.lengths.branches)
    inputs = number(point.inputs_per_output)
    both = tracer.phases
    decode, prefill = ({name: both[name]} for name in ("decode", "prefill"))
    per_input = MILLION / inputs if inputs > 0 else np.nan

    def of(column: str, factor: float, what: str, make: Callable[[], Node]) -> None:
        found[column] = lambda: _scaled(tracer, column, factor, what, make())

    found: Columns = {}
    of("cost_per_mtoken_usd", MILLION, TOKENS, lambda: tracer.cost(both))
    of("decode_cost_per_moutput_usd", MILLION, TOKENS, lambda: tracer.cost(decode))
    over_inputs = "tokens over prompt tokens per output token"
    of("prefill_cost_per_minput_usd", per_input, over_inputs, lambda: tracer.cost(prefill))
    all_tokens = "tokens over tokens per output"
    of("cost_per_mtotal_usd", MILLION / (1 + inputs), all_tokens, lambda: tracer.cost(both))
    of("cost_per_answer_usd", output, ANSWER, lambda: tracer.cost(both))
    of("energy_per_mtoken_j", MILLION, TOKENS, lambda: tracer.energy(both))
    of("decode_energy_per_moutput_j", MILLION, TOKENS, lambda: tracer.energy(decode))
    of("energy_per_answer_j", output, ANSWER, lambda: tracer.energy(both))
    of("energy_per_request_j", request, REQUEST, lambda: tracer.energy(both))
    of("operational_carbon_per_mtoken_kgco2e", MILLION, TOKENS, tracer.operational)
    of("operational_carbon_per_answer_kgco2e", output, ANSWER, tracer.operational)
    of("embodied_carbon_per_mtoken_kgco2e", MILLION, TOKENS, lambda: tracer.embodied(both))
    of("embodied_carbon_per_answer_kgco2e", output, ANSWER, lambda: tracer.embodied(both))
    of("carbon_per_mtoken_kgco2e", MILLION, TOKENS, tracer.emitted)
    for name, part in PARTS.items():
        column = f"{name}_energy_per_mtoken_j"
        of(column, MILLION, TOKENS, lambda part=part: part(tracer, both))  # type: ignore[misc]
    of("decode_link_energy_per_moutput_j", MILLION, TOKENS, lambda: links(tracer))
    of("cached_cost_per_minput_usd", MILLION, TOKENS, lambda: cached(tracer))
    of("capacity_cost_per_mtoken_usd", MILLION, TOKENS, lambda: capacity(tracer))
    found["cost_per_request_usd"] = lambda: _request(tracer, request)
    found["cost_per_video_second_usd"] = lambda: video(tracer, request)
    found["retrieval_cost_per_request_usd"] = lambda: searches(tracer)
    found["device_price_usd"] = tracer.price
    return found


def _scaled(tracer: Tracer, column: str, factor: float, what: str, made: Node) -> Node:
    metric = metrics()[column]
    source = "definition of the column, or the workload"
    scale = Node(what, factor, "1", "input", source=source)
    value = number(metric.evaluate(tracer.point))
    if np.isnan(value) and not np.isnan(made.value * factor):
        why = "none: the workload makes no tokens"
        return Node(column, value, metric.unit, "input", metric.meaning, source=why)
    return Node(column, value, metric.unit, "product", metric.meaning, terms=(made, scale))


# Energy by where it goes --------------------------------------------------------------------------


def board(tracer: Tracer, phases: Phases) -> Node:
    """Joules of devices at work."""
    resting = [tracer.resting("idle_power"), tracer.seconds(phases)]
    at_rest = total("idle power at work", "J", resting, "product")
    return total("boards per output token", "J", [*tracer.active(phases), at_rest])


def host(tracer: Tracer, phases: Phases) -> Node:
    """Joules of hosts, NICs and switches at work."""
    made = [tracer.resting("host_power"), tracer.seconds(phases)]
    return total("hosts per output token", "J", made, "product")


def idle(tracer: Tracer, phases: Phases) -> Node:
    """Joules of devices and hosts that wait for work."""
    draw = tracer.resting("idle_power", "host_power")
    made = [draw, tracer.seconds(phases), tracer.idle()]
    return total("waiting per output token", "J", made, "product")


def cooling(tracer: Tracer, phases: Phases) -> Node:
    """Joules of cooling and conversion."""
    pue = tracer.input("economics.pue")
    beyond = Node("PUE - 1", pue.value - 1.0, "1", "equation", terms=(pue,))
    return total("cooling per output token", "J", [tracer.equipment(phases), beyond], "product")


def links(tracer: Tracer) -> Node:
    """Joules of bits on links in decode."""
    fabrics = ("scale_up", "scale_out")
    terms = tuple(tracer.input(f"hardware.{name}.transfer_energy") for name in fabrics)
    value = number(link_energy(tracer.point))
    formula = formula_of(movement_energy)
    return Node("bits on links per output token", value, "J", "model", formula, terms=terms)


def _everywhere(
    make: Callable[[Tracer, Phases], Node],
) -> Callable[[Tracer, Phases], Node]:
    """Over all replicas that share the work."""

    def made(tracer: Tracer, phases: Phases) -> Node:
        if any(phase.parts for phase in phases.values()):
            return tracer.shared("per output token", "J", phases, make)
        return make(tracer, phases)

    return made


PARTS = {
    "board": _everywhere(board),
    "host": _everywhere(host),
    "idle": _everywhere(idle),
    "cooling": _everywhere(cooling),
}

# Money beside the passes --------------------------------------------------------------------------


def cached(tracer: Tracer) -> Node:
    """USD of a prompt token whose cache another node sends."""
    point, case = tracer.point, tracer.case
    context = number(point.lengths.context(np.inf))
    size = number(point.kv_bytes_per_sequence) / context if context > 0 else np.nan
    bytes_ = Node("cache of a token on a device", size, "B", "model", "cache / mean context")
    link = tracer.input("hardware.scale_out.bandwidth_out")
    reached = tracer.input("calibration.network_efficiency")
    share = number(point.case.calibration.network_efficiency)
    time = number(transfer_time(size, case.hardware.scale_out.bandwidth_out, share))
    sent = Node(
        "transfer time",
        time,
        "s",
        "equation",
        formula_of(transfer_time),
        terms=(bytes_, link, reached),
    )
    devices = number(point.devices * point.provision / case.plan.dp)
    degrees = tuple(tracer.input(f"plan.{name}") for name in ("tp", "pp"))
    busy = Node("devices of a group", devices, "1", "equation", "tp x pp x spares", terms=degrees)
    rates = [tracer.rate()]
    if isinstance(case.economics, Ownership):
        power = [tracer.resting("idle_power", "host_power"), tracer.input("economics.pue")]
        drawn = [*power, tracer.input("economics.electricity_price")]
        formula = formula_of(money.energy_cost)
        rates.append(total("electricity", "USD/s", drawn, "product", formula))
    rate = total("rate of a device that sends", "USD/s", rates)
    return total("cost of a cached prompt token", "USD", [sent, busy, rate], "product")


def capacity(tracer: Tracer) -> Node:
    """USD per output token that unlimited memory would save: known to a study's search alone."""
    value = number(tracer.point.capacity_share)
    why = "the search of a study compares its best point with memory unlimited; 0 elsewhere"
    share = Node("share that memory costs", value, "1", "input", source=why)
    made = [tracer.cost(tracer.phases), share]
    return total("cost of capacity per output token", "USD", made, "product")


def searches(tracer: Tracer) -> Node:
    """USD of the searches of a request."""
    search, how = tracer.point.search, tracer.case.trend.retrieval
    value = 0.0 if search is None else number(search.cost)
    if how is None:
        why = "the trend of this case searches nothing"
        return Node("searches of a request", value, "USD", "input", source=why)
    names = ("rounds", "vectors", "vector", "scanned", "server_bandwidth", "server_price")
    terms = tuple(tracer.input(f"trend.retrieval.{name}") for name in names)
    formula = f"{formula_of(retrieval.search_cost)}; {formula_of(retrieval.index_bytes)}"
    return Node("searches of a request", value, "USD", "equation", formula, terms=terms)


def _request(tracer: Tracer, outputs: float) -> Node:
    column = "cost_per_request_usd"
    source = "the workload"
    factor = Node(REQUEST, outputs, "1", "input", source=source)
    answers = total("answers", "USD", [tracer.cost(tracer.phases), factor], "product")
    terms = [answers] if tracer.point.search is None else [answers, searches(tracer)]
    value = number(metrics()[column].evaluate(tracer.point))
    return Node(column, value, "USD", "sum", metrics()[column].meaning, terms=tuple(terms))


def video(tracer: Tracer, outputs: float) -> Node:
    """USD of a second of video."""
    column = "cost_per_video_second_usd"
    value = number(metrics()[column].evaluate(tracer.point))
    meaning = metrics()[column].meaning
    duration = getattr(tracer.case.workload, "duration", None)
    if duration is None:
        return Node(column, value, "USD", "input", meaning, source="the workload makes no video")
    played = tracer.input("workload.duration")
    each = Node("1 / duration", 1.0 / played.value, "1/s", "equation", terms=(played,))
    terms = (_request(tracer, outputs), each)
    return Node(column, value, "USD", "product", meaning, terms=terms)
