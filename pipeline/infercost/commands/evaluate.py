"""`infercost evaluate`: every point that overrides span, as a table or a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.commands.arguments import add_config_dir, add_json
from infercost.commands.output import print_json, print_notes, print_table
from infercost.errors import SpecError
from infercost.units import show

if TYPE_CHECKING:
    import pyarrow as pa

    from infercost.compose import Options

VERDICT = ("feasible", "limited_by", "bound")
OF_TOKENS = ("tpot_s", "ttft_s", "throughput_per_device_per_s", "cost_per_mtoken_usd")
OF_REQUESTS = ("steps_per_request", "decode_step_s", "e2e_latency_s", "cost_per_request_usd")
"""Shown where some output is a picture, which has no tokens."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "evaluate",
        aliases=["sweep"],
        help="every point that lists and ranges in overrides span",
        description=(
            "Evaluate every point that the overrides span; lists and ranges make axes, and "
            "draw=256 draws numbers that options state as uncertain: median and 80 % interval."
        ),
        epilog="example: infercost evaluate hardware=h100-sxm,mi300x batch=1,8,64 --out points.csv",
    )
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    parser.add_argument("--out", type=Path, help="write all columns to this .parquet or .csv file")
    add_json(parser, "all columns of every point as JSON; of draws, median and 80 % interval")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write all columns to a file, or print the main ones."""
    from infercost.compose import Options
    from infercost.effects import tabled
    from infercost.options.question import ask

    out: Path | None = arguments.out
    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise SpecError(
            f"--out {out}", "", f"'{out.suffix}' is not a format", "Take .parquet or .csv"
        )
    if out is not None and not out.absolute().parent.is_dir():
        raise SpecError(f"--out {out}", "", "its folder is not there", "Make it first")
    options = Options(ask(arguments.overrides, tuple(arguments.config_dir)))
    table, notes = tabled(options)
    print_notes([*notes, *_missed(options, table)])
    if out is None and arguments.json:
        print_json(_records(table.to_pandas()))
    elif out is None and "draw" in table.column_names:
        _print_intervals(table.to_pandas())
    elif out is None:
        _print(table.to_pandas())
    elif out.suffix == ".csv":
        table.to_pandas().to_csv(out, index=False)
    else:
        import pyarrow.parquet as pq

        pq.write_table(table, out)
    if out is not None:
        print(f"{table.num_rows} points -> {out}", file=sys.stderr)
        if arguments.json:
            print_json({"file": str(out), "points": table.num_rows})
    return 0


def _records(frame: Any) -> list[dict[str, Any]]:
    """Rows with all columns; of draws, a row per design."""
    if "draw" in frame:
        from infercost.uncertainty.intervals import intervals

        frame = intervals(frame, [name for name in _measures(frame) if name in frame])
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def _print(frame: Any) -> None:
    keys = list(frame.columns[: list(frame.columns).index("feasible")])
    varying = [c for c in keys if frame[c].nunique() > 1]
    names = [*varying, *VERDICT, *_measures(frame)]
    rows = [[_cell(value) for value in row] for row in frame[names].itertuples(index=False)]
    same = [f"{c}={frame[c].iloc[0]}" for c in keys if c not in varying]
    print("all: " + " ".join(same))
    print_table("", [_heading(name) for name in names], rows)
    print(_LEGEND)


_LEGEND = (
    "bound: what sets the largest part of the cost; limited_by: what ran out;"
    " 'infercost metrics' explains all columns, --out FILE writes them"
)


def _missed(options: Options, table: pa.Table) -> list[str]:
    """A note on points that are slower than the workload's users expect, which count as feasible.

    Nothing where an axis varies the objectives: then rows say it.
    """
    import numpy as np

    axes = [axis.name for axis in (*options.question.axes, *options.question.labels)]
    if any(name.startswith("workload.slo") for name in axes):
        return []
    workload, feasible = (np.asarray(table[name]) for name in ("workload", "feasible"))
    tpot, ttft = (np.asarray(table[name]) for name in ("tpot_s", "ttft_p90_s"))
    limits, named = {}, set(workload)
    for composed in options.cases():
        limits[composed.options["workload"]] = composed.case.workload.slo
        if len(limits) == len(named):
            break
    found = []
    for name, slo in limits.items():
        if slo is None:
            continue
        most_ttft, most_tpot = slo.limits
        mine = feasible & (workload == name)
        slow = int(np.sum(mine & ((tpot > most_tpot) | (ttft > most_ttft))))
        if slow:
            asked = (("TTFT", most_ttft), ("TPOT", most_tpot))
            told = " and ".join(
                f"{what} {show(most, 's')}" for what, most in asked if most < np.inf
            )
            found.append(
                f"{slow} of {int(mine.sum())} feasible points miss the objective of {name} ({told})"
                ": compare --best and studies keep to it"
            )
    return found


def _print_intervals(frame: Any) -> None:
    """Median and 80 % interval over the draws, a row per design."""
    from infercost.uncertainty.intervals import intervals, keys_of

    measures = [name for name in _measures(frame) if name in frame]
    found = intervals(frame, measures)
    keys = keys_of(frame)
    varying = [key for key in keys if found[key].nunique() > 1]
    print("all: " + " ".join(f"{key}={found[key].iloc[0]}" for key in keys if key not in varying))

    def cell(row: Any, name: str) -> str:
        low, middle, high = (_cell(row[f"{name}_{end}"]) for end in ("p10", "p50", "p90"))
        return middle if low == high else f"{middle} ({low} to {high})"

    rows = [
        [
            *(_cell(row[key]) for key in varying),
            f"{row['feasible_share']:.0%}",
            *(cell(row, name) for name in measures),
        ]
        for row in found.to_dict("records")
    ]
    print(f"{int(found['draws'].max())} draws: median (10th to 90th percentile)")
    print_table("", [*map(_heading, varying), "feasible", *measures], rows)


def _measures(frame: Any) -> tuple[str, ...]:
    """The columns that say most: of tokens, of requests, or both."""
    feasible = frame[frame["feasible"]]
    pictures = feasible["cost_per_mtoken_usd"].isna()
    if not pictures.any():
        return OF_TOKENS
    return OF_REQUESTS if pictures.all() else (*OF_TOKENS, *OF_REQUESTS)


def _heading(name: str) -> str:
    """A column's name, with its unit where the name does not end in it."""
    from infercost.quantities import quantity

    unit = quantity(name).unit
    return f"{name} ({unit})" if "." in name and unit != "1" else name


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"  # noqa: PLR0124  NaN is not itself
    return str(value)
