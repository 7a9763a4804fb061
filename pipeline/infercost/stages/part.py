"""Evaluate one part, and say how far the study has come."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from infercost.break_even import write_ties
from infercost.measured import write_measured
from infercost.parts import write_part
from infercost.workplan import WorkPlan, read_plan


def run(spec: Path, target: Path, plan: Path, workers: int) -> None:
    """Compute the part that `spec` describes into `target`; one line of progress on stdout."""
    start = time.monotonic()
    plain, whole = json.loads(spec.read_text()), read_plan(plan)
    if "measurements" in plain:
        points = write_measured(plain, tuple(whole.dirs), target)
    elif "fleet" in plain:
        from infercost.fleet.part import write_plan  # which loads the solver

        points = write_plan(plain, target)
    elif "break_even" in plain:
        points = write_ties(plain, target)
    elif "replays" in plain:
        from infercost.serving.study import write_replays

        points = write_replays(plain, tuple(whole.dirs), target)
    else:
        points = write_part(plain, target)
    seconds = time.monotonic() - start
    print(_progress(whole, target, seconds, workers), flush=True)
    print(f"{points} points in {seconds:.2f} s", file=sys.stderr)


def _progress(plan: WorkPlan, target: Path, seconds: float, workers: int) -> str:
    """Parts and points done, and the time left where `workers` cores go on as this part did."""
    done = [
        label for label, name in plan.parts.items() if (target.parent / f"{name}.parquet").is_file()
    ]
    total, finished = sum(plan.points.values()), sum(plan.points[label] for label in done)
    mine = next(plan.points[label] for label, name in plan.parts.items() if name == target.stem)
    left = (total - finished) * seconds / max(mine, 1) / max(workers, 1)
    return (
        f"{plan.study}: {len(done)} of {len(plan.parts)} parts, "
        f"{finished:,} of {total:,} points, about {left:.0f} s left"
    )
