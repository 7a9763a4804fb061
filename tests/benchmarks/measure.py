"""Rates, memory and start-up as JSON: python tests/benchmarks/measure.py [LARGEST] > results.json

CPU seconds of this process, which other load disturbs least. LARGEST is the largest study in points
(default 10^7); `make benchmark` runs it.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from test_speed import DENSE, drawn_part, grid_of

from infercost.compose import ComposedCase
from infercost.evaluation import BLOCK, evaluated
from infercost.grid import Grid, GridAxis
from infercost.optimise import Search, search
from infercost.parts import parquet_options, write_part, write_rows
from infercost.table import to_arrow

PARQUET_ROWS = 2**18
SPARSE = [
    "model=deepseek-v3",
    *DENSE[1:4],
    "plan.tp=8,16",
    "plan.ep=8",
    DENSE[5],
]
"""A mixture of experts, its experts spread over eight devices."""


def cpu(work: Callable[[], Any], rounds: int = 3) -> float:
    """Median CPU seconds."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return float(np.median(took))


def evaluate(composed: ComposedCase, grid: Grid) -> None:
    for block in grid.blocks(BLOCK):
        evaluated(composed, block)


def sampled(grid: Grid, count: int) -> Grid:
    """Points of the grid's axes drawn at random: one axis, nothing to factorise."""
    draw = np.random.default_rng(0)
    values = {
        path: draw.choice(given, count) for axis in grid.axes for path, given in axis.values.items()
    }
    return Grid((GridAxis("sample", values),))


def drawn(count: int) -> float:
    """CPU seconds of so many draws over 500 points, evaluated and written."""
    part = drawn_part(count)
    with tempfile.TemporaryDirectory() as folder:
        return cpu(lambda: write_part(part, Path(folder) / "rows.parquet"), rounds=1)


def parquet(composed: ComposedCase, grid: Grid) -> dict[str, float]:
    """End to end against pyarrow alone, which writes the same table from memory."""
    grid = Grid((grid.axes[0].part(0, PARQUET_ROWS),))
    table = pa.concat_tables(
        [to_arrow(evaluated(composed, b)) for b in grid.blocks(BLOCK)]
    ).unify_dictionaries()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.parquet"
        alone = cpu(lambda: pq.write_table(table, target, **parquet_options(table.schema)))
        whole = cpu(
            lambda: write_rows(
                (to_arrow(evaluated(composed, b)) for b in grid.blocks(BLOCK)), target
            )
        )
    return {
        "rows": table.num_rows,
        "columns": table.num_columns,
        "pyarrow_rows_per_s": table.num_rows / alone,
        "end_to_end_rows_per_s": table.num_rows / whole,
        "share": alone / whole,
    }


def study(composed: ComposedCase, grid: Grid, points: int) -> dict[str, float]:
    """A search over `points` down to the best of each thousand, and the memory that it took."""
    inner = (grid.axes[0].part(0, 100), grid.axes[1].part(0, 10))
    rows = max(points // 1000, 1)
    prices = GridAxis("hardware.price", {"hardware.price": np.linspace(1e4, 5e4, rows)})
    how = Search("cost_per_mtoken_usd", inner, False, "best")

    def look() -> int:
        return sum(chosen.index.size for chosen in search(composed, (prices,), how))

    took = cpu(look, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "points": rows * 1000,
        "cpu_s": took,
        "points_per_s": rows * 1000 / took,
        "peak_b": peak,
    }


def start_up(*command: str) -> float:
    """Median CPU seconds of a new process, its imports compiled."""
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return float(np.median(took))


def main(largest: int) -> dict[str, Any]:
    """Everything, smallest studies first so that the peak of memory is each one's own."""
    dense, dense_grid = grid_of(DENSE)
    sparse, sparse_grid = grid_of(SPARSE)
    some = sampled(sparse_grid, PARQUET_ROWS)
    sizes = [10**n for n in range(4, 9) if 10**n <= largest]
    if largest not in sizes:
        sizes.append(largest)
    return {
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
            "load": os.getloadavg()[0],
        },
        "studies": [study(sparse, sparse_grid, points) for points in sizes],
        "points_per_s": {
            "dense model, grid": dense_grid.size / cpu(lambda: evaluate(dense, dense_grid)),
            "sparse model, grid": sparse_grid.size / cpu(lambda: evaluate(sparse, sparse_grid)),
            "sparse model, sampled": some.size / cpu(lambda: evaluate(sparse, some)),
        },
        "parquet": parquet(sparse, some),
        "draws_10000_over_500_points_cpu_s": drawn(10_000),
        "start_up_cpu_s": {
            "import infercost": start_up("-c", "import infercost"),
            "explain": start_up("-m", "infercost", "explain", "--json"),
        },
    }


if __name__ == "__main__":
    print(json.dumps(main(int(float(sys.argv[1])) if sys.argv[1:] else 10**7), indent=1))
