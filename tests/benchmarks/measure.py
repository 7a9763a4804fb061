"""Figures of speed as JSON: python tests/benchmarks/measure.py [PART ...] [--save]

Parts, all unless some are named: rates, parquet, formats, growth, start_up, study (see each
function). CPU seconds of the process, which other load disturbs least, and ratios within one run.
`--save` puts what was measured into results.json beside this file, and the figure of growth into
growth.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from formats import trial
from test_speed import DENSE, drawn_part, grid_of
from through_snakemake import large_study

from infercost.compose import ComposedCase
from infercost.evaluation import BLOCK, evaluated, evaluated_blocks
from infercost.grid import Grid, GridAxis
from infercost.optimise import Search, search
from infercost.parts import parquet_options, write_part, write_rows
from infercost.table import to_arrow

HERE = Path(__file__).parent
FAST = ",".join(f"{i / 10} TB/s" for i in range(10, 60))
SPARSE = [
    "model=deepseek-v3",
    *DENSE[1:4],
    "plan.tp=8,16",
    "plan.ep=8",
    f"hardware.memory.hbm.bandwidth={FAST}",
]
"""A mixture of experts, its experts spread over eight devices: a million points."""
ROOMY = [*SPARSE[:4], "plan.tp=16", *SPARSE[5:], "hardware=b200-sxm"]
"""The same on devices that hold it: nearly all of its points are feasible, half a million."""
TRACE = [
    "model=deepseek-v3",
    "workload=azure-2023-code",
    *("batch=range(1,65)", "plan.tp=8,16", "plan.ep=8"),
    f"hardware.memory.hbm.bandwidth={FAST}",
]
"""The same with sixteen strata of a trace's requests at each point."""
SAMPLED, PARQUET_ROWS = 2**20, 2**18


def cpu(work: Callable[[], Any], rounds: int = 3) -> float:
    """Median CPU seconds."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return float(np.median(took))


def all_of(blocks: Iterable[Any]) -> None:
    for _ in blocks:
        pass


def at_once(composed: ComposedCase, grid: Grid) -> None:
    for block in grid.blocks(BLOCK):
        evaluated(composed, block)


def sampled(grid: Grid, count: int) -> Grid:
    """Points of the grid's axes drawn at random: one axis, nothing to factorise."""
    draw = np.random.default_rng(0)
    values = {
        path: draw.choice(given, count) for axis in grid.axes for path, given in axis.values.items()
    }
    return Grid((GridAxis("sample", values),))


def draws() -> float:
    """CPU seconds of 10,000 draws over 500 points, evaluated and written."""
    part = drawn_part(10_000)
    with tempfile.TemporaryDirectory() as folder:
        return cpu(lambda: write_part(part, Path(folder) / "rows.parquet"), rounds=1)


def rates() -> dict[str, float]:
    """Points a second, every column in memory, one core; the compiled loop is loaded before.

    Beside each the rate of the same equations without a tape, block by block: a yardstick that
    feels the machine's other load alike.
    """
    found = {}
    for name, overrides in (("dense", DENSE), ("sparse", SPARSE)):
        composed, grid = grid_of(overrides)
        all_of(evaluated_blocks(composed, grid))
        took = cpu(lambda c=composed, g=grid: all_of(evaluated_blocks(c, g)))  # type: ignore[misc]
        found[f"{name} model, grid"] = grid.size / took
        took = cpu(lambda c=composed, g=grid: at_once(c, g))  # type: ignore[misc]
        found[f"{name} model, grid, without a tape"] = grid.size / took
    some = sampled(grid, SAMPLED)
    took = cpu(lambda: all_of(evaluated_blocks(composed, some)))
    few = sampled(grid, 2**17)
    plain = cpu(lambda: at_once(composed, few))
    traced, strata = grid_of(TRACE)
    many = sampled(strata, 2**16)
    all_of(evaluated_blocks(traced, many))
    on_tape = cpu(lambda: all_of(evaluated_blocks(traced, many)))
    at_first = cpu(lambda: at_once(traced, sampled(strata, 2**14)))
    return {
        **found,
        "sparse model, sampled": SAMPLED / took,
        "sparse model, sampled, without a tape": few.size / plain,
        "strata of a trace, sampled": many.size / on_tape,
        "strata of a trace, sampled, without a tape": 2**14 / at_first,
    }


def parquet() -> dict[str, dict[str, float]]:
    """End to end against pyarrow alone, which writes the same table from memory, the same way."""
    composed, grid = grid_of(SPARSE)
    some = sampled(grid, PARQUET_ROWS)
    return {
        "sampled": _parquet(composed, some),
        "grid": _parquet(composed, Grid((grid.axes[0].part(0, 27), *grid.axes[1:]))),
    }


def _parquet(composed: ComposedCase, grid: Grid) -> dict[str, float]:
    def tables() -> Iterable[pa.Table]:
        return (to_arrow(block) for block in evaluated_blocks(composed, grid))

    table = pa.concat_tables(tables()).unify_dictionaries().combine_chunks()
    options = parquet_options(table)  # looking for the best ones is our work, not pyarrow's
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.parquet"
        alone = cpu(lambda: pq.write_table(table, target, **options))
        whole = cpu(lambda: write_rows(tables(), target))
    return {
        "rows": table.num_rows,
        "columns": table.num_columns,
        "pyarrow_rows_per_s": table.num_rows / alone,
        "end_to_end_rows_per_s": table.num_rows / whole,
        "share": alone / whole,
    }


def formats() -> dict[str, Any]:
    """A hundred and thirty thousand feasible rows in every format that pyarrow writes."""
    composed, grid = grid_of(ROOMY)
    dense = Grid((grid.axes[0].part(0, 26), *grid.axes[1:]))
    return {
        "grid": _formats(composed, dense),
        "sampled from the grid": _formats(composed, sampled(grid, PARQUET_ROWS // 2)),
        "sampled anywhere": _formats(composed, drawn_anywhere(grid, PARQUET_ROWS // 2)),
    }


def drawn_anywhere(grid: Grid, count: int) -> Grid:
    """Points between the ends of the grid's axes, counts whole: hardly a number comes twice."""
    draw, values = np.random.default_rng(0), {}
    for axis in grid.axes:
        for path, given in axis.values.items():
            between = draw.uniform(np.min(given), np.max(given), count)
            values[path] = between if "bandwidth" in path else between.round()
    return Grid((GridAxis("sample", values),))


def _formats(composed: ComposedCase, grid: Grid) -> dict[str, dict[str, float]]:
    blocks = evaluated_blocks(composed, grid)
    table = pa.concat_tables(map(to_arrow, blocks)).unify_dictionaries().combine_chunks()
    with tempfile.TemporaryDirectory() as folder:
        return trial(table, Path(folder), cpu)


def growth() -> list[dict[str, float]]:
    """Searches over 10^4 to 10^8 points, in this process, each down to the best of a thousand."""
    composed, grid = grid_of(SPARSE)
    return [_search(composed, grid, 10**n) for n in range(4, 9)]


def _search(composed: ComposedCase, grid: Grid, points: int) -> dict[str, float]:
    inner = (grid.axes[0].part(0, 100), grid.axes[1].part(0, 10))
    rows = max(points // 1000, 1)
    prices = GridAxis("hardware.price", {"hardware.price": np.linspace(1e4, 5e4, rows)})
    how = Search("cost_per_mtoken_usd", inner, False, "best")
    took = cpu(lambda: all_of(search(composed, (prices,), how)), 3 if points < 10**7 else 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "points": rows * 1000,
        "cpu_s": took,
        "points_per_s": rows * 1000 / took,
        "peak_b": peak,
    }


def start_up() -> dict[str, float]:
    """CPU seconds of a new process, its imports compiled."""
    return {
        "import infercost": _started("-c", "import infercost"),
        "explain": _started("-m", "infercost", "explain", "--json"),
        "explain with overrides": _started(
            *("-m", "infercost", "explain", "hardware=mi300x", "model=deepseek-v3", "plan.tp=8")
        ),
        "explain with quantities, a list and an added group": _started(
            *("-m", "infercost", "explain", "+mitigation=[w4,kv8]"),
            *("hardware.memory.hbm.bandwidth=4 TB/s", "hardware.price='30000 USD'"),
        ),
        "explain with a mount": _started(
            *("-m", "infercost", "explain", "memory@hardware.memory.hbm=hbm3e")
        ),
        "explain with what only Hydra reads": _started(
            *("-m", "infercost", "explain", "hardware.name=a text: with a colon")
        ),
    }


def _started(*command: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return float(np.median(took[1:]))  # the first compiles


def study() -> dict[str, Any]:
    """200 million points through Snakemake, down to the best of each 2,000, then nothing to do."""
    return large_study()


PARTS: dict[str, Callable[[], Any]] = {
    "growth": growth,  # first: its peaks of memory are of the process so far
    "rates": rates,
    "parquet": parquet,
    "formats": formats,
    "draws": draws,
    "start_up": start_up,
    "study": study,
}


def drawn(found: list[dict[str, float]], target: Path) -> None:
    """The figure of growth: CPU seconds against points, and the line of equal cost per point."""
    import altair as alt
    import pandas as pd

    rows = pd.DataFrame(found)
    rows["proportional"] = rows.cpu_s.iloc[-1] * rows.points / rows.points.iloc[-1]
    base = alt.Chart(rows).encode(
        x=alt.X("points", title="Points searched (log)").scale(type="log")
    )
    title = "Does a search cost in proportion to its points?"
    line = base.mark_line(strokeDash=[4, 4], color="gray").encode(
        y=alt.Y("proportional", title="CPU time in s, one core (log)").scale(type="log")
    )
    dots = base.mark_point(filled=True, size=60).encode(y="cpu_s")
    (line + dots).properties(title=title, width=360, height=240).save(str(target))


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    unknown = sorted(set(given.parts) - set(PARTS))
    if unknown:
        parser.error(f"no part is named {unknown[0]}; there are {', '.join(PARTS)}")
    found = {
        name: {"machine": machine(), "found": measure()}
        for name, measure in PARTS.items()
        if name in (given.parts or PARTS)
    }
    print(json.dumps(found, indent=1))
    if given.save:
        results = HERE / "results.json"
        known = json.loads(results.read_text()) if results.exists() else {}
        results.write_text(json.dumps({**known, **found}, indent=1) + "\n")
        if "growth" in found:
            drawn(found["growth"]["found"], HERE / "growth.svg")


if __name__ == "__main__":
    main()
