"""`infercost explorer`: a page to play with over a published grid."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_json
from infercost.commands.output import print_json
from infercost.errors import SpecError

STUDY = "explorer"


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "explorer",
        help="one HTML page to choose, drag and compare designs, over a published grid",
        description="Write one page, to be opened from disk, over a published study that keeps the"
        " whole grid of its axes. Values between points are interpolated; how far they are off is"
        " measured and stated on the page.",
    )
    parser.add_argument("study", nargs="?", default=STUDY, help=f"default: {STUDY}")
    parser.add_argument(
        "--out", type=Path, default=Path("explorer.html"), help="default: explorer.html"
    )
    parser.add_argument("--root", type=Path, default=Path("data/datasets"))
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and say where."""
    from infercost.datasets import open_version
    from infercost.explorer import render

    out: Path = arguments.out
    if not out.absolute().parent.is_dir():
        raise SpecError(f"--out {out}", "", "its folder is not there", "Make it first")
    page = render(open_version(arguments.root, arguments.study))
    out.write_text(page, encoding="utf-8")
    if arguments.json:
        print_json({"file": str(out), "bytes": out.stat().st_size})
        return 0
    print(f"{out} ({len(page) / 1e6:.1f} MB)")
    return 0
