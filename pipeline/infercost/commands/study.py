"""`infercost study`: compute a study through Snakemake, and print its answer."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir, add_json
from infercost.commands.output import print_json
from infercost.errors import SpecError, nearest


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "study",
        help="compute a study and print its answer; only what is not there yet",
        description="Run the workflow for one study, here in a checkout of the project, with"
        " progress. Interrupted, it goes on where it stopped.",
        epilog="example: infercost study smoke --jobs 2",
    )
    parser.add_argument("study")
    parser.add_argument("--jobs", type=int, default=2, help="jobs at once (default: 2)")
    parser.add_argument("--profile", default="default", help="workflow profile (default: default)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be computed")
    add_json(parser, "the answer as JSON; progress goes to stderr")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run Snakemake in the checkout, then print where results are and what they say."""
    from infercost.commands import answer
    from infercost.paths import ROOT
    from infercost.studies import load_study

    if not (ROOT / "Snakefile").is_file():
        remedy = "Clone the project; an installed package has 'infercost evaluate' alone"
        raise SpecError("study", arguments.study, "there is no workflow here", remedy)
    if arguments.jobs < 1:
        raise SpecError(f"--jobs {arguments.jobs}", "", "computes nothing", "Take 1 or more")
    profiles = sorted(file.parent.name for file in ROOT.glob("workflow/profiles/*/config.yaml"))
    if arguments.profile not in profiles:
        remedy = nearest(arguments.profile, profiles)
        raise SpecError(f"--profile {arguments.profile}", "", "there is no such profile", remedy)
    dirs = [str(Path(folder).absolute()) for folder in arguments.config_dir]
    load_study(arguments.study, tuple(dirs))  # a fault is told before Snakemake starts
    settings = [f"study={arguments.study}", *([f"config_dir={dirs}"] if dirs else [])]
    command = [
        *(sys.executable, "-m", "snakemake", "--jobs", str(arguments.jobs), "--logger", "rich"),
        *("--workflow-profile", f"workflow/profiles/{arguments.profile}"),
        *(["--dry-run"] if arguments.dry_run else []),
        *("--config", *settings),
    ]
    beside = str(Path(sys.executable).parent)  # rules call python: let them find this one
    path = os.pathsep.join([beside, os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path}
    out = sys.stderr if arguments.json else None
    code = subprocess.run(command, cwd=ROOT, env=env, check=False, stdout=out).returncode
    if code or arguments.dry_run:
        if arguments.json:
            print_json({"study": arguments.study, "dry_run": arguments.dry_run, "exit_code": code})
        return code
    wanted = {"study": arguments.study, "data": ROOT / "data", "json": arguments.json}
    return answer.run(argparse.Namespace(**wanted))
