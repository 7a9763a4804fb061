"""`infercost metrics` and `infercost options`: what can be asked, and what comes out."""

from __future__ import annotations

import argparse
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import print_json, print_table
from infercost.errors import SpecError, nearest


def add_parser(commands: Any) -> None:
    """Declare the commands."""
    parser = commands.add_parser("metrics", help="columns of every result: unit, symbol, meaning")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run_metrics)
    parser = commands.add_parser("options", help="options of every group, or of one")
    parser.add_argument("group", nargs="?")
    parser.add_argument("--json", action="store_true")
    add_config_dir(parser)
    parser.set_defaults(run=run_options)


def run_metrics(arguments: argparse.Namespace) -> int:
    """Print every metric."""
    from infercost.registry import metrics

    entries = metrics().values()
    if arguments.json:
        print_json(
            [
                {"name": m.column, "unit": m.unit, "symbol": m.symbol, "meaning": m.meaning}
                for m in entries
            ]
        )
    else:
        rows = [[m.column, m.unit, m.symbol, m.meaning] for m in entries]
        print_table("", ["column", "unit", "symbol", "meaning"], rows)
    return 0


def run_options(arguments: argparse.Namespace) -> int:
    """Print the options of a group, or of all."""
    from infercost.paths import config_dirs
    from infercost.question import option_names
    from infercost.specs.case import GROUPS

    dirs = config_dirs(tuple(arguments.config_dir))
    groups = (*GROUPS, "memory", "link", "topology", "study", "fleet")
    if arguments.group and arguments.group not in groups:
        raise SpecError(
            "options", arguments.group, "no such group", nearest(arguments.group, groups)
        )
    chosen = (arguments.group,) if arguments.group else groups
    found = {group: option_names(dirs, group) for group in chosen}
    if arguments.json:
        print_json(found)
    else:
        for group, names in found.items():
            print(f"{group}:")
            print("".join(f"  {name}\n" for name in names), end="")
    return 0
