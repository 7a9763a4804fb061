"""`infercost doctor`: whether this machine and these options are fit to compute with."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infercost.commands.arguments import add_config_dir
from infercost.commands.output import print_json, print_table
from infercost.errors import SpecError

Finding = tuple[str, str]
"""A verdict, one of `ok`, `note` and `fault`, and what there is to say."""

_NEEDED_GB = 2
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+))?", re.MULTILINE)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        help="check this machine, the installation, and every option",
        description="Check Python, packages, tools, options with their sources and data files, and"
        " published versions. Exit code 1 where something is at fault.",
    )
    parser.add_argument("--json", action="store_true")
    add_config_dir(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per check."""
    dirs = tuple(arguments.config_dir)
    found = [
        (name, *finding) for name, check in CHECKS.items() for finding in _guarded(check, dirs)
    ]
    if arguments.json:
        print_json([dict(zip(("check", "verdict", "about"), line, strict=True)) for line in found])
    else:
        print_table("", ["check", "verdict", "about"], [list(line) for line in found])
    return int(any(verdict == "fault" for _, verdict, _ in found))


def _guarded(check: Callable[[tuple[str, ...]], Iterator[Finding]], dirs: Any) -> list[Finding]:
    """The findings of a check; a fault that it stumbles over is one of them."""
    try:
        return list(check(dirs))
    except SpecError as error:
        return [("fault", line) for line in str(error).splitlines()]


def _python(_: tuple[str, ...]) -> Iterator[Finding]:
    yield ("ok" if sys.version_info >= (3, 11) else "fault"), f"Python {sys.version.split()[0]}"


def _packages(_: tuple[str, ...]) -> Iterator[Finding]:
    """Packages of the lock that are there in another version, or not at all."""
    from importlib import metadata

    from packaging.markers import Marker

    from infercost.paths import ROOT

    lock = ROOT / "workflow/envs/requirements.lock"
    if not lock.is_file():
        yield "note", "no lock here: an installed package, not a checkout"
        return
    pins = _PIN.findall(lock.read_text(encoding="utf-8"))
    wanted = {n: v for n, v, marker in pins if not marker or Marker(marker.strip()).evaluate()}
    others = []
    for name, version in wanted.items():
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            there = "absent"
        if there != version:
            others.append(f"{name} {there}, not {version}")
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        yield "note", f"{', '.join(others[:5])}{more}: 'make env' installs what the lock says"
    else:
        yield "ok", f"{len(wanted)} packages as in the lock"


def _tools(_: tuple[str, ...]) -> Iterator[Finding]:
    beside = str(Path(sys.executable).parent)
    for tool, purpose in (("snakemake", "studies"), ("git", "provenance of versions")):
        there = shutil.which(tool) or shutil.which(tool, path=beside)
        yield ("ok", f"{tool}: {purpose}") if there else ("fault", f"{tool} is missing: {purpose}")
    slurm = "there" if shutil.which("sbatch") else "not here: studies run on this machine"
    yield "note", f"Slurm is {slurm}"


def _disk(_: tuple[str, ...]) -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield ("ok" if free > _NEEDED_GB else "fault"), f"{free:.1f} GB free here"


def _options(dirs: tuple[str, ...]) -> Iterator[Finding]:
    """Every option composes, and is sourced."""
    from infercost.lookup import sources
    from infercost.options.question import option_names
    from infercost.paths import config_dirs
    from infercost.specs.case import GROUPS
    from infercost.studies import load_study

    folders = config_dirs(dirs)
    known, count = set(sources(folders)), 0
    for group in GROUPS:
        contents, faults = _composed(group, option_names(folders, group), dirs)
        yield from faults
        count += len(contents)
        for name, content in contents.items():
            yield from _unknown_sources(content, f"{group}/{name}", known)
    for name in option_names(folders, "study"):
        try:
            load_study(name, dirs)
            count += 1
        except SpecError as error:
            yield "fault", str(error).splitlines()[0]
    yield "ok", f"{count} options and studies are well-formed"


def _composed(
    group: str, names: list[str], dirs: tuple[str, ...]
) -> tuple[dict[str, Any], list[Finding]]:
    """The options of a group that compose, all at once; those at fault are found one by one."""
    from infercost.compose import Options
    from infercost.options.question import ask

    def content(chosen: list[str]) -> dict[str, Any]:
        options = Options(ask([f"{group}={','.join(chosen)}"], dirs))
        for composed in options.cases():
            assert composed.case is not None
        return dict(options.raw[group])

    try:
        return content(names), []
    except SpecError:
        found: dict[str, Any] = {}
        faults: list[Finding] = []
        for name in names:
            try:
                found |= content([name])
            except SpecError as error:
                faults += [("fault", line) for line in str(error).splitlines()]
        return found, faults


def _unknown_sources(raw: Any, option: str, known: set[str]) -> Iterator[Finding]:
    for key, witness in raw.get("sources", {}).items():
        cited = str(witness).partition(",")[0].removesuffix(" (recalled)").strip()
        if cited not in known and not cited.startswith(("assumed", "derived")):
            yield "fault", f"{option}: sources.{key} cites '{cited}', which sources.yaml lacks"


def _versions(_: tuple[str, ...]) -> Iterator[Finding]:
    from infercost.commands.datasets import ROOT
    from infercost.datasets import versions

    found = list(versions(ROOT, ""))
    yield (
        "ok",
        f"{len(found)} published versions in {ROOT}: 'infercost datasets verify' checks them",
    )


CHECKS: dict[str, Callable[[tuple[str, ...]], Iterator[Finding]]] = {
    "Python": _python,
    "packages": _packages,
    "tools": _tools,
    "disk": _disk,
    "options": _options,
    "versions": _versions,
}
