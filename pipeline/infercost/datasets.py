"""Published datasets: immutable versions of a study's rows, identified by what they say.

    data/datasets/<study>/<version>/data/*.parquet   nothing but Parquet, for any reader
    data/datasets/<study>/<version>/manifest.json    schema, files, digests, configuration, sources
    data/datasets/<study>/latest                     the version published last

    data/datasets/<study>/<tag>                      a version that somebody named

A version is named by a digest of its schema and values, whatever their order: the same on any
machine and for any cut into parts. It appears whole or not at all, and is never rewritten.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.errors import SpecError, nearest
from infercost.versions.digests import logical_digest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Manifest = dict[str, Any]
LATEST = "latest"
PUBLISHED = ("study", "version", "logical_digest", "rows", "files", "columns")
"""Keys of every manifest."""
RESTORE = "Restore the version from a copy, or compute the study again"


def read_manifest(file: Path) -> Manifest:
    """A manifest. Raises `SpecError` for a file that is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(str(file), "", f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise SpecError(str(file), "", "is not JSON", RESTORE) from None
    missing = [k for k in PUBLISHED if not isinstance(content, dict) or k not in content]
    if missing:
        raise SpecError(str(file), missing[0], "is missing", RESTORE)
    found: Manifest = content
    return found


@dataclass(frozen=True)
class Version:
    """One published version."""

    study: str
    name: str
    folder: Path

    @property
    def data(self) -> Path:
        """The folder of Parquet files."""
        return self.folder / "data"

    def manifest(self) -> Manifest:
        """Schema, files, digests, configuration and sources."""
        return read_manifest(self.folder / "manifest.json")

    def intact(self) -> Version:
        """Itself; raises `SpecError` where files are not those published, by name and size.

        Other bytes of the same size are found where they are read (`undamaged`), by the checksum of
        each page; those of a footer by `verify` alone, which hashes whole files.
        """
        faults = _listing_faults(self, self.manifest())
        if faults:
            path, _, fault = faults[0].partition(": ")
            raise SpecError(str(self.folder / path), "", fault, RESTORE)
        return self

    def rows(self) -> pd.DataFrame:
        """All rows."""
        import pandas as pd

        with undamaged(self.intact().data):
            return pd.read_parquet(self.data, page_checksum_verification=True)


@contextmanager
def undamaged(place: Path) -> Iterator[None]:
    """Reading Parquet that may have been edited since: a fault in it is one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        fault = f"is damaged: {str(error).splitlines()[0]}"
        raise SpecError(str(place), "", fault, RESTORE) from None


def publish(root: Path, study: str, parts: Mapping[str, Path], about: Manifest) -> Version:
    """Land the parts as a version, atomically; `about` goes into the manifest as it is.

    Returns the version, which may have been there already: equal values are the same version.
    """
    digest = logical_digest(list(parts.values()))
    home = root / study
    target = home / digest[:12]
    if not target.exists():
        staging = home / f".staging-{uuid.uuid4().hex}"
        try:
            (staging / "data").mkdir(parents=True)
            files = [
                _landed(part, staging / "data" / f"{label}.parquet")
                for label, part in parts.items()
            ]
            manifest = {
                "study": study,
                "version": digest[:12],
                "logical_digest": digest,
                "rows": sum(entry["rows"] for entry in files),
                "files": files,
                "columns": _columns(next(iter(parts.values()))),
                **about,
            }
            _write_json(staging / "manifest.json", manifest)
            land(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    point_to(home / LATEST, target.name)
    return Version(study, target.name, target)


def land(staging: Path, target: Path) -> None:
    """Let a finished version appear; one of the same values that is there already stays."""
    _sync(staging / "data")
    _sync(staging)
    try:
        staging.rename(target)
    except OSError:  # somebody else published the same values meanwhile
        if not target.exists():
            raise
    _sync(target.parent)


def point_to(link: Path, target: str) -> None:
    """Make a relative symbolic link point to `target`, in one step."""
    scratch = link.with_name(f".{link.name}-{uuid.uuid4().hex}")
    scratch.symlink_to(target)
    scratch.replace(link)


def _landed(part: Path, target: Path) -> Manifest:
    import pyarrow.parquet as pq

    shutil.copyfile(part, target)
    _sync(target)
    content = target.read_bytes()
    return {
        "path": f"data/{target.name}",
        "rows": pq.read_metadata(target).num_rows,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _columns(part: Path) -> list[dict[str, str]]:
    import pyarrow.parquet as pq

    def text(field: pa.Field, key: bytes) -> str:
        return str((field.metadata or {}).get(key, b""), "utf-8")

    return [
        {
            "name": field.name,
            "type": str(field.type),
            "unit": text(field, b"unit"),
            "symbol": text(field, b"symbol"),
            "meaning": text(field, b"meaning"),
        }
        for field in pq.read_schema(part)
    ]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def versions(root: Path, study: str = "") -> list[Version]:
    """All versions, or those of one study, oldest first.

    What is being written, or was when its writer was killed, has a name with a dot and is none.
    """
    homes = [root / study] if study else sorted(p for p in root.glob("*") if p.is_dir())
    found = [
        Version(home.name, folder.name, folder)
        for home in homes
        if home.is_dir()
        for folder in home.iterdir()
        if not folder.name.startswith(".")
        and not folder.is_symlink()
        and (folder / "manifest.json").is_file()
    ]
    return sorted(found, key=lambda v: (v.study, v.folder.stat().st_mtime, v.name))


def known_study(root: Path, study: str) -> list[Version]:
    """The versions of a study, oldest first; refuses one that has none."""
    found = versions(root, study) if study else []
    if not found:
        studies = {v.study for v in versions(root)}
        fault = f"no version of '{study}'"
        remedy = nearest(study, studies) or f"Compute it: make study STUDY={study or 'NAME'}"
        raise SpecError(f"dataset '{study}'", "", fault, remedy)
    return found


def open_version(root: Path, reference: str) -> Version:
    """The version that `study`, `study/latest` or `study/<start of its name>` stands for."""
    study, _, name = reference.partition("/")
    known = known_study(root, study)
    if name in ("", LATEST):
        current = (root / study / LATEST).resolve()
        return next((v for v in known if v.folder.resolve() == current), known[-1])
    name = tags(root, study).get(name, name)
    matching = [v for v in known if v.name.startswith(name)]
    if len(matching) != 1:
        fault = "is not the start of a version's name" if not matching else "fits several versions"
        raise SpecError(f"dataset '{reference}'", "", fault, nearest("", [v.name for v in known]))
    return matching[0]


TAG = re.compile(r"[a-z0-9][a-z0-9._-]*")


def tags(root: Path, study: str) -> dict[str, str]:
    """Pointers of a study, `latest` among them, to the names of versions."""
    home = root / study
    links = sorted(p for p in home.iterdir() if p.is_symlink()) if home.is_dir() else []
    return {link.name: link.readlink().name for link in links if not link.name.startswith(".")}


def tag(root: Path, version: Version, name: str) -> None:
    """Let `study/name` stand for a version from now on; an older tag of this name moves."""
    link = root / version.study / name
    taken = name == LATEST or (link.exists() and not link.is_symlink())
    if not TAG.fullmatch(name) or taken or re.fullmatch(r"[0-9a-f]{12}", name):
        raise SpecError(
            f"tag '{name}'", "", "cannot be a tag", "Take small letters, digits, and . _ - between"
        )
    point_to(link, version.name)


def untag(root: Path, study: str, name: str) -> None:
    """Take a tag away; the version stays."""
    known = [t for t in tags(root, study) if t != LATEST]
    if name not in known:
        raise SpecError(f"tag '{name}'", "", f"is no tag of {study}", nearest(name, known))
    (root / study / name).unlink()


def unreachable(root: Path, study: str = "", keep: int = 0) -> list[Version]:
    """Versions that no pointer names, but for the newest `keep` of each study."""
    found = []
    for name in sorted({v.study for v in versions(root, study)}):
        mine, pointed = versions(root, name), set(tags(root, name).values())
        old = mine[: len(mine) - keep] if keep else mine
        found += [v for v in old if v.name not in pointed]
    return found


HALF_MADE = 24 * 3600.0
"""Seconds without a change after which nobody is taken to be writing any more."""


def half_made(root: Path, study: str = "") -> list[Path]:
    """Folders that killed publishers left, in which nothing has changed for a day."""
    found = sorted((root / study).glob(".staging-*") if study else root.glob("*/.staging-*"))
    return [folder for folder in found if time.time() - _changed(folder) > HALF_MADE]


def _changed(folder: Path) -> float:
    """When anything in a folder changed last."""
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))


def remove(version: Version) -> None:
    """Delete a version: out of sight in one step, then file by file."""
    grave = version.folder.with_name(f".staging-{uuid.uuid4().hex}")
    version.folder.rename(grave)
    shutil.rmtree(grave)


def _listing_faults(version: Version, manifest: Manifest) -> list[str]:
    """Files that are missing, of another size or not of the version, one line each."""
    faults = []
    listed = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    for path, size in listed.items():
        file = version.folder / path
        if not file.is_file():
            faults.append(f"{path}: is missing")
        elif file.stat().st_size != size:
            faults.append(f"{path}: has other bytes than published")
    there = sorted(version.data.iterdir()) if version.data.is_dir() else []
    names = (f"data/{file.name}" for file in there if not file.name.startswith("."))
    return [*faults, *(f"{name}: was not published" for name in names if name not in listed)]


def verify(version: Version) -> list[str]:
    """What is wrong with a version's files, one line each; nothing if all is as published."""
    import pyarrow.parquet as pq

    manifest = version.manifest()
    faults = _listing_faults(version, manifest)
    told = {fault.partition(": ")[0] for fault in faults}
    for entry in manifest["files"]:
        file = version.folder / entry["path"]
        if entry["path"] in told:
            continue
        if hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
            faults.append(f"{entry['path']}: has other bytes than published")
        elif pq.read_metadata(file).num_rows != entry["rows"]:
            faults.append(f"{entry['path']}: has other rows than the manifest says")
    if manifest["rows"] != sum(entry["rows"] for entry in manifest["files"]):
        faults.append("manifest.json: rows are not those of its files")
    if not faults:
        listed = sorted(entry["path"] for entry in manifest["files"])
        found = logical_digest([version.folder / path for path in listed])
        if found != manifest["logical_digest"]:
            faults.append("values: have another digest than published")
    return faults
