"""`infercost answer`: where the results of a study are, and what they say."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir, add_json
from infercost.commands.output import print_json
from infercost.errors import SpecError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "answer",
        help="where a study's results are, and its answer",
        description="Where the dataset, figures and report of a study's last run are, and what it"
        " found, in words.",
    )
    parser.add_argument("study")
    add_json(parser)
    add_config_dir(parser)
    parser.add_argument("--data", type=Path, default=Path("data"), help="default: data")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the places of dataset, figures and report, then the sentences of the answer."""
    results = _results(arguments.data, arguments.study)
    answer = results / "answer.txt"
    if not answer.is_file():
        raise SpecError(
            f"study '{arguments.study}'",
            "",
            f"has no results below {arguments.data}",
            f"Run 'make study STUDY={arguments.study}'",
        )
    version, *sentences = answer.read_text().splitlines()
    places = {
        "dataset": str(arguments.data / "datasets" / version),
        "figures": str(results / "figures"),
        "report": str(results / "report.html"),
    }
    if arguments.json:
        print_json({"study": arguments.study, **places, "answers": sentences})
        return 0
    for name, place in places.items():
        print(f"{name}  {place}" if name != "report" else f"report   {place}")
    for sentence in sentences:
        print()
        print(textwrap.fill(sentence, 100))
    return 0


def _results(data: Path, study: str) -> Path:
    return data / "results" / study / "latest"
