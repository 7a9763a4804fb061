"""`infercost calibrate`: a calibration of your own system from some of your own measurements."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir, add_json
from infercost.commands.output import print_json
from infercost.errors import SpecError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "calibrate",
        help="a calibration of your own system from some of your own measurements",
        description="Fit a calibration to the rows of a CSV (columns as in"
        " data/reference/measured.csv), starting from what published measurements of its family"
        " of devices give, and write it as an option. A dozen rows are worth having.",
        epilog="example: infercost calibrate --measurements mine.csv --name my-cluster --out mine,"
        " then: infercost explain calibration=my-cluster --config-dir mine",
    )
    parser.add_argument("--measurements", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--name", required=True, help="name of the option, in kebab-case")
    parser.add_argument("--out", type=Path, required=True, help="folder of your own options")
    add_json(parser)
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the option, and say what it was fitted to."""
    from infercost.calibrate.options import own_option
    from infercost.paths import CONF

    name: str = arguments.name
    if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", name):
        raise SpecError(f"--name {name}", "", "is not kebab-case", "Write for example my-cluster")
    if (CONF / "calibration" / f"{name}.yaml").is_file():
        raise SpecError(
            f"--name {name}", "", "is a calibration of the project", "Take another name"
        )
    text, used, unread = own_option(arguments.measurements, name, tuple(arguments.config_dir))
    target = arguments.out / "calibration" / f"{name}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    if arguments.json:
        print_json({"file": str(target), "rows": used, "not_read": list(unread)})
        return 0
    print(f"{target}: fitted to {used} rows")
    for line in unread:
        print(f"  not read: {line}")
    return 0
