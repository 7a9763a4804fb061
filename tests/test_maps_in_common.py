"""What tier maps of a case share, and what is left out of judging them, changes no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import infercost
from infercost.passes.forward import pass_cost
from infercost.tiers.brackets import Bracket
from infercost.tiers.routes import Routes
from probes import number, point

DESIGNS = {
    "flash": ["direction=hbf", "model=deepseek-v3"],
    "flash behind HBM": ["direction=hbf-daisy-chain", "model=llama-3.1-70b"],
    "DRAM": ["direction=lpddr", "model=mixtral-8x22b"],
    "units near memory": ["direction=[hbf,pnm]", "model=llama-3.1-70b"],
    "heat": ["direction=[hbf,3d-stack]", "model=mixtral-8x22b"],
    "a cache that ramps up": [
        "direction=hbf",
        "model=llama-3.1-70b",
        "calibration=nvidia-datacentre-vllm-2026",
    ],
    "overlap": ["direction=hbf", "model=deepseek-v3", "plan.overlap=0.5", "plan.tp=8"],
}
LOAD = ["workload=azure-2023-conversation", "hardware=b200-sxm", "batch=64"]


@pytest.mark.parametrize("design", DESIGNS)
def test_maps_are_judged_by_the_time_that_terms_sum_to(design: str) -> None:
    at = point(*DESIGNS[design], *LOAD)
    for step, routes in ((at.decode_pass, at.routes), (at.prefill_pass, at.prefill_routes)):
        assert routes is not None
        whole = pass_cost(at.layout, step, routes)
        brief = pass_cost(at.layout, step, replace(routes, brief=True))
        times = whole.time.total * np.ones_like(brief.time.total)
        assert brief.time.total == pytest.approx(times, rel=1e-12)
        for one, other in zip(brief.tiers, whole.tiers, strict=True):
            assert one.written == pytest.approx(other.written, rel=1e-12)


@pytest.mark.parametrize("design", DESIGNS)
def test_prompts_that_arithmetic_binds_need_no_map(
    design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluated apart, columns of long prompts have the times that they have with the others."""
    apart = point(*DESIGNS[design], *LOAD).prefill.time
    monkeypatch.setattr(Routes, "open_columns", lambda *_: None)
    together = point(*DESIGNS[design], *LOAD).prefill.time
    assert set(apart) == set(together)
    for name, term in together.items():
        assert term * np.ones_like(apart.total) == pytest.approx(
            apart[name] * np.ones_like(together.total), rel=1e-12, abs=1e-18
        )


FULL = {
    "weights and caches": [
        "direction=lpddr",
        "model=llama-3.1-70b",
        "hardware=b200-sxm",
        "hardware.memory.hbm.capacity=37.4 GB",
        "workload.prompt_tokens=128",
        "workload.output_tokens=128",
        "hardware.memory.hbm.bandwidth=3.9554 TB/s,13.6677 TB/s",
        "plan.tp=2",
        "batch=256",
    ],
    "experts": [
        "direction=lpddr",
        "model=mixtral-8x22b",
        "hardware=mi300x",
        "hardware.memory.hbm.capacity=34.9 GB",
        "workload.prompt_tokens=512",
        "workload.output_tokens=8192",
        "hardware.memory.hbm.bandwidth=3.3789 TB/s,11.5711 TB/s",
        "plan.tp=8",
        "batch=1024",
    ],
}
"""Memories that are full, so that stripes which follow rates take room from what gains more."""


@pytest.mark.parametrize("design", FULL)
def test_a_faster_memory_that_is_full_loses_nothing(design: str) -> None:
    base = ["workload=fixed-lengths", "plan.formats.weights=fp8", "hardware.tdp=50 kW"]
    frame = infercost.evaluate([*base, *FULL[design]])
    slow, fast = frame.throughput_per_device_per_s
    assert fast >= slow


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=6),
    st.floats(-4, -0.1),
)
def test_a_bracket_closes_in_on_the_least_of_a_convex_function(
    lines: list[tuple[float, float]], down: float
) -> None:
    """The largest of some lines: its least value is at an end or where two of them cross."""
    lines = [*lines, (down, 0.0)]

    def convex(x: float) -> float:
        return max(a + b * x for b, a in lines)

    pairs = [(one, other) for one in lines for other in lines if one[0] != other[0]]
    crossings = [(c - a) / (b - d) for (b, a), (d, c) in pairs]
    inside = [x for x in crossings if 0 <= x <= 1]
    least = min(convex(x) for x in [0.0, 1.0, *inside])
    ends = sorted([(0.0, convex(0.0)), (1.0, convex(1.0))], key=lambda end: end[1])
    if ends[0][0] > 0:  # counted from the lower end
        lines = [(-b, a + b) for b, a in lines]
    bracket = Bracket.from_ends((0.0, convex(0.0)), (0.5, convex(0.5)), (1.0, convex(1.0)))
    for _ in range(60):
        place, more = bracket.next(0.0)
        bracket = bracket.with_point((place, convex(number(place))), np.asarray(more))
    assert number(bracket.low[1]) == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_point_has_the_same_bits_alone_and_beside_others(design: str) -> None:
    """Which columns need a map, and which mixes a look, is asked of all points of a grid."""
    base = [*DESIGNS[design], "workload=azure-2023-conversation", "hardware=b200-sxm"]
    together = infercost.evaluate([*base, "batch=1,64,512"])
    alone = [infercost.evaluate([*base, f"batch={batch}"]) for batch in (1, 64, 512)]
    for row, one in enumerate(alone):
        for name in together.select_dtypes("number"):
            values = together[name].iloc[row], one[name].iloc[0]
            assert values[0] == values[1] or np.isnan(values).all(), name
