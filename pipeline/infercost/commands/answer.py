"""`infercost answer`: where the results of a study are, and what they say."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.errors import SpecError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("answer", help="where a study's results are, and its answer")
    parser.add_argument("study")
    add_config_dir(parser)
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: data")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the places of dataset, figures and report, then the sentences of the answer."""
    results: Path = arguments.data / "results" / arguments.study / "latest"
    answer = results / "answer.txt"
    if not answer.is_file():
        raise SpecError(
            f"study '{arguments.study}'",
            "",
            f"has no results below {arguments.data}",
            f"Run 'make study STUDY={arguments.study}'",
        )
    version, *sentences = answer.read_text().splitlines()
    print(f"dataset  {arguments.data / 'datasets' / version}")
    print(f"figures  {results / 'figures'}")
    print(f"report   {results / 'report.html'}")
    for sentence in sentences:
        print()
        print(textwrap.fill(sentence, 100))
    return 0
