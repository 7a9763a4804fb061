"""Prefix caches over traces: published reuse exactly, policies by hand, and what a hit saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import infercost
from infercost.equations.caching import blocks_held, exposed_load_time, load_time
from infercost.errors import SpecError
from infercost.passes.reuse import pool_bytes, pool_of
from infercost.paths import ROOT
from infercost.workloads.prefix_cache import (
    Policy,
    cached_tokens,
    found_blocks,
)
from infercost.workloads.traces import Trace, lognormal_trace, read_trace
from probes import number, point

FLOOR = ("calibration=ideal", "model=llama-3.1-70b", "plan.tp=8")
MOONCAKE = "workload=mooncake-conversation"
POLICIES: tuple[Policy, ...] = ("lru", "belady")


def first(*overrides: str) -> Any:
    return infercost.evaluate([*FLOOR, *overrides]).iloc[0]


def recorded(name: str, rows: dict[str, str] | None = None, empty: int = 0) -> Trace:
    return read_trace(ROOT / f"data/traces/{name}.parquet", rows=rows, empty_prompts=empty)


def requests(folder: Path, *blocks: list[int]) -> Trace:
    """A trace of prompts of whole blocks of 10 tokens."""
    file = folder / "small.parquet"
    columns = {
        "input_tokens": [10 * len(b) for b in blocks],
        "output_tokens": [2] * len(blocks),
        "prefix_hash_ids": list(blocks),
    }
    table = pa.table(columns).replace_schema_metadata({"prefix_block_tokens": "10"})
    pq.write_table(table, file)
    return read_trace(file)


def hit_rate(trace: Trace, n_blocks: float, policy: Policy) -> float:
    """Share of all requested blocks that are found."""
    return float(found_blocks(trace, n_blocks, policy).sum() / trace.blocks.size)


# --- published reuse


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("name", "distinct", "asked", "share"),
    [
        ("mooncake_fast25_conversation", 182790, 288500, 0.366),
        ("mooncake_fast25_synthetic", 43924, 121877, 0.640),
    ],
)
def test_reuse_without_a_limit_is_the_published_one(
    name: str, distinct: int, asked: int, share: float, policy: Policy
) -> None:
    """Whatever is not asked for the first time is found: 1 - distinct / asked."""
    trace = recorded(name)
    assert (np.unique(trace.blocks).size, trace.blocks.size) == (distinct, asked)
    found = found_blocks(trace, float("inf"), policy).sum()
    assert found == asked - distinct
    assert round(hit_rate(trace, float("inf"), policy), 3) == share


@pytest.mark.parametrize(
    ("agent", "empty", "share"), [("miniswe", 0, 0.935), ("magagent", 53, 0.842)]
)
def test_reuse_of_agents_is_the_stated_one(agent: str, empty: int, share: float) -> None:
    trace = recorded("lmcache_agent_sessions", {"agent": agent}, empty)
    assert round(hit_rate(trace, float("inf"), "lru"), 3) == share


def test_no_policy_finds_more_than_the_one_that_knows_the_future() -> None:
    trace = recorded("mooncake_fast25_synthetic")
    sizes = (100, 1000, 4000, 16000, 43924)
    rates = {p: [hit_rate(trace, n, p) for n in sizes] for p in POLICIES}
    assert np.all(np.array(rates["belady"]) >= np.array(rates["lru"]))
    assert rates["belady"][1] > rates["lru"][1]
    for policy in POLICIES:
        assert np.all(np.diff(rates[policy]) >= 0), "a larger cache finds no less"
        assert rates[policy][-1] == pytest.approx(77953 / 121877, rel=1e-12)


# --- policies by hand


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    """Room for 2: [1 2] then [3] drops 2, the tail; then [1 2] finds 1, and drops 3."""
    trace = requests(tmp_path, [1, 2], [3], [1, 2], [3])
    assert found_blocks(trace, 2.0, "lru").tolist() == [0, 0, 1, 0]


def test_foresight_keeps_what_comes_back(tmp_path: Path) -> None:
    """Room for 2: 3 never comes back and is not kept, so [1 2] is found whole."""
    trace = requests(tmp_path, [1, 2], [3], [1, 2])
    assert found_blocks(trace, 2.0, "belady").tolist() == [0, 0, 2]
    # Room for 1: of 1 and 2, needed by the same request, the head is kept.
    assert found_blocks(trace, 1.0, "belady").tolist() == [0, 0, 1]


def test_sessions_run_abreast(tmp_path: Path) -> None:
    """Room for 1. By arrival A, B, B, A: one is found. As they are listed A, A, B, B: two."""
    listed = requests(tmp_path, [1], [1], [2], [2])
    session, arrival = np.array([0, 0, 1, 1]), np.array([0.0, 10.0, 0.0, 5.0])
    abreast = replace(listed, session=session, arrival=arrival)
    for policy in POLICIES:
        assert found_blocks(abreast, 1.0, policy).tolist() == [0, 0, 0, 1], policy
        for lacking in ({"session": None}, {"arrival": None}):
            found = found_blocks(replace(abreast, **lacking), 1.0, policy)  # type: ignore[arg-type]
            assert found.tolist() == [0, 1, 0, 1], policy


def test_a_run_ends_at_the_first_block_that_is_missing(tmp_path: Path) -> None:
    trace = requests(tmp_path, [1, 2, 3], [1, 9, 10])
    assert found_blocks(trace, 9.0, "lru").tolist() == [0, 1]


def test_one_token_is_always_computed(tmp_path: Path) -> None:
    """A prompt found whole, of 20 tokens, computes its last one: 19 are cached."""
    trace = requests(tmp_path, [1, 2], [1, 2])
    assert cached_tokens(trace, 2.0, "lru").tolist() == [0.0, 19.0]
    assert cached_tokens(trace, 0.0, "lru").tolist() == [0.0, 0.0]


# --- sizes and times by hand


def test_how_many_blocks_of_llama_70b_a_terabyte_holds() -> None:
    """80 layers x 8 heads x 128 x 2 x 2 B = 327,680 B a token; 1e12 / (512 x 327680) = 5960.4."""
    assert blocks_held(1e12, 512, 327680.0, 0.0) == 5960
    assert blocks_held(1e12, 512, 327680.0, 327680.0 * 512) == 2980


def test_a_prefix_takes_its_bytes_over_the_bandwidth() -> None:
    assert load_time(10000, 327680.0, 0.0, 50e9) == pytest.approx(65.536e-3, rel=1e-12)
    assert exposed_load_time(3.0, 2.0, 0.0) == 3.0
    assert exposed_load_time(3.0, 2.0, 1.0) == 1.0
    assert exposed_load_time(2.0, 3.0, 1.0) == 0.0


# --- in the model


NEUTRAL = [
    ("plan.prefix_cache.capacity=0 B", MOONCAKE),
    ("workload.cached_tokens=0", "workload=fixed-lengths"),
    ("trend.cached_share=0.5", "workload=fixed-lengths", "trend=rag", "trend.prompt_tokens=0"),
]


@pytest.mark.parametrize("dose", NEUTRAL, ids=lambda dose: dose[0])
def test_an_empty_cache_leaves_the_case_as_it_is(dose: tuple[str, ...]) -> None:
    workload = next(text for text in dose if text.startswith("workload="))
    plain, dosed = first(workload), first(*dose)
    pd.testing.assert_series_equal(plain.drop("trend"), dosed.drop("trend"), check_names=False)


def test_a_prompt_that_is_found_whole_computes_its_last_token() -> None:
    words = ("model=llama-3.1-70b", "plan.tp=8", "workload=fixed-lengths")
    words = (*words, "workload.prompt_tokens=1000", "+mitigation=prefix-cache")
    for rate, found in ((1.0, 999), (0.25, 250)):
        at = point(*words, f"mitigation.prefix-cache.hit_rate={rate}")
        assert number(at.lengths.cached_prompt) == found
        assert number(at.prefilled) == 1000 - found


def test_a_cache_on_the_devices_is_spread_over_all_of_a_replica() -> None:
    """8 GB on 2 x 2 x 2 devices, a gigabyte each, beside what requests hold."""
    words = ("model=llama-3.1-8b", "plan.tp=2", "plan.pp=2", "plan.dp=2", MOONCAKE)
    at = point(*words, "plan.prefix_cache.capacity=8 GB")
    assert number(pool_bytes(at.layout)) == 1e9
    assert number(at.memory.context) == 1e9
    assert pool_bytes(point(*words).layout) == 0
    pool = pool_of(at.layout)
    assert pool is not None
    assert (number(pool.capacity), number(pool.per_token)) == (8e9, 131_072)


def test_a_cached_prefix_is_not_computed_but_attended_and_kept() -> None:
    """1024 tokens of which 768 are cached: steps and memory are those of 1024 tokens.

    Under ideal calibration prefill takes its FLOPs over the peak. Per token the matrices have
    2 x (70.55e9 - 1.05e9 of embeddings - head, for one token alone) FLOPs; pairs by attention are
    1024 x 1025 / 2 - 768 x 769 / 2 = 229,504, each 4 x 64 heads x 128 x 80 layers FLOPs.
    """
    lengths = ("workload=fixed-lengths", "workload.prompt_tokens=1024", "plan.tp=1")
    memory = ("hardware.memory.hbm.capacity=1 TB", "hardware.memory.hbm.bandwidth=1e6 TB/s")
    roomy = (*memory, "hardware.tdp=100 kW")
    whole = first(*lengths, *roomy)
    found = first(*lengths, *roomy, "workload.cached_tokens=768")
    assert found.prefix_hit_rate == 0.75
    same = ["decode_step_s", "kv_memory_b", "context", "batch_for_memory"]
    assert found[same].tolist() == whole[same].tolist()
    attention = 4 * 64 * 128 * 80
    layer = 8192 * 128 * (64 + 16) + 64 * 128 * 8192 + 3 * 8192 * 28672
    matrices, head = 2 * 80 * layer, 2 * 8192 * 128256
    computed = 256 * matrices + attention * 229504 + head
    everything = 1024 * matrices + attention * (1024 * 1025 // 2) + head
    assert found.ttft_s / whole.ttft_s == pytest.approx(computed / everything, rel=1e-3)


def test_a_trace_keeps_prompt_output_and_prefix_together(tmp_path: Path) -> None:
    """Requests [1 2] and [1 2 3] of 10-token blocks: the second finds 20 of its 30 tokens.

    20 of 50 tokens are found; the first request computes 20 tokens, the second 10.
    """
    trace = requests(tmp_path, [1, 2], [1, 2, 3])
    import hashlib

    file = tmp_path / "small.parquet"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "workload").mkdir()
    (tmp_path / "workload/mine.yaml").write_text(
        f"name: Mine\nkind: trace\nfile: {file}\nsha256: {digest}\n"
        "sources: {default: 'assumed: a test'}\n"
    )
    room = ("plan.prefix_cache.capacity=1 GB", "plan.prefix_cache.bandwidth=100 GB/s")
    frame = infercost.evaluate([*FLOOR, "workload=mine", *room], dirs=(str(tmp_path),)).iloc[0]
    assert trace.prompt.tolist() == [20.0, 30.0]
    assert frame.prefix_hit_rate == pytest.approx(0.4, rel=1e-12)
    # Half of the requests load 20 tokens of 327,680 B at 100 GB/s.
    assert frame.prefix_load_time_s == pytest.approx(0.5 * 20 * 327680 / 100e9, rel=1e-12)


def test_a_cache_on_the_devices_takes_their_memory() -> None:
    """80 GB over 8 devices, 10 GB each, and no less room; apart it takes none, but its price.

    100 TB at 1 USD/GB cost 1e5 USD, of the order of the devices.
    """
    plain = first(MOONCAKE)
    held = first(MOONCAKE, "plan.prefix_cache.capacity=80 GB")
    assert held.context_memory_b == 1e10
    assert held.prefix_load_time_s == 0
    apart = first(
        *(MOONCAKE, "plan.prefix_cache.capacity=100 TB", "plan.prefix_cache.bandwidth=100 GB/s"),
        "plan.prefix_cache.price=1 USD/GB",
    )
    free = first(
        *(MOONCAKE, "plan.prefix_cache.capacity=100 TB", "plan.prefix_cache.bandwidth=100 GB/s"),
    )
    assert apart.context_memory_b == plain.context_memory_b == 0
    assert apart.cost_per_mtoken_usd > free.cost_per_mtoken_usd


def test_capacities_are_an_axis() -> None:
    """Each point of the axis equals the point alone."""
    apart = ("plan.prefix_cache.bandwidth=100 GB/s", MOONCAKE)
    sizes = ["0 B", "1 TB", "8 TB"]
    many = infercost.evaluate([*FLOOR, *apart, f"plan.prefix_cache.capacity={','.join(sizes)}"])
    for row, size in zip(many.itertuples(), sizes, strict=True):
        alone = first(*apart, f"plan.prefix_cache.capacity={size}")
        assert row.prefix_hit_rate == pytest.approx(alone.prefix_hit_rate, rel=1e-12)
        assert row.ttft_s == pytest.approx(alone.ttft_s, rel=1e-12)


REFUSED = [
    ("workload=azure-2023-code", "has no prefix blocks"),
    ("workload=fixed-lengths", "have no history from which to fill a prefix cache"),
    ("workload=snapshot", "have no history from which to fill a prefix cache"),
]


@pytest.mark.parametrize(("workload", "fault"), REFUSED)
def test_a_cache_without_a_history_is_refused(workload: str, fault: str) -> None:
    with pytest.raises(SpecError, match=fault):
        first(workload, "plan.prefix_cache.capacity=1 TB")


def test_a_cache_and_a_shared_context_do_not_mix() -> None:
    with pytest.raises(SpecError, match="Leave one of them out"):
        first(
            *("workload=fixed-lengths", "workload.cached_tokens=100"),
            "plan.placement.shared_context=100",
        )


def test_a_law_without_spread_is_a_fixed_length() -> None:
    law = ("workload=lognormal-conversation", "workload.prompt_sigma=0", "workload.output_sigma=0")
    drawn = first(*law, "workload.prompt_mean=1024", "workload.output_mean=256")
    fixed = first("workload=fixed-lengths")
    shown = ["context", "decode_step_s", "ttft_s", "cost_per_mtoken_usd", "kv_memory_b"]
    assert drawn[shown].tolist() == pytest.approx(fixed[shown].tolist(), rel=1e-9)


def test_a_law_has_its_mean_its_spread_and_no_correlation() -> None:
    """Median = mean x exp(-sigma^2 / 2); logarithms of the stated deviation."""
    trace = lognormal_trace(1000.0, 0.8, 200.0, 0.5)
    assert trace.prompt.mean() == pytest.approx(1000.0, rel=1e-9)
    assert trace.output.mean() == pytest.approx(200.0, rel=1e-9)
    assert np.median(trace.prompt) == pytest.approx(1000.0 * np.exp(-0.32), rel=0.01)
    assert np.log(trace.output).std() == pytest.approx(0.5, rel=0.01)
    assert abs(np.corrcoef(trace.prompt, trace.output)[0, 1]) < 0.01


@pytest.mark.parametrize("rank", [-0.9, -0.37, 0.073, 0.5, 1.0])
def test_correlated_laws_have_their_ranks_their_means_and_their_joint_moment(rank: float) -> None:
    """E[P O] = E[P] E[O] exp(rho s t) of two lognormals, rho = 2 sin(pi r / 6) of their scores.

    Each law alone is what it is without correlation: the same lengths in another order.
    """
    apart, together = (lognormal_trace(1000.0, 0.8, 200.0, 0.5, r) for r in (0.0, rank))
    for one, other in ((apart.prompt, together.prompt), (apart.output, together.output)):
        np.testing.assert_allclose(np.sort(one), np.sort(other), rtol=1e-12)
    ranks = np.argsort(np.argsort(together.prompt)), np.argsort(np.argsort(together.output))
    assert np.corrcoef(*ranks)[0, 1] == pytest.approx(rank, abs=0.01)
    rho = 2 * np.sin(np.pi * rank / 6)
    joint = 1000.0 * 200.0 * np.exp(rho * 0.8 * 0.5)
    assert (together.prompt * together.output).mean() == pytest.approx(joint, rel=0.01)


def test_long_prompts_with_long_outputs_weigh_on_every_step() -> None:
    """A step sees a request as often as it has tokens: the mean prompt of a step is
    E[P O] / E[O] = E[P] exp(rho s t), so that a rank correlation of 0.5 (rho 0.5176) adds
    1154.7 (exp(0.5176 x 0.9852 x 0.859) - 1) tokens of context."""
    law = "workload=lognormal-conversation"
    apart, together = (first(law, f"workload.correlation={r}") for r in (0, 0.5))
    rho = 2 * np.sin(np.pi * 0.5 / 6)
    added = 1154.7 * (np.exp(rho * 0.9852 * 0.859) - 1)
    assert together.context - apart.context == pytest.approx(added, rel=0.03)
    assert together.ttft_s == pytest.approx(apart.ttft_s, rel=1e-9)
    assert together.decode_step_s > apart.decode_step_s


def test_a_correlation_beyond_one_is_refused() -> None:
    with pytest.raises(SpecError, match="correlation"):
        first("workload=lognormal-conversation", "workload.correlation=1.5")


def test_a_law_fitted_to_a_trace_has_its_context() -> None:
    """Means, deviations and joint moment of Azure's conversations give their mean context in
    flight within a twelfth, nearer than laws apart; outputs are less spread than lognormal."""
    law, apart, trace = (
        first(*asked).context
        for asked in (
            ("workload=lognormal-conversation",),
            ("workload=lognormal-conversation", "workload.correlation=0"),
            ("workload=azure-2023-conversation",),
        )
    )
    assert law == pytest.approx(trace, rel=1 / 12)
    assert abs(law - trace) < abs(apart - trace)
