"""Evaluate one part, and say how far the study has come."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from infercost.parts import write_part
from infercost.workplan import WorkPlan, read_plan


def run(spec: Path, target: Path, plan: Path, workers: int) -> None:
    """Compute the part that `spec` describes into `target`; one line of progress on stdout."""
    start = time.monotonic()
    points = write_part(json.loads(spec.read_text()), target)
    seconds = time.monotonic() - start
    print(_progress(read_plan(plan), target, points / max(seconds, 1e-9), workers), flush=True)
    print(f"{points} points in {seconds:.2f} s", file=sys.stderr)


def _progress(plan: WorkPlan, target: Path, rate: float, workers: int) -> str:
    """Parts and points done, and the time left at this part's rate on `workers` cores."""
    done = [
        label for label, name in plan.parts.items() if (target.parent / f"{name}.parquet").is_file()
    ]
    total, finished = sum(plan.points.values()), sum(plan.points[label] for label in done)
    left = (total - finished) / rate / max(workers, 1)
    return (
        f"{plan.study}: {len(done)} of {len(plan.parts)} parts, "
        f"{finished:,} of {total:,} points, about {left:.0f} s left"
    )
