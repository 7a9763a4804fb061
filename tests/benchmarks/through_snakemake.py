"""A study of 200 million points through Snakemake: time, memory of its workers, overhead, no-op."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRICES, TARIFFS, BATCHES = 250, 100, 1000


def study_text() -> str:
    """4 devices x 250 prices x 100 tariffs, each over 1,000 batches x 2 degrees of TP."""
    prices = ", ".join(f"{10_000 + 160 * i} USD" for i in range(PRICES))
    tariffs = ", ".join(f"{0.03 + 0.002 * i:.3f} USD/kWh" for i in range(TARIFFS))
    batches = ", ".join(map(str, range(1, BATCHES + 1)))
    return f"""\
name: large
question: Which of four devices serves a mixture of experts at least cost, at any price and tariff?
axes:
  hardware: [h100-sxm, h200-sxm, b200-sxm, mi300x]
  model: [deepseek-v3]
  workload: [fixed-lengths]
  hardware.price: [{prices}]
  economics.electricity_price: [{tariffs}]
split: hardware
overrides: [plan=base, plan.ep=8]
optimise:
  minimise: cost_per_mtoken_usd
  within_slo: false
  largest_replica: 16
  over:
    plan.tp: [8, 16]
    batch: [{batches}]
keep: best
aggregates:
  least: >-
    SELECT hardware, min(cost_per_mtoken_usd) AS cost_per_mtoken_usd
    FROM rows WHERE feasible GROUP BY hardware ORDER BY hardware
answers:
  - text: "{{best}} can serve at {{least:.2f}} USD per million output tokens."
    values: >-
      SELECT arg_min(hardware, cost_per_mtoken_usd) AS best, min(cost_per_mtoken_usd) AS least
      FROM rows WHERE feasible
"""


def large_study(cores: int = 1) -> dict[str, Any]:
    """What Snakemake and its jobs take; jobs state their own wall time, CPU time and memory.

    On one core at a time the overhead is what passes outside jobs. Jobs report memory every few
    seconds, so that the peak of a short one is missed.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "mine" / "study").mkdir(parents=True)
        (work / "mine" / "study" / "large.yaml").write_text(study_text())
        wall, used = _run(work, cores)
        jobs = _jobs(work)
        idle_wall, idle_used = _run(work, cores)
    busy = sum(job["s"] for job in jobs.values())
    parts = [job for name, job in jobs.items() if name.startswith("evaluate")]
    return {
        "points": 4 * PRICES * TARIFFS * 2 * BATCHES,
        "cores": cores,
        "wall_s": wall,
        "cpu_s": used,
        "parts_cpu_s": sum(job["cpu_time"] for job in parts),
        "part_peak_b": max(job["max_rss"] for job in parts) * 2**20,
        "jobs": len(jobs),
        "outside_jobs_s": wall - busy / cores,
        "outside_jobs_of_two_minutes": (wall - busy / cores) / 120.0,
        "nothing_to_do_wall_s": idle_wall,
        "nothing_to_do_cpu_s": idle_used,
    }


def _run(work: Path, cores: int) -> tuple[float, float]:
    """Wall time and CPU time of one run."""
    bin_folder = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [
            str(bin_folder / "snakemake"),
            *("--snakefile", str(ROOT / "Snakefile"), "--cores", str(cores)),
            *("--workflow-profile", str(ROOT / "workflow/profiles/default")),
            *("--config", "study=large", f"config_dir={work / 'mine'}"),
        ],
        cwd=work,
        env=environment,
        check=True,
        capture_output=True,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _jobs(work: Path) -> dict[str, dict[str, float]]:
    """What Snakemake wrote down of each job: wall time, CPU time, memory in MiB."""
    found = {}
    for file in work.rglob("benchmarks/**/*.tsv"):
        row = next(csv.DictReader(file.read_text().splitlines(), delimiter="\t"))
        found[file.stem] = {
            key: float(row[key]) if row[key] not in ("-", "NA", "") else 0.0
            for key in ("s", "cpu_time", "max_rss")
        }
    return found
