"""Files and versions appear whole or not at all: torn writes, killed jobs, publishers at once."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost import datasets
from infercost.datasets import Version, land, open_version, publish, tags, verify, versions
from infercost.versions.landing import land_text, landing

ABOUT = {"question": "?"}


def parts_of(folder: Path, first: float = 1.0) -> dict[str, Path]:
    """Two parts of three and two rows."""
    folder.mkdir(exist_ok=True)
    columns = {"a": [first, 2.0, 3.0], "b": [4.0, 5.0]}
    for name, values in columns.items():
        pq.write_table(pa.table({"tpot_s": values}), folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in columns}


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    return parts_of(tmp_path / "parts")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


def left_behind(root: Path) -> list[Path]:
    """What begun work has left, anywhere below."""
    return [path for path in root.rglob(".*") if path.name not in (".", "..")]


def whole(version: Version) -> bool:
    """Whether all five rows of a version are there as they were published."""
    return verify(version) == [] and sorted(version.rows()["tpot_s"]) == [1.0, 2.0, 3.0, 4.0, 5.0]


# --- Files ----------------------------------------------------------------------------------------


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "rows.txt"
    with landing(target) as scratch:
        scratch.write_text("half")
        assert not target.exists()
        scratch.write_text("whole")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "rows.txt"
    land_text(target, "old")

    def torn() -> None:
        with landing(target) as scratch:
            scratch.write_text("ne")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        torn()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Each writes a file of its own; who ends last wins, whole."""
    target = tmp_path / "rows.txt"
    with landing(target) as one:
        one.write_text("one")
        with landing(target) as two:
            two.write_text("two")
        assert target.read_text() == "two"
        assert one.read_text() == "one"
    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


# --- Versions -------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_publishes_nothing(
    parts: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def copied(source: Path, target: Path) -> Path:
        if source == parts["b"]:
            Path(target).write_bytes(source.read_bytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copied)
    with pytest.raises(OSError, match="No space left"):
        publish(root, "s", parts, ABOUT)
    assert versions(root) == []
    assert list((root / "s").iterdir()) == []
    monkeypatch.undo()
    assert whole(publish(root, "s", parts, ABOUT))


KILLED = """
import os, signal, sys
from pathlib import Path
from infercost import datasets
before = getattr(datasets, sys.argv[1])
def step(*arguments):
    if sys.argv[2] == 'after':
        before(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(datasets, sys.argv[1], step)
parts = {name: Path(sys.argv[4]) / f'{name}.parquet' for name in 'ab'}
datasets.publish(Path(sys.argv[3]), 's', parts, {'question': '?'})
"""
"""Publishes until it kills itself, before or after a step."""


@pytest.mark.parametrize(
    ("step", "when", "landed"),
    [
        ("_landed", "after", False),
        ("_write_json", "before", False),
        ("_write_json", "after", False),
        ("land", "after", True),
        ("point_to", "after", True),
    ],
)
def test_a_killed_publisher_leaves_all_or_nothing(
    step: str, when: str, landed: bool, parts: dict[str, Path], root: Path
) -> None:
    """Whatever it was at; and publishing again ends as if nothing had been."""
    command = [sys.executable, "-c", KILLED, step, when, str(root), str(parts["a"].parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    seen = versions(root)
    assert len(seen) == landed
    assert all(whole(version) for version in seen)
    again = publish(root, "s", parts, ABOUT)
    assert versions(root) == [again]
    assert open_version(root, "s/latest") == again
    assert tags(root, "s") == {"latest": again.name}
    assert whole(again)


def test_publishers_at_once_land_one_version(
    parts: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four have all written it when the first one's takes the name; the others' go."""
    together, real = threading.Barrier(4), land

    def at_once(staging: Path, target: Path) -> None:
        together.wait(timeout=60)
        real(staging, target)

    monkeypatch.setattr(datasets, "land", at_once)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: publish(root, "s", parts, ABOUT), range(4)))
    assert len(set(found)) == 1
    assert versions(root) == [found[0]]
    assert whole(found[0])
    assert left_behind(root) == []


def test_a_version_that_is_there_is_never_written_again(
    parts: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a later publisher, nor by one who began before it was there."""
    late: list[dict[str, Any]] = [{"question": "first"}]
    real = land

    def overtaken(staging: Path, target: Path) -> None:
        if late:
            publish(root, "s", parts, late.pop())
        real(staging, target)

    monkeypatch.setattr(datasets, "land", overtaken)
    for question in ("second", "third"):
        version = publish(root, "s", parts, {"question": question})
        assert version.manifest()["question"] == "first"


def test_a_fault_that_is_no_race_is_told(
    parts: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody else has published it, a name that cannot be taken is no success."""

    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        publish(root, "s", parts, ABOUT)
    assert versions(root) == []
    assert tags(root, "s") == {}
    assert left_behind(root) == []


def test_what_has_a_name_is_on_the_disk(
    parts: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders are synchronised before the name appears, and the name's folder after.

    Else a power cut may leave a version of empty files (Pillai et al. 2014, OSDI).
    """
    synced: list[int] = []
    named: list[int] = []
    sync, rename = os.fsync, Path.rename

    def synchronised(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        sync(handle)

    def renamed(self: Path, target: Path) -> Path:
        wanted = {path.stat().st_ino for path in (self, *self.rglob("*"))}
        assert len(wanted) == 5  # the version, data, two parts and the manifest
        assert wanted <= set(synced)
        named.append(len(synced))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(Path, "rename", renamed)
    publish(root, "s", parts, ABOUT)
    assert len(named) == 1
    assert (root / "s").stat().st_ino in synced[named[0] :]


def test_a_removed_version_is_out_of_sight_at_once(
    parts: dict[str, Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if deleting its files stops half way."""
    version = publish(root, "s", parts, ABOUT)

    def stopped(folder: Path) -> None:
        assert folder != version.folder
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", stopped)
    with pytest.raises(KeyboardInterrupt):
        datasets.remove(version)
    assert versions(root) == []
    assert not version.folder.exists()


def test_latest_is_never_missing_while_it_moves(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(root, "s", parts_of(tmp_path / "one"), ABOUT)
    seen: list[str] = []

    def looking(step: Callable[..., Any]) -> Callable[..., Any]:
        def looked(self: Path, target: Any) -> Any:
            seen.append((root / "s" / "latest").readlink().name)
            answer = step(self, target)
            seen.append((root / "s" / "latest").readlink().name)
            return answer

        return looked

    monkeypatch.setattr(Path, "symlink_to", looking(Path.symlink_to))
    monkeypatch.setattr(Path, "replace", looking(Path.replace))
    second = publish(root, "s", parts_of(tmp_path / "two", 1.5), ABOUT)
    assert seen == [*[first.name] * 3, second.name]
    assert left_behind(root) == []
