"""`infercost explain`: one design point, taken apart."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.infeasible import why_infeasible
from infercost.commands.mitigation_tables import mitigation_rows, print_mitigations
from infercost.commands.output import (
    bar,
    console,
    print_json,
    print_notes,
    print_table,
    shown_unit,
)
from infercost.commands.tier_tables import print_change, print_tiers
from infercost.commands.uncertain_inputs import nominal_inputs, told
from infercost.errors import SpecError

if TYPE_CHECKING:
    from infercost.compose import ComposedCase, Options
    from infercost.cost import Evaluation
    from infercost.grid import Grid
    from infercost.table import Columns

HEADLINES = (
    ("time to first token or picture (TTFT), mean", "ttft_s"),
    ("time to first token or picture (TTFT), p90", "ttft_p90_s"),
    ("  of which encoders", "encoder_time_s"),
    ("  of which retrieval", "retrieval_time_s"),
    ("time per output token (TPOT)", "tpot_s"),
    ("end-to-end latency, arrival to last output", "e2e_latency_s"),
    ("one decode or denoising step", "decode_step_s"),
    ("steps per request", "steps_per_request"),
    ("output tokens/s per user", "user_throughput_per_s"),
    ("output tokens/s per device", "throughput_per_device_per_s"),
    ("cost per million output tokens, all-in", "cost_per_mtoken_usd"),
    ("  of which decode", "decode_cost_per_moutput_usd"),
    ("cost of prefill per million prompt tokens", "prefill_cost_per_minput_usd"),
    ("cost per request", "cost_per_request_usd"),
    ("cost per second of video", "cost_per_video_second_usd"),
    ("energy per request", "energy_per_request_j"),
    ("energy per million output tokens", "energy_per_mtoken_j"),
    ("operational carbon per million output tokens", "operational_carbon_per_mtoken_kgco2e"),
    ("embodied carbon per million output tokens", "embodied_carbon_per_mtoken_kgco2e"),
    ("power of a device in decode", "decode_power_w"),
    ("MFU / MBU of a decode step", "decode_mfu decode_mbu"),
)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "explain",
        help="one design point: operators, memory map, totals and what binds",
        description="Evaluate one design point and take it apart. Overrides are Hydra's.",
        epilog="example: infercost explain hardware=mi300x model=deepseek-v3 plan.tp=8 batch=64",
    )
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    parser.add_argument(
        *("--provenance", "--trace"),
        dest="trace",
        metavar="METRIC",
        help="a column of money, energy or carbon as a tree: terms, formulas, inputs and sources",
    )
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one point; an infeasible one is shown as such, with what ran out."""
    from infercost.effects import idle
    from infercost.table import columns

    options, composed, grid, point = asked(arguments.overrides, tuple(arguments.config_dir))
    known = columns(point, grid, composed.options, composed.labels)
    print_notes(idle(options.question, options, [known]))
    content = explained(composed, grid, point, part=known)
    if arguments.trace:
        _check_traceable(arguments.trace, content)
        return _trace(arguments, composed, point)
    content["uncertain"] = nominal_inputs(options, composed)
    if point.case.base is not None:
        content["base"] = explained(composed, grid, _without_directions(point))
        content["base_that_serves"] = _base_that_serves(arguments, content)
    if point.case.unmitigated is not None:
        content["mitigations"] = mitigation_rows(point)
    if arguments.json:
        print_json(content)
    else:
        _print(composed, content)
    return 0


def _check_traceable(column: str, content: dict[str, Any]) -> None:
    """Refuse the tree of a figure that one point does not have."""
    from infercost.tracing.columns import SEARCHED

    if not content["feasible"]:
        fault = f"the point is infeasible: {content['why']}"
        raise SpecError("explain --trace", column, fault)
    if column in SEARCHED:
        fault = "is known to a study's search alone, which compares its best point with more memory"
        raise SpecError("explain --trace", column, fault, "Take it from the rows of a study")


def _trace(arguments: argparse.Namespace, composed: ComposedCase, point: Evaluation) -> int:
    from infercost.commands.trace import print_tree
    from infercost.tracing.trees import Tracer

    tracer = Tracer(composed, point, arguments.overrides, arguments.config_dir)
    print_tree(tracer.trace(arguments.trace), arguments.json)
    return 0


def asked(
    overrides: list[str], dirs: tuple[str, ...]
) -> tuple[Options, ComposedCase, Grid, Evaluation]:
    """The one point that overrides name, with the options and the grid of one that it is on."""
    from infercost.compose import Options
    from infercost.cost import Evaluation
    from infercost.evaluation import typed_axis
    from infercost.grid import Grid
    from infercost.options.question import ask

    question = ask(overrides, dirs)
    if question.draws is not None:
        fault = "draws many points, and explain takes one"
        raise SpecError("override 'draw'", "", fault, "Use 'infercost evaluate'")
    if question.size != 1:
        swept = [axis.name for axis in (*question.axes, *question.labels) if axis.size > 1]
        swept += [group for group, names in question.options.items() if len(names) > 1]
        raise SpecError(
            f"override '{swept[0]}'",
            "",
            "has several values, and explain takes one point",
            "Use 'infercost evaluate'",
        )
    options = Options(question)
    composed = next(iter(options.cases()))
    # Overrides of directions are axes of one point.
    grid = Grid(tuple(typed_axis(options, composed, axis) for axis in options.question.axes))
    return options, composed, grid, Evaluation(grid.bind(composed.case))


def _base_that_serves(arguments: argparse.Namespace, content: dict[str, Any]) -> Any:
    """The base system with the devices that it needs, where those asked for do not hold it."""
    from infercost.commands.base_system import served_base

    base = content["base"]
    if base["limited_by"] != "capacity" or not content["feasible"]:
        return None
    found = served_base(arguments.overrides, tuple(arguments.config_dir), content["plan"])
    return None if found is None else explained(*found)


def _without_directions(point: Evaluation) -> Evaluation:
    """The same point on the hardware as it is sold."""
    from infercost.cost import Evaluation

    update: dict[str, Any] = {"hardware": point.case.base, "direction": {}, "base": None}
    return Evaluation(point.case.model_copy(update=update))


def explained(
    composed: ComposedCase,
    grid: Grid,
    point: Evaluation,
    limit: int = 0,
    part: Columns | None = None,
) -> dict[str, Any]:
    """All columns of the one point of a grid, its operators and its memory map, as plain data.

    `limit` is the code of an objective that a search could not meet, `part` the point's columns
    where they are known.
    """
    import numpy as np

    from infercost.breakdown import first_token_terms, operator_rows, tier_rows
    from infercost.placement import LIMITS
    from infercost.table import columns
    from infercost.terms import RESOURCES

    if part is None:
        limits = None if limit == 0 else np.full_like(np.asarray(point.broken), limit)
        part = columns(point, grid, composed.options, composed.labels, limits)
    code = int(part.grid.flat(part.limit)[0])
    memory = point.memory
    return {
        "options": dict(composed.options),
        "plan": {name: int(part.flat(name)[0]) for name in part.plan},
        "feasible": code == 0,
        "limited_by": LIMITS[code],
        "why": why_infeasible(point, LIMITS[code]),
        "bound": RESOURCES[int(part.grid.flat(part.bound)[0])] if code == 0 else "",
        "metrics": {name: float(part.flat(name)[0]) for name in part.values},
        "ttft_terms_s": first_token_terms(point),
        "memory": {
            name: float(part.grid.flat(value)[0])
            for name, value in (
                ("weights_b", memory.weights),
                ("kv_b", memory.kv),
                ("activations_b", memory.activations),
                ("context_b", memory.context),
                ("room_b", memory.room),
            )
        },
        "tiers": tier_rows(point),
        "operators": operator_rows(point),
    }


def _print(composed: ComposedCase, content: dict[str, Any]) -> None:
    from infercost.options.question import NO_DIRECTION

    case, plan, metrics = composed.case, content["plan"], content["metrics"]
    out = console()
    degrees = " ".join(f"{k}={plan[k]}" for k in ("tp", "pp", "dp", "ep"))
    out.print(
        f"{case.model.name} on {int(metrics['devices'])} x {case.hardware.name} ({degrees})\n"
        f"{case.workload.name}, trend {case.trend.name.lower()}, batch {plan['batch']}, "
        f"calibration {composed.options['calibration']}, economics {composed.options['economics']}",
        markup=False,
    )
    if composed.options["direction"] != NO_DIRECTION:
        out.print(f"directions: {composed.options['direction']}", markup=False)
    if content["uncertain"]:
        out.print(told(content["uncertain"]), markup=False)
    if not content["feasible"]:
        out.print(f"\nINFEASIBLE: {content['why']}", style="bold red", markup=False)
        if content["limited_by"] == "modality":
            return
    technologies = [tier["technology"] for tier in content["tiers"]]
    technology = " + ".join(technologies) or case.hardware.tier.technology
    _print_memory(technology, content["memory"])
    if content["tiers"]:
        print_tiers(content["tiers"])
    if "base" in content:
        print_change(content["base"], content, content["base_that_serves"])
    if "mitigations" in content:
        print_mitigations(content["mitigations"])
    if content["feasible"]:
        _print_totals(metrics)
        _print_stress(metrics)
    denoises = case.model.generation.kind != "autoregressive"
    step = "denoising" if denoises else "decode"
    _print_operators(content["operators"], step, ", all stages" if plan["pp"] > 1 else "")
    if content["feasible"]:
        out.print(_NEXT, markup=False)


_NEXT = (
    "formulas and sources of a figure: --provenance cost_per_mtoken_usd; another design beside it:"
    " infercost compare; all columns: --json"
)


def _print_memory(technology: str, memory: dict[str, float]) -> None:
    room = memory["room_b"]
    rows = [
        [label, f"{memory[key] / 1e9:.2f}", f"{memory[key] / room:.1%}", bar(memory[key] / room)]
        for label, key in (
            ("weights", "weights_b"),
            ("KV cache and states", "kv_b"),
            ("shared context", "context_b"),
            ("activations", "activations_b"),
        )
        if key != "context_b" or memory[key] > 0
    ]
    used = sum(memory[k] for k in ("weights_b", "kv_b", "context_b", "activations_b"))
    rows.append(["all", f"{used / 1e9:.2f}", f"{used / room:.1%}", ""])
    title = f"Memory of one device: {technology}, {room / 1e9:.1f} GB to fill"
    print_table(title, ["tensor class", "GB", "share", ""], rows)


def _print_totals(metrics: dict[str, float]) -> None:
    from infercost.units import show

    rows = []
    for label, names in HEADLINES:
        shares = names == "decode_mfu decode_mbu"
        values = [
            f"{metrics[name]:.1%}" if shares else show(metrics[name], shown_unit(name))
            for name in names.split()
        ]
        silent = names in ("encoder_time_s", "retrieval_time_s") and metrics[names] == 0
        if not silent and not any(value.startswith("nan") for value in values):
            rows.append([label, " / ".join(values)])
    print_table("Totals", ["", "value"], rows)


def _print_stress(metrics: dict[str, float]) -> None:
    from infercost.terms import RESOURCES

    families = ("decode", "prefill", "energy", "cost")
    rows = []
    for resource in RESOURCES:
        shares = [metrics.get(f"{family}_stress_{resource}", 0.0) for family in families]
        if max(shares) > 0:
            cells = [f"{share:.1%}" if share else "-" for share in shares]
            rows.append([resource.replace("_", " "), *cells, bar(shares[-1])])
    print_table(
        "Stress: share that each resource bounds",
        ["resource", "decode step", "prefill", "energy", "cost", ""],
        rows,
    )


def _print_operators(operators: list[dict[str, Any]], step: str, stages: str) -> None:
    layers = f"per device, all layers of a kind together{stages}"
    for phase, title in (
        ("encode", "Encoders in front of one prefill, per device"),
        ("decode", f"One {step} step, {layers}"),
        ("prefill", f"Prefill of the median prompt, {layers}"),
    ):
        mine = [row for row in operators if row["phase"] == phase]
        if mine:
            _print_phase(title, mine)


_AMOUNTS = {
    "flops_flop": ("FLOP", "FLOP"),
    "weights_b": ("weights", "B"),
    "kv_b": ("KV", "B"),
    "activations_b": ("activations", "B"),
    "sent_b": ("sent", "B"),
    "time_s": ("time", "s"),
}
"""Amounts of an operator: column, heading, unit."""


def _print_phase(title: str, operators: list[dict[str, Any]]) -> None:
    """Operators and messages below the kind of layer that has them; without empty columns."""
    from infercost.units import show

    whole = sum(row["time_s"] for row in operators) or 1.0
    told = [column for column in _AMOUNTS if any(row[column] for row in operators)]
    rows: list[list[str]] = []
    block = ""
    for row in operators:
        if row["block"] != block:
            block = row["block"]
            rows.append([f"{block}:", *("" for _ in told), "", ""])
        amounts = (
            show(row[c], _AMOUNTS[c][1], 3).removesuffix("FLOP") if row[c] else "-" for c in told
        )
        share = f"{row['time_s'] / whole:.1%}"
        rows.append([f"  {row['operator']}", *amounts, share, row["bound"].replace("_", " ")])
    headings = ["operator", *(_AMOUNTS[column][0] for column in told), "share", "bound"]
    print_table(title, headings, rows)
