"""`infercost completion`: what a shell has to load to complete our words on a tab."""

from __future__ import annotations

import argparse
from typing import Any

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "completion",
        help="tab completion for your shell",
        description="Print what a shell has to load to complete commands, options and the names"
        " of hardware, models, studies and claims, your own included.",
        epilog='bash, zsh: eval "$(infercost completion bash)" in ~/.bashrc; fish: infercost'
        " completion fish | source",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the shell's code."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["infercost"], shell=arguments.shell))
    return 0
