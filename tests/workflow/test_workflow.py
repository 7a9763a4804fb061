"""The workflow on a study of the user's own: what runs, what does not run again, what lands."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CHIP = """\
defaults:
  - /memory@memory.hbm: hbm3
  - /link@scale_up: nvlink-4
  - /link@scale_out: infiniband-ndr
  - _self_
name: {name}
family: nvidia-datacentre
peak_dense: {{bf16: 400 TFLOP/s}}
on_chip: 50 MB
memory:
  hbm: {{capacity: 96 GB, bandwidth: {bandwidth} TB/s}}
scale_up: {{bandwidth_out: 450 GB/s, domain: 8}}
scale_out: {{bandwidth_out: 400 Gbit/s, domain: 1024}}
tdp: 500 W
idle_power: 50 W
compute_power: 300 W
host_power: 200 W
price: 20000 USD
rental_price: 1 USD/h
embodied_carbon: 500 kgCO2e
sources:
  default: "assumed: a chip made for this test"
"""

STUDY = """\
name: mine
question: Which of my two chips is cheaper?
axes:
  hardware: [slow, fast]
  model: [llama-3.1-8b]
  workload: [fixed-lengths]
split: hardware
overrides: [plan=base]
optimise:
  minimise: cost_per_mtoken_usd
  within_slo: true
  largest_replica: 4
  over:
    layout: {plan.tp: [1, 2, 4]}
    batch: [1, 8, 64]
keep: pareto
aggregates:
  prices: SELECT hardware, cost_per_mtoken_usd FROM rows WHERE best ORDER BY hardware
answers:
  - text: "{best} is cheaper, at {price:.2f} USD per million output tokens."
    values: >-
      SELECT arg_min(hardware, cost_per_mtoken_usd) AS best, min(cost_per_mtoken_usd) AS price
      FROM rows WHERE best
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user's own options: two chips and a study."""
    folder = tmp_path / "mine"
    for group in ("hardware", "study"):
        (folder / group).mkdir(parents=True)
    write_chip(folder, "slow", 2)
    write_chip(folder, "fast", 4)
    (folder / "study" / "mine.yaml").write_text(STUDY)
    return folder


def write_chip(folder: Path, name: str, bandwidth: float) -> None:
    (folder / "hardware" / f"{name}.yaml").write_text(CHIP.format(name=name, bandwidth=bandwidth))


def command(mine: Path, *more: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("snakemake")),
        *("--snakefile", str(ROOT / "Snakefile")),
        *("--workflow-profile", str(ROOT / "workflow/profiles/default")),
        *("--config", "study=mine", f"config_dir={mine}"),
        *more,
    ]


def environment() -> dict[str, str]:
    """That of a user who calls .venv/bin/snakemake and has activated nothing."""
    own = str(Path(sys.executable).parent)
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own]
    return {**os.environ, "PATH": os.pathsep.join(path)}


def run(mine: Path, *more: str) -> str:
    """The workflow's output; it works in the folder that holds `mine`."""
    done = subprocess.run(
        command(mine, *more),
        cwd=mine.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(mine: Path) -> dict[str, int]:
    """Jobs by rule that a run would do now."""
    text = run(mine, "--dry-run")
    return {
        rule: int(n) for rule, n in re.findall(r"^(evaluate|publish|report) +(\d+)", text, re.M)
    }


def published(mine: Path) -> dict[str, str]:
    """Digest of every published file by its path."""
    root = mine.parent / "data" / "datasets" / "mine"
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(root.rglob("*"))
        if file.is_file() and "latest" not in file.relative_to(root).parts
    }


@pytest.mark.workflow
def test_a_study_lands_once_and_only_what_changed_is_computed_again(mine: Path) -> None:
    first = run(mine)
    assert "mine: 2 of 2 parts" in first
    before = published(mine)
    assert sorted(Path(p).name for p in before) == ["fast.parquet", "manifest.json", "slow.parquet"]
    answer = (mine.parent / "data/results/mine/latest/answer.txt").read_text()
    assert "fast is cheaper" in answer

    assert planned(mine) == {}, "nothing changed, so nothing is to be done"

    (mine / "hardware" / "slow.yaml").write_text(
        "# a comment\n" + (mine / "hardware" / "slow.yaml").read_text()
    )
    assert planned(mine) == {}, "a comment changes no number"

    write_chip(mine, "slow", 2.5)
    assert planned(mine)["evaluate"] == 1, "one chip changed, so one part is computed"
    run(mine)
    assert {p: d for p, d in published(mine).items() if p in before} == before, "versions stay"
    assert len({Path(p).parts[0] for p in published(mine)}) == 2

    write_chip(mine, "slow", 2)
    assert "evaluate" not in planned(mine), "the parts of the first question are still there"


@pytest.mark.workflow
def test_a_killed_run_leaves_nothing_half_written_and_can_go_on(mine: Path) -> None:
    """`kill -9` as soon as the first part is there; the next run ends as an undisturbed one."""
    parts = mine.parent / "data" / "work" / "parts"
    process = subprocess.Popen(
        command(mine, "--cores", "1"),
        cwd=mine.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(parts.glob("*.parquet")):
            break
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not published(mine), "no version is visible before the whole of it is"
    run(mine)
    disturbed = published(mine)

    undisturbed = mine.parent / "again"
    undisturbed.mkdir()
    moved = undisturbed / "mine"
    moved.symlink_to(mine)
    run(moved)
    assert published(moved) == disturbed


@pytest.mark.workflow
def test_a_wrong_study_stops_before_any_job_with_one_line(mine: Path) -> None:
    file = mine / "study" / "mine.yaml"
    file.write_text(file.read_text().replace("minimise: cost_per_mtoken_usd", "minimise: cost"))
    done = subprocess.run(
        command(mine),
        cwd=mine.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "no metric 'cost'" in line]
    assert len(said) == 1
    assert "Traceback" not in done.stdout + done.stderr
