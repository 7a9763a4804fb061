"""Arguments that several commands take."""

from __future__ import annotations

import argparse


def add_json(parser: argparse.ArgumentParser, about: str = "one JSON document on stdout") -> None:
    """What every command can: one JSON document on stdout and nothing else."""
    parser.add_argument("--json", action="store_true", help=about.replace("%", "%%"))


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Folders of the user's own options; may be given several times."""
    parser.add_argument(
        "--config-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of your own options",
    )
