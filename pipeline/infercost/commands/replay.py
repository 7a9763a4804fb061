"""`infercost replay`: requests of a workload through a service, pass after pass."""

from __future__ import annotations

import argparse
import sys
from math import inf, isnan
from typing import TYPE_CHECKING, Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import console, print_json, print_notes, print_table
from infercost.errors import SpecError
from infercost.units import show

if TYPE_CHECKING:
    from infercost.serving.edge import EdgeAndCloud
    from infercost.serving.requests import Arrivals
    from infercost.serving.service import Service


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "replay",
        help="latencies of a service under a trace of requests",
        description="Replay a workload's requests on a service: iterations of continuous batching"
        " at the cost model's step times. A list of --rate gives a curve; --slo searches the"
        " largest rate at which 90 % of requests keep the workload's objective. Overrides are"
        " those of 'infercost evaluate', single values only, and serving=NAME or serving.KEY=VALUE"
        " (conf/serving) for the scheduler, caches, replicas and pools.",
        epilog="example: infercost replay model=llama-3.1-70b serving=prefill-first --rate 2,4,8",
    )
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    parser.add_argument(
        "--rate", default="", help="requests per second, or several; default: the trace's own"
    )
    parser.add_argument(
        "--requests", type=int, default=0, metavar="N", help="the first N alone (0: all)"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="of these each N-th (1: all)"
    )
    parser.add_argument(
        "--poisson", action="store_true", help="at Poisson arrivals of the trace's mean rate"
    )
    parser.add_argument("--slo", action="store_true", help="search the largest rate within the SLO")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and of accepted drafts")
    parser.add_argument(
        *("--provenance", "--trace"),
        dest="trace",
        metavar="COLUMN",
        help="a figure of money or energy as a tree: counts, terms, formulas, inputs and sources",
    )
    parser.add_argument("--json", action="store_true", help="all metrics, or the tree")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay at each rate, or search one, and print what users and operators see."""
    from infercost.effects import idle_choices
    from infercost.serving.ask import asked_service, idle_serving, sorted_words
    from infercost.serving.requests import thinned
    from infercost.serving.search import Objective, largest_rate

    rates = _rates(arguments.rate)
    if arguments.requests < 0 or arguments.seed < 0:
        raise SpecError("--requests, --seed", "", "is negative", "Write a count")
    if arguments.every < 1:
        raise SpecError("--every", "", "is below 1", "Write 1 for all requests")
    dirs = tuple(arguments.config_dir)
    service, requests = asked_service(
        arguments.overrides,
        dirs,
        arguments.requests,
        rates[0] if rates else None,
        arguments.seed,
    )
    words = sorted_words(arguments.overrides)
    print_notes([*idle_serving(words, dirs), *idle_choices(words.case, dirs)])
    requests = thinned(requests, arguments.every, arguments.poisson, arguments.seed)
    if arguments.slo:
        workload = getattr(service, "cloud", service).case.workload
        slo = getattr(workload, "slo", None)
        if slo is None:
            name = workload.name
            raise SpecError(
                f"workload '{name}'", "slo", "is not stated", "Add +workload.slo.ttft='2 s'"
            )
        found = largest_rate(service, requests, Objective(*slo.limits), seed=arguments.seed)
        rates = [found.rate] if found.rate else []
        if not rates:
            named = zip(("TTFT", "TPOT"), slo.limits, strict=True)
            kept = " and ".join(f"{name} {limit:g} s" for name, limit in named if limit < inf)
            none = f"No rate keeps {kept} for 90 % of requests"
            print(none, file=sys.stderr if arguments.json else sys.stdout)
            if arguments.json:
                print_json([])
            return 0
    told = []
    loads = [requests.at_rate(rate) for rate in rates] or [requests]
    if arguments.trace:
        return _trace(arguments, service, loads)
    _tell_progress(loads)
    for now in loads:
        told.append({"rate_per_s": now.rate, **service.answered(now, arguments.seed)})
    if arguments.json:
        print_json(told)
    else:
        _print(told)
        _print_life(service, told)
    return 0


def _print_life(service: Service | EdgeAndCloud, told: list[dict[str, float]]) -> None:
    """How long memory that wears out lives, and whether that is as long as it must."""
    from infercost.cost import Evaluation
    from infercost.equations.money import SECONDS_PER_YEAR
    from infercost.tiers.wear import least_life

    lives = [(row["memory_life_s"], row["rate_per_s"]) for row in told]
    worn = [(life / SECONDS_PER_YEAR, rate) for life, rate in lives if not isnan(life)]
    if not worn:
        return
    case = Evaluation(getattr(service, "cloud", service).case).case
    asked = float(least_life(case)) / SECONDS_PER_YEAR
    listed = ", ".join(f"{life:.3g} years at {rate:.3g}/s" for life, rate in worn)
    text = f"Memory that wears out lives {listed}; {asked:.3g} are asked for"
    if min(worn)[0] < asked:
        text += ": infeasible by endurance where it is less"
    console().print(text, markup=False)


def _trace(
    arguments: argparse.Namespace, service: Service | EdgeAndCloud, loads: list[Arrivals]
) -> int:
    """A figure of one replay as a tree."""
    from infercost.commands.trace import print_tree
    from infercost.serving.tracing import ReplayTracer

    if len(loads) > 1:
        raise SpecError("replay --trace", "", f"takes one rate, not {len(loads)}", "Name one")
    dirs = tuple(arguments.config_dir)
    tracer = ReplayTracer(service, loads[0], arguments.seed, arguments.overrides, dirs)
    print_tree(tracer.trace(arguments.trace), arguments.json)
    return 0


SHOWN = {
    "requests_per_s": ("requests served a second", ""),
    "ttft_p50_s": ("time to first token (TTFT), median", "s"),
    "ttft_p90_s": ("  90th percentile", "s"),
    "ttft_p99_s": ("  99th percentile", "s"),
    "tpot_p50_s": ("time per output token (TPOT), median", "s"),
    "tpot_p90_s": ("  90th percentile", "s"),
    "tpot_p99_s": ("  99th percentile", "s"),
    "e2e_p50_s": ("end-to-end latency, median", "s"),
    "slo_attainment": ("requests that keep the objective", "%"),
    "utilisation": ("time that devices are busy", "%"),
    "batch_mean": ("sequences in a decode pass, mean", ""),
    "queue_mean": ("requests that wait, mean", ""),
    "prefix_hit_share": ("prompt tokens found in a prefix cache", "%"),
    "rejected": ("requests longer than memory, rejected", ""),
    "cost_per_mtoken_usd": ("cost per million output tokens", "USD"),
    "energy_per_request_j": ("energy per request", "J"),
}
"""Metric of a replay: what it is, and its unit."""


def _print(told: list[dict[str, float]]) -> None:
    """A row per metric, a column per rate: as readable for one rate as for several."""
    rows = [
        [label, *(_shown(row[name], unit) for row in told)]
        for name, (label, unit) in SHOWN.items()
        if any(row[name] == row[name] for row in told)
    ]
    print_table("", ["at requests a second", *(f"{row['rate_per_s']:.3g}" for row in told)], rows)


def _shown(value: float, unit: str) -> str:
    if value != value:  # noqa: PLR0124  NaN is not itself
        return "-"
    return f"{value:.1%}" if unit == "%" else show(value, unit, 3)


def _tell_progress(loads: list[Arrivals]) -> None:
    """On a terminal, what is going on: the first replay after an installation compiles its loop."""
    if sys.stderr.isatty():
        many = sum(load.size for load in loads)
        about = "the first time its loop is compiled, half a minute"
        print(f"infercost: replaying {many:,} requests; {about}", file=sys.stderr)


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",") if part]
    except ValueError:
        rates = [-1.0]
    if any(not 0 < rate < 1e9 for rate in rates):
        raise SpecError(f"--rate {text}", "", "is not a list of positive numbers", "Such as 1,2,4")
    return rates
