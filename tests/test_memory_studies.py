"""The studies of flash and of SRAM: they run, say what rows say, and reach published numbers."""

from __future__ import annotations

import numpy as np
import pytest

import infercost
from infercost.compose import Options
from infercost.options.question import ask
from infercost.specs.hardware import Hardware
from studied import aggregates, draws_every_figure, fills_every_sentence, told

STUDIES = ("hbf-sizing", "hbf-endurance", "h3-published", "sram-only")


@pytest.mark.parametrize("name", STUDIES)
def test_every_sentence_is_filled(name: str) -> None:
    fills_every_sentence(name, least=3)


@pytest.mark.parametrize("name", STUDIES)
def test_every_figure_is_drawn(name: str) -> None:
    draws_every_figure(name)


# --- H3: 405 GB of weights and 541 GB (5412 GB) of shared context on flash


@pytest.mark.parametrize(
    ("context", "batch", "throughput", "published"),
    [
        (1, 1536 / (1536 - 946), 1.28, (2.6, 1.25)),
        (10, 6144 / (6144 - 5817), 6.00, (18.8, 6.14)),
    ],
)
def test_flash_of_303_gb_per_s_a_stack_explains_the_gains_of_h3(
    context: int, batch: float, throughput: float, published: tuple[float, float]
) -> None:
    """Arithmetic left out. HBM alone reads all it holds in 192 GB / 8 TB/s = 24 ms. Flash of 8 x
    303 GB/s reads 946 GB on 8 devices in 48.8 ms, 5817 on 32 in 75 ms, and hides what HBM reads
    meanwhile: 2.60 x 24 / 48.8 = 1.28, 18.8 x 24 / 75.0 = 6.0. Published: 1.25 and 6.14."""
    table = aggregates("h3-published")["gains"]
    row = table[(table.context_m == context) & ~table.arithmetic & (table.flash_gb_per_s == 303)]
    assert row.batch_gain.item() == pytest.approx(batch, rel=0.01)
    assert row.batch_gain.item() == pytest.approx(published[0], rel=0.01)
    assert row.throughput_gain.item() == pytest.approx(throughput, rel=0.01)
    assert row.throughput_gain.item() == pytest.approx(published[1], rel=0.03)


def test_arithmetic_takes_all_of_the_gain_of_h3() -> None:
    """Attention of 1111 requests to 2^20 tokens: 4 x 126 x 16384 FLOP each a token, 9.6e15 FLOP,
    takes 0.53 s on 8 x 2.25 PFLOP/s, where 541 GB at 64 TB/s take 8.5 ms."""
    table = aggregates("h3-published")["gains"]
    assert table[table.arithmetic].throughput_gain.to_numpy() == pytest.approx(1.0, rel=1e-3)


# --- flash


def test_flash_beside_all_of_hbm_is_never_worse_by_time_and_dear_flash_never_better() -> None:
    table = aggregates("hbf-sizing")["ends"]
    for worse in ("us_20", "us_50", "kib_64", "pj_13_6", "usd_3_12", "bad_end"):
        assert (table[worse] >= table["good_end"] * (1 - 1e-9)).all(), worse
    # Without wear or price to pay latency that the buffer hides costs a dense model nothing.
    dense = table[table.model == "llama-3.1-405b"]
    assert dense.us_20.to_numpy() == pytest.approx(dense.good_end.to_numpy())


def test_life_grows_with_the_writes_that_cells_bear() -> None:
    """In proportion where the operating point is the same."""
    table = aggregates("hbf-endurance")["lives"]
    free = table[(table.plan == "caches-on-flash") & (table.limit == "none")]
    life = free.pivot(index=["model", "workload"], columns="cycles", values="life_year")
    assert (life[1e5] / life[1e3]).to_numpy() == pytest.approx(100)
    five = table[table.limit == "5 year"]
    assert set(five[~five.feasible].limited_by) == {"endurance"}
    assert (five[five.feasible].life_year.dropna() >= 5).all()


# --- SRAM machines: 70 GB / 230 MB = 305 chips; 405 GB and 70 GB over 44 GB


def machine(name: str) -> Hardware:
    return next(iter(Options(ask([f"hardware={name}"])).cases())).case.hardware


@pytest.mark.parametrize(
    ("hardware", "model", "weights", "devices"),
    [
        ("groq-lpu", "llama-2-70b", 70e9, 305),
        ("cerebras-wse-3", "llama-3.1-70b", 70e9, 1.6),
        ("cerebras-wse-3", "llama-3.1-405b", 405e9, 9.2),
    ],
)
def test_devices_that_weights_fill(
    hardware: str, model: str, weights: float, devices: float
) -> None:
    """Published of round parameter counts; the model's own weights are within 2 % of them."""
    row = infercost.evaluate(
        [
            f"hardware={hardware}",
            f"model={model}",
            "plan=base",
            "plan.formats.weights=int8",
            "workload=snapshot",
            "calibration=ideal",
            "batch=1",
        ]
    ).iloc[0]
    assert row.weight_memory_b == pytest.approx(weights, rel=0.02)
    assert row.weight_memory_b / row.memory_room_b == pytest.approx(devices, rel=0.02)


@pytest.mark.parametrize(
    ("hardware", "moved", "time"),
    [
        ("groq-lpu", 230e6, 2.9e-6),  # all of 230 MB at 80 TB/s
        ("cerebras-wse-3", 44e9, 2.1e-6),  # all of 44 GB at 21 PB/s
        ("d-matrix-corsair", 1e9 + 16 * 67e6, 14e-6),  # 2.07 GB at 150 TB/s
    ],
)
def test_sram_is_swept_in_microseconds(hardware: str, moved: float, time: float) -> None:
    assert moved / machine(hardware).tier.bandwidth == pytest.approx(time, rel=0.02)


def test_a_longer_context_never_makes_a_token_of_sram_cheaper() -> None:
    table = aggregates("sram-only")["ends"].pivot(
        index=["hardware", "model"], columns="context_k", values="decode_cost_per_moutput_usd"
    )
    assert (np.diff(table.to_numpy(), axis=1) > 0).all()


def test_a_token_passes_the_stages_of_a_pipeline_one_after_another() -> None:
    """70.6e9 weights in 8 bits over 8 chips of 80 TB/s side by side: 0.11 ms whatever the stages.

    Each chip in its turn would take 576 x (2.875 + 0.7 us) = 2.06 ms of the 3 ms published.
    """
    told_of = told("sram-only", 2)
    assert told_of["serial"] == pytest.approx(2.06, rel=2e-3)
    base = ["hardware=groq-lpu", "model=llama-3.1-70b", "calibration=ideal", "workload=snapshot"]
    base += [f"plan.formats.{name}=int8" for name in ("weights", "kv", "compute")]
    base += ["batch=1", "plan.kv_sharding=sequence"]
    frame = infercost.evaluate([*base, "workload.context=4096", "plan.tp=8", "plan.pp=40,80"])
    weights = frame.decode_step_s * frame.decode_stress_weights
    assert weights.to_numpy() == pytest.approx(70.6e9 / 8 / 80e12, rel=0.03)
