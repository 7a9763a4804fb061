"""`infercost fleet`: the cheapest plan of a fleet over years, explained by its shadow prices."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import print_json, print_table

if TYPE_CHECKING:
    from infercost.fleet.explain import Plan


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "fleet",
        help="what a fleet of data centres buys, converts and retires to serve demand",
        description=(
            "Choose what to buy, convert and retire each year so that demand is served at least "
            "cost within power, racks, money and carbon, and say by shadow prices what that means. "
            "NAME@RANGE-low and NAME@RANGE-high take one end of a range that the scenario states; "
            "overrides change any of its numbers, and whole_racks=true buys whole racks."
        ),
        epilog="example: infercost fleet training-cools sites.metro.power='200 MW' money='2 GUSD'",
    )
    parser.add_argument("scenario", help="option of the group fleet")
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    parser.add_argument(
        "--ends", action="store_true", help="what changes at both ends of each of its ranges"
    )
    parser.add_argument(
        *("--provenance", "--trace"),
        dest="trace",
        metavar="FIGURE",
        help="cost, spent, worth, money or power as a tree of terms, with sources",
    )
    parser.add_argument("--json", action="store_true", help="every number of the plan as JSON")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan's devices by year, and what its shadow prices say."""
    from infercost.fleet.explain import rows, told
    from infercost.fleet.part import plan_of

    dirs = tuple(arguments.config_dir)
    if arguments.ends:
        return _print_ends(arguments, dirs)
    plan = plan_of(arguments.scenario, dirs, arguments.overrides)
    if arguments.trace:
        return _print_trace(arguments, plan)
    if arguments.json:
        print_json([vars(row) for row in rows(plan)])
        return 0
    _print_abilities(plan)
    _print_stock(plan)
    for sentence in told(plan):
        print(textwrap.fill(sentence, 100))
        print()
    return 0


def _print_trace(arguments: argparse.Namespace, plan: Plan) -> int:
    """A figure of the plan as a tree."""
    from infercost.commands.trace import print_tree
    from infercost.fleet.tracing import FleetTracer

    tracer = FleetTracer(plan, arguments.scenario, arguments.config_dir, arguments.overrides)
    print_tree(tracer.trace(arguments.trace), arguments.json)
    return 0


def _print_ends(arguments: argparse.Namespace, dirs: tuple[str, ...]) -> int:
    """Worth of what stands and where money goes, at both ends of each range."""
    from infercost.fleet.ends import at_ends

    found = at_ends(arguments.scenario, dirs, arguments.overrides)
    if arguments.json:
        print_json([vars(end) for end in found])
        return 0
    farms = list(found[0].worth)
    cells = [
        [
            end.name,
            *(f"{round(end.worth[farm]) + 0:,}" for farm in farms),
            f"{end.spent / 1e9:,.1f}",
            ", ".join(f"{kind} {share:.0%}" for kind, share in end.shares.items()),
        ]
        for end in found
    ]
    heads = ["end", *farms, "10^9 USD spent", "on"]
    print_table("What one more device is worth in USD, and where money goes", heads, cells)
    return 0


def _print_abilities(plan: Plan) -> None:
    """Output tokens (or useful FLOP) per second of a device of each kind for each class."""
    classes = list(plan.fleet.demand)
    cells = [
        [kind, *(_rate(plan.able.of[kind, wanted].rate) for wanted in classes)]
        for kind in plan.fleet.kinds
    ]
    print_table("A device at work: token/s, or FLOP/s of training", ["kind", *classes], cells)


def _rate(rate: float) -> str:
    return f"{rate:.3g}" if rate else "-"


def _print_stock(plan: Plan) -> None:
    """Thousands of devices by site, kind, pool and year."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for key, value in plan.solution.values.items():
        if key[0] == "stock":
            lines.setdefault((str(key[1]), str(key[2]), str(key[3])), []).append(
                f"{value / 1e3:,.1f}" if value >= 50 else ""
            )
    shown = [[*names, *cells] for names, cells in lines.items() if any(cells)]
    years = [str(year) for year in plan.fleet.years]
    print_table("Thousands of devices", ["site", "kind", "pool", *years], shown)
