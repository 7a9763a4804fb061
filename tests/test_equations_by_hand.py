"""Equations that points of the cost model reach only through much else, each by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from infercost.equations import (
    caching,
    clocking,
    diffusion,
    endurance,
    near_memory,
    queueing,
    retrieval,
    sharding,
    silicon,
    speculation,
    stacking,
    state_space,
    tiers,
    vision,
)

GB, TB = 1e9, 1e12

# --- Pictures, sound and denoising ----------------------------------------------------------------


def test_tiles_of_an_image() -> None:
    """1000 pixels by 448: 3 x 3 tiles and the whole; 448: one, which is the whole; 12 at most."""
    assert vision.tiles_per_image(np.array([448, 449, 1000, 4000]), 448, 12, 1).tolist() == [
        1, 5, 10, 13,
    ]  # fmt: skip
    assert vision.tiles_per_image(1000, 448, 12, 0) == 9
    assert vision.tiles_per_image(1000, 448, 2, 1) == 3


def test_patches_of_an_image_in_whole_tokens() -> None:
    """1024 pixels by 14 are 73.1 patches, by tokens of 2: round(36.6) = 37, 74 patches a side.

    A picture smaller than half a token is one token.
    """
    assert vision.patches_per_segment(1024, 14, 2) == 74**2
    assert vision.merged_tokens(74**2, 2) == 37**2
    assert vision.patches_per_segment(10, 14, 2) == 2**2


def test_segments_of_a_video_and_of_sound() -> None:
    """10 s, a frame each 0.5 s, two to a patch: 10. 61 s of sound in windows of 30: 3."""
    assert vision.video_segments(10.0, 0.5, 2.0) == 10
    assert vision.audio_segments(np.array([30.0, 61.0]), 30.0).tolist() == [1, 3]


def test_entries_of_a_tower() -> None:
    """ViT-L: 4 · 1024² + 2 · 1024 · 4096 a layer; patches of 14 pixels, two frames: 3 · 196 · 2."""
    assert vision.tower_elements(1024, 4096, 2) == 4_194_304 + 8_388_608
    assert vision.patch_elements(1024, 14, 2) == 3 * 196 * 2 * 1024


def test_pairs_in_windows() -> None:
    """1000 positions, a quarter of layers sees all, others 64: 1000 · (250 + 48)."""
    assert vision.windowed_pairs(1000.0, 64.0, 0.25) == 298_000
    assert vision.windowed_pairs(50.0, 64.0, 0.25) == 2500


def test_tokens_of_a_picture_and_of_a_clip() -> None:
    """1024 x 1024 by 8 · 2: 64 x 64. 81 frames by 4: 1 + 20; 82 begin another. 1030: 65 x 64."""
    assert diffusion.latent_tokens(1024, 1024, 1, 8, 4, 2) == 4096
    assert diffusion.latent_tokens(1024, 1024, 81, 8, 4, 2) == 21 * 4096
    assert diffusion.latent_tokens(1024, 1024, 82, 8, 4, 2) == 22 * 4096
    assert diffusion.latent_tokens(1030, 1024, 1, 8, 4, 2) == 65 * 64
    assert diffusion.latent_tokens(1024, 1030, 1, 8, 4, 2) == 64 * 65


def test_denoising_a_block() -> None:
    """Six vectors of 1152²; 256 tokens by 2 a step; a block of 32 behind 100 tokens sees 84 cached

    in the mean, and 32 · (100 + 32) pairs; a block longer than twice its context sees none.
    """
    assert diffusion.modulation_elements(1152, 6) == 7_962_624
    assert diffusion.denoising_steps(256, 2) == 128
    assert diffusion.block_context(np.array([100.0, 10.0]), 32.0).tolist() == [84, 0]
    assert diffusion.block_pairs(100.0, 32.0) == 4224


# --- State space models ---------------------------------------------------------------------------


def test_entries_of_mamba() -> None:
    """Falcon-Mamba-7B: D 4096, E 8192, N 16, r 256, w 4.

    in 2 · 4096 · 8192, convolution 8192 · 4, maps 8192 · (256 + 32), step 256 · 8192, A 8192 · 16
    """
    parts = 67_108_864 + 32_768 + 2_359_296 + 2_097_152 + 131_072
    assert state_space.mamba1_elements(4096, 8192, 16, 256, 4) == parts
    assert state_space.mamba1_scan_flops(8192, 16) == 917_504


def test_entries_of_mamba_2() -> None:
    """Mamba-2-2.7B: D 2560, 80 heads of 64, N 128, one group, w 4.

    2560 · (2 · 5120 + 2 · 128 + 80) + 4 · (5120 + 256)
    """
    assert state_space.mamba2_elements(2560, 80, 64, 128, 1, 4) == 27_074_560 + 21_504


def test_flops_of_mamba_2_by_hand() -> None:
    """Chunks of 256: 2 · 256 · (128 + 5120), states 4 · 5120 · 128. A step: 5 · 5120 · 128."""
    assert state_space.mamba2_scan_flops(80, 64, 128, 1, 256) == 2_686_976 + 2_621_440
    assert state_space.mamba2_update_flops(80, 64, 128) == 3_276_800


def test_entries_of_linear_attention() -> None:
    """Qwen3-Next: D 2048, 16 key and 32 value heads of 128, w 4.

    2048 · (2 · 2048 + 2 · 4096 + 2 · 32) + 4 · (2 · 2048 + 4096). MiniMax-01: 4 · 6144 · 64 · 128.
    """
    found = state_space.gated_delta_elements(2048, 16, 32, 128, 128, 4)
    assert found == 2048 * 12_352 + 4 * 8192
    assert state_space.lightning_elements(6144, 64, 128) == 201_326_592


def test_entries_of_kimi_delta_attention() -> None:
    """Kimi-Linear: D 2304, 32 heads of 128, r 128, w 4.

    2304 · (3 · 4096 + 32) + 128 · (2304 + 4096) + 3 · 4 · 4096
    """
    found = state_space.kimi_delta_elements(2304, 32, 128, 128, 4)
    assert found == 28_385_280 + 819_200 + 49_152


def test_flops_of_the_delta_rule() -> None:
    """Keys of 64, values of 128, chunks of 32: 2 · 32 · (192 + 256) + 6 · 8192 + 2 · 1024 / 3."""
    found = state_space.delta_scan_flops(10, 64, 128, 32)
    assert found == pytest.approx(10 * (28_672 + 49_152 + 2048 / 3), rel=1e-12)
    assert state_space.delta_update_flops(10, 64, 128) == 573_440


def test_flops_of_linear_attention() -> None:
    """Keys of 64, values of 128, chunks of 32: 2 · 32 · 192 + 4 · 8192. A step 5 · 8192."""
    assert state_space.linear_scan_flops(10, 64, 128, 32) == 10 * (12_288 + 32_768)
    assert state_space.linear_update_flops(10, 64, 128) == 409_600


def test_entries_and_flops_of_rwkv_7() -> None:
    """RWKV-7-2.9B: D 2560, 40 heads of 64, ranks 96, 96, 64, 320: 3 · 2560² + 5120 · 576.

    Chunks of 16: 2 · 16 · 8 · 64 + 8 · 4096 + 2 · 256 / 3 a head. A step 9 · 4096.
    """
    found = state_space.rwkv7_elements(2560, 40, 64, 96, 96, 64, 320)
    assert found == 19_660_800 + 2_949_120
    scan = state_space.rwkv7_scan_flops(40, 64, 16)
    assert scan == pytest.approx(40 * (16_384 + 32_768 + 512 / 3), rel=1e-12)
    assert state_space.rwkv7_update_flops(40, 64) == 40 * 36_864


def test_what_layers_keep_of_the_past() -> None:
    """A convolution of 4 keeps 3; 32 heads of 64 x 128."""
    assert state_space.convolution_state(5376, 4) == 16_128
    assert state_space.matrix_state(32, 64, 128) == 262_144


# --- Retrieval and caches -------------------------------------------------------------------------


def test_an_index_of_64_billion_vectors() -> None:
    """96 B each: 6.144 TB (RAGO), on 16 servers of 400 GB, of which 15.36 would do.

    A search scans 0.1 %: 6.144 GB by 16 · 100 GB/s are 3.84 ms, behind 1 ms; its price is that of
    61.44 ms of one server at 2 USD/h.
    """
    index = retrieval.index_bytes(64 * GB, 96.0)
    assert index == pytest.approx(6.144 * TB)
    assert retrieval.index_servers(np.array([index, 1.0]), 400 * GB).tolist() == [16, 1]
    assert retrieval.index_servers(0.0, 400 * GB) == 1
    found = retrieval.search_time(index, 1e-3, 16.0, 100 * GB, 1e-3)
    assert found == pytest.approx(4.84e-3)
    price = retrieval.search_cost(index, 1e-3, 100 * GB, 2 / 3600)
    assert price == pytest.approx(0.06144 * 2 / 3600)


def test_blocks_with_a_copy_of_the_state() -> None:
    """16 tokens of 1000 B and a state of 4000 B: 20,000 B; 99,999 B hold four."""
    assert caching.blocks_held(99_999.0, 16.0, 1000.0, 4000.0) == 4
    assert caching.blocks_held(100_000.0, 16.0, 1000.0, 4000.0) == 5


def test_a_load_behind_work() -> None:
    """16 tokens of 1000 B and a state of 4000 B at 10 kB/s: 2 s, which 1.5 s of work may hide."""
    load = caching.load_time(16.0, 1000.0, 4000.0, 10_000.0)
    assert load == 2.0
    assert caching.exposed_load_time(load, 1.5, np.array([0.0, 0.5, 1.0])).tolist() == [
        2, 1.25, 0.5,
    ]  # fmt: skip
    assert caching.exposed_load_time(load, 9.0, 1.0) == 0


# --- Memory tiers ---------------------------------------------------------------------------------


def test_the_hotter_class_moves_more_per_byte_kept() -> None:
    """10 B in 2 are 5 a byte, 12 B in 3 are 4; equals are not hotter."""
    assert tiers.is_hotter(10.0, 2.0, 12.0, 3.0) == 1
    assert tiers.is_hotter(12.0, 3.0, 10.0, 2.0) == 0
    assert tiers.is_hotter(10.0, 2.0, 15.0, 3.0) == 0


def test_writing_takes_longer_than_reading() -> None:
    """1 GB at 0.1 and at 1 TB/s: 10 ms less 1 ms."""
    assert tiers.write_excess_time(1 * GB, 0.1 * TB, 1 * TB) == pytest.approx(9e-3)


def test_stripes_follow_rates_until_a_tier_is_full() -> None:
    """Rates 6 : 3 : 1. With room for all, shares are those. The first full at 0.3: 0.7 go 3 : 1.

    The second full at 0.2 too: the third takes 0.5.
    """

    def widths(*rooms: float) -> list[float]:
        return [float(w) for w in tiers.stripe_widths([6.0, 3.0, 1.0], list(rooms))]

    assert widths(1.0, 1.0, 1.0) == pytest.approx([0.6, 0.3, 0.1])
    assert widths(0.3, 1.0, 1.0) == pytest.approx([0.3, 0.525, 0.175])
    assert widths(0.3, 0.2, 1.0) == pytest.approx([0.3, 0.2, 0.5])
    with np.errstate(all="raise"):
        assert widths(0.3, 0.2, 0.1) == pytest.approx([0.3, 0.2, 0.1])
    assert tiers.stripe_widths([1.0], [0.5]) == [0.5]


def test_bytes_on_the_line_of_tiers() -> None:
    """A class from 10 to 40 on tiers to 20, to 30 and beyond, and one that does not reach it."""
    edges = (0.0, 20.0, 30.0, 100.0)
    parts = [tiers.overlap(10.0, 30.0, a, b) for a, b in pairwise(edges)]
    assert parts == [10, 10, 10]
    assert tiers.overlap(10.0, 5.0, 20.0, 30.0) == 0


def test_pages_are_read_whole() -> None:
    """5000 B in pages of 4096: two, 8192 B; 4096 B: one."""
    assert tiers.page_amplification(5000.0, 4096.0) == pytest.approx(8192 / 5000)
    assert tiers.page_amplification(4096.0, 4096.0) == 1


def test_misses_cost_one_latency() -> None:
    """Three items, each foreseen in half of cases: all are in one of eight."""
    assert tiers.missed_prefetch_latency(8e-6, 0.5, 3.0) == pytest.approx(7e-6)
    assert tiers.prefetch_traffic(np.array([0.0, 0.5, 1.0])).tolist() == [1, 1.5, 1]


# --- Near memory, stacks and clocks ---------------------------------------------------------------


def test_what_small_shards_exchange() -> None:
    """2 rows, K = N = 100: width 200, 10,000 entries. One shard sends 400, 4 send 2 · 2 √40,000."""
    assert near_memory.product_exchange(2.0, 200.0, 10_000.0, np.array([1.0, 4.0])).tolist() == [
        400, 800,
    ]  # fmt: skip
    assert near_memory.product_exchange(2.0, 200.0, 10_000.0, 0.25) == 400
    # 8 caches on 4 shards are whole; on 32 each is cut in four.
    assert near_memory.attention_exchange(10.0, 8.0, np.array([4.0, 32.0])).tolist() == [10, 40]
    assert near_memory.near_units(np.array([80 * GB, 1.0]), 1 * GB).tolist() == [80, 1]


def test_inner_bandwidth_within_its_power() -> None:
    """16 times the wires, 1.35 times the power at 0.15 of the energy: 9 times."""
    assert near_memory.internal_bandwidth_ratio(16.0, 1.35, 0.15) == pytest.approx(9.0)
    assert near_memory.internal_bandwidth_ratio(8.0, 1.35, 0.15) == 8.0


def test_a_hot_stack_runs_slower() -> None:
    """60 K at 600 W and twice the resistance: 0.2 K/W, so that 40 K carry 200 W.

    Of them 50 idle and 30 of memory leave 120 of 480 for arithmetic: a quarter, at s² half the
    clock. A cap that leaves nothing leaves a hundredth; one beyond need leaves the clock.
    """
    resistance = stacking.package_resistance(60.0, 600.0, 2.0)
    assert resistance == pytest.approx(0.2)
    assert stacking.thermal_power(100.0, 60.0, resistance) == pytest.approx(200.0)
    assert stacking.clock_scale(200.0, 50.0, 30.0, 480.0, 2.0) == pytest.approx(0.5)
    assert stacking.clock_scale(60.0, 50.0, 30.0, 480.0, 2.0) == pytest.approx(0.1)
    assert stacking.clock_scale(900.0, 50.0, 30.0, 480.0, 2.0) == 1
    assert stacking.scaled_arithmetic_energy(0.5, 3.0) == 0.25


def test_draw_and_time_at_a_clock() -> None:
    """A quarter of 700 W whatever is done; at half the clock 2 s take 2 s more."""
    assert clocking.active_power(700.0, 0.25) == 175
    assert clocking.clocked_time(2.0, 0.5) == 2.0
    assert clocking.clocked_time(2.0, 1.0) == 0.0


def test_cells_set_the_least_time() -> None:
    """512 GB at 1e5 cycles, 1.5 times amplified, bear 34.1 PB; at 1 GB/s 3.41e7 s.

    To last 1e8 busy seconds, 1 GB must take 1e8 / 34.1e6 s.
    """
    writes = endurance.lifetime_writes(512 * GB, 1e5, 1.5)
    assert writes == pytest.approx(51.2e15 / 1.5)
    assert endurance.life(writes, 1 * GB) == pytest.approx(51.2e6 / 1.5)
    assert endurance.least_seconds(1 * GB, writes, 1e8) == pytest.approx(1e8 / (51.2e6 / 1.5))


def test_what_partitions_of_a_layer_send() -> None:
    """100 B of rows: in one dimension 200 whatever n, on 16 chips in two 8 · 100 / 4.

    Weights gathered: 9 B of rows, 16 of weights, 4 chips: 4 · √36.
    """
    assert sharding.weight_stationary_1d_bytes(100.0) == 200
    assert sharding.weight_stationary_2d_bytes(100.0, 16.0) == 200
    assert sharding.weight_gathered_bytes(9.0, 16.0, 4.0) == 24


# --- Silicon --------------------------------------------------------------------------------------


def test_yields_of_a_large_die() -> None:
    """8 cm² at 0.1 defects/cm²: 0.8 of them. e^-0.8; ((1 - e^-0.8) / 0.8)²; (1 + 0.8 / 3)^-3."""
    area, defects = 8e-4, 0.1e4
    assert silicon.poisson_yield(area, defects) == pytest.approx(0.44933, abs=1e-5)
    assert silicon.murphy_yield(area, defects) == pytest.approx((0.55067 / 0.8) ** 2, abs=1e-5)
    assert silicon.clustered_yield(area, defects, 3.0) == pytest.approx((3 / 3.8) ** 3)
    assert silicon.murphy_yield(0.0, defects) == pytest.approx(1.0)


def test_dies_of_a_wafer_and_their_price() -> None:
    """300 mm, 8 cm²: π 15² / 8 - π 30 / √16 = 88.36 - 23.56; half of 50 good ones at 5000 USD."""
    assert silicon.dies_per_wafer(8e-4, 0.3) == pytest.approx(88.357 - 23.562, abs=1e-3)
    assert silicon.good_die_price(5000.0, 50.0, 0.5) == 200
    assert silicon.price_at_margin(200.0, 0.75) == 800
    assert silicon.price_after(0.9, 2.0) == pytest.approx(0.81)


def test_carbon_of_a_die_and_of_a_stack() -> None:
    """8 cm² · (0.5 kg/kWh · 2 kWh + 0.2 + 0.5 kg) / cm² at half yield: 27.2 kg; 80 GB / 0.8."""
    per_area = 1e4  # from 1/cm² to 1/m²
    made = silicon.die_carbon(
        8e-4, 2 * 3.6e6 * per_area, 0.5 / 3.6e6, 0.2 * per_area, 0.5 * per_area, 0.5
    )
    assert made == pytest.approx(27.2)
    assert silicon.stacked_carbon(80 * GB, 0.1 / GB, 0.8) == pytest.approx(10.0)


def test_a_shortage_fades() -> None:
    """Half as dear again, over in four years: half of that after two; before it and after, none."""
    found = silicon.surge(1.5, np.array([-0.5, 0.0, 2.0, 4.0, 9.0]), 4.0)
    assert found == pytest.approx([1.0, 1.5, 1.25, 1.0, 1.0])


# --- Queues and speculation -----------------------------------------------------------------------


def test_waits_at_half_load() -> None:
    """ρ = 0.5, services of 2 s: M/D/1 waits 1 s, M/M/1 two; two servers at 0.5 each too.

    Sakasegawa for k = 2: ρ^(√6 - 1) / (2 · 0.5) · 2 s at C² = 1.
    """
    assert queueing.utilisation(0.5, 2.0, 2.0) == 0.5
    assert queueing.md1_wait(0.25, 2.0) == pytest.approx(1.0)
    assert queueing.mg1_wait(0.25, 2.0, 1.0) == pytest.approx(2.0)
    assert queueing.mgk_wait(0.25, 2.0, 0.0, 1.0) == pytest.approx(1.0)
    assert queueing.mgk_wait(0.25, 2.0, 1.0, 1.0) == pytest.approx(2.0)
    assert queueing.mgk_wait(0.5, 2.0, 1.0, 2.0) == pytest.approx(2 * 0.5 ** (6**0.5 - 1))
    assert np.isinf([queueing.mg1_wait(0.5, 2.0, 1.0), queueing.mgk_wait(1.0, 2.0, 1.0, 2.0)]).all()
    # Beyond capacity there is no end to the queue, not one before its beginning.
    assert np.isinf([queueing.md1_wait(0.7, 2.0), queueing.mgk_wait(1.4, 2.0, 1.0, 2.0)]).all()


def test_two_ways_to_speed_up_a_prompt() -> None:
    """D = 2 s, λ = 0.25: one server 2 + 1 s. Two stages: 2 + 0.25 · 4 / (4 · 1.5); twice as fast:

    1 + 0.25 · 4 / (4 · 1.5) (DistServe, section 3.1).
    """
    assert queueing.pipelined_ttft(0.25, 2.0) == pytest.approx(3.0)
    assert queueing.pipelined_ttft(0.25, 2.0, 2.0) == pytest.approx(2 + 1 / 6)
    assert queueing.parallel_ttft(0.25, 2.0, 2.0) == pytest.approx(1 + 1 / 6)


def test_what_a_pass_over_drafts_settles() -> None:
    """a = 0.5, two drafts: 1 + 0.5 + 0.25; each further one half as sure: 1 + 0.5 + 0.125.

    Correlated by 0.5: the second is accepted with (0.25 + 0.5) / 1 = 0.75 after the first.
    """
    assert speculation.expected_tokens(np.array([0, 1, 2]), 0.5).tolist() == [1, 1.5, 1.75]
    assert speculation.expected_tokens(2, 0.5, 0.5) == 1.625
    assert speculation.expected_tokens(2, 0.5, 1.0, 0.5) == 1.875
    # The third after two: (0.25 + 1) / (0.5 + 1) = 5 / 6.
    assert speculation.expected_tokens(3, 0.5, 1.0, 0.5) == pytest.approx(1.875 + 0.375 * 5 / 6)
    assert speculation.measured_tokens(np.array([0, 1, 1.5, 9]), (1.6, 2.0)) == pytest.approx(
        [1, 1.6, 1.8, 2.0]
    )
