"""Replay: tokens and blocks are conserved, queues are those of theory, one request is the point."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.equations import queueing
from infercost.errors import SpecError
from infercost.grid import replaced
from infercost.options.question import ask
from infercost.options.resolve import content_of
from infercost.options.witnesses import adapter
from infercost.paths import CONF
from infercost.serving import summary
from infercost.serving.ask import asked_service
from infercost.serving.closed import bilinear, steady_state
from infercost.serving.edge import edge_of
from infercost.serving.replay import HandOver, Outcome, Pool, replay, replay_pools
from infercost.serving.requests import Arrivals, arrivals, poisson
from infercost.serving.search import Objective, best_split, largest_rate, replicas_for
from infercost.serving.service import Service, service_of
from infercost.serving.tables import Passes, StepTables, axis, step_tables
from infercost.specs.case import Case
from infercost.specs.serving import Serving
from infercost.specs.workload import FixedLengths
from probes import examples

FIXED = FixedLengths(
    kind="fixed", name="t", prompt_tokens=1000.0, output_tokens=200.0,
    sources={"default": "assumed: a test"},
)  # fmt: skip


def case_of(*overrides: str) -> Case:
    return next(iter(Options(ask(list(overrides))).cases())).case


def serving(**changes: Any) -> Serving:
    told = {"name": "t", "policy": "chunked", "token_budget": 512, "max_sequences": 8}
    return Serving.model_validate({**told, "sources": {"default": "assumed: a test"}, **changes})


def steady(time: float, per_octave_tokens: float = 1e6) -> StepTables:
    """Every pass takes the same time, whatever is in it."""
    ends, table = np.array([1.0, per_octave_tokens]), np.zeros((2, 2, 2))
    table[0] = time
    return StepTables(
        ends, ends, ends, ends, table, np.zeros((2, 2, 2)), table[:, 0], np.zeros((2, 2, 2)), table
    )


def test_the_life_of_flash_under_a_replay_is_by_what_its_tokens_write() -> None:
    """Llama-3.1-70B writes 80 x 8 x 128 x 2 x 2 B = 327,680 B a token to the flash of 8 devices.

    Each bears 4 x 512 GB x 1e5 cycles / 1.5. Idle time counts: at half the rate it lives twice as
    long.
    """
    case = case_of(
        "hardware=b200-sxm", "model=llama-3.1-70b", "direction=hbf", "plan=caches-on-flash",
        "workload=fixed-lengths", "workload.prompt_tokens=1000", "workload.output_tokens=200",
    )  # fmt: skip
    size = np.ones(200, np.int64)
    asked = arrivals("t", np.arange(200.0), 1000 * size, 200 * size)
    service = service_of(case, serving(max_sequences=64, token_budget=2048), asked)
    lives = {}
    for rate in (2.0, 1.0):
        told = service.answered(asked.at_rate(rate))
        written = 327_680 * 200 * 1200 / told["horizon_s"] / 8
        lives[rate] = told["memory_life_s"]
        assert lives[rate] == pytest.approx(4 * 512e9 * 1e5 / 1.5 / written, rel=0.01)
    assert lives[1.0] == pytest.approx(2 * lives[2.0], rel=0.1)
    plain = service_of(case_of("model=llama-3.1-70b"), serving(), asked)
    assert np.isnan(plain.answered(asked.at_rate(1.0))["memory_life_s"])


def service_times(outcome: Outcome) -> float:
    return float(summary.ttft(outcome).mean())


def same(count: int, rate: float, prompt: int = 100, output: int = 1, seed: int = 1) -> Arrivals:
    return arrivals("t", poisson(rate, count, seed), np.full(count, prompt), np.full(count, output))


def some_requests(random: np.random.Generator) -> Arrivals:
    """Up to 79 requests of which some share prefixes, at once, in a burst or spread out."""
    count = int(random.integers(1, 80))
    prompt, output = random.integers(1, 620, count), random.integers(1, 80, count)
    blocks = [np.arange(p // 64) + 100 * random.integers(0, 5) for p in prompt]
    starts = np.concatenate([[0], np.cumsum([b.size for b in blocks])])
    times = np.sort(random.random(count)) * random.choice([0.0, 1.0, 40.0])
    return arrivals("t", times, prompt, output, np.concatenate(blocks), starts, 64)


@given(
    seed=st.integers(0, 2**20),
    policy=st.sampled_from(["chunked", "prefill-first", "decode-first"]),
    routing=st.sampled_from(["round-robin", "least-loaded", "prefix-aware"]),
    shape=st.sampled_from([(1, 1, 40), (2, 2, 45), (3, 1, 60)]),
    cached=st.booleans(),
    drafted=st.integers(0, 3),
    beams=st.integers(1, 4),
)
@settings(max_examples=examples(60))
def test_tokens_and_blocks_are_conserved(
    seed: int, policy: str, routing: str, shape: tuple[int, int, int], cached: bool, drafted: int,
    beams: int,
) -> None:  # fmt: skip
    """Tokens asked are made; every block is free, held or cached after every pass, and at the end
    none is held; prompts are computed or found, when they first start or, of those that had to
    give way, when they start again (another request may have cached their prefix meanwhile)."""
    random = np.random.default_rng(seed)
    asked = some_requests(random)
    prompt, output = asked.prompt, asked.output
    stores = [
        {"name": "a", "capacity": "8 kB", "bandwidth": "20 kB/s", "latency": "1 ms"},
        {"name": "b", "capacity": "32 kB", "bandwidth": "5 kB/s"},
    ]
    how = serving(
        policy=policy,
        routing=routing,
        prefix_cache=cached,
        prefix_tiers=stores if cached else [],
        beams=1 if drafted else beams,
        speculation={"drafted": drafted, "acceptance": 0.6},
    )
    replicas, groups, room = shape
    found = replay(Pool(steady(0.05), how, replicas, groups, room, 16.0), asked, 0, checked=True)
    assert found.totals["violations"] == 0
    assert found.totals["kv_blocks_left"] == found.totals["kv_blocks"]
    assert np.all(found.finished | found.rejected)
    np.testing.assert_array_equal(
        found.rejected, -(-(prompt + how.beams * (output + 1)) // 16) > room
    )
    np.testing.assert_array_equal(found.done[found.finished], output[found.finished])
    assert found.totals["output_tokens"] == output[found.finished].sum()
    served = found.finished
    needed = prompt[served].sum() - found.found[served].sum()
    computed = found.totals["prompt_tokens_computed"]
    if found.preempted.sum() == 0:
        assert computed == needed
        assert found.totals["found_again_tokens"] == 0
    assert computed >= needed - found.totals["found_again_tokens"]
    assert np.all(found.first[served] >= found.arrival[served])
    assert np.all(found.last[served] >= found.first[served])
    gaps = found.gaps.sum()
    assert gaps == (output[served] - 1).sum()


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_replay_of_equal_prompts_is_the_m_d_1_queue(busy: float) -> None:
    """DistServe section 3.1: TTFT = D + R D² / (2 (1 - R D)), within 2 %."""
    one = serving(policy="prefill-first", max_prefills=1)
    found = replay(Pool(steady(1.0), one, 1, 1, 10_000, 1.0), same(400_000, busy))
    expected = 1.0 + busy / (2.0 * (1.0 - busy))
    assert service_times(found) == pytest.approx(expected, rel=0.02)
    assert queueing.pipelined_ttft(busy, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.5, 1.2])
def test_replay_of_a_pipeline_and_of_faster_devices_is_distserves(rate: float) -> None:
    """Two stages: D + R D² / (4 (2 - R D)). K = 1.6: D / K + R D² / (2 K (K - R D))."""
    one = serving(policy="prefill-first", max_prefills=1)
    asked = same(400_000, rate)
    staged = replay(Pool(steady(1.0), one, 1, 1, 10_000, 1.0, stages=2), asked)
    assert service_times(staged) == pytest.approx(1.0 + rate / (4.0 * (2.0 - rate)), rel=0.02)
    faster = replay(Pool(steady(1.0 / 1.6), one, 1, 1, 10_000, 1.0), asked)
    expected = 1.0 / 1.6 + rate / (2.0 * 1.6 * (1.6 - rate))
    assert service_times(faster) == pytest.approx(expected, rel=0.02)
    assert queueing.parallel_ttft(rate, 1.0, 1.6) == pytest.approx(expected)


@pytest.mark.parametrize("busy", [0.8, 0.95])
def test_several_servers_behind_one_queue(busy: float) -> None:
    """One server is M/G/1 exactly. M/M/2, C² = 1, near its limit: W = S ρ² / (1 - ρ²)."""
    assert queueing.mgk_wait(busy, 1.0, 0.5, 1) == pytest.approx(queueing.mg1_wait(busy, 1.0, 0.5))
    two = queueing.mgk_wait(2.0 * busy, 1.0, 1.0, 2)
    assert two == pytest.approx(busy**2 / (1.0 - busy**2), rel=0.02)


def test_littles_law_holds() -> None:
    """Requests in the system over time, integrated event by event, are rate times mean stay."""
    asked = same(20_000, 6.0, prompt=300, output=40)
    found = replay(Pool(steady(0.02), serving(), 1, 1, 4_000, 1.0), asked)
    horizon = found.totals["horizon_s"]
    rate = asked.size / horizon
    assert found.totals["in_system_request_s"] / horizon == pytest.approx(
        rate * summary.e2e(found).mean(), rel=1e-9
    )


def test_two_replays_are_the_same_to_the_byte() -> None:
    asked = same(2_000, 8.0, prompt=300, output=40)
    how = serving(speculation={"drafted": 3, "acceptance": 0.7}, routing="least-loaded")
    one, two = (replay(Pool(steady(0.02), how, 3, 1, 400, 1.0), asked, 7) for _ in range(2))
    assert one.last.tobytes() == two.last.tobytes()
    assert one.first.tobytes() == two.first.tobytes()
    assert one.totals == two.totals


def test_speculation_makes_the_expected_tokens_per_step() -> None:
    """Leviathan: (1 - a^4) / (1 - a) at three drafts, a = 0.7: 0.7599 / 0.3 = 2.533."""
    how = serving(speculation={"drafted": 3, "acceptance": 0.7})
    asked = same(200, 1e-3, output=2_000)
    found = replay(Pool(steady(0.01), how, 1, 1, 4_000, 1.0), asked)
    per_step = (found.totals["output_tokens"] - 200) / found.totals["sequence_steps"]
    assert per_step == pytest.approx(2.533, rel=0.01)


def test_a_step_of_beams_is_one_of_as_many_sequences() -> None:
    """8 requests of 4 beams are 32 sequences, each of which reads its context: all take as long."""
    case = case_of("hardware=h100-sxm", "model=gpt-j-6b", "workload=fixed-lengths")
    beams, plain = Passes(case, serving(beams=4)), Passes(case, serving())
    n, context = np.array([8.0]), np.array([875.0])
    assert beams.decode(n, context) == plain.decode(4 * n, context)
    assert beams.bare(n, np.array([100.0])) == plain.bare(4 * n, np.array([100.0]))
    assert beams.prefill(np.array([840.0]), np.zeros(1)) == plain.prefill(
        np.array([840.0]), np.zeros(1)
    )


@pytest.mark.parametrize(("blocks", "together"), [(147, 1), (148, 2)])
def test_beams_share_the_cache_of_their_prompt(blocks: int, together: int) -> None:
    """840 tokens of a prompt and 85 of each of four beams: 1,180 tokens, 73.75 blocks of 16. Two
    such requests run side by side in 148 blocks; in 147 one of them has to give way."""
    asked = arrivals("t", np.zeros(2), np.full(2, 840), np.full(2, 85))
    found = replay(Pool(steady(1.0), serving(beams=4, token_budget=2000), 1, 1, blocks, 1.0), asked,
                   checked=True)  # fmt: skip
    assert found.totals["violations"] == 0
    assert found.finished.all()
    assert (found.preempted.sum() == 0) == (together == 2)


def test_beams_and_drafts_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        serving(beams=4, speculation={"drafted": 2, "acceptance": 0.5})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serving=edge-router", "edge.plan.tp=abc"], "override 'edge.plan.tp=abc': edge.plan.tp:"),
        (["serving=edge-router", "edge.hardware=nope"], "override 'edge.hardware=nope': edge.hard"),
        (["serving=disaggregated", "prefill.plan.tq=2"], "override 'prefill.plan.tq=2': prefill.p"),
        (["serving=edge-router", "edge.batch=1,2"], "replay: overrides of 'edge.': the overrides"),
    ],
)
def test_faults_name_the_override_as_it_was_typed(words: list[str], said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        asked_service(words, (), 10, None, 0)


@pytest.mark.parametrize(
    "overrides",
    [
        ("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8"),
        ("hardware=b200-sxm", "model=deepseek-v3", "plan.tp=8", "plan.ep=8"),
        ("hardware=mi300x", "model=llama-3.1-8b", "plan.tp=1", "calibration=ideal"),
    ],
)
def test_one_request_is_the_analytical_point(overrides: tuple[str, ...]) -> None:
    """TTFT is the point's prefill, the mean gap its TPOT, which is a decode step, within 0.1 %."""
    base = case_of(*overrides, "workload=fixed-lengths", "batch=1")
    for prompt, output in ((1000, 200), (3001, 77)):
        case = replaced(base, ["workload", "prompt_tokens"], float(prompt))
        case = replaced(case, ["workload", "output_tokens"], float(output))
        point = Evaluation(case)
        how = serving(token_budget=8192, max_sequences=32)
        asked = arrivals("t", np.zeros(1), np.array([prompt]), np.array([output]))
        found = service_of(case, how, asked).run(asked)
        prefill, gap = float(np.max(point.prefill_time)), float(np.max(point.tpot))
        assert gap == float(np.max(point.step_time))
        assert summary.ttft(found)[0] == pytest.approx(prefill, rel=1e-3)
        assert summary.tpot(found)[0] == pytest.approx(gap, rel=1e-3)


@pytest.mark.parametrize(
    "overrides",
    [
        ("hardware=h200-sxm", "model=llama-3.1-70b", "plan.tp=8"),
        ("hardware=h200-sxm", "model=deepseek-v3", "plan.tp=8", "plan.ep=8"),
        ("hardware=mi300x", "model=llama-3.1-8b", "plan.tp=1"),
        ("hardware=h100-sxm", "model=gpt-oss-120b", "plan.tp=4"),
        ("hardware=b200-sxm", "model=gemma-3-27b", "plan.tp=1"),
        ("hardware=h100-sxm", "model=jamba-1.5-large", "plan.tp=8"),
        ("hardware=b200-sxm", "model=qwen3-235b-a22b", "plan.ep=8", "calibration=ideal"),
        ("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8", "direction=pnm"),
        ("hardware=b200-sxm", "model=deepseek-v3.2", "plan.tp=8", "plan.ep=8"),
        ("hardware=h100-sxm", "model=llama-3.1-405b", "plan.tp=8", "plan.pp=2"),
    ],
    ids=lambda words: " ".join(word.partition("=")[2] for word in words[:2]),
)
def test_tables_are_within_their_bound_of_the_cost_model(overrides: tuple[str, ...]) -> None:
    """Random passes of many designs: times and energies of decode steps, chunks of prompts, and
    mixed passes without attention.

    A line across the kink of max(1, x), between points 2^(1/16) = 1.044 apart, is off by
    0.044 / 4 = 1.1 % at most: so much where a pass is a single operator. Most points lie on lines.
    """
    case, how = case_of(*overrides), serving(token_budget=8192, max_sequences=512)
    tables, passes = step_tables(case, how, 32_000.0), Passes(case, how)
    random = np.random.default_rng(3)
    n = np.floor(np.exp(random.uniform(0, np.log(513), 1000)))
    c = np.exp(random.uniform(np.log(2), np.log(32_000), 1000))
    m = np.floor(np.exp(random.uniform(0, np.log(8193), 1000)))
    h = np.floor(random.random(1000) ** 3 * (32_000 - m))
    exact = (passes.decode(n, c), passes.prefill(m, h), passes.bare(n, m))
    for kind in (0, 1):
        chunk = np.interp(m, tables.m, tables.prefill[kind])
        chunk = chunk + bilinear(tables.prefill_attention[kind], tables.m, tables.h, m, h)
        told = (
            bilinear(tables.decode[kind], tables.n, tables.c, n, c),
            chunk,
            bilinear(tables.mixed[kind], tables.n, tables.m, n, m),
        )
        for table, true in zip(told, exact, strict=True):
            error = np.abs(table / true[kind] - 1.0)
            assert error.max() < 0.011
            assert error.mean() < 0.0002


def test_a_mixed_pass_takes_no_less_than_either_and_no_more_than_both() -> None:
    case = case_of("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8")
    how = serving(token_budget=2048, max_sequences=64)
    t = step_tables(case, how, 8192.0)
    decode, chunk = t.decode[0][:, None, :, None], t.prefill[0][None, :, None, None]
    chunk = chunk + t.prefill_attention[0][None, :, None, :]
    mixed = t.mixed[0][:, :, None, None] + t.decode_attention[0][:, None, :, None]
    mixed = mixed + t.prefill_attention[0][None, :, None, :]
    assert np.all(mixed <= (decode + chunk) * 1.001)
    assert np.all(mixed >= chunk * 0.98)  # the error that the tables are allowed


BAD = {
    "negative": (np.array([0.0, 1.0]), np.array([5, -1]), np.array([3, 3])),
    "unsorted": (np.array([1.0, 0.5]), np.array([5, 5]), np.array([3, 3])),
    "NaN": (np.array([0.0, np.nan]), np.array([5, 5]), np.array([3, 3])),
    "NaN tokens": (np.array([0.0, 1.0]), np.array([5, np.nan]), np.array([3, 3])),
    "no output": (np.array([0.0, 1.0]), np.array([5, 5]), np.array([3, 0])),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_traces_are_refused_by_name_with_counts(kind: str) -> None:
    with pytest.raises(SpecError, match=r"night.*: .*1 of 2 rows are"):
        arrivals("night", *BAD[kind])


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(SpecError, match="night: holds no request"):
        arrivals("night", np.zeros(0), np.zeros(0), np.zeros(0))


def served(how: str, asked: Arrivals) -> Service:
    """Llama-3.1-70B on eight H100, served as an option says."""
    case = case_of("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8")
    stack = adapter("serving").validate_python(content_of((CONF,), "serving", how))
    return service_of(case, stack, asked)


def test_a_search_finds_the_edge_of_what_keeps_the_objective() -> None:
    """The rate found keeps the limits, 6 % more does not."""
    asked = same(3_000, 1.0, prompt=2_000, output=50)
    service, limits = served("chunked", asked), Objective(1.0, 0.05)
    found = largest_rate(service, asked, limits)
    assert found.rate > 0
    assert limits.kept(service.run(asked.at_rate(found.rate)))
    assert not limits.kept(service.run(asked.at_rate(found.rate * 1.06)))


def test_a_demand_takes_the_least_replicas_that_keep_the_objective() -> None:
    asked = same(2_000, 40.0, prompt=2_000, output=50)
    service, limits = served("chunked", asked), Objective(1.0, 0.05)
    count = replicas_for(service, asked, limits)
    assert count > 1
    assert limits.kept(service.with_replicas(count).run(asked))
    assert not limits.kept(service.with_replicas(count - 1).run(asked))
    assert replicas_for(service, asked, limits, most=count - 1) == 0


def test_every_split_of_some_replicas_is_searched() -> None:
    asked = same(500, 4.0, prompt=1_000, output=30)
    service, limits = served("disaggregated", asked), Objective(1.0, 0.05)
    found = best_split(service, asked, limits, 3, 0.05)
    assert set(found) == {(1, 2), (2, 1)}
    for (prefill, decode), rate in found.items():
        assert limits.kept(service.with_replicas(decode, prefill).run(asked.at_rate(rate)))


def test_two_pools_hand_over_and_lose_nothing() -> None:
    asked = same(500, 4.0, prompt=1_000, output=30)
    found = served("disaggregated", asked).run(asked)
    assert found.finished.all()
    assert np.all(found.done == 30)
    assert np.all(found.last > found.first)


def test_a_table_of_one_sequence_has_its_point() -> None:
    """The axis of a service for one sequence is 1, 2: it interpolates, and is exact at 1."""
    assert axis(1, 16, 32).tolist() == [1.0, 2.0]
    assert axis(5, 16, 32).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    found = replay(
        Pool(steady(1.0), serving(max_sequences=1), 1, 1, 100, 1.0), same(3, 1e-3, 31, 4)
    )
    np.testing.assert_allclose(found.last - found.arrival, 4.0)


@given(
    seed=st.integers(0, 2**20),
    pools=st.sampled_from([(1, 1), (2, 1), (1, 2), (3, 2)]),
    rooms=st.sampled_from([(60, 60), (45, 200), (200, 45), (60, 30)]),
    cached=st.booleans(),
    stages=st.sampled_from([1, 3]),
)
@settings(max_examples=examples(60))
def test_two_pools_conserve_tokens_and_blocks(
    seed: int, pools: tuple[int, int], rooms: tuple[int, int], cached: bool, stages: int
) -> None:
    """After every pass of either pool each block is free, held, cached or waits with a prompt that
    is to be handed over; at the end all are free or cached, and every token asked is made."""
    random = np.random.default_rng(seed)
    asked = some_requests(random)
    prompt, output = asked.prompt, asked.output
    first = Pool(steady(0.05), serving(prefix_cache=cached), pools[0], 1, rooms[0], 16.0, stages)
    later = Pool(steady(0.02), serving(max_sequences=3), pools[1], 1, rooms[1], 16.0)
    over = HandOver(20_000.0, 0.01)
    made, whole, handed = replay_pools(first, later, over, asked, 0, checked=True)
    assert made.totals["violations"] == whole.totals["violations"] == 0
    for pool in (made, whole):
        assert pool.totals["kv_blocks_left"] == pool.totals["kv_blocks"]
    assert np.all(whole.finished ^ whole.rejected)
    long = -(-(prompt + 2) // 16) > rooms[0]
    longer = (-(-(prompt + output + 1) // 16) > rooms[1]) & (output > 1)
    np.testing.assert_array_equal(whole.rejected, long | longer)
    np.testing.assert_array_equal(whole.done[whole.finished], output[whole.finished])
    sent = ~whole.rejected & (output > 1)
    np.testing.assert_array_equal(np.isfinite(handed), sent)
    least = prompt[sent] * 16.0 / over.bandwidth + over.latency
    assert np.all(handed[sent] >= least * (1 - 1e-12))
    calm = sent & (whole.preempted == 0)  # others may compute anew what is still on its way
    assert np.all(whole.last[calm] >= whole.first[calm] + handed[calm] + 0.02 - 1e-9)


def test_prompts_shorter_than_a_prefix_block_find_nothing_in_a_cache() -> None:
    """Prompts of 20 tokens of a trace whose blocks have 64: none has a block to keep."""
    none = np.zeros(0, np.int64)
    asked = arrivals("t", np.arange(3.0), np.full(3, 20), np.full(3, 2), none, np.zeros(4, int), 64)
    stores = [{"name": "a", "capacity": "8 kB", "bandwidth": "20 kB/s"}]
    how = serving(prefix_cache=True, prefix_tiers=stores)
    found = replay(Pool(steady(0.05), how, 1, 1, 40, 16.0), asked, 0, checked=True)
    assert found.totals["violations"] == 0
    assert found.finished.all()
    assert not found.found.any()
    assert found.hits.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["trend=reasoning"], "output_tokens"),
        (["trend=long-context"], "prompt_tokens"),
        (["trend=branching"], "output_tokens"),
        (["trend=branching", "trend.output_tokens=0"], "branches"),
        (["trend=rag-hyperscale", "trend.prompt_tokens=0"], "retrieval"),
        (["plan.prefix_cache.capacity=1 TB", "workload=mooncake-conversation"], "prefix_cache"),
        (["workload=fixed-lengths", "workload.cached_tokens=10"], "cached_tokens"),
    ],
)
def test_a_replay_refuses_what_it_would_not_see_in_requests(words: list[str], key: str) -> None:
    with pytest.raises(SpecError, match=key):
        asked_service(["model=llama-3.1-8b", *words], (), 10, 1.0, 0)


def test_a_replay_sees_what_a_trend_does_to_the_model() -> None:
    """A dose of 0 adds nothing either."""
    asked_service(["model=llama-3.1-8b", "trend=reasoning", "trend.dose=0"], (), 10, 1.0, 0)
    words = ["model=mixtral-8x7b", "plan.ep=8", "trend=imbalance"]
    even, skewed = (
        asked_service([*words, f"trend.expert_skew={s}"], (), 50, 1.0, 0) for s in (1, 4)
    )
    assert skewed[0].answered(skewed[1])["tpot_mean_s"] > even[0].answered(even[1])["tpot_mean_s"]


def test_a_full_decode_pool_holds_back_prefill() -> None:
    """Prompts of 31 tokens take 2 blocks with their next token, and the prefill pool has 4: two
    prompts. Passes of either pool take 1 s, a hand-over 0.5 s. The decode pool takes one request of
    5 tokens at a time: 4 steps.

    A and B are made in the pass from 0 to 1. A is sent from 1 to 1.5 and decodes until 5.5: only at
    1.5 is there memory for C, which is made at 2.5. B is sent from 5.5 to 6 and decodes until 10; D
    finds memory at 6 and is made at 7. C is sent from 10 to 10.5, until 14.5, D to 15, until 19.
    """
    asked = arrivals("t", np.zeros(4), np.full(4, 31), np.full(4, 5))
    first = Pool(steady(1.0), serving(), 1, 1, 4, 1.0)
    later = Pool(steady(1.0), serving(max_sequences=1), 1, 1, 100, 1.0)
    made, whole, handed = replay_pools(first, later, HandOver(62.0, 0.0), asked, 0, checked=True)
    np.testing.assert_allclose(made.started, [0.0, 0.0, 1.5, 6.0])
    np.testing.assert_allclose(whole.first, [1.0, 1.0, 2.5, 7.0])
    np.testing.assert_allclose(whole.last, [5.5, 10.0, 14.5, 19.0])
    np.testing.assert_allclose(handed, [0.5, 5.0, 8.0, 8.0])


@pytest.mark.slow
def test_measured_services_are_replayed_as_their_record_says() -> None:
    """A few runs of each kind anew, under `typical`: no fit has to be made for these."""
    from infercost.calibrate.cases import calibration
    from infercost.calibrate.public import MEASURED
    from infercost.serving.examined import read_rows
    from infercost.serving.measured import replayed, runs_of, server_rows

    kept = {row.id: row for row in read_rows()}
    runs = list(runs_of(server_rows(MEASURED)))
    assert {row["id"] for run in runs for row in run.rows} == set(kept)
    for run in runs[::16]:
        for name, value in replayed(run, calibration("typical")).items():
            assert value == pytest.approx(kept[name].typical, rel=1e-3, nan_ok=True)


def test_the_table_of_replayed_services_stands_in_the_documentation() -> None:
    from infercost.paths import ROOT
    from infercost.serving.examined import read_rows, table

    assert (
        table(read_rows())
        in (ROOT / "pipeline" / "docs" / "pages" / "model" / "serving.md").read_text()
    )


def test_a_fit_without_a_stack_keeps_the_levels_above() -> None:
    """Labels that a fit lacks add nothing: the calibration is the family's."""
    from infercost.calibrate.fit import LEVELS, Fit, Groups, transformed
    from infercost.serving.examined import fitted_for
    from infercost.specs.calibration import PARAMETERS

    labels = {level.name: ["a", "b"] for level in LEVELS}
    common = np.array([transformed(name, 0.5) for name in PARAMETERS])
    deviations = {level.name: np.zeros((2, len(level.parameters))) for level in LEVELS}
    deviations["family"][1] += 1.0
    fit = Fit(Groups.of(labels), common, deviations)
    base = case_of("calibration=ideal").calibration
    known = {level.name: "b" for level in LEVELS}
    whole, less = (fitted_for(fit, base, {**known, "stack": name}) for name in ("b", "new"))
    assert whole == less
    # One more on the line of a logit: 1 / (1 + e^-1) = 0.731; of a logarithm: 0.5 e = 1.359.
    assert whole.memory_efficiency == pytest.approx(0.7311, abs=1e-4)
    assert whole.decode_overhead == pytest.approx(1.3591, abs=1e-4)
    assert fitted_for(fit, base, dict.fromkeys(known, "c")).memory_efficiency == pytest.approx(0.5)


def test_a_prompts_way_through_an_edge_is_the_analytical_point() -> None:
    """An answer on the user's machine takes one prefill and n - 1 steps at the growing context."""
    edge = case_of("hardware=apple-m4-max-40c", "model=llama-3.1-8b", "plan.tp=1", "batch=1")
    asked = arrivals("t", np.zeros(1), np.array([1000]), np.array([200]))
    how = serving(token_budget=8192, edge={"share": 0.5, "order": "cascade"})
    cloud = service_of(case_of("model=llama-3.1-70b"), how, asked)
    first, whole, joules = edge_of(cloud, edge, how, asked).times(asked)
    point = replaced(edge, ["workload"], FIXED)
    exact = Evaluation(point)
    assert first[0] == pytest.approx(float(np.max(exact.prefill_time)), rel=1e-3)
    step = float(np.max(exact.step_time))
    assert whole[0] - first[0] == pytest.approx(199 * step, rel=2e-3)
    assert joules[0] > whole[0] * 20  # a computer of 20 W and its chip


def test_edge_and_cloud_share_the_requests() -> None:
    """Each request is answered once; a cascade asks the cloud after the machine's whole answer, a
    router at once; accepted answers of a cascade appear as a whole."""
    asked = same(400, 4.0, prompt=500, output=30)
    case = case_of("hardware=apple-m4-max-40c", "model=llama-3.1-8b", "plan.tp=1")
    found = {}
    for order in ("router", "cascade"):
        how = serving(token_budget=2048, max_sequences=64, edge={"share": 0.6, "order": order})
        cloud = service_of(case_of("hardware=h100-sxm", "model=llama-3.1-70b"), how, asked)
        both = edge_of(cloud, case, how, asked)
        seen = both.seen(asked)
        assert np.all(seen.done == 30)
        found[order] = (both, seen, both.run(asked))
        assert found[order][2].arrival.size == 400 - round(400 * both.answered(asked)["edge_share"])
    both, seen, cloud_seen = found["cascade"]
    whole = both.times(asked)[1]
    local = seen.first == seen.last
    assert 0.5 < local.mean() < 0.7
    np.testing.assert_allclose((seen.last - seen.arrival)[local], whole[local])
    assert np.all((seen.first - seen.arrival)[~local] > whole[~local])
    assert cloud_seen.arrival.min() >= whole.min()


def test_commands_that_replay_nothing_do_not_import_numba() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from infercost.__main__ import parser; parser();"
        " import infercost.studies, infercost.serving.service; print('numba' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_the_closed_form_is_the_replay_under_poisson_load() -> None:
    """At a third of capacity: TPOT within 10 %, TTFT within 25 %."""
    case = case_of("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8")
    asked = same(3_000, 3.0, prompt=1_000, output=200)
    how = adapter("serving").validate_python(content_of((CONF,), "serving", "prefill-first"))
    service = service_of(case, how, asked)
    told, form = service.told(service.run(asked)), steady_state(service, asked, 3.0)
    assert form.tpot == pytest.approx(told["tpot_mean_s"], rel=0.10)
    assert form.ttft == pytest.approx(told["ttft_mean_s"], rel=0.25)
