"""Published rows computed again: some of them to compare, or all of them to restore a version.

A manifest holds what every part was asked, so that neither needs the options' files.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infercost.compose import ComposedCase
from infercost.datasets import Manifest, Version, land, read_manifest, undamaged, verify
from infercost.errors import SpecError
from infercost.evaluation import evaluated
from infercost.grid import Grid, GridAxis
from infercost.measured import write_measured
from infercost.parts import Part, chosen_rows, write_part
from infercost.provenance import code_digest, package_versions
from infercost.specs.case import GROUPS
from infercost.table import PLAN_COLUMNS, to_arrow
from infercost.units import is_number
from infercost.versions.digests import logical_digest

CLOSE = 1e-9
"""Relative difference that is none: processors differ in the last bits of logarithms and powers."""
Row = dict[str, Any]


def part_of(manifest: Manifest, label: str) -> Row:
    """The description of one part, as plain data, its options filled in."""
    if "parts" not in manifest:
        raise SpecError(
            f"dataset '{manifest['study']}/{manifest['version']}'",
            "parts",
            "was published before manifests told their parts",
            "Compute the study again",
        )
    part = manifest["parts"][label]
    if "measurements" in part:
        return {**part, "options": manifest["options"]}
    options = {
        group: {name: manifest["options"][group][name] for name in names}
        for group, names in part["chosen"].items()
    }
    return {**part, "options": options}


@dataclass(frozen=True)
class Moved:
    """A value that comes out otherwise than it was published."""

    row: str
    column: str
    published: Any
    recomputed: Any


def recompute(version: Version, count: int, seed: int = 0) -> tuple[int, list[Moved]]:
    """Evaluate `count` random rows again: how many that were, and which values differ."""
    import pyarrow.parquet as pq

    manifest = version.manifest()
    draw = np.random.default_rng(seed)
    total = int(manifest["rows"])
    wanted = np.sort(draw.choice(total, size=min(count, total), replace=False))
    moved, start = [], 0
    for entry in manifest["files"]:
        inside = wanted[(wanted >= start) & (wanted < start + entry["rows"])] - start
        start += entry["rows"]
        if inside.size:
            file = version.folder / entry["path"]
            with undamaged(file):
                table = pq.read_table(file, page_checksum_verification=True)
            rows: list[Row] = table.take(inside).to_pylist()
            moved += _compared(part_of(manifest, file.stem), rows)
    return int(wanted.size), moved


def _compared(plain: Row, rows: list[Row]) -> list[Moved]:
    if "measurements" in plain:
        raise SpecError(
            "dataset", "", "holds measurements, which no row computes alone", "Use rebuild"
        )
    part = Part.of(plain)
    cases = {
        (tuple(c.options[g] for g in GROUPS), _texts(c.labels)): c for c in part.options.cases()
    }
    moved: list[Moved] = []
    for row in rows:
        labels = {axis.name: row[axis.name] for axis in part.options.question.labels}
        composed = cases[tuple(row[g] for g in GROUPS), _texts(labels)]
        again = _again(part, composed, row)
        name = " ".join(f"{key}={row[key]}" for key in row if key in GROUPS or "." in key)
        moved += [
            Moved(name, column, value, again.get(column))
            for column, value in row.items()
            if not _same(value, again.get(column))
        ]
    return moved


def _texts(labels: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, _text(value)) for name, value in labels.items()))


def _text(label: object) -> str:
    """A label as text; a number however it is written."""
    return str(float(label)) if is_number(label) else str(label)


def _again(part: Part, composed: ComposedCase, row: Row) -> Row:
    """The row that takes the place of a published one; empty where none has its keys."""
    outer = tuple(_at(axis, row) for axis in part.outer(composed))
    if part.optimise is None:
        tables = [to_arrow(evaluated(composed, Grid(outer)))]
    else:
        tables = [chosen_rows(composed, chosen) for chosen in part.chosen(composed, outer)]
    keys = [n for n in row if n in PLAN_COLUMNS or "." in n]
    found: list[Row] = [entry for table in tables for entry in table.to_pylist()]
    return next((f for f in found if all(f[key] == row[key] for key in keys)), {})


def _at(axis: GridAxis, row: Row) -> GridAxis:
    """The one point of an axis on which a row lies."""
    columns = {path: name for name, path in PLAN_COLUMNS.items()}
    fits = np.ones(axis.size, dtype=bool)
    for path, values in axis.values.items():
        fits &= values == row[columns.get(path, path)]
    position = int(np.flatnonzero(fits)[0])
    return axis.part(position, position + 1)


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return bool(np.isclose(before, after, rtol=CLOSE, atol=0, equal_nan=True))
    return bool(before == after)


def _is_whole(version: Version) -> bool:
    """Whether a version is as it was published; one whose manifest is damaged is not."""
    try:
        return not verify(version)
    except SpecError:
        return False


def rebuild(manifest_file: Path, root: Path) -> Version:
    """Compute a version from its manifest; it lands only if every byte is as it was published.

    A version that is there and damaged is replaced. Raises `SpecError` that names what differs.
    """
    manifest = read_manifest(manifest_file)
    study, name = manifest["study"], manifest["version"]
    target = root / study / name
    version = Version(study, name, target)
    if target.exists() and _is_whole(version):
        return version
    staging = root / study / f".staging-{uuid.uuid4().hex}"
    try:
        (staging / "data").mkdir(parents=True)
        files = [_restored(manifest, entry, staging) for entry in manifest["files"]]
        if logical_digest(files) != manifest["logical_digest"]:
            raise SpecError(str(manifest_file), "", *_otherwise(manifest))
        shutil.copyfile(manifest_file, staging / "manifest.json")
        if target.exists():
            target.rename(staging / "damaged")
            shutil.rmtree(staging / "damaged")
        land(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return version


def _restored(manifest: Manifest, entry: Row, staging: Path) -> Path:
    file: Path = staging / entry["path"]
    plain = part_of(manifest, file.stem)
    if "measurements" in plain:
        write_measured(plain, (), file)
    else:
        write_part(plain, file)
    if hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
        place = f"{manifest['study']}/{manifest['version']}"
        raise SpecError(place, file.stem, *_otherwise(manifest))
    return file


def _otherwise(manifest: Manifest) -> tuple[str, str]:
    """Fault and remedy of a version that does not come out as it was published."""
    entry = "infercost.measured" if "measurements" in str(manifest["parts"]) else "infercost.parts"
    now = package_versions()
    other = [f"{k} {v}" for k, v in manifest["packages"].items() if now.get(k) != v]
    if code_digest(entry) != manifest["digests"]["code"]:
        other.insert(0, f"code of digest {manifest['digests']['code']}")
    remedy = f"Take {', '.join(other)}" if other else "Code and packages are the same: tell us"
    return "comes out otherwise than it was published", remedy
