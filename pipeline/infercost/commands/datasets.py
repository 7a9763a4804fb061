"""`infercost datasets`: list, show, compare and check published versions."""

from __future__ import annotations

import argparse
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.commands.arguments import add_json
from infercost.commands.output import print_json, print_table

if TYPE_CHECKING:
    from infercost.datasets import Version

ROOT = Path("data/datasets")
RECOMPUTE = "evaluate N random rows again from the stored configuration, and compare"


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "datasets",
        help="published versions of studies",
        description="Versions never change and are named by their content: STUDY is its latest one,"
        " STUDY/start-of-version any.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
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
    checking.add_argument("--recompute", type=int, default=0, metavar="N", help=RECOMPUTE)
    checking.add_argument("--seed", type=int, default=0, help="which rows (default: 0)")
    exporting = actions.add_parser("export", help="CSV, one Parquet, or an archive (zip)")
    exporting.add_argument("version", help="STUDY, or STUDY/start-of-version")
    exporting.add_argument("target", type=Path, help="file.csv, file.parquet or file.zip")
    tagging = actions.add_parser("tag", help="name a version, as `latest` does")
    tagging.add_argument("version", help="STUDY/start-of-version; with --delete STUDY")
    tagging.add_argument("name")
    tagging.add_argument("--delete", action="store_true", help="take the tag away")
    removing = actions.add_parser("gc", help="delete versions that no pointer names")
    removing.add_argument("study", nargs="?", default="")
    removing.add_argument(
        "--keep", type=int, default=0, help="newest versions to keep (default: 0)"
    )
    removing.add_argument("--dry-run", action="store_true", help="say what would go")
    restoring = actions.add_parser("rebuild", help="a version again, from its manifest alone")
    restoring.add_argument("manifest", type=Path)
    for action, run in (
        (exporting, run_export),
        (tagging, run_tag),
        (removing, run_gc),
        (restoring, run_rebuild),
        (listing, run_list),
        (showing, run_show),
        (comparing, run_diff),
        (checking, run_verify),
    ):
        add_json(action)
        action.add_argument("--root", type=Path, default=ROOT, help=f"default: {ROOT}")
        action.set_defaults(run=run)


def run_list(arguments: argparse.Namespace) -> int:
    """Print every version, oldest first within its study."""
    from infercost.datasets import known_study, tags, versions

    if arguments.study:
        known_study(arguments.root, arguments.study)
    entries: list[dict[str, Any]] = []
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
                "tags": " ".join(
                    t for t, v in tags(arguments.root, version.study).items() if v == version.name
                ),
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
    from infercost.datasets import open_version, tags

    version = open_version(arguments.root, arguments.version)
    manifest = version.manifest()
    if arguments.json:
        print_json(manifest)
        return 0
    files, sources = manifest["files"], manifest.get("sources", {})
    size = sum(entry["bytes"] for entry in files)
    named = [t for t, v in tags(arguments.root, version.study).items() if v == version.name]
    print(f"{version.study}/{version.name}: {manifest['rows']} rows in {version.data}")
    print(f"{len(files)} files, {size:,} bytes; named {', '.join(named) or 'by nothing'}")
    print(manifest["question"])
    print(f"overrides: {' '.join(manifest.get('chosen', [])) or 'none'}")
    for name, value in manifest["digests"].items():
        print(f"digest of {name}: {value}")
    print(f"digest of values: {manifest['logical_digest']}")
    print("packages: " + ", ".join(f"{k} {v}" for k, v in manifest["packages"].items()))
    print(f"sources: {', '.join(sources) or 'none'}")
    print("Reading checks names, sizes and each page; 'datasets verify' every byte and value.")
    rows = [[c["name"], _type(c["type"]), c["unit"], c["meaning"]] for c in manifest["columns"]]
    print_table("", ["column", "type", "unit", "meaning"], rows)
    return 0


def _type(stored: str) -> str:
    """A column's type in short: a dictionary is a way of writing text."""
    return "text" if stored.startswith("dictionary") or "string" in stored else stored


def run_diff(arguments: argparse.Namespace) -> int:
    """Print what changed between two versions."""
    from infercost.datasets import open_version
    from infercost.versions.differences import diff

    _check_count("--most", arguments.most)
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
                "compared": found.compared,
                "only_before": found.only_before,
                "only_after": found.only_after,
                "paired_by_order": found.by_order,
                "metrics": [movement._asdict() for movement in found.movements],
                "metric": found.metric,
                "moved": len(found.moved),
                "rows": moved.to_dict("records"),
            }
        )
        return 0
    for path, *values in found.inputs:
        print(f"{path}: {' -> '.join(_short(value) for value in values)}")
    print(
        f"{len(found.moved)} of {found.compared} rows moved in {found.metric}; "
        f"{found.only_before} only before, {found.only_after} only after"
    )
    if found.by_order:
        print("Several rows have the same keys: those are compared in the order of publication.")
    if found.movements:
        rows = [[m.metric, str(m.rows), _relative(m.largest)] for m in found.movements]
        print_table("Metrics that moved", ["metric", "rows", "largest change"], rows[:MOST_METRICS])
        if len(rows) > MOST_METRICS:
            print(f"and {len(rows) - MOST_METRICS} more (--json has them all)")
    varying = [c for c in moved.columns if moved[c].nunique() > 1 or found.metric in c]
    names = [c for c in varying if c != "change"]
    rows = [
        [*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row), _relative(change)]
        for row, change in zip(moved[names].values, moved["change"], strict=True)
    ]
    if rows:
        print_table("Rows that moved", [*names, "change"], rows)
    return 0


MOST_METRICS = 12
"""Metrics of a difference that are printed."""


def _short(value: object) -> str:
    """A value that may be a long list, on one line."""
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _relative(change: float) -> str:
    """A relative change; one to or from nothing is none."""
    return "came or went" if math.isnan(change) else f"{change:+.4g}"


def _check_count(option: str, count: int) -> None:
    from infercost.errors import SpecError

    if count < 0:
        raise SpecError(f"{option} {count}", "", "is negative", "Write a count")


def run_verify(arguments: argparse.Namespace) -> int:
    """Check files and values; exit 1 if anything is not as published."""
    from infercost.datasets import open_version, verify, versions

    _check_count("--recompute", arguments.recompute)
    chosen = (
        [open_version(arguments.root, arguments.version)]
        if arguments.version
        else versions(arguments.root)
    )
    found = {f"{v.study}/{v.name}": verify(v) for v in chosen}
    if arguments.recompute:
        for version in chosen:
            name = f"{version.study}/{version.name}"
            found[name] = found[name] or _recomputed(version, arguments.recompute, arguments.seed)
    if arguments.json:
        print_json(found)
    else:
        if not found:
            print(f"no version below {arguments.root}: nothing to check", file=sys.stderr)
        for name, faults in found.items():
            print(f"{name}: " + ("as published" if not faults else f"{len(faults)} faults"))
            print("".join(f"  {fault}\n" for fault in faults), end="")
    return 1 if any(found.values()) else 0


def _recomputed(version: Version, count: int, seed: int) -> list[str]:
    from infercost.versions.recompute import recompute

    rows, moved = recompute(version, count, seed)
    print(f"{version.study}/{version.name}: {rows} rows evaluated again", file=sys.stderr)
    return [f"{m.row}: {m.column} was {m.published}, comes out {m.recomputed}" for m in moved]


def run_export(arguments: argparse.Namespace) -> int:
    """Write a version as the one file that the target's name asks for."""
    from infercost.datasets import open_version
    from infercost.errors import SpecError
    from infercost.versions.export import export_archive, export_csv, export_parquet

    kinds = {".csv": export_csv, ".parquet": export_parquet, ".zip": export_archive}
    suffix = arguments.target.suffix
    if suffix not in kinds:
        remedy = "Name it .csv, .parquet, or .zip for an archive"
        raise SpecError(str(arguments.target), "", f"'{suffix}' is no format", remedy)
    kinds[suffix](open_version(arguments.root, arguments.version), arguments.target)
    size = arguments.target.stat().st_size
    if arguments.json:
        print_json({"file": str(arguments.target), "bytes": size})
    else:
        print(f"{arguments.target}: {size:,} bytes")
    return 0


def run_tag(arguments: argparse.Namespace) -> int:
    """Set or delete a tag."""
    from infercost.datasets import open_version, tag, untag

    if arguments.delete:
        study = arguments.version.partition("/")[0]
        untag(arguments.root, study, arguments.name)
        if arguments.json:
            print_json({"study": study, "tag": arguments.name, "version": None})
        return 0
    version = open_version(arguments.root, arguments.version)
    tag(arguments.root, version, arguments.name)
    if arguments.json:
        print_json({"study": version.study, "tag": arguments.name, "version": version.name})
    else:
        print(f"{version.study}/{arguments.name} is {version.name}")
    return 0


def run_gc(arguments: argparse.Namespace) -> int:
    """Delete versions that no pointer names, and what killed publishers left half made."""
    import shutil

    from infercost.datasets import half_made, known_study, remove, unreachable

    _check_count("--keep", arguments.keep)
    if arguments.study:
        known_study(arguments.root, arguments.study)
    found = unreachable(arguments.root, arguments.study, arguments.keep)
    size = sum(e["bytes"] for v in found for e in v.manifest()["files"])
    for version in found:
        if not arguments.json:
            print(f"{version.study}/{version.name}")
        if not arguments.dry_run:
            remove(version)
    left = half_made(arguments.root, arguments.study)
    for folder in left:
        if not arguments.json:
            print(f"{folder.parent.name}/{folder.name}: left by a publisher that was killed")
        if not arguments.dry_run:
            shutil.rmtree(folder)
    if arguments.json:
        named = [f"{version.study}/{version.name}" for version in found]
        half = [str(folder) for folder in left]
        removed = not arguments.dry_run
        print_json({"versions": named, "bytes": size, "half_made": half, "removed": removed})
        return 0
    verb = "would go" if arguments.dry_run else "are gone"
    noun = "version" if len(found) == 1 else "versions"
    print(f"{len(found)} {noun}, {size:,} bytes {verb}")
    return 0


def run_rebuild(arguments: argparse.Namespace) -> int:
    """Compute a version again, to the byte."""
    from infercost.versions.recompute import rebuild

    version = rebuild(arguments.manifest, arguments.root)
    if arguments.json:
        print_json({"version": f"{version.study}/{version.name}", "folder": str(version.folder)})
    else:
        print(f"{version.study}/{version.name}: as published, in {version.folder}")
    return 0
