"""`infercost validate`: predictions against a table of measurements."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import print_json, print_table


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "validate",
        help="predictions against a table of measurements",
        description="Predict every row of a CSV of measurements (columns as in"
        " data/reference/measured.csv) and report errors; rows that cannot be read are listed"
        " with the reason. The public table itself was fitted to: its errors out of sample are"
        " in data/reference/calibration_report.json.",
    )
    parser.add_argument("--measurements", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--json", action="store_true", help="rows and summary as JSON")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print errors by kind, and why rows could not be read."""
    from infercost.validation import validate

    found = validate(arguments.measurements, tuple(arguments.config_dir))
    if arguments.json:
        print_json(found)
        return 0
    summary = found["summary"]
    print(f"{summary['rows']} rows predicted, {summary['unmapped']} not read")
    for reason, count in summary["reasons"].items():
        print(f"  {count:5d}  {reason}")
    for key in ("phase", "tier", "calibration", "hardware", "model", "batch", "source"):
        kinds = summary[f"by_{key}"]
        print_table(f"Error by {key}", _HEADINGS, [_cells(k, v) for k, v in sorted(kinds.items())])
    print_table("All", _HEADINGS, [_cells("all rows", summary["all"])])
    return 0


_HEADINGS = (
    "",
    "rows",
    "bias",
    "median",
    "mean",
    "p90",
    "within 10 %",
    "within 25 %",
    "in interval",
    "ideal, median",
)


def _cells(name: str, errors: dict[str, float]) -> list[str]:
    shares = [
        f"{errors[key]:.1%}"
        for key in (
            "bias",
            "median",
            "mean",
            "p90",
            "within_10",
            "within_25",
            "inside_interval",
            "ideal_median",
        )
        if key in errors
    ]
    return [name[:60], str(errors["rows"]), *shares]
