"""`infercost datasets`: list, show, compare and check published versions."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infercost.commands.output import print_json, print_table

ROOT = Path("data/datasets")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("datasets", help="published versions of studies")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|diff|verify")
    listing = actions.add_parser("list", help="studies and versions: rows, size, date, digests")
    showing = actions.add_parser("show", help="schema and provenance of a version")
    comparing = actions.add_parser("diff", help="inputs and rows that differ between two versions")
    checking = actions.add_parser("verify", help="whether files and values are as published")
    listing.add_argument("study", nargs="?", default="")
    showing.add_argument("version", help="STUDY, or STUDY/start-of-version")
    comparing.add_argument("before", help="STUDY/start-of-version")
    comparing.add_argument("after", help="STUDY/start-of-version")
    comparing.add_argument("--metric", default="", help="default: price, or time predicted")
    comparing.add_argument("--most", type=int, default=20, help="rows to show (default: 20)")
    checking.add_argument("version", nargs="?", default="", help="one version; default: all")
    for action, run in (
        (listing, run_list),
        (showing, run_show),
        (comparing, run_diff),
        (checking, run_verify),
    ):
        action.add_argument("--json", action="store_true")
        action.add_argument("--root", type=Path, default=ROOT, help=f"default: {ROOT}")
        action.set_defaults(run=run)


def run_list(arguments: argparse.Namespace) -> int:
    """Print every version, oldest first within its study."""
    from infercost.datasets import versions

    entries = []
    for version in versions(arguments.root, arguments.study):
        manifest = version.manifest()
        written = datetime.fromtimestamp(version.folder.stat().st_mtime, tz=UTC)
        entries.append(
            {
                "study": version.study,
                "version": version.name,
                "rows": manifest["rows"],
                "bytes": sum(entry["bytes"] for entry in manifest["files"]),
                "published": f"{written:%Y-%m-%d %H:%M}",
                "inputs": manifest["digests"]["inputs"],
                "code": manifest["digests"]["code"],
            }
        )
    if arguments.json:
        print_json(entries)
    elif not entries:
        print(f"No dataset in {arguments.root}: run 'make study'.")
    else:
        print_table("", list(entries[0]), [[str(v) for v in e.values()] for e in entries])
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print a version's manifest."""
    from infercost.datasets import open_version

    version = open_version(arguments.root, arguments.version)
    manifest = version.manifest()
    if arguments.json:
        print_json(manifest)
        return 0
    print(f"{version.study}/{version.name}: {manifest['rows']} rows in {version.data}")
    print(manifest["question"])
    for name, value in manifest["digests"].items():
        print(f"digest of {name}: {value}")
    print("packages: " + ", ".join(f"{k} {v}" for k, v in manifest["packages"].items()))
    rows = [[c["name"], c["type"], c["unit"], c["meaning"]] for c in manifest["columns"]]
    print_table("", ["column", "type", "unit", "meaning"], rows)
    return 0


def run_diff(arguments: argparse.Namespace) -> int:
    """Print what changed between two versions."""
    from infercost.datasets import diff, open_version

    found = diff(
        open_version(arguments.root, arguments.before),
        open_version(arguments.root, arguments.after),
        arguments.metric,
    )
    moved = found.moved.head(arguments.most)
    if arguments.json:
        print_json(
            {
                "inputs": [list(entry) for entry in found.inputs],
                "only_before": found.only_before,
                "only_after": found.only_after,
                "moved": len(found.moved),
                "rows": moved.to_dict("records"),
            }
        )
        return 0
    for path, before, after in found.inputs:
        print(f"{path}: {before} -> {after}")
    print(
        f"{len(found.moved)} rows moved in {found.metric}; "
        f"{found.only_before} only before, {found.only_after} only after"
    )
    varying = [c for c in moved.columns if moved[c].nunique() > 1 or c == "change"]
    rows = [
        [f"{v:.4g}" if isinstance(v, float) else str(v) for v in r] for r in moved[varying].values
    ]
    if rows:
        print_table("", varying, rows)
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Check files and values; exit 1 if anything is not as published."""
    from infercost.datasets import open_version, verify, versions

    chosen = (
        [open_version(arguments.root, arguments.version)]
        if arguments.version
        else versions(arguments.root)
    )
    found = {f"{v.study}/{v.name}": verify(v) for v in chosen}
    if arguments.json:
        print_json(found)
    else:
        for name, faults in found.items():
            print(f"{name}: " + ("as published" if not faults else f"{len(faults)} faults"))
            print("".join(f"  {fault}\n" for fault in faults), end="")
    return 1 if any(found.values()) else 0
