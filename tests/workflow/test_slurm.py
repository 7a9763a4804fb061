"""The workflow through a real Slurm, and what it survives there. `make cluster-test`.

A controller and three node daemons run on this host (`slurm_cluster.sh`). After every fault, a
rerun ends with the bytes of an undisturbed run on this machine without Slurm.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from disturbed import TIMEOUT, Runs

SCRIPT = Path(__file__).with_name("slurm_cluster.sh")
PARTS = 4
MANY = int(os.environ.get("INFERCOST_CLUSTER_PARTS", "100"))
LANDED = ("--until", "publish")
# A private cluster answers at once.
QUICK = (
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--latency-wait", "10"),
)


def missing() -> str:
    """Why there can be no Slurm here; empty where there can."""
    if find_spec("snakemake_executor_plugin_slurm") is None:
        return "the Slurm plugin is not installed: pip install -e '.[slurm]'"
    programs = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not which(name)]
    if programs:
        return f"{', '.join(programs)} are missing: {SCRIPT.name} install"
    return "" if os.geteuid() == 0 else "the daemons are started as root"


def which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")


WHY = missing()
pytestmark = [
    pytest.mark.workflow,
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(bool(WHY), reason=f"no Slurm: {WHY}"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running Slurm; the folder of its daemons' files."""
    folder = tmp_path_factory.mktemp("slurm")
    command = ["bash", str(SCRIPT), "up", str(folder)]
    up = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if up.returncode:
        subprocess.run(["bash", str(SCRIPT), "down", str(folder)], check=False)
        pytest.skip(f"no Slurm starts here: {up.stderr.strip()}")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield folder
    del os.environ["SLURM_CONF"]
    subprocess.run(["bash", str(SCRIPT), "down", str(folder)], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the files of a run on this machine, without Slurm."""
    runs = Runs(tmp_path_factory.mktemp("undisturbed"), PARTS).prepare()
    runs.complete(*LANDED)
    return runs.published()


@pytest.fixture
def runs(tmp_path: Path, cluster: Path) -> Runs:
    return Runs(tmp_path, PARTS, "slurm").prepare()


def start(daemon: str, cluster: Path) -> None:
    subprocess.run(["bash", str(SCRIPT), "start", str(cluster), daemon], check=True)


def running() -> list[str]:
    """Job and node of every job that runs."""
    command = ["squeue", "--noheader", "--states=RUNNING", "--format=%i %N"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def until(what: Callable[[], object], seconds: float = 90) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def saved(cluster: Path, since: float) -> bool:
    """Whether the controller has written its jobs down; it does so every five seconds."""
    kept = cluster / "state" / "job_state"
    return kept.is_file() and kept.stat().st_mtime > since


def kill(pid_file: Path) -> None:
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_the_smoke_study_runs_through_slurm(tmp_path: Path, cluster: Path) -> None:
    here = Runs(tmp_path / "here", 0, study="smoke")
    there = Runs(tmp_path / "there", 0, "slurm", study="smoke")
    for run, more in ((here, ()), (there, QUICK)):
        run.folder.mkdir()
        run.complete(*more)
    assert there.published() == here.published() != {}
    answer = Path("data/results/smoke/latest/answer.txt")
    assert (there.folder / answer).read_text() == (here.folder / answer).read_text()


def test_a_job_that_is_cancelled_runs_again(runs: Runs, undisturbed: dict[str, str]) -> None:
    process = runs.start(*QUICK, *LANDED)
    until(running)
    subprocess.run(["scancel", running()[0].split()[0]], check=True)
    if process.wait(timeout=TIMEOUT):
        runs.complete(*QUICK, *LANDED)
    assert "CANCELLED" in runs.said()
    assert runs.published() == undisturbed


def test_a_node_daemon_killed_in_the_middle_of_a_job(
    runs: Runs, cluster: Path, undisturbed: dict[str, str]
) -> None:
    process = runs.start(*QUICK, *LANDED)
    until(running)
    node = running()[0].split()[1]
    kill(cluster / "run" / f"{node}.pid")
    try:
        if process.wait(timeout=TIMEOUT):
            runs.complete(*QUICK, *LANDED)
    finally:
        start(node, cluster)
    assert runs.published() == undisturbed


def test_the_controller_killed_and_started_again(
    runs: Runs, cluster: Path, undisturbed: dict[str, str]
) -> None:
    process = runs.start(*QUICK, *LANDED)
    until(running)
    # Killed before that, it forgets jobs, and Snakemake waits for them until it is stopped.
    now = time.time()
    until(lambda: saved(cluster, now))
    kill(cluster / "run" / "slurmctld.pid")
    time.sleep(3)
    start("slurmctld", cluster)
    if process.wait(timeout=TIMEOUT):
        runs.complete(*QUICK, *LANDED)
    assert runs.published() == undisturbed


def test_snakemake_killed_while_jobs_run(runs: Runs, undisturbed: dict[str, str]) -> None:
    """Its jobs go on without it, and the next run does not mind them."""
    process = runs.start(*QUICK, *LANDED)
    until(running)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert runs.published() == {}
    runs.complete(*QUICK, *LANDED)
    assert runs.published() == undisturbed


def test_two_runs_at_once_through_slurm(runs: Runs, undisturbed: dict[str, str]) -> None:
    both = [runs.start(*QUICK, *LANDED) for _ in range(2)]
    codes = [process.wait(timeout=TIMEOUT) for process in both]
    if any(codes):
        assert runs.published() in ({}, undisturbed)
        runs.complete(*QUICK, *LANDED)
    assert runs.published() == undisturbed


def test_a_study_of_many_parts(tmp_path: Path, cluster: Path) -> None:
    """100 jobs, or as many as INFERCOST_CLUSTER_PARTS says."""
    runs = Runs(tmp_path, MANY, "slurm").prepare()
    runs.complete(*QUICK, *LANDED)
    assert len(runs.published()) == MANY + 1
