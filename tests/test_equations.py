"""Every equation: one generic proof of its dimension, and facts of the world checked by hand."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

import infercost.equations
from infercost.arrays import Bytes, BytesPerSecond, Seconds, Unit
from infercost.equations import (
    attention,
    carbon,
    collectives,
    energy,
    memory,
    moe,
    money,
    roofline,
    serving,
    transformer,
)
from infercost.units import BASE, UNITS
from infercost.units import unit as parsed_unit

GB, TB, TERA = 1e9, 1e12, 1e12

# --- Dimension ------------------------------------------------------------------------------------


def equations() -> list[Callable[..., Any]]:
    """Every public function of every module of `infercost.equations`."""
    package = infercost.equations
    names = [f"{package.__name__}.{info.name}" for info in pkgutil.iter_modules(package.__path__)]
    members = [member for name in names for member in vars(importlib.import_module(name)).values()]
    return [
        member
        for member in members
        if inspect.isfunction(member)
        and member.__module__ in names
        and not member.__name__.startswith("_")
    ]


def registry() -> Any:
    """The unit table in pint: its base units as dimensions, and what is derived from them."""
    units: Any = pint.UnitRegistry(None)
    for base in BASE:
        units.define(f"{base} = [{base}]")
    for symbol in {"W", "m2"} | ({"Wh"} & UNITS.keys()):
        scale, exponents = UNITS[symbol]
        powers = " * ".join(f"{b} ** {e}" for b, e in zip(BASE, exponents, strict=True) if e)
        units.define(f"{symbol} = {scale} * {powers}")
    return units


REGISTRY = registry()


def annotated_unit(annotation: object) -> str | None:
    """The unit of an annotation; none where it is a bare array, of any dimension."""
    marks = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Unit)]
    return marks[0].symbol if marks else None


def dimension_of(value: Any) -> dict[str, float]:
    """Exponents of the base dimensions; a plain number has none."""
    return dict(getattr(value, "dimensionality", {}))


def called_with_units(equation: Callable[..., Any]) -> tuple[Any, str | None]:
    """The answer of an equation to unit-carrying arrays, and the unit that it promises."""
    hints = get_type_hints(equation, include_extras=True)
    promised = annotated_unit(hints.pop("return"))
    arguments = []
    for position, annotation in enumerate(hints.values()):
        value = np.array([2.0 + position, 3.5 + position])
        unit = annotated_unit(annotation)
        arguments.append(value if unit in (None, "1") else REGISTRY.Quantity(value, unit))
    return equation(*arguments), promised


def has_promised_dimension(equation: Callable[..., Any]) -> bool:
    """Whether the answer has the annotated dimension.

    Counts carry no unit, so an equation that makes FLOPs of counts alone (2 M K N) answers a bare
    number: the FLOP of `FLOPS_PER_MAC`, and the byte of a count of bytes, cannot be seen by pint.
    """
    answer, promised = called_with_units(equation)
    if promised is None:
        return True
    wanted = dimension_of(REGISTRY.Quantity(1.0, "dimensionless" if promised == "1" else promised))
    hints = get_type_hints(equation, include_extras=True)
    units = {annotated_unit(a) for name, a in hints.items() if name != "return"}
    of_counts_alone = units <= {"1", None} and promised in ("FLOP", "B")
    return dimension_of(answer) == ({} if of_counts_alone else wanted)


@pytest.mark.filterwarnings("error::pint.UnitStrippedWarning")
@pytest.mark.parametrize("equation", equations(), ids=lambda f: f"{f.__module__[21:]}.{f.__name__}")
def test_the_answer_has_the_annotated_dimension(equation: Callable[..., Any]) -> None:
    assert has_promised_dimension(equation)


def test_the_test_of_dimensions_sees_a_wrong_equation() -> None:
    def upside_down(size: Bytes, bandwidth: BytesPerSecond) -> Seconds:
        return bandwidth / size

    def mixed(size: Bytes, alpha: Seconds, bandwidth: BytesPerSecond) -> Seconds:
        return alpha + size * bandwidth

    assert not has_promised_dimension(upside_down)
    with pytest.raises(pint.DimensionalityError):
        has_promised_dimension(mixed)


def test_every_argument_of_every_equation_is_annotated() -> None:
    """A missing annotation would slip through the test of dimensions as a bare number."""
    for equation in equations():
        names = set(inspect.signature(equation).parameters) | {"return"}
        assert names == get_type_hints(equation).keys(), equation.__name__


def test_every_annotated_unit_is_in_the_unit_table() -> None:
    for equation in equations():
        for annotation in get_type_hints(equation, include_extras=True).values():
            parsed_unit(annotated_unit(annotation) or "1")


def test_bare_arrays_keep_the_dimension_of_what_they_divide() -> None:
    """Three equations work on any dimension, so that their annotation cannot say which."""
    flops, rate = REGISTRY.Quantity(1.0, "FLOP/s"), REGISTRY.Quantity(1.0, "B/s")
    assert dimension_of(roofline.ridge(flops, rate)) == {"[FLOP]": 1, "[B]": -1}
    assert dimension_of(transformer.shard(REGISTRY.Quantity(1.0, "B"), 8)) == {"[B]": 1}
    assert dimension_of(collectives.remote_share(8.0, 2.0)) == {}


# --- Roofline -------------------------------------------------------------------------------------

times = st.floats(1e-9, 1e3)
shares = st.floats(0.0, 1.0)


def test_a_second_of_peak_takes_two_at_half_efficiency() -> None:
    assert roofline.compute_time(989 * TERA, 989 * TERA, 0.5) == 2.0
    assert roofline.transfer_time(3.35 * TB, 3.35 * TB, 0.5) == 2.0


def test_the_longer_of_arithmetic_and_traffic_counts() -> None:
    assert roofline.roofline_time(3.0, 2.0) == roofline.roofline_time(2.0, 3.0) == 3.0


@given(times, times, shares)
def test_overlap_lies_between_all_hidden_and_none(a: float, b: float, overlap: float) -> None:
    time = float(roofline.overlapped_time(a, b, overlap))
    assert max(a, b) * (1 - 1e-12) <= time <= (a + b) * (1 + 1e-12)
    assert roofline.overlapped_time(a, b, 0.0) == a + b
    assert roofline.overlapped_time(a, b, 1.0) == max(a, b)


@given(times, times, shares)
def test_exposed_shares_sum_to_the_overlapped_time(a: float, b: float, overlap: float) -> None:
    mine = float(roofline.exposed_share(a, b, overlap))
    parts = mine * a + (2.0 - overlap - mine) * b
    assert parts == pytest.approx(float(roofline.overlapped_time(a, b, overlap)), rel=1e-12)


def test_a_half_overlapped_second_shows_half_of_the_shorter() -> None:
    """Work 3 s, messages 1 s, half of which can hide: 0.5 · 4 + 0.5 · 3 = 3.5 s."""
    assert roofline.overlapped_time(3.0, 1.0, 0.5) == 3.5
    assert roofline.exposed_share(3.0, 1.0, 0.5) == 1.0
    assert roofline.exposed_share(1.0, 3.0, 0.5) == 0.5


def test_the_ridge_of_an_h100() -> None:
    """989e12 / 3.35e12 = 295 FLOP/B."""
    assert roofline.ridge(989 * TERA, 3.35 * TB) == pytest.approx(295.2, abs=0.05)


# --- Transformer ----------------------------------------------------------------------------------


def test_a_multiply_accumulate_is_two_flops() -> None:
    """3 rows times a 4 × 5 matrix: 3 · 4 · 5 multiplications and as many additions."""
    assert transformer.matmul_flops(3, 4 * 5) == 120


def test_the_feed_forward_block_of_llama_70b() -> None:
    """3 · 8192 · 28672 = 704,643,072 entries; without a gate 2 / 3 of it."""
    assert transformer.feed_forward_elements(8192, 28672, 3) == 704_643_072
    assert transformer.feed_forward_elements(8192, 28672, 2) == 469_762_048


def test_the_token_table_of_llama_3() -> None:
    """128,256 rows of 8192, and nothing for rotary positions; 2048 learned ones of OPT add."""
    assert transformer.embedding_elements(128_256, 8192, 0) == 1_050_673_152
    assert transformer.embedding_elements(128_256, 8192, 2048) == 1_050_673_152 + 16_777_216


def test_a_fused_normalisation_moves_four_rows() -> None:
    """Read the stream and the block's result, write the sum and its norm: 4 · 8192 · 2 B."""
    assert transformer.activation_bytes(10, 8192, 2.0) == 163_840
    assert transformer.residual_bytes(1, 8192, 2.0) == 65_536


@given(st.floats(0, 1e12), st.floats(1, 1e9))
def test_only_what_exceeds_the_chip_spills(traffic: float, on_chip: float) -> None:
    spilled = transformer.spilled_bytes(traffic, on_chip)
    assert 0.0 <= spilled <= traffic
    assert spilled == (traffic - on_chip if traffic > on_chip else 0.0)


def test_sharding_divides_evenly() -> None:
    assert transformer.shard(140e9, 8) == 17.5e9


# --- Attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heads", "tp", "held"), [(64, 8, 8), (8, 8, 1), (8, 16, 1), (40, 16, 3), (1, 4, 1), (5, 1, 5)]
)
def test_devices_hold_whole_heads(heads: int, tp: int, held: int) -> None:
    """40 heads on 16 devices: some hold three; 8 KV heads on 16 devices: each is kept twice."""
    assert attention.heads_per_device(heads, tp) == held


def test_the_cache_of_llama_70b_and_deepseek_v3() -> None:
    """2 · 8 · 128 = 2048 elements a layer; 512 + 64 = 576 under MLA. At 2 B and 80 or 61 layers
    that is 327,680 and 70,272 B a token (DeepSeek, arXiv:2505.09343)."""
    assert 80 * 2 * attention.kv_elements_per_token(8, 128) == 327_680
    assert 61 * 2 * attention.latent_kv_elements_per_token(512, 64) == 70_272


@given(st.integers(1, 400), st.one_of(st.integers(1, 500), st.just(1e15)))
def test_attended_pairs_equal_a_loop(tokens: int, window: float) -> None:
    by_loop = sum(min(position, window) for position in range(1, tokens + 1))
    assert attention.attended_pairs(tokens, window) == by_loop


def test_the_projections_of_llama_70b() -> None:
    """Q 64 heads, K and V 8 each: 8192 · 128 · 80 = 83,886,080; output 64 · 128 · 8192."""
    assert attention.grouped_query_elements(8192, 64, 8, 128) == 83_886_080
    assert attention.output_elements(8192, 64, 128) == 67_108_864


def test_scores_and_sums_take_four_flops_per_pair_and_dimension() -> None:
    """One query on 10 keys, 2 heads of 8: 2 · 10 · 2 · 8 for scores and as many for sums."""
    assert attention.core_flops(10, 2, 8, 8) == 640


def test_the_projections_of_deepseek_v3() -> None:
    """A layer's attention has 187.1 M entries (config_671B.json):

    down   7168 · (1536 + 512 + 64)  =  15,138,816
    query  1536 · 128 · (128 + 64)   =  37,748,736
    up     512 · 128 · (128 + 128)   =  16,777,216
    output 128 · 128 · 7168          = 117,440,512
    """
    down = attention.latent_down_elements(7168, 1536, 512, 64)
    query = attention.latent_query_elements(7168, 128, 1536, 128, 64)
    up = attention.latent_up_elements(128, 512, 128, 128)
    output = attention.output_elements(7168, 128, 128)
    assert (down, query, up, output) == (15_138_816, 37_748_736, 16_777_216, 117_440_512)


def test_without_a_compressed_query_the_model_width_is_projected() -> None:
    """DeepSeek-V2-Lite, q_rank 0: 2048 · 16 · (128 + 64) = 6,291,456, and no way down to it."""
    assert attention.latent_query_elements(2048, 16, 0, 128, 64) == 6_291_456
    assert attention.latent_down_elements(2048, 0, 512, 64) == 2048 * 576


def test_absorbed_mla_attends_in_the_latent_space() -> None:
    """One query on 4096 latents: 128 heads · (576 for scores + 512 for sums) · 2 · 4096 =
    1,140,850,688 FLOPs, 3.4 times the 128 · (192 + 128) of expanded heads."""
    absorbed = attention.core_flops(4096, 128, 512 + 64, 512)
    assert absorbed == 1_140_850_688
    assert absorbed / attention.core_flops(4096, 128, 192, 128) == pytest.approx(3.4)


# --- Mixture of experts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experts", "active", "tokens"), [(8, 2, 3), (256, 8, 32), (256, 8, 200), (128, 4, 16)]
)
def test_distinct_experts_equal_a_simulation(experts: int, active: int, tokens: int) -> None:
    """Tokens that draw `active` different experts each, uniformly; mean over many batches."""
    generator = np.random.default_rng(20260108)
    batches = min(5000, 10_000_000 // (tokens * experts))
    scores = generator.random((batches, tokens, experts), dtype=np.float32)
    draws = scores.argpartition(active, axis=2)[..., :active]
    distinct = np.mean([np.unique(batch).size for batch in draws])
    expected = moe.expected_distinct_experts(tokens, experts, active)
    assert expected == pytest.approx(distinct, rel=0.01)


@given(st.integers(1, 512), st.data())
def test_distinct_experts_lie_between_one_token_and_all(experts: int, data: st.DataObject) -> None:
    active = data.draw(st.integers(1, experts))
    one, many = (moe.expected_distinct_experts(t, experts, active) for t in (1, 1e9))
    assert one == pytest.approx(active, rel=1e-9)
    assert many == pytest.approx(experts, rel=1e-9)
    tokens = data.draw(st.floats(1, 1e4))
    some = moe.expected_distinct_experts(tokens, experts, active)
    assert active * (1 - 1e-9) <= some <= min(experts, tokens * active) * (1 + 1e-9)


def test_a_dense_layer_is_one_expert() -> None:
    assert moe.expected_distinct_experts(7, 1, 1) == pytest.approx(1.0)


def test_what_deepep_combines() -> None:
    """128 tokens to 8 experts each, 7168 wide, 2 B: 14,680,064 B (DeepEP, docs)."""
    assert moe.exchanged_bytes(128, 8, 7168, 2.0) == 14_680_064


def test_copies_for_one_domain_go_as_one() -> None:
    """Two copies on two domains: both in one in half of cases, 1.5 messages; on one domain: 1."""
    assert moe.merged_share(2, 2) == pytest.approx(1.5 / 2)
    assert moe.merged_share(8, 1) == pytest.approx(1 / 8)
    assert moe.merged_share(1, 4) == pytest.approx(1.0)


# --- Collectives ----------------------------------------------------------------------------------


def test_one_rank_costs_nothing() -> None:
    assert collectives.ring_all_reduce_time(1e9, 1, 5e-6, 4e11) == 0
    assert collectives.all_to_all_steps(1) == 0
    assert collectives.remote_share(1, 1) == 0
    for steps, volume in collectives.ALL_REDUCE.values():
        assert steps(1) == 0
        assert volume(1) == 0


def test_a_ring_all_reduce_by_hand() -> None:
    """8 ranks, 16 MB, 5 µs, 400 GB/s: 14 · 5 µs + 14 / 8 · 16e6 / 400e9 = 70 + 70 µs."""
    assert collectives.ring_all_reduce_time(16e6, 8, 5e-6, 400e9) == pytest.approx(140e-6)


@given(st.integers(2, 64), st.floats(1.0, 1e9), st.floats(0, 1e-4), st.floats(1e9, 1e13))
def test_a_ring_equals_its_steps_one_by_one(
    n: int, size: float, alpha: float, bandwidth: float
) -> None:
    """n - 1 steps reduce and n - 1 gather, each with one n-th of the tensor."""
    by_step = sum(alpha + size / n / bandwidth for _ in range(2 * (n - 1)))
    assert collectives.ring_all_reduce_time(size, n, alpha, bandwidth) == pytest.approx(by_step)


@pytest.mark.parametrize(
    ("algorithm", "steps", "volume"),
    [
        ("ring", 14, 1.75),
        ("recursive_doubling", 6, 1.75),
        ("one_shot", 1, 7),
        ("two_shot", 2, 1.75),
        ("tree", 6, 1.75),
        ("in_network", 2, 1.125),
    ],
)
def test_steps_and_volumes_of_eight_ranks(algorithm: str, steps: int, volume: float) -> None:
    """A ring goes round twice, doubling takes log2 8 = 3 steps each way, the others send at once.

    What is reduced by shares sends 2 · 7 / 8 of the tensor, one shot all of it to seven. Switches
    that add take all of it and an eighth of the sum.
    """
    counted, sent = collectives.ALL_REDUCE[algorithm]
    assert (counted(8), sent(8)) == (steps, volume)


@pytest.mark.parametrize(
    ("table", "algorithm", "steps", "volume"),
    [
        (collectives.ALL_GATHER, "ring", 7, 0.875),
        (collectives.ALL_GATHER, "recursive_doubling", 3, 0.875),
        (collectives.ALL_GATHER, "one_shot", 1, 0.875),
        (collectives.ALL_GATHER, "in_network", 1, 0.125),
        (collectives.REDUCE_SCATTER, "ring", 7, 0.875),
        (collectives.REDUCE_SCATTER, "in_network", 1, 1),
        (collectives.ALL_TO_ALL, "direct", 1, 1),
        (collectives.ALL_TO_ALL, "pairwise", 7, 1),
        (collectives.ALL_TO_ALL, "bruck", 3, 12 / 7),
    ],
)
def test_halves_and_exchanges_of_eight_ranks(
    table: Any, algorithm: str, steps: int, volume: float
) -> None:
    """Halves of an all-reduce send 7 / 8 of the tensor once; a switch copies an eighth to all.

    Bruck: 3 steps of 4 of the 8 blocks, where 7 blocks leave.
    """
    counted, sent = table[algorithm]
    assert counted(8) == steps
    assert sent(8) == pytest.approx(volume)


def test_the_parts_of_a_step() -> None:
    """Of 2 µs a fifth is the interface, 0.3 landing, 0.1 wire, and 0.4 software.

    Landing in SRAM that takes a tenth, half of the interface: 2 · (1 - 0.3 · 0.9 - 0.2 · 0.5).
    """
    kept = (2e-6, 0.2, 0.3, 0.1, 1.0, 1.0, 1.0, 1.0)
    assert collectives.step_alpha(*kept) == 2e-6
    less = collectives.step_alpha(2e-6, 0.2, 0.3, 0.1, 1.0, 0.5, 0.1, 1.0)
    assert less == pytest.approx(2e-6 * 0.63)
    assert collectives.step_alpha(2e-6, 0.2, 0.3, 0.1, 0.0, 0.0, 0.0, 0.0) == pytest.approx(0)


@given(st.integers(2, 512))
def test_no_all_reduce_sends_less_than_the_optimum(n: int) -> None:
    """Every rank must send all but its share, twice: 2 (n - 1) / n of the tensor.

    Unless switches add: then it must send all of it once.
    """
    ranks = {name: kind for name, kind in collectives.ALL_REDUCE.items() if name != "in_network"}
    assert collectives.in_network_volume(n) > 1
    for steps, volume in ranks.values():
        assert volume(n) >= 2 * (n - 1) / n * (1 - 1e-12)
        assert steps(n) >= 1


def test_a_two_way_ring_gathers_within_half_its_hops() -> None:
    """4 ranks, a tensor too small to matter, 1 µs a hop: 2 µs. A large one: S / W."""
    assert collectives.ring_all_gather_time(1.0, 4, 1e-6, 9e10) == pytest.approx(2e-6)
    assert collectives.ring_all_gather_time(9e9, 4, 1e-6, 9e10) == pytest.approx(0.1)


def test_a_message_pays_its_hops_once() -> None:
    """16.8 MB at 90 GB/s and 6 hops of 1 µs: 186.7 + 6 µs."""
    assert collectives.point_to_point_time(16.8e6, 6, 1e-6, 9e10) == pytest.approx(
        192.67e-6, rel=1e-4
    )


@given(st.integers(1, 1000), st.integers(1, 100))
def test_a_group_fills_domains_first(n: int, domain: int) -> None:
    inside = collectives.ranks_inside(n, domain)
    spanned = collectives.domains_spanned(n, domain)
    assert inside == min(n, domain)
    assert spanned == math.ceil(n / domain)
    assert (spanned == 1) == (inside == n)
    assert 0 <= collectives.remote_share(n, inside) < 1


def test_the_remote_share_of_a_group() -> None:
    """320 groups of which 8 are at hand: 312 / 320 of what is spread evenly leaves."""
    assert collectives.remote_share(320, 8) == 0.975


def test_latency_and_bandwidth_are_two_resources() -> None:
    assert collectives.latency_time(14, 5e-6) == pytest.approx(70e-6)
    assert collectives.bandwidth_time(28e6, 400e9, 0.5) == pytest.approx(140e-6)


# --- Memory ---------------------------------------------------------------------------------------


@given(
    st.integers(1, 10_000),
    st.floats(1, 1e5),
    st.floats(0, 1e5),
    st.floats(1, 1e6),
    st.floats(0, 5),
)
def test_admitted_context_is_bounded(
    sequences: int, mean: float, deviation: float, beyond: float, sigmas: float
) -> None:
    """Room for the mean total and for the largest request, and never more than all at the most."""
    largest = mean + beyond
    room = memory.admitted_context(sequences, mean, deviation, largest, sigmas)
    assert room <= sequences * largest
    assert room >= largest
    assert room >= sequences * mean * (1 - 1e-12)


def test_equal_requests_need_no_reserve() -> None:
    assert memory.admitted_context(32, 8192, 0, 8192, 2.33) == 32 * 8192
    assert memory.admitted_context(1, 1000, 500, 9000, 2.33) == 9000


def test_admitted_context_by_hand() -> None:
    """100 requests of 1000 ± 500: 100,000 + 2 · 500 · 10 = 110,000."""
    assert memory.admitted_context(100, 1000, 500, 20_000, 2.0) == 110_000


def test_total_context_overruns_its_room_as_often_as_the_normal_law_says() -> None:
    """At z = 2.33 one total in a hundred, here of 400 exponential contexts of mean 1000."""
    totals = np.random.default_rng(7).gamma(400.0, 1000.0, 200_000)
    room = memory.admitted_context(400, 1000, 1000, 20_000, 2.33)
    assert np.mean(totals > room) == pytest.approx(0.01, abs=0.004)


def test_the_buffer_that_hides_flash_latency() -> None:
    """2 · 1 TB/s · 20 µs = 40 MB (H3, IEEE CAL 2026)."""
    assert memory.latency_hiding_buffer(1 * TB, 20e-6) == pytest.approx(40e6)


def test_devices_for_a_footprint() -> None:
    """946 GB in 192 GB each: 4.93 devices."""
    assert memory.devices_for_capacity(946 * GB, 192 * GB) == pytest.approx(4.927, abs=1e-3)


# --- Serving --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "dp", "pp", "sequences"), [(100, 8, 2, 7), (3, 8, 1, 1), (64, 8, 1, 8), (64, 4, 4, 4)]
)
def test_the_busiest_group_takes_whole_sequences(
    batch: int, dp: int, pp: int, sequences: int
) -> None:
    """100 over 16 is 6.25: some group takes 7."""
    assert serving.sequences_per_pass(batch, dp, pp) == sequences


def test_passes_in_flight_fill_the_pipeline() -> None:
    """4 groups with 4 stages: 16 passes for 64 sequences; 8 for 7, of which no group has three."""
    assert serving.passes_in_flight(64, 4, 4) == 16
    assert serving.passes_in_flight(7, 4, 4) == 8
    assert serving.passes_in_flight(1, 1, 4) == 1


def test_stages_and_groups_share_a_prefill() -> None:
    """1 s for 2 prompts in each of 4 groups, over 8 stages that work at once: 1 / 64 s each."""
    assert serving.prefill_occupancy(1.0, 2, 4, 8) == 1 / 64


def test_prefill_interrupts_every_user() -> None:
    """Outputs of 257 tokens, 33 in flight: every step 32 / 256 of a 100 ms prefill of others runs
    beside 20 ms of decode, hence 32.5 ms; on a pool of its own, 20 ms."""
    assert serving.interrupted_tpot(0.020, 0.1, 33 - 1, 1 / 256, 1) == pytest.approx(0.0325)
    assert serving.interrupted_tpot(0.020, 0.1, 33 - 1, 1 / 256, 0) == 0.020


def test_the_first_token_comes_from_prefill() -> None:
    """0.5 s, then 100 more gaps of 20 ms."""
    assert serving.end_to_end_latency(0.5, 0.02, 101) == pytest.approx(2.5)


@given(st.floats(1, 1e6), st.floats(1, 1e5))
def test_chunks_hold_the_whole_prompt(tokens: float, chunk: float) -> None:
    size, passes = serving.chunk_tokens(tokens, chunk), serving.chunk_passes(tokens, chunk)
    assert size <= chunk
    assert passes >= 1
    assert size * passes == pytest.approx(tokens, rel=1e-12)


# --- Energy ---------------------------------------------------------------------------------------


def test_a_second_of_peak_arithmetic_draws_the_compute_power() -> None:
    assert energy.arithmetic_energy(989 * TERA, 525.0, 989 * TERA) == pytest.approx(525.0)


def test_a_gigabyte_of_hbm() -> None:
    """1e9 B · 8 bit · 3.9 pJ = 31.2 mJ."""
    assert energy.movement_energy(1 * GB, 8 * 3.9e-12) == pytest.approx(31.2e-3)


def test_rest_costs_power_times_time() -> None:
    assert energy.static_energy(70.0, 2.0) == 140.0


def test_the_power_limit_stretches_a_step() -> None:
    """700 J beside 70 W at rest, limit 700 W: 700 / 630 s, 0.111 s more than the second."""
    assert energy.power_limited_slowdown(700, 1.0, 700, 70) == pytest.approx(1 / 9)
    assert energy.power_limited_slowdown(600, 1.0, 700, 70) == 0.0


@given(st.floats(0, 1e4), st.floats(1e-6, 10), st.floats(1, 500), st.floats(1, 1000))
def test_a_slowed_step_keeps_the_limit(
    joules: float, time: float, idle: float, above: float
) -> None:
    slowed = time + energy.power_limited_slowdown(joules, time, idle + above, idle)
    assert idle + joules / slowed <= (idle + above) * (1 + 1e-12)


def test_idle_time_per_busy_time() -> None:
    """At 60 % use, 40 / 60 of an idle hour follow a busy one; at full use none."""
    assert energy.idle_share(0.6) == pytest.approx(2 / 3)
    assert energy.idle_share(1.0) == 0.0


# --- Money and carbon -----------------------------------------------------------------------------


def test_an_annuity_by_hand() -> None:
    """1000 USD at 8 % over 5 years: 1000 · 0.08 / (1 - 1.08^-5) = 250.456 USD a year."""
    life = 5 * money.SECONDS_PER_YEAR
    yearly = money.annuity_rate(1000, 0.08, life, 5) * money.SECONDS_PER_YEAR
    assert yearly == pytest.approx(250.4565, abs=1e-4)


@given(st.floats(0.001, 0.5), st.integers(1, 30))
def test_an_annuity_repays_its_price(rate: float, years: int) -> None:
    """The present value of its yearly payments is the price."""
    yearly = money.annuity_rate(1.0, rate, years * money.SECONDS_PER_YEAR, years)
    paid = yearly * money.SECONDS_PER_YEAR
    assert sum(paid / (1 + rate) ** y for y in range(1, years + 1)) == pytest.approx(1.0)


def test_without_interest_a_price_is_spread_evenly() -> None:
    assert money.annuity_rate(1000, 0.0, 500.0, 5) == pytest.approx(2.0, rel=1e-9)


def test_a_year_has_8766_hours() -> None:
    assert money.SECONDS_PER_YEAR == 8766 * 3600


def test_hosting_a_kilowatt_for_a_month() -> None:
    """150 USD/kW/month for 1275 W: 191.25 USD a month."""
    month = money.SECONDS_PER_YEAR / 12
    assert money.hosting_rate(1275, 150 / 1000 / month) * month == pytest.approx(191.25)


def test_a_kilowatt_hour_at_the_meter() -> None:
    assert money.energy_cost(3.6e6, 0.08 / 3.6e6) == pytest.approx(0.08)
    assert carbon.operational_carbon(3.6e6, 0.384 / 3.6e6) == pytest.approx(0.384)


def test_busy_time_pays_for_idle_time() -> None:
    assert money.busy_rate(3.0, 0.6) == pytest.approx(5.0)


def test_embodied_carbon_of_a_device() -> None:
    """80 GB at 3.4 kg a GB is 272 kg; 1000 s of life at half use make 500 busy ones."""
    made = carbon.memory_carbon(80 * GB, 3.4 / GB)
    assert made == pytest.approx(272.0)
    assert carbon.embodied_rate(made, 1000.0, 0.5) == pytest.approx(0.544)


def test_chunks_follow_one_another_through_a_pipeline() -> None:
    """4 chunks through 2 stages take 5 turns of 8: 0.625; half of that saving leaves 0.8125."""
    assert serving.pipelined_share(4.0, 2.0, 1.0) == pytest.approx(5.0 / 8.0)
    assert serving.pipelined_share(4.0, 2.0, 0.5) == pytest.approx(0.8125)
    assert serving.pipelined_share(1.0, 8.0, 1.0) == 1.0
    assert serving.pipelined_share(7.0, 1.0, 1.0) == 1.0


def test_scores_written_out_move_by_pair_and_head() -> None:
    """512 causal tokens are 131,328 pairs; of 32 heads at 12 B each: 50.4 MB."""
    assert attention.score_traffic(131_328.0 * 32, 12.0) == 131_328 * 32 * 12
