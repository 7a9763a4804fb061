"""The command line: `infercost COMMAND`, or `python -m infercost COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys

from infercost import __version__
from infercost.commands import (
    answer,
    calibrate,
    catalogue,
    datasets,
    evaluate,
    explain,
    replay,
    stage,
    validate,
)
from infercost.errors import SpecError

USAGE_ERROR = 2
"""Exit code of a wrong configuration or command line."""


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(
        prog="infercost",
        description="What a token of LLM inference costs, and which resource sets the price.",
    )
    top.add_argument("--version", action="version", version=f"infercost {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (
        explain,
        evaluate,
        replay,
        validate,
        calibrate,
        catalogue,
        datasets,
        answer,
        stage,
    ):
        module.add_parser(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a fault that the user can mend is one line per fault and exit code 2."""
    chosen = parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except SpecError as error:
        for line in str(error).splitlines():
            print(f"infercost: {line}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("infercost: interrupted; nothing half-written is left", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
