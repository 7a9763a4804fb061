"""The studies of the workload side: they say what their rows say, and meet the paper's table."""

from __future__ import annotations

from typing import Any

import pytest

from studied import aggregates, computed, draws_every_figure, fills_every_sentence

STUDIES = (
    *("six-trends", "trend-parts", "prefix-cache", "anatomies", "diffusion-steps"),
    *("multi-token", "quality-price"),
)


@pytest.mark.parametrize("name", STUDIES)
def test_every_sentence_is_filled(name: str) -> None:
    fills_every_sentence(name, least=2)


@pytest.mark.parametrize("name", STUDIES)
def test_every_figure_is_drawn(name: str) -> None:
    draws_every_figure(name)


# Weights and caches of six-trends' models, in bytes: 2 B a parameter; 80 layers x 8 KV heads x
# 128 x (K, V) x 2 B a token; eight requests of 1024 tokens in and 256 out, 1024 + 128 in the mean.
WEIGHTS, CACHE, REQUESTS = 2 * 70.55e9, 327_680, 8
VISION_WEIGHTS = 2 * 73.4e9
FEED_FORWARD = 80 * 3 * 8192 * 28672 * 2
HELD = WEIGHTS + REQUESTS * 1152 * CACHE


def held_by(trend: str, dose: float, written: float = 0.5) -> float:
    """What a request of a trend holds over one without, bytes times steps, by hand; `written` is
    the share of its thoughts that a step finds in the cache, a half in the mean."""
    cache = REQUESTS * CACHE
    if trend == "moe":  # 256 d experts of an eighth of the width each
        return (HELD + (256 * dose / 8 - 1) * FEED_FORWARD) / HELD
    if trend == "reasoning":  # 1132 d further steps
        steps = (255 + 1132 * dose) / 255
        return steps * (HELD + written * 1132 * dose * cache) / HELD
    if trend == "multimodal":  # 1369 tokens an image: (1024 / 28)^2, rounded up
        held = VISION_WEIGHTS + 1152 * cache
        return (held + 1369 * dose * cache) / held
    added = {"long-context": 100_000, "rag": 2048, "rag-hyperscale": 480}[trend] * dose
    return (HELD + added * cache) / HELD


def pressures() -> Any:
    """With eight requests in flight."""
    rows = aggregates("six-trends")["pressure"]
    return rows[rows.batch == 8]


def test_every_dose_holds_what_arithmetic_says() -> None:
    """All but diffusion, of which nothing grows with a dose. A twentieth is left to activations,
    routers and the vision tower, and room is kept for more than the mean of eight answers: up to
    that for whole ones."""
    rows = pressures()
    rows = rows[rows.trend != "diffusion"]
    assert len(rows) > 40
    for row in rows.itertuples():
        mean, whole = (held_by(row.trend, row.dose, written) for written in (0.5, 1.0))
        assert 0.95 * mean < row.capacity < 1.05 * whole, (row.trend, row.dose)


def test_what_is_held_is_read_by_every_step() -> None:
    """On as many devices as without the trend, bandwidth is pressed as capacity is: decode reads
    all that it holds, a prefill adds to both sides."""
    rows = pressures()
    rows = rows[rows.trend.isin(["reasoning", "rag", "rag-hyperscale", "multimodal"])]
    same = rows[(rows.devices == 2) & (rows.dose <= 10)]
    assert len(same) > 15
    assert (same.decode_bandwidth / same.capacity).between(0.93, 1.07).all()


def test_network_latency_is_pressed_where_a_node_does_not_hold_a_request() -> None:
    """Eight H100s share a switch; more of them wait for slower links. Thoughts wait once a step
    wherever they run: (1387 + 1) / (255 + 1) passes at dose 1."""
    rows = pressures()
    spread = rows[~rows.trend.isin(["reasoning", "diffusion"])]
    assert ((spread.latency >= 1.25) == (spread.devices > 8)).all()
    thoughts = rows[(rows.trend == "reasoning") & (rows.devices == 2)]
    expected = (255 + 1132 * thoughts.dose + 1) / 256
    assert thoughts.latency.to_numpy() == pytest.approx(expected.to_numpy(), rel=0.01)


def test_arithmetic_of_a_request_is_its_prefill() -> None:
    """2048 tokens more beside 1024: three times the products, and attention beyond. Decode steps of
    eight requests are bound by memory, with the trend and without."""
    rows = pressures().set_index(["trend", "dose"])
    assert rows.compute[("rag", 1.0)] == pytest.approx(3.0, rel=0.05)
    assert rows.compute[("long-context", 1.0)] > 101_024 / 1024
    assert rows.compute[("reasoning", 1.0)] == pytest.approx(1.0, rel=0.01)


def test_diffusion_presses_on_nothing_but_compute() -> None:
    """256 steps over 1280 tokens, where a Transformer prefills 1024 and memory binds the rest: 320
    times, and a tenth more for the larger head's rows."""
    verdicts: Any = aggregates("six-trends")["verdicts"].set_index("trend").loc["diffusion"]
    assert set(verdicts[verdicts.ratio >= 1.25].resource) == {"compute"}
    compute = verdicts[verdicts.resource == "compute"].ratio.iloc[0]
    assert compute == pytest.approx(256 * 1280 / 1024, rel=0.15)


def test_steps_of_denoising_press_in_proportion() -> None:
    """Compute of every model goes with its steps; a picture takes one step at least (SD 3.5: 0.8 of
    40 at a fiftieth)."""
    rows = aggregates("diffusion-steps")["pressure"]
    assert len(rows) == 48
    for row in rows.itertuples():
        dose = 1 / 40 if (row.model, row.dose) == ("sd3.5-large", 0.02) else row.dose
        assert row.compute == pytest.approx(dose, rel=1e-9)
        assert row.capacity == pytest.approx(1)
        assert row.latency_s == 0


@pytest.mark.parametrize("trend", ["moe", "reasoning", "multimodal", "long-context", "rag"])
def test_a_primary_cell_turns_where_arithmetic_says(trend: str) -> None:
    """Capacity is pressed from the first dose whose bytes are a quarter more; a dose within a
    twentieth of that may fall on either side."""
    verdicts: Any = aggregates("six-trends")["verdicts"].set_index(["trend", "resource"])
    found = verdicts.loc[(trend, "capacity")].pressed_from
    doses = (1 / 32, 0.125, 0.25, 0.5, 1, 2, 4, 10, 30, 100)
    least, most = (next(d for d in doses if held_by(trend, d) >= x) for x in (1.2, 1.31))
    assert least <= found <= most


def test_what_no_replica_holds_is_said_by_name() -> None:
    """26 TB of eight contexts of ten million tokens do not fit 64 x 80 GB; one of 3.3 TB does.
    100,000 thoughts of one request do: 37 GB."""
    held: Any = aggregates("six-trends")["held"].set_index(["model", "trend", "batch"])
    assert 8 * 10e6 * CACHE > 64 * 80e9 > 10e6 * CACHE + WEIGHTS
    many, one = (held.loc[("llama-3.1-70b", "long-context", b)] for b in (8, 1))
    assert (many.largest_dose, many.first_too_large, many.limited_by) == (10, 30, "capacity")
    assert one.largest_dose == 100
    assert held.loc[("llama-3.1-70b", "reasoning", 8)].largest_dose == 100


@pytest.mark.parametrize("trend", ["multimodal", "rag"])
def test_a_crowd_of_requests_presses_where_few_do_not(trend: str) -> None:
    """With 128 in flight 128 x 327,680 B a token stand beside the weights: 1369 tokens of a picture
    and 2048 of passages are more than a quarter of 147 and 141 GB and caches of 1152 tokens."""
    verdicts: Any = aggregates("six-trends")["verdicts"].set_index(["trend", "resource"])
    added, weights = (1369, VISION_WEIGHTS) if trend == "multimodal" else (2048, WEIGHTS)
    grown = 1 + 128 * added * CACHE / (weights + 128 * 1152 * CACHE)
    assert grown > 1.25
    assert verdicts.loc[(trend, "capacity")].crowded_ratio == pytest.approx(grown, rel=0.05)
    for resource in ("capacity", "bandwidth"):
        cell = verdicts.loc[(trend, resource)]
        assert not cell.agrees and cell.crowded_agrees


# Study trend-parts: 94 layers x 128 x (K, V) x 2 B a token and KV head, of which eight devices keep
# one each: the model's four twice.
SMALL_CACHE = 94 * 128 * 2 * 2 * 8


def test_chains_of_one_prompt_hold_a_cache_each() -> None:
    """Eight answers of 256 + 1132 tokens in (255 + 1132) steps, over one of 256 in 255: bytes of
    weights and of eight caches of 1024 tokens and half of what is written."""
    rows = aggregates("trend-parts")["pressure"].set_index(["trend", "batch", "dose"])
    weights = 2 * 235.67e9
    held = [weights + 8 * SMALL_CACHE * (1024 + written / 2) for written in (1388, 256)]
    expected = 8 * (255 + 1132) / 255 * held[0] / held[1]
    assert rows.capacity[("branching", 8, 1.0)] == pytest.approx(expected, rel=0.02)


def test_found_passages_are_held_and_not_computed() -> None:
    rows = aggregates("trend-parts")["pressure"].set_index(["trend", "batch", "dose"])
    found, read = (rows.loc[(name, 256, 1.0)] for name in ("rag-reused", "rag"))
    assert found.capacity == read.capacity
    assert found.compute < 1.2
    assert read.compute > 2.9
    weights = 2 * 235.67e9
    grown = 1 + 256 * 2048 * SMALL_CACHE / (weights + 256 * 1152 * SMALL_CACHE)
    assert found.capacity == pytest.approx(grown, rel=0.02)


def test_a_search_scans_a_thousandth_on_sixteen_servers() -> None:
    """6.144e12 B / 384e9 B: 16 servers; 6.144e9 B / (16 x 460e9 B/s) after 3 ms, at 4 USD/h."""
    rows = aggregates("trend-parts")["pressure"].set_index(["trend", "batch", "dose"])
    found = rows.loc[("rag-hyperscale", 8, 1.0)]
    assert found.search_ms == pytest.approx(3 + 1e3 * 6.144e9 / (16 * 460e9), rel=1e-9)
    assert found.search_micro_usd == pytest.approx(6.144e9 / 460e9 * 4 / 3600 * 1e6, rel=1e-9)
    assert found.index_tb == pytest.approx(6.144)


def test_uneven_experts_press_on_arithmetic_alone() -> None:
    rows = aggregates("trend-parts")["pressure"]
    uneven = rows[rows.trend == "imbalance"].sort_values("dose")
    assert (uneven.groupby("batch").compute.min() > 1).all()
    for resource in ("capacity", "bandwidth", "latency"):
        assert uneven[resource].to_numpy() == pytest.approx(1.0)


def test_a_larger_prefix_cache_never_finds_less() -> None:
    hits = aggregates("prefix-cache")["hits"]
    for _, rows in hits.groupby(["workload", "cache"]):
        assert rows.sort_values("size_tb").prefix_hit_rate.is_monotonic_increasing


def test_no_policy_beats_foresight() -> None:
    hits = aggregates("prefix-cache")["hits"]
    rates = hits.pivot_table("prefix_hit_rate", ["model", "workload", "size_tb"], "policy")
    assert (rates.belady >= rates.lru - 1e-12).all()


def test_best_batches_and_sizes_lie_inside_their_ranges() -> None:
    _, version = computed("prefix-cache")
    rows = version.rows()
    assert rows[rows.best & rows.feasible].batch.between(2, 384).all()
    best = aggregates("prefix-cache")["best_size"]
    assert (best.size_tb < 100).all()


def test_states_do_not_grow_and_caches_do() -> None:
    """Batch for batch, a state costs a step the same at any context."""
    rows: Any = aggregates("anatomies")["by_anatomy"].set_index(["model", "prompt"])
    assert rows.loc[("falcon-mamba-7b", 131072), "kv_kb_per_token"] == 0
    share = rows.kv
    assert share[("falcon-mamba-7b", 131072)] == pytest.approx(share[("falcon-mamba-7b", 1024)])
    assert share[("llama-3.1-8b", 131072)] > 0.9
    assert rows.loc[("llada-8b", 1024), "compute"] > 0.9


def test_drafts_pay_where_memory_binds_and_cost_where_arithmetic_does() -> None:
    """A gain never exceeds the tokens of a pass; three drafts lose at 4096 in flight."""
    rows = aggregates("multi-token")["gains"]
    assert (rows.pace < rows.tokens).all()
    assert rows.tokens[rows.drafted == 1].to_numpy() == pytest.approx(1.85)
    last = rows[(rows.model == "deepseek-v3") & (rows.batch == 4096)].set_index("drafted")
    assert last.price[3] > 1 > last.price[1]
    assert last.compute_with[3] > 0.5
    assert rows.price[rows.batch == 128].max() < 0.75


def test_twice_the_thoughts_cost_more_than_twice() -> None:
    """23 of 12 thousand tokens, each beside a longer cache: more than their ratio, less than its
    square."""
    rows = aggregates("quality-price")["thought"].set_index(["hardware", "mitigation", "tokens"])
    for hardware in ("h200-sxm", "b200-sxm"):
        price = rows.usd_per_thousand[hardware, "none"]
        assert 23 / 12 < price[23000] / price[12000] < (23 / 12) ** 2


def test_best_batches_of_answers_lie_inside_their_range() -> None:
    _, version = computed("quality-price")
    rows = version.rows()
    rows = rows[rows.feasible & (rows.tpot_s <= 0.05)]
    best = rows.groupby(["hardware", "mitigation", "model", "workload.output_tokens"])
    assert rows.loc[best.cost_per_request_usd.idxmin()].batch.between(2, 8000).all()
