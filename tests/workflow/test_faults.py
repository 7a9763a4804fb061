"""Faults on one machine: after each, running again ends as an undisturbed run does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from disturbed import TIMEOUT, Runs

pytestmark = pytest.mark.workflow
PARTS = 3
LANDED = ("--until", "publish")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the files of a run that nothing disturbs."""
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), PARTS).prepare()
    runs.complete(*LANDED)
    found = runs.published()
    assert len(found) == PARTS + 1
    return found


def test_a_part_truncated_on_disk_is_computed_again(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    runs = Runs(tmp_path, PARTS).prepare()
    runs.complete("--until", "evaluate")
    first = runs.part_files()[0]
    first.write_bytes(first.read_bytes()[:-1000])
    assert runs.start(*LANDED).wait(timeout=TIMEOUT) != 0
    assert f"{first.relative_to(tmp_path)}: was damaged" in runs.said()
    assert runs.published() == {}, "nothing half-written is visible"
    runs.complete(*LANDED)
    assert runs.published() == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, which root may mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "infercost-test", str(folder)]
    done = (
        subprocess.run(command, capture_output=True, text=True, check=False)
        if shutil.which("mount")
        else None
    )
    if done is None or done.returncode:
        why = done.stderr.strip() if done else "there is no mount"
        pytest.skip(f"a small disk needs the right to mount: {why}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_and_is_one_line(
    tmp_path: Path, small_disk: Path, undisturbed: dict[str, str]
) -> None:
    """Datasets lie on a disk that the study's own parts do not fit on."""
    runs = Runs(tmp_path, PARTS).prepare()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets").symlink_to(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"0" * 400_000)
    assert runs.start(*LANDED).wait(timeout=TIMEOUT) != 0
    assert "the disk is full" in runs.said()
    assert "Traceback" not in runs.said()
    assert runs.published() == {}
    assert not list(small_disk.rglob(".staging*")), "what was begun is gone"
    ballast.unlink()
    runs.complete(*LANDED)
    assert runs.published() == undisturbed


def test_two_runs_at_once_land_one_version(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    """Neither fails for the other's sake; what is there in the end is whole and the same."""
    runs = Runs(tmp_path, PARTS).prepare()
    both = [runs.start(*LANDED) for _ in range(2)]
    codes = [process.wait(timeout=TIMEOUT) for process in both]
    if any(codes):  # one may find a file that the other was about to replace
        assert runs.published() in ({}, undisturbed)
        runs.complete(*LANDED)
    assert runs.published() == undisturbed
    assert not list((tmp_path / "data/datasets").rglob(".staging*"))
    assert not list((tmp_path / "data" / "work" / "parts").glob(".*"))


def test_cores_and_folders_do_not_show_in_the_bytes(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    runs = Runs(tmp_path, PARTS).prepare()
    runs.complete("--cores", "1", *LANDED)
    assert runs.published() == undisturbed
