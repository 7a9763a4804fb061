"""More hardware is never worse at the best operating point: plan, batch, and what lies where.

A superset of resources has a superset of ways to use it. Power is not to bind, since memory that is
added may spend it. `pairs` draws a few of the 2,528 random pairs of which the page on memory tells
how much the losers lose. Not more are: memory of the same bandwidth with more units near it,
which are slower each; a page that does not divide the wider one; and a faster flash that is
written faster than its cells bear at the plan and batch that the slower one serves, as no device
is slowed down to last.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import infercost
from infercost.cost import Evaluation
from infercost.equations.money import SECONDS_PER_YEAR
from infercost.tiers.wear import written_by_decode, written_by_prefill
from probes import examples, number, point

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
    "bandwidth of flash": (
        FLASH,
        "direction.hbf.memory.hbf.bandwidth",
        "0.4 TB/s,1.6 TB/s,3.2 TB/s",
    ),
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


WORN = (
    "model=llama-3.1-8b",
    "hardware=h100-sxm",
    "hardware.tdp=50 kW",
    "workload=fixed-lengths",
    "workload.prompt_tokens=512",
    "workload.output_tokens=4096",
    "plan.tp=2",
    "batch=256",
)
RATE = "direction.hbf.memory.hbf.bandwidth"


@pytest.mark.parametrize("phases", ["colocated", "disaggregated"])
def test_at_one_batch_no_rate_of_flash_is_worse_than_a_lower_one(phases: str) -> None:
    """Where cells limit what is written, caches move to flash as far as cells bear, to the day."""
    rates = "1 TB/s,2 TB/s,2.5 TB/s,3.5 TB/s,5 TB/s"
    frame = infercost.evaluate(
        [*WORN, "direction=hbf@best", f"plan.phases={phases}", f"{RATE}={rates}"]
    )
    assert frame.feasible.all()
    made = frame.set_index(RATE).throughput_per_device_per_s.sort_index()
    assert all(more >= less * (1 - 1e-3) for less, more in pairwise(made)), made
    fast = frame[frame[RATE] > 2.4e12]
    assert list(fast.memory_life_s / SECONDS_PER_YEAR) == pytest.approx([5] * len(fast))


def test_more_memory_leaves_experts_where_their_reads_wait_for_nothing() -> None:
    """With 57 GB of HBM its overflow alone put dense weights on flash, where they are read beside
    the experts; with 143 GB all had room, and stripes took experts along, whose reads then waited
    20 us in each of 56 layers. Dense weights may be striped without them."""
    base = ["model=mixtral-8x22b", "hardware=gb200-nvl72", "direction=hbf", "hardware.tdp=50 kW"]
    base += ["workload=fixed-lengths", "workload.prompt_tokens=128", "workload.output_tokens=32"]
    base += ["plan=single-device", "plan.dp=8", "plan.ep=8", "plan.formats.kv=fp8"]
    base += ["plan.overlap=1", "plan.min_memory_life=20 year", "batch=4096"]
    sizes = "hardware.memory.hbm.capacity=57 GB,143 GB"
    less, more = infercost.evaluate([*base, sizes]).throughput_per_device_per_s
    assert more >= less * (1 - 1e-9)
    placed = point(*base, "hardware.memory.hbm.capacity=143 GB").placed
    assert placed is not None
    assert number(placed.bytes_held["experts"][1]) == 0
    assert all(number(held) > 0 for held in placed.bytes_held["weights"])


def test_a_mix_that_lasts_hardly_waits_for_cells() -> None:
    """Narrower pages let flash be read faster, not written: of a mix that asks for as many writes
    as cells bear there is a part less, and a step waits for cells 0.1 % of its time at most."""
    base = ["model=mixtral-8x7b", "hardware=b200-sxm", "direction=hbf-2", "hardware.tdp=50 kW"]
    base += ["plan=single-device", "plan.dp=8", "plan.ep=8", "calibration=ideal", "batch=4096"]
    page = "direction.hbf-2.memory.hbf.page"
    wide, narrow = infercost.evaluate([*base, f"{page}=70 KiB,26 KiB"]).throughput_per_device_per_s
    assert narrow >= wide * (1 - 1e-4)
    at = point(*base, f"{page}=26 KiB")
    wait = number(at.step_time) - number(at.decode_at_full_rate.time.total)
    assert wait <= 1e-3 * number(at.step_time)


def test_tiers_behind_one_port_are_striped_by_what_it_carries() -> None:
    """Flash behind HBM is read no faster than the port, whose 3.675 TB/s carry both. A third tier
    of 0.256 TB/s holds 0.256 / (0.256 + 3.675) of what is striped, however fast the flash."""
    base = ["model=llama-3.1-8b", "hardware=gaudi3", "plan.tp=8", "batch=1", "calibration=ideal"]
    base += ["workload=mooncake-conversation", "plan.phases=disaggregated", "hardware.tdp=50 kW"]
    base += ["direction=hbf-daisy-chain+pnm-cxl", "plan.formats.weights=fp8"]
    for latency in ("57 us", "20 us"):
        at = point(*base, f"direction.hbf-daisy-chain.memory.hbf.latency={latency}")
        assert at.placed is not None
        held = [number(amount) for amount in at.placed.bytes_held["weights"]]
        assert held[2] / sum(held) == pytest.approx(0.256 / (0.256 + 3.675), rel=1e-9)


def test_where_caches_have_room_on_flash_alone_no_map_lasts_and_the_limit_has_a_name() -> None:
    """With 20 GB of HBM for one device's 8 GB of weights, flash holds most of 4096 caches of some
    300 MB each: whatever the map, its cells die before the years that they must live."""
    base = [*WORN[:-2], "hardware.memory.hbm.capacity=20 GB", "batch=4096", "direction=hbf"]
    lives = "plan.min_memory_life=1 year,5 year,10 year,20 year"
    frame = infercost.evaluate([*base, lives])
    assert list(frame.feasible) == [True, True, False, False]
    assert list(frame.limited_by[~frame.feasible]) == ["endurance"] * 2
    at = point(*base, "plan.min_memory_life=20 year")
    assert 5 < number(at.memory_life) / SECONDS_PER_YEAR < 10
    assert number(at.step_time) == number(at.decode_at_full_rate.time.total)


def test_a_pool_of_decode_writes_the_caches_of_prompts() -> None:
    """128 tokens of each prompt, and of two outputs the one that prefill does not make: 129 tokens
    of each request on decode's flash, 128 on that of prefill."""
    order = "+plan.placement.order={kv: [hbf], activations: [hbm]}"
    lengths = ["workload.prompt_tokens=128", "workload.output_tokens=2"]
    at = point(*WORN, *lengths, order, "direction=hbf", "plan.phases=disaggregated")
    written = written_by_decode(at, at.decode)
    per_token = 32 * 8 * 128 * 2 * 2  # layers x KV heads x width x K, V x BF16
    assert number(written.per_tier[1]) == pytest.approx(per_token * 129 / 2)
    prefill = written_by_prefill(at, at.prefill)
    assert number(prefill.per_tier[1]) == pytest.approx(per_token * 128 / 2)


RESOURCES = (
    ("hardware.memory.hbm.bandwidth", 4.0, "TB/s"),
    ("hardware.scale_up.bandwidth_out", 600.0, "GB/s"),
    ("hardware.peak_dense.bf16", 900.0, "TFLOP/s"),
    ("hardware.on_chip", 60.0, "MB"),
)
OF_A_TIER = (("bandwidth", 2.0, "TB/s"), ("capacity", 500.0, "GB"), ("stacks", 4.0, ""))
LATENCIES = (("hardware.scale_up.alpha", 5.0, "us"), ("hardware.scale_out.alpha", 10.0, "us"))
OF_FLASH = (("page", 60.0, "KiB"), ("latency", 40.0, "us"))
"""Less is more of the last two."""


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[str], str]:
    """A design with flash or DRAM beside HBM, and an axis from it to one with more of something."""
    flash = ["hbf", "hbf@best", "hbf@worst", "hbf-instead", "hbf-2", "hbf-daisy-chain"]
    direction = draw(st.sampled_from([*flash, "lpddr"]))
    tier = {"lpddr": "lpddr.memory.host"}.get(direction, f"{direction.split('@')[0]}.memory.hbf")
    tier = f"direction.{tier}"
    dense = ["llama-3.1-8b", "llama-3.1-70b"]
    others = ["mixtral-8x22b", "deepseek-v2", "kimi-linear-48b-a3b", "nemotron-h-56b"]
    model = draw(st.sampled_from([*dense, *others]))
    hardware = draw(st.sampled_from(["h100-sxm", "b200-sxm", "mi300x", "tpu-v7"]))
    base = [f"direction={direction}", f"model={model}", f"hardware={hardware}"]
    base += [f"{tier}.price=0 USD/GB", f"{tier}.power=0 W", f"{tier}.static_power=0 W"]
    if draw(st.booleans()):
        prompt, output = (draw(st.sampled_from([128, 512, 2048, 8192])) for _ in range(2))
        base += ["workload=fixed-lengths", f"workload.prompt_tokens={prompt}"]
        base += [f"workload.output_tokens={output}"]
    else:
        traces = ["azure-2023-code", "azure-2023-conversation", "reasoning-deepseek-r1"]
        base += [f"workload={draw(st.sampled_from(traces))}"]
    beside = draw(st.floats(30, 200))
    less, factor = draw(st.floats(0.2, 1.0)), draw(st.floats(1.05, 5.0))
    more = [*RESOURCES, *((f"{tier}.{name}", most, unit) for name, most, unit in OF_A_TIER)]
    fewer = [*LATENCIES]
    if direction != "lpddr":
        fewer += [(f"{tier}.{name}", most, unit) for name, most, unit in OF_FLASH]
    path, most, unit = draw(st.sampled_from([*more, *fewer]))
    base += [f"plan.formats.weights={draw(st.sampled_from(['fp8', 'bf16']))}"]
    base += [f"plan.phases={draw(st.sampled_from(['colocated', 'disaggregated']))}"]
    base += [f"plan.min_memory_life={draw(st.sampled_from([1, 5, 20]))} year"]
    base += [f"hardware.memory.hbm.capacity={beside:.1f} GB", "hardware.tdp=50 kW"]
    if path.endswith("page"):  # a run fills whole pages: of 60 KiB two may be more than one of 90
        factor = float(draw(st.integers(2, 5)))
    ends = [most * less, most * less * factor]
    first, last = ends[::-1] if (path, most, unit) in fewer else ends
    values = f"{first:.4f} {unit},{last:.4f} {unit}".replace(" ,", ",").strip()
    return [*base, f"{path}={values}", "plan.tp=1,2,4,8", "batch=1,4,16,64,256,1024"], path


@settings(max_examples=examples(20), deadline=None)
@given(pairs())
def test_random_designs_lose_nothing_by_more(pair: tuple[list[str], str]) -> None:
    """Throughput, and what a device that costs as much makes of a dollar, at the best plan and
    batch. A thousandth is what stripes may cost that follow an added rate, and energy of what lies
    elsewhere."""
    overrides, path = pair
    frame = infercost.evaluate(overrides)
    frame["token_per_usd"] = 1 / frame.cost_per_mtoken_usd
    for made in ("throughput_per_device_per_s", "token_per_usd"):
        rates = (frame[made] * frame.feasible).fillna(0.0)
        less, more = (float(group.max()) for _, group in rates.groupby(frame[path], sort=False))
        assert more >= less * (1 - 1e-3), made


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
    step, prefill = number(apart.step_time), number(apart.prefill_terms.total)
    assert step <= number(together.step_time) * (1 + 1e-12)
    assert prefill <= number(together.prefill_terms.total) * (1 + 1e-12)
