"""More hardware is never worse at the best operating point: plan, batch, and what lies where.

A superset of resources has a superset of ways to use it. Power is not to bind, since memory that is
added may spend it.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

import infercost
from infercost.cost import Evaluation
from infercost.equations.money import SECONDS_PER_YEAR
from probes import number, point

MODELS: dict[str, list[str]] = {
    "llama-3.1-70b": [],
    "mixtral-8x22b": [],
    "deepseek-v3": ["plan.formats.experts=fp8"],
}
"""Dense, of experts, with a latent cache."""
LOADS = {
    "prompts": ["workload.prompt_tokens=32768", "workload.output_tokens=256"],
    "answers": ["workload.prompt_tokens=512", "workload.output_tokens=4096"],
}
FLASH, DRAM = "direction=hbf", "direction=lpddr"
ADDED = {
    "bandwidth": (FLASH, "hardware.memory.hbm.bandwidth", "2 TB/s,3.35 TB/s,8 TB/s"),
    "bandwidth beside DRAM": (DRAM, "hardware.memory.hbm.bandwidth", "2 TB/s,3.35 TB/s,8 TB/s"),
    "capacity": (FLASH, "hardware.memory.hbm.capacity", "40 GB,80 GB,141 GB,288 GB"),
    "capacity beside DRAM": (DRAM, "hardware.memory.hbm.capacity", "40 GB,80 GB,141 GB,288 GB"),
    "a tier of flash": (FLASH, "direction.hbf.memory.hbf.stacks", "0,1,4,8"),
    "a tier of DRAM": (DRAM, "direction.lpddr.memory.host.stacks", "0,1,2"),
    "latency of a hop": (FLASH, "hardware.scale_up.alpha", "5 us,2 us,0.5 us"),
    "bandwidth of links": (FLASH, "hardware.scale_up.bandwidth_out", "100 GB/s,450 GB/s,900 GB/s"),
}
"""From worse to better."""
BEST = ["plan.tp=2,4,8,16", "batch=1,4,16,64,256"]


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("model", MODELS)
def test_the_best_operating_point_never_loses(model: str, load: str, added: str) -> None:
    direction, path, values = ADDED[added]
    overrides = [f"model={model}", *MODELS[model], "workload=fixed-lengths", *LOADS[load]]
    overrides += ["plan.formats.weights=fp8", "hardware.scale_up.domain=16", "hardware.tdp=50 kW"]
    frame = infercost.evaluate([*overrides, direction, f"{path}={values}", *BEST])
    rates = (frame.throughput_per_device_per_s * frame.feasible).fillna(0.0)
    best = [float(group.max()) for _, group in rates.groupby(frame[path], sort=False)]
    assert best[-1] > 0
    assert all(more >= less * (1 - 1e-9) for less, more in pairwise(best)), best


@pytest.mark.parametrize("direction", ["hbf", "lpddr"])
@pytest.mark.parametrize("workload", ["azure-2023-code", "azure-2023-conversation"])
def test_neither_does_one_with_recorded_requests(workload: str, direction: str) -> None:
    """A device as sold against the same with a tier beside, whatever its prompts."""
    overrides = ["model=llama-3.1-70b", f"workload={workload}", "hardware.tdp=50 kW", *BEST]
    frame = infercost.evaluate([*overrides, f"direction=none,{direction}"])
    rates = (frame.throughput_per_device_per_s * frame.feasible).fillna(0.0)
    best = rates.groupby(frame.direction).max()
    assert best[direction] >= best["none"] * (1 - 1e-9)


def _on_flash(evaluation: Evaluation) -> float:
    assert evaluation.placed is not None
    return number(evaluation.placed.bytes_held["kv"][1])


SPREAD = ("direction=hbf", "model=deepseek-v3", "plan.tp=2", "batch=64")


def test_caches_may_lie_on_flash_as_long_as_it_lives_long_enough() -> None:
    """A life of a thousand years keeps them off it; what must live less than that may."""
    spread = point(*SPREAD, "plan.min_memory_life=1 h")
    assert _on_flash(spread) > 0
    life = number(spread.memory_life)
    long = point(*SPREAD, f"plan.min_memory_life={1000 * life / SECONDS_PER_YEAR:.4f} year")
    assert _on_flash(long) < _on_flash(spread)


def test_a_policy_keeps_them_off_it() -> None:
    spared = point(*SPREAD, "plan.min_memory_life=1 h", "+plan.placement.spares_wearing=true")
    assert _on_flash(spared) == 0


def test_pools_apart_have_maps_of_their_own() -> None:
    """Each takes at most as long as the same work under the map of the other."""
    base = ("direction=lpddr", "hardware.memory.hbm.capacity=40 GB", "batch=64", "plan.tp=8")
    load = ("workload=fixed-lengths", "workload.prompt_tokens=8192", "model=llama-3.1-70b")
    together = point(*base, *load)
    apart = point(*base, *load, "plan.phases=disaggregated")
    step, prefill = number(apart.step_time), number(apart.prefill_time)
    assert step <= number(together.step_time) * (1 + 1e-12)
    assert prefill <= number(together.prefill_time) * (1 + 1e-12)
