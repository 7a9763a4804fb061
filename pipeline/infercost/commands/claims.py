"""`infercost claims`: the ledger of claims, and what each verdict follows from."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.commands.arguments import add_config_dir, add_json
from infercost.commands.output import print_json, print_table

if TYPE_CHECKING:
    from infercost.claims import Verdict

ROOT = Path("data/datasets")
_MOST_CASES = 40


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "claims",
        help="claims of the literature and of this project, with verdicts from published rows",
        description="Without a name: the ledger. With one: its query and cases. Verdicts follow"
        " from the latest published version of each claim's study ('make claims' computes all).",
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit code 1 where a verdict differs from data/reference/claims.csv",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="write the verdicts into data/reference/claims.csv",
    )
    parser.add_argument("--why", default="", metavar="TEXT", help="explains changed verdicts there")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the ledger as a page, a figure per claim"
    )
    parser.add_argument("--studies", action="store_true", help="only the studies that claims need")
    add_json(parser)
    parser.add_argument("--root", type=Path, default=ROOT, help=f"default: {ROOT}")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the ledger, or one claim; `--check` says what has changed."""
    from infercost.claims import ledger, record

    dirs = tuple(arguments.config_dir)
    if arguments.studies:
        return _print_studies(dirs, arguments.json)
    verdicts = ledger(arguments.root, dirs, tuple(arguments.names))
    if arguments.record:  # first: what cannot be recorded is said alone
        record(ledger(arguments.root, dirs), why=arguments.why)
    if arguments.html is not None:
        _write_page(arguments.html, verdicts, arguments.root, dirs)
    if arguments.json:
        print_json([_plain(verdict) for verdict in verdicts])
    elif arguments.names:
        for verdict in verdicts:
            _print_one(verdict, arguments.root, dirs)
    else:
        _print_ledger(verdicts)
    return _check(verdicts, arguments) if arguments.check else 0


def _check(verdicts: list[Verdict], arguments: argparse.Namespace) -> int:
    """Say what differs from the record, and how to go on; on stderr where JSON is asked for."""
    from infercost.claims import news, recorded

    out = sys.stderr if arguments.json else sys.stdout
    known = recorded()
    if arguments.names:
        known = {name: entry for name, entry in known.items() if name in arguments.names}
    changed = list(news(verdicts, known))
    untested = [verdict.name for verdict in verdicts if verdict.verdict == "untested"]
    for line in changed:
        print(
            f"changed: claim {line}. Find out why; if it is right, infercost claims --record "
            "--why '...'",
            file=out,
        )
    if untested:
        print(f"untested: {', '.join(untested)}. 'make claims' computes their studies", file=out)
    if not changed and not untested:
        print(f"{len(verdicts)} verdicts are as recorded", file=out)
    return int(bool(changed or untested))


def _write_page(target: Path, verdicts: list[Verdict], root: Path, dirs: tuple[str, ...]) -> None:
    from infercost.errors import SpecError
    from infercost.report import render_ledger
    from infercost.stages.ledger import cards
    from infercost.versions.landing import land_text

    if not target.absolute().parent.is_dir():
        raise SpecError(f"--html {target}", "", "its folder is not there", "Make it first")
    page = render_ledger(cards(root, verdicts, dirs))
    land_text(target, page)
    print(f"{target} ({len(page.encode()) / 1e6:.1f} MB)", file=sys.stderr)


def _print_studies(dirs: tuple[str, ...], as_json: bool) -> int:
    from infercost.claim_options import GROUP, load_claim
    from infercost.options.question import option_names
    from infercost.paths import config_dirs

    names = option_names(config_dirs(dirs), GROUP)
    studies = sorted({load_claim(name, dirs).study for name in names})
    if as_json:
        print_json(studies)
    else:
        print("\n".join(studies))
    return 0


def _plain(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "name": verdict.name,
        "claim": claim.claim,
        "by": claim.by,
        "verdict": verdict.verdict,
        "cases": verdict.cases,
        "holding": verdict.holding,
        "undecided": verdict.undecided,
        "value": claim.value,
        "median": verdict.median,
        "at_least": claim.at_least,
        "at_most": claim.at_most,
        "margin": verdict.margin,
        "probability": verdict.probability,
        "drawn": verdict.drawn,
        "error": verdict.error,
        "region": verdict.region,
        "version": verdict.version,
        "study": claim.study,
        "query": claim.query,
        "note": claim.note,
    }


def _print_ledger(verdicts: list[Verdict]) -> None:
    from infercost.claims import UNTESTED

    rows = [
        [
            verdict.name,
            verdict.verdict,
            f"{verdict.holding}/{verdict.cases}" if verdict.cases else "",
            _number(verdict.median),
            verdict.claim.study,
        ]
        for verdict in verdicts
    ]
    columns = ("claim", "verdict", "cases", "median", "study")
    filled = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    print_table("", [columns[at] for at in filled], [[row[at] for at in filled] for row in rows])
    counts = {v.verdict: sum(o.verdict == v.verdict for o in verdicts) for v in verdicts}
    print(", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    if set(counts) != {UNTESTED}:
        print(textwrap.fill(_LEGEND, 100))
    if UNTESTED in counts:
        print(f"{UNTESTED}: not computed here yet; 'make claims' computes all their studies")


_LEGEND = (
    "cases: those that support the claim, of all; median: of their numbers; what it must be,"
    " and how surely it is: 'infercost claims NAME', or --json"
)


def _number(value: float) -> str:
    return "" if value != value else f"{value:.3g}"  # noqa: PLR0124  NaN is not itself


def _print_one(verdict: Verdict, root: Path, dirs: tuple[str, ...]) -> None:
    from infercost.claims import UNTESTED, cases_of, rule_of
    from infercost.datasets import open_version

    claim = verdict.claim
    print(f"\n{textwrap.fill(claim.claim, 100)}\n  says {claim.by}")
    if verdict.verdict == UNTESTED:
        print(f"untested: run 'make study STUDY={claim.study}'")
        return
    print(
        f"{verdict.verdict}: {verdict.holding} of {verdict.cases} cases have {claim.value}"
        f" {rule_of(claim)} (median {_number(verdict.median)}); {verdict.version}"
    )
    for text in (_surety(verdict), verdict.region, claim.note):
        if text:
            print(textwrap.fill(text, 100))
    table = cases_of(verdict.name, claim, open_version(root, claim.study), dirs)
    shown = table.head(_MOST_CASES)
    rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    print_table("Cases", list(map(str, table.columns)), rows)
    if len(table) > _MOST_CASES:
        print(f"and {len(table) - _MOST_CASES} more")
    print(f"query: {' '.join(claim.query.split())}")


def _surety(verdict: Verdict) -> str:
    """How far the numbers are on the right side, and how surely."""
    told = {
        "margin": (verdict.margin, "how far the median is on the right side"),
        "error": (verdict.error, "scale of the logarithms of errors made on measurements"),
        "probability": (verdict.probability, "that a case supports the claim, given these errors"),
        "drawn": (verdict.drawn, "share of draws in which it does"),
    }
    texts = [f"{name} {_number(v)} ({what})" for name, (v, what) in told.items() if _number(v)]
    return "; ".join(texts)


def _cell(value: Any) -> str:
    return _number(value) or "-" if isinstance(value, float) else str(value)
