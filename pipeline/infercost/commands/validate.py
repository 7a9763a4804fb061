"""`infercost validate`: predictions against a table of measurements."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import print_json, print_table

KINDS = ("phase", "tier", "batch", "system", "model", "calibration", "source")
"""What errors may be listed by, in the order of the listing."""
COLUMNS = {
    "rows": "rows",
    "bias": "bias",
    "median": "median",
    "mean": "mean",
    "p90": "p90",
    "within_10": "within 10 %",
    "within_25": "within 25 %",
    "inside_interval": "in interval",
    "ideal_median": "ideal, median",
}
LEGEND = """\
Errors are of time, predicted over stated less one: positive is predicted too slow. 'bias' is the
median with its sign; median, mean and p90 are of absolute errors; 'in interval' is the share of
stated values inside the 80 % interval; 'ideal' is the physical floor, without any calibration."""

BEYOND = """\
Faster than the physical floor by over 10 %, so look at their units, devices and lengths: {ids}.
"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "validate",
        help="predictions against a table of measurements",
        description="Predict every row of a CSV of measurements (columns as in"
        " data/reference/measured.csv) and report errors of time; rows that cannot be read are"
        " counted by reason, and listed with --unmapped. The public table itself was fitted to:"
        " its errors out of sample are in data/reference/examination.csv.",
    )
    parser.add_argument("--measurements", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--json", action="store_true", help="rows, unmapped rows and summary")
    parser.add_argument("--unmapped", action="store_true", help="list the ids that were not read")
    parser.add_argument(
        "--by",
        action="append",
        choices=KINDS,
        help="list errors by this alone; may be given several times (default: all)",
    )
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print errors by kind, and why rows could not be read."""
    from infercost.measurements.validation import validate

    found = validate(arguments.measurements, tuple(arguments.config_dir))
    if arguments.json:
        print_json(found)
        return 0
    summary = found["summary"]
    print(_told(summary))
    if found["beyond_floor"]:
        print(BEYOND.format(ids=", ".join(found["beyond_floor"])))
    if found["rows"]:
        _print_errors(summary, arguments.by or KINDS)
    _print_unmapped(found["unmapped"], summary["reasons"], arguments.unmapped)
    return 0


def _print_errors(summary: dict[str, Any], kinds: Sequence[str]) -> None:
    print(LEGEND)
    for kind in kinds:
        rows = [_cells(name, errors) for name, errors in summary[f"by_{kind}"].items()]
        total = [_cells("all rows", summary["all"])] if len(rows) > 1 else []
        print_table(f"Error by {kind}", ("", *COLUMNS.values()), [*rows, *total])


def _told(summary: dict[str, Any]) -> str:
    """What matters most, in words."""
    errors, total = summary["all"], summary["rows"] + summary["unmapped"]
    lost = f", {summary['unmapped']} not read (reasons below)" if summary["unmapped"] else ""
    counted = f"{summary['rows']} of {total} rows predicted{lost}.\n"
    if not summary["rows"]:
        return counted
    return (
        f"{counted}Median error {errors['median']:.1%}, p90 {errors['p90']:.1%},"
        f" bias {errors['bias']:+.1%};"
        f" {errors['within_10']:.0%} within 10 %, {errors['within_25']:.0%} within 25 %;"
        f" {errors['inside_interval']:.0%} in their 80 % interval.\n"
    )


def _print_unmapped(unmapped: list[dict[str, str]], reasons: dict[str, int], ids: bool) -> None:
    if not unmapped:
        return
    print_table(
        f"Not read: {len(unmapped)} rows",
        ("rows", "reason"),
        [[str(count), reason] for reason, count in reasons.items()],
    )
    if not ids:
        print("Their ids: --unmapped, or --json.")
        return
    order = list(reasons)
    listed = sorted(unmapped, key=lambda entry: order.index(entry["reason"]))
    for reason, entries in groupby(listed, key=lambda entry: entry["reason"]):
        print(f"{reason}: {', '.join(entry['id'] for entry in entries)}")


def _cells(name: str, errors: dict[str, float]) -> list[str]:
    shown = [str(int(errors["rows"]))]
    for key in COLUMNS:
        if key == "rows":
            continue
        shown.append(f"{errors[key]:+.1%}" if key == "bias" else f"{errors[key]:.1%}")
    return [name[:60], *shown]
