"""How fast the cost model is. `make benchmark`; never part of the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from infercost.compose import ComposedCase, Options
from infercost.evaluation import evaluated_blocks, typed_axis
from infercost.grid import Grid, GridAxis
from infercost.options.question import ask
from infercost.parts import write_part
from infercost.specs.draws import Draws
from infercost.uncertainty.draws import described

CONTEXTS = ",".join(str(1000 * i) for i in range(1, 101))
BANDWIDTHS = ",".join(f"{i} TB/s" for i in range(1, 21))
DENSE = [
    "model=llama-3.1-70b",
    "workload=snapshot",
    "batch=range(1,101)",
    f"workload.context={CONTEXTS}",
    "plan.tp=1,2,4,8,16",
    f"hardware.memory.hbm.bandwidth={BANDWIDTHS}",
]


def grid_of(overrides: list[str]) -> tuple[ComposedCase, Grid]:
    question = ask(overrides)
    options = Options(question)
    composed = next(options.cases())
    return composed, Grid(tuple(typed_axis(options, composed, axis) for axis in question.axes))


def evaluate_all(composed: ComposedCase, grid: Grid) -> int:
    """All columns of every point, block by block."""
    return sum(len(block.values) for block in evaluated_blocks(composed, grid))


def test_one_million_points_of_a_dense_model(benchmark: Callable[..., Any]) -> None:
    """100 batches x 100 contexts x 5 TP x 20 bandwidths, all columns, in memory, one core."""
    composed, grid = grid_of(DENSE)
    assert grid.size == 1_000_000
    benchmark(evaluate_all, composed, grid)


def test_one_million_points_of_a_sparse_model(benchmark: Callable[..., Any]) -> None:
    composed, grid = grid_of([DENSE[0].replace("llama-3.1-70b", "deepseek-v3"), *DENSE[1:]])
    benchmark(evaluate_all, composed, grid)


def drawn_part(count: int) -> dict[str, Any]:
    """Four uncertain inputs, two of which change every time, over 25 batches x 20 contexts."""
    question = ask(
        [
            *DENSE[:2],
            "hardware.price={uniform: [30000 USD, 45000 USD]}",
            "economics.electricity_price={uniform: [0.05 USD/kWh, 0.12 USD/kWh]}",
            "hardware.memory.hbm.bandwidth={uniform: [3 TB/s, 4 TB/s]}",
            "hardware.scale_up.alpha={lognormal: [1 us, 5 us]}",
            "batch=range(4,104,4)",
            f"workload.context={','.join(str(4000 * i) for i in range(1, 21))}",
        ]
    )
    options = Options(question)
    wanted = Draws(count=count, columns=["cost_per_mtoken_usd", "tpot_s"])
    return {
        **options.to_plain(),
        "labels": [],
        "axes": [
            {"name": a.name, "values": {p: list(v) for p, v in a.values.items()}}
            for a in question.axes
        ],
        "optimise": None,
        "keep": "all",
        "draws": described(options, wanted),
    }


def test_ten_thousand_draws_over_five_hundred_points(
    benchmark: Callable[..., Any], tmp_path: Path
) -> None:
    """A part of 5 million rows, written. The bound is 30 s on two cores; this is one, in CPU
    time, which other load disturbs least."""
    part, target = drawn_part(10_000), tmp_path / "part.parquet"
    start = time.process_time()
    points = benchmark.pedantic(  # type: ignore[attr-defined]
        write_part, args=(part, target), rounds=1
    )
    assert points == 5_000_000
    assert time.process_time() - start < 30
    few = [tmp_path / name for name in ("one", "two")]
    for file in few:
        write_part(drawn_part(100), file)
    assert few[0].read_bytes() == few[1].read_bytes()


def test_explain_from_a_cold_start(benchmark: Callable[..., Any]) -> None:
    command = [sys.executable, "-m", "infercost", "explain", "--json"]
    benchmark.pedantic(  # type: ignore[attr-defined]
        subprocess.run, args=(command,), kwargs={"check": True, "capture_output": True}, rounds=5
    )


def test_import_from_a_cold_start(benchmark: Callable[..., Any]) -> None:
    command = [sys.executable, "-c", "import infercost"]
    benchmark.pedantic(  # type: ignore[attr-defined]
        subprocess.run, args=(command,), kwargs={"check": True}, rounds=5
    )


def test_a_quarter_of_a_million_sampled_points(benchmark: Callable[..., Any]) -> None:
    """Nothing to factorise: every array has a value for each point."""
    composed, grid = grid_of([DENSE[0].replace("llama-3.1-70b", "deepseek-v3"), *DENSE[1:]])
    draw = np.random.default_rng(0)
    values = {p: draw.choice(v, 2**18) for axis in grid.axes for p, v in axis.values.items()}
    benchmark(evaluate_all, composed, Grid((GridAxis("sample", values),)))
