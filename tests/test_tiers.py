"""Memory tiers: their equations by hand, placement, and what tiers make of a case."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import infercost
from infercost.equations import endurance, near_memory, stacking, tiers
from infercost.equations.memory import latency_hiding_buffer

GB, TB, YEAR = 1e9, 1e12, 365.25 * 86400

# --- equations by hand


def test_forty_megabytes_hide_twenty_microseconds_at_a_terabyte_per_second() -> None:
    """2 x 1e12 B/s x 20e-6 s = 40 MB: the buffer that H3 puts on its base die."""
    assert latency_hiding_buffer(1 * TB, 20e-6) == pytest.approx(40e6, rel=1e-12)
    assert tiers.reachable_bandwidth(1 * TB, 20e-6, 40e6) == pytest.approx(1 * TB, rel=1e-12)


def test_half_the_buffer_reaches_half_the_bandwidth() -> None:
    """20 MB / (2 x 20 us) = 0.5 TB/s."""
    assert tiers.reachable_bandwidth(1 * TB, 20e-6, 20e6) == pytest.approx(0.5 * TB, rel=1e-12)


def test_a_memory_without_latency_needs_no_buffer() -> None:
    assert tiers.reachable_bandwidth(1 * TB, 0.0, 1.0) == 1 * TB


@pytest.mark.parametrize(("useful", "share"), [(256, 0.0625), (1024, 0.25), (4096, 1.0)])
def test_a_short_read_of_a_page_wastes_the_rest(useful: int, share: float) -> None:
    """256 B of 4 KiB use 6.25 % of what is read, 1 KiB 25 %."""
    assert 1 / tiers.page_amplification(float(useful), 4096.0) == pytest.approx(share)


def test_an_expert_is_many_pages() -> None:
    """One of DeepSeek-V3: 3 x 7168 x 2048 B in FP8 = 44.0 MB, 10,752 pages of 4 KiB, no waste."""
    expert = 3 * 7168 * 2048
    assert np.ceil(expert / 4096) == 10752
    assert tiers.page_amplification(float(expert), 4096.0) == 1.0


@pytest.mark.parametrize(
    ("cycles", "petabytes", "days"), [(1e5, 51.2, 592.6), (3e3, 1.536, 17.8), (1e3, 0.512, 5.93)]
)
def test_writes_that_a_flash_stack_bears(cycles: float, petabytes: float, days: float) -> None:
    """512 GB at 1e5 cycles: 51.2 PB, 1.6 years of 1 GB/s; at 3e3: 18 days; at 1e3: 6 days."""
    writes = endurance.lifetime_writes(512 * GB, cycles, 1.0)
    assert writes == pytest.approx(petabytes * 1e15)
    assert endurance.life(writes, 1 * GB) / 86400 == pytest.approx(days, rel=2e-3)


def test_a_miss_costs_one_latency_however_many_there_are() -> None:
    """Nothing predicted: the whole latency. All predicted: none. 0.9 each of 3: 1 - 0.729."""
    assert tiers.missed_prefetch_latency(20e-6, 0.0, 8.0) == 20e-6
    assert tiers.missed_prefetch_latency(20e-6, 1.0, 8.0) == 0
    assert tiers.missed_prefetch_latency(20e-6, 0.9, 3.0) == pytest.approx(20e-6 * 0.271)


def test_wrong_guesses_are_read_on_top() -> None:
    assert tiers.prefetch_traffic(0.0) == 1
    assert tiers.prefetch_traffic(1.0) == 1
    assert tiers.prefetch_traffic(0.75) == 1.25


CELL, ACCESS, GROUP, BUS, VIA, INTERPOSER = 0.11, 0.44, 1.01, 1.23, 0.5, 0.3


@pytest.mark.parametrize(
    ("rungs", "picojoule"), [(2, 0.55), (3, 1.56), (5, 3.29), (6, 3.59)], ids=str
)
def test_the_energy_ladder_of_attacc(rungs: int, picojoule: float) -> None:
    """pJ/bit per bank, bank group, base die and GPU: 0.55, 1.56, 3.29, 3.59."""
    steps = [CELL, ACCESS, GROUP, BUS, VIA, INTERPOSER][:rungs] + [0.0] * (6 - rungs)
    assert near_memory.path_energy(*steps) == pytest.approx(picojoule, rel=0.01)


@pytest.mark.parametrize(
    ("ratio", "energy", "capped"), [(16, 0.55, 9), (8, 1.56, 3), (1, 3.29, 1)], ids=str
)
def test_one_power_budget_explains_the_capped_bandwidths_of_attacc(
    ratio: float, energy: float, capped: float
) -> None:
    """1.35 times the power of external reads: 1.35 x 3.59 / 0.55 = 8.8, / 1.56 = 3.1, at most 1."""
    found = near_memory.internal_bandwidth_ratio(ratio, 1.35, energy / 3.59)
    assert found == pytest.approx(capped, rel=0.04)


def test_bank_sized_shards_are_a_thousand_times_more_than_stack_sized_ones() -> None:
    """80 GB in banks of 64 MB: 1250 units; in stacks of 16 GB: 5."""
    assert near_memory.near_units(80 * GB, 64e6) == 1250
    assert near_memory.near_units(80 * GB, 16 * GB) == 5


def test_a_product_over_one_unit_exchanges_its_inputs_and_outputs() -> None:
    """4 rows of a 1000 x 1000 product: 4 x 2000 elements; over 100 units 2 x 4 x sqrt(1e8)."""
    assert near_memory.product_exchange(4.0, 2000.0, 1e6, 1.0) == 8000
    assert near_memory.product_exchange(4.0, 2000.0, 1e6, 100.0) == 80_000


def test_heat_of_a_stack_on_logic_halves_the_power() -> None:
    """imec: 69.1 C flat and 141.7 C stacked over coolant at 30 C: 111.7 / 39.1 = 2.857 times.

    R = 2.857 x 39.1 K / 700 W = 0.1596 K/W; to 95 C: 65 K / 0.1596 = 407.3 W.
    """
    resistance = stacking.package_resistance(39.1, 700.0, 111.7 / 39.1)
    assert resistance == pytest.approx(0.15957, rel=1e-4)
    assert stacking.thermal_power(368.15, 303.15, resistance) == pytest.approx(407.3, rel=1e-3)


def test_the_clock_follows_the_power_that_is_left_for_arithmetic() -> None:
    """(400 - 70 - 80) / 500 = 0.5; with voltage 0.5 ^ (1/3) = 0.794; enough power: 1."""
    assert stacking.clock_scale(400, 70, 80, 500, 1.0) == pytest.approx(0.5)
    assert stacking.clock_scale(400, 70, 80, 500, 3.0) == pytest.approx(0.7937, rel=1e-4)
    assert stacking.clock_scale(900, 70, 80, 500, 1.0) == 1
    assert stacking.scaled_arithmetic_energy(0.5, 3.0) == 0.25


# --- SRAM machines, by hand


def test_sram_machines_are_swept_in_microseconds_and_need_hundreds_of_chips() -> None:
    """Groq: 70 GB / 230 MB = 305 chips, 230 MB / 80 TB/s = 2.9 us. WSE-3: 44 GB / 21 PB/s = 2.1 us,
    405 GB / 44 GB = 9.2 wafers, 70 GB: 1.6. Corsair: (1 GB + 16 x 67 MB) / 150 TB/s = 14 us."""
    from infercost.equations.memory import devices_for_capacity
    from infercost.equations.roofline import transfer_time

    assert np.ceil(devices_for_capacity(70 * GB, 230e6)) == 305
    assert transfer_time(230e6, 80 * TB, 1.0) == pytest.approx(2.9e-6, rel=0.02)
    assert transfer_time(44 * GB, 21e15, 1.0) == pytest.approx(2.1e-6, rel=0.02)
    assert devices_for_capacity(405 * GB, 44 * GB) == pytest.approx(9.2, rel=0.02)
    assert devices_for_capacity(70 * GB, 44 * GB) == pytest.approx(1.6, rel=0.02)
    assert transfer_time(1 * GB + 16 * 67e6, 150 * TB, 1.0) == pytest.approx(14e-6, rel=0.02)


sizes = st.floats(0, 1e13)


@given(st.lists(sizes, min_size=1, max_size=5), st.lists(sizes, min_size=1, max_size=4))
def test_a_line_of_tiers_holds_each_byte_once(classes: list[float], rooms: list[float]) -> None:
    """What lies on the tiers is what there is, up to their room."""
    ends = np.cumsum([0.0, *rooms])
    starts = np.cumsum([0.0, *classes])
    held = sum(
        tiers.overlap(start, size, low, high)
        for start, size in zip(starts, classes, strict=False)
        for low, high in itertools.pairwise(ends)
    )
    assert held == pytest.approx(min(sum(classes), sum(rooms)), rel=1e-9, abs=1e-2)


# --- more is never worse, where caches do not fit the main memory

LONG: dict[str, list[str]] = {
    "deepseek-v3": ["plan.formats.experts=fp8"],
    "llama-3.1-405b": [],
}
"""Models at 128k tokens: 9.2 GB of cache a sequence on every device, and 68 GB over all."""
ADDED: dict[str, dict[str, str]] = {
    "hbf-1": {},
    "ddr5": {"capacity": "256 GB", "bandwidth": "120 GB/s"},
    "cxl-ddr5": {"capacity": "256 GB", "bandwidth": "64 GB/s"},
}
HBM = "hardware.memory.hbm."
TIER = "direction.added.memory.more."
MORE = {
    HBM + "bandwidth": ["2 TB/s", "3.35 TB/s", "8 TB/s"],
    HBM + "capacity": ["80 GB", "141 GB", "192 GB"],
    TIER + "stacks": ["0", "1", "4", "16"],
    TIER + "bandwidth": ["20 GB/s", "120 GB/s", "1.6 TB/s"],
    TIER + "capacity": ["64 GB", "256 GB", "1 TB"],
    TIER + "latency": ["50 us", "20 us", "100 ns"],
}
"""From worse to better."""


@pytest.mark.parametrize("model", LONG)
@pytest.mark.parametrize("memory", ADDED)
def test_better_memory_never_makes_a_point_worse(memory: str, model: str, tmp_path: Path) -> None:
    """Decode whose caches do not fit HBM, at each batch, under either policy of writing.

    A tier is added, or one of the two gets faster, larger or nearer, one at a time. Power is not
    to bind, and a memory may wear out. The best batch never loses; any one loses 0.1 % at most,
    since stripes are as wide as rates, and no operator's optimum.
    """
    (tmp_path / "direction").mkdir()
    content = {
        "defaults": [{"/memory@memory.more": memory}, "_self_"],
        "name": "One more tier",
        "memory": {"more": {"stacks": 16, **ADDED[memory]}},
        "sources": {"default": "assumed: a test"},
    }
    (tmp_path / "direction" / "added.yaml").write_text(yaml.safe_dump(content))
    overrides = [f"model={model}", "direction=added", *LONG[model], "workload=snapshot"]
    overrides += ["workload.context=131072", "plan.tp=8", "plan.formats.weights=fp8"]
    overrides += ["hardware.tdp=50 kW", "plan.min_memory_life=1 s", "batch=1,4,16,64"]
    policies = ["true", "false"] if memory == "hbf-1" else ["true"]
    for path, values in MORE.items():
        rates = np.zeros((len(values), 4))
        for spares in policies:
            frame = infercost.evaluate(
                [
                    *overrides,
                    f"+plan.placement.spares_wearing={spares}",
                    f"{path}={','.join(values)}",
                ],
                (str(tmp_path),),
            )
            found = (frame.throughput_per_device_per_s * frame.feasible).fillna(0.0)
            by_batch = [group.to_numpy() for _, group in found.groupby(frame[path], sort=False)]
            rates = np.maximum(rates, by_batch)
        best = rates.max(axis=1)
        assert (best[1:] >= best[:-1] * (1 - 1e-9)).all(), (path, best)
        assert (rates[1:] >= rates[:-1] * (1 - 1e-3)).all(), (path, rates)
        assert best[-1] > 0
