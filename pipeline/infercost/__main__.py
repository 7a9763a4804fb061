"""The command line: `infercost COMMAND`, or `python -m infercost COMMAND`."""

from __future__ import annotations

import argparse
import errno
import gc
import io
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from infercost import __version__
from infercost.commands import (
    answer,
    breakeven,
    calibrate,
    catalogue,
    claims,
    compare,
    completion,
    datasets,
    doctor,
    evaluate,
    explain,
    explorer,
    fleet,
    new,
    replay,
    stage,
    study,
    validate,
)
from infercost.errors import SpecError, nearest

COMMANDS = (
    explain,
    compare,
    evaluate,
    replay,
    breakeven,
    fleet,
    validate,
    calibrate,
    catalogue,
    new,
    study,
    datasets,
    answer,
    claims,
    explorer,
    doctor,
    completion,
    stage,
)
"""In the order of --help."""

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
"""Pydantic would ask every installed package whether it is a plugin: 25 ms, and none is used."""

SELDOM = 500_000
"""New objects after which garbage is looked for: start-up makes that many, and they all stay."""

USAGE_ERROR = 2
"""Exit code of a wrong configuration or command line."""


_CHOICE = re.compile(r"(?:argument (\S+): )?invalid choice: '(.*?)' \(choose from (.*)\)")
"""What argparse says of a word that is not among those it knows."""


class Parser(argparse.ArgumentParser):
    """A parser that names the word nearest to one that it does not know."""

    def error(self, message: str) -> NoReturn:
        """One line, and exit code 2."""
        fault = _CHOICE.fullmatch(message)
        if fault is None:
            super().error(message)
        remedy = nearest(fault[2], re.findall(r"[\w-]+", fault[3]))
        what = (fault[1] or "argument").lower()
        self.exit(USAGE_ERROR, f"{self.prog}: no {what} is named '{fault[2]}'. {remedy}\n")


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = Parser(
        prog="infercost",
        description="What a token of LLM inference costs, and which resource sets the price.",
        epilog='tab completion: eval "$(infercost completion bash)", or zsh',
    )
    top.add_argument("--version", action="version", version=f"infercost {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a fault that the user can mend is one line per fault and exit code 2."""
    gc.set_threshold(SELDOM)
    _check_streams()
    top = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what might follow
        from infercost.completions import complete

        complete(top)
    chosen, rest = top.parse_known_args(arguments)
    if rest and not _taken(chosen, rest):
        return USAGE_ERROR
    try:
        _note_repeats(chosen)
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
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fault = "the disk is full; nothing half-written is left"
        elif error.filename is not None:
            fault = (error.strerror or "cannot be used").lower()
        else:
            raise
        print(f"infercost: {error.filename or Path.cwd()}: {fault}", file=sys.stderr)
        return 1
    return code


def _taken(chosen: argparse.Namespace, rest: list[str]) -> bool:
    """Give a command the overrides that stand behind its options; refuse what else is left."""
    odd = [word for word in rest if word.startswith("-") or "=" not in word]
    overrides = getattr(chosen, "overrides", None)
    if not odd and overrides is not None:
        chosen.overrides = [*overrides, *rest]
        return True
    remedy = f"See infercost {chosen.command} --help"
    if overrides is not None:
        remedy += "; inputs are written key=value, without dashes, as batch=8"
    fault = f"does not know '{(odd or rest)[0]}'. {remedy}"
    print(f"infercost: {chosen.command}: {fault}", file=sys.stderr)
    return False


def _note_repeats(chosen: argparse.Namespace) -> None:
    """Tell which overrides a later one of the same key replaces, as in Hydra."""
    given = getattr(chosen, "overrides", None)
    if given:
        from infercost.commands.output import print_notes
        from infercost.options.question import replaced

        print_notes(replaced(given))


def _check_streams() -> None:
    """Standard output may be closed, or of an encoding without our signs: print what there is."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
