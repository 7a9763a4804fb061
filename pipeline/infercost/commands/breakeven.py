"""`infercost breakeven`: the value of one input at which two designs cost the same."""

from __future__ import annotations

import argparse
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import print_json
from infercost.errors import SpecError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "breakeven",
        help="the value of one input at which two designs tie",
        description=(
            "Find the value of one input at which two designs tie, each at its own best operating "
            "point (layouts of up to --largest devices, batches of 1 to 16,384: the grid of "
            "compare --best). One group in the overrides names two options: the designs. draw=64 "
            "gives the answer an interval."
        ),
        epilog=(
            "example: infercost breakeven direction=hbf,none plan=base workload=snapshot "
            "--input direction.hbf.price --range '0.1 USD/GB' '100 USD/GB'"
        ),
    )
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    parser.add_argument("--input", required=True, metavar="PATH", help="dotted path to vary")
    parser.add_argument("--range", nargs=2, required=True, metavar=("LOW", "HIGH"))
    parser.add_argument("--metric", default="cost_per_mtoken_usd", help="default: %(default)s")
    parser.add_argument("--of", default="", help="group of the designs, where two name two options")
    parser.add_argument(
        "--largest", type=int, default=64, help="devices of a replica at most (default: 64)"
    )
    parser.add_argument("--json", action="store_true", help="every case and draw as JSON")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a sentence per case."""
    from infercost.break_even import between
    from infercost.registry import metrics

    if arguments.metric not in metrics():
        raise SpecError("--metric", arguments.metric, "is no metric", "See infercost metrics")
    if arguments.largest < 1:
        raise SpecError(f"--largest {arguments.largest}", "", "serves nothing", "Take 1 or more")
    rows = between(
        arguments.overrides,
        arguments.input,
        arguments.range,
        arguments.metric,
        arguments.largest,
        arguments.of,
        tuple(arguments.config_dir),
    ).to_pandas()
    if arguments.json:
        print_json(rows.to_dict("records"))
        return 0
    for sentence in told(rows, arguments.metric):
        print(sentence)
    return 0


def told(rows: Any, metric: str) -> list[str]:
    """A sentence per case: where the designs tie, or which of them is always better."""
    from infercost.specs.case import GROUPS

    keys = [g for g in GROUPS if g in rows]
    axes = [name for name in rows.columns[: list(rows.columns).index("verdict")] if "." in name]
    axes += [name for name in ("batch",) if name in rows]
    if "draw" in rows:
        first = rows[rows["draw"] == 0]
        axes = [a for a in axes if first[a].nunique() == rows[a].nunique()]
    sentences = []
    for values, case in rows.groupby([*keys, *axes], observed=True, sort=False, dropna=False):
        row = case.iloc[0]
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        low, high = (f"{row[end]:.4g}{unit}" for end in ("low", "high"))
        place = ", ".join(
            f"{key}={value}"
            for key, value in zip([*keys, *axes], values, strict=True)
            if rows[key].nunique() > 1
        )
        verdicts = case["verdict"].value_counts()
        text = f"{row['first']} and {row['second']} ({metric})"
        found = case["break_even"].dropna()
        if len(found):
            at = found.quantile([0.1, 0.5, 0.9]).tolist()
            middle = f"{at[1]:.4g}{unit}"
            spread = f" ({at[0]:.4g} to {at[2]:.4g} in 80 % of draws)"
            side = row["first"] if case.loc[found.index[0], "ratio_at_low"] < 1 else row["second"]
            said = f"tie at {row['input']} = {middle}{spread if len(found) > 1 else ''}"
            said += f"; below, {side} is better"
        else:
            said = f"do not tie for {row['input']} from {low} to {high}"
        share = {v: f"{n / len(case):.0%} of draws" for v, n in verdicts.items()}
        rest = [
            f"{v.removesuffix(' always')} is always better" if v.endswith(" always") else v
            for v in verdicts.index
            if v != "tie"
        ]
        more = [
            f"{text_} ({share[v]})" if len(case) > 1 else text_
            for v, text_ in zip([v for v in verdicts.index if v != "tie"], rest, strict=True)
        ]
        sentences.append(
            f"{place + ': ' if place else ''}{text} {said}"
            + (f"; {', '.join(more)}" if more else "")
            + "."
        )
    return sentences
