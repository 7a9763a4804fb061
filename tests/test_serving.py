"""Replay: tokens and blocks are conserved, queues are those of theory, one request is the point."""

from __future__ import annotations

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
from infercost.paths import CONF
from infercost.question import ask
from infercost.resolve import content_of
from infercost.serving import summary
from infercost.serving.replay import Outcome, Pool, replay
from infercost.serving.requests import Arrivals, arrivals, poisson
from infercost.serving.search import Objective, best_split, largest_rate, replicas_for
from infercost.serving.service import Service, service_of
from infercost.serving.tables import Passes, StepTables, step_tables
from infercost.specs.case import Case
from infercost.specs.serving import Serving
from infercost.witnesses import adapter


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


def service_times(outcome: Outcome) -> float:
    return float(summary.ttft(outcome).mean())


def same(count: int, rate: float, prompt: int = 100, output: int = 1, seed: int = 1) -> Arrivals:
    return arrivals("t", poisson(rate, count, seed), np.full(count, prompt), np.full(count, output))


@given(
    seed=st.integers(0, 2**20),
    policy=st.sampled_from(["chunked", "prefill-first", "decode-first"]),
    routing=st.sampled_from(["round-robin", "least-loaded", "prefix-aware"]),
    shape=st.sampled_from([(1, 1, 40), (2, 2, 45), (3, 1, 60)]),
    cached=st.booleans(),
    drafted=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_tokens_and_blocks_are_conserved(
    seed: int, policy: str, routing: str, shape: tuple[int, int, int], cached: bool, drafted: int
) -> None:
    """Tokens asked are made; every block is free, held or cached after every pass, and at the end
    none is held; prompts are computed or found, but for those that were preempted."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 80))
    prompt, output = random.integers(1, 620, count), random.integers(1, 80, count)
    blocks = [np.arange(p // 64) + 100 * random.integers(0, 5) for p in prompt]
    starts = np.concatenate([[0], np.cumsum([b.size for b in blocks])])
    times = np.sort(random.random(count)) * random.choice([0.0, 1.0, 40.0])
    asked = arrivals("t", times, prompt, output, np.concatenate(blocks), starts, 64)
    stores = [
        {"name": "a", "capacity": "8 kB", "bandwidth": "20 kB/s", "latency": "1 ms"},
        {"name": "b", "capacity": "32 kB", "bandwidth": "5 kB/s"},
    ]
    how = serving(
        policy=policy,
        routing=routing,
        prefix_cache=cached,
        prefix_tiers=stores if cached else [],
        speculation={"drafted": drafted, "acceptance": 0.6},
    )
    replicas, groups, room = shape
    found = replay(Pool(steady(0.05), how, replicas, groups, room, 16.0), asked, 0, checked=True)
    assert found.totals["violations"] == 0
    assert found.totals["kv_blocks_left"] == found.totals["kv_blocks"]
    assert np.all(found.finished | found.rejected)
    np.testing.assert_array_equal(found.rejected, -(-(prompt + output + 1) // 16) > room)
    np.testing.assert_array_equal(found.done[found.finished], output[found.finished])
    assert found.totals["output_tokens"] == output[found.finished].sum()
    served = found.finished
    needed = prompt[served].sum() - found.found[served].sum()
    computed = found.totals["prompt_tokens_computed"]
    assert computed == needed if found.preempted.sum() == 0 else computed >= needed
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


@pytest.mark.parametrize(
    "overrides",
    [
        ("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8"),
        ("hardware=b200-sxm", "model=deepseek-v3", "plan.tp=8", "plan.ep=8"),
        ("hardware=mi300x", "model=llama-3.1-8b", "plan.tp=1", "calibration=ideal"),
    ],
)
def test_one_request_is_the_analytical_point(overrides: tuple[str, ...]) -> None:
    """TTFT is the point's prefill, the mean gap its decode step, within 0.1 %."""
    base = case_of(*overrides, "workload=fixed-lengths", "batch=1")
    for prompt, output in ((1000, 200), (3001, 77)):
        case = replaced(base, ["workload", "prompt_tokens"], float(prompt))
        case = replaced(case, ["workload", "output_tokens"], float(output))
        point = Evaluation(case)
        how = serving(token_budget=8192, max_sequences=32)
        asked = arrivals("t", np.zeros(1), np.array([prompt]), np.array([output]))
        found = service_of(case, how, asked).run(asked)
        prefill, step = float(np.max(point.prefill_time)), float(np.max(point.step_time))
        assert summary.ttft(found)[0] == pytest.approx(prefill, rel=1e-3)
        assert summary.tpot(found)[0] == pytest.approx(step, rel=1e-3)


def test_tables_are_within_two_per_cent_of_the_cost_model_between_their_points() -> None:
    """Largest error over random passes of a dense and a sparse model; the mean is far below."""
    from infercost.serving.kernel import place, plane

    random = np.random.default_rng(3)
    for overrides in (("model=llama-3.1-70b",), ("model=deepseek-v3", "plan.ep=8")):
        case = case_of("hardware=h200-sxm", "plan.tp=8", *overrides)
        how = serving(token_budget=8192, max_sequences=512)
        tables, passes = step_tables(case, how, 32_000.0), Passes(case, how)
        n = random.integers(1, 512, 300).astype(float)
        c = np.exp(random.uniform(0, np.log(32_000), 300))
        exact = passes.decode(n, c)[0]
        told = [
            plane(tables.decode[0], *place(tables.n, a), *place(tables.c, b))
            for a, b in zip(n, c, strict=True)
        ]
        error = np.abs(np.array(told) / exact - 1)
        assert error.max() < 0.02
        assert error.mean() < 0.003


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


@pytest.mark.slow
def test_measured_open_loops_are_replayed_within_their_targets() -> None:
    """In sample: medians of absolute errors at most 15 % of TPOT, 30 % of TTFT, 20 % of rates."""
    from infercost.paths import ROOT
    from infercost.serving.measured import compared, open_loop_rows

    found = compared(open_loop_rows(ROOT / "data" / "reference" / "measured.csv"))
    for metric, most in (("tpot_s", 0.15), ("ttft_s", 0.30), ("output_tokens_per_s", 0.20)):
        errors = [abs(row.error) for row in found if row.metric == metric]
        assert np.median(errors) <= most


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
    from infercost.serving.closed import steady_state

    case = case_of("hardware=h100-sxm", "model=llama-3.1-70b", "plan.tp=8")
    asked = same(3_000, 3.0, prompt=1_000, output=200)
    how = adapter("serving").validate_python(content_of((CONF,), "serving", "prefill-first"))
    service = service_of(case, how, asked)
    told, form = service.told(service.run(asked)), steady_state(service, asked, 3.0)
    assert form.tpot == pytest.approx(told["tpot_mean_s"], rel=0.10)
    assert form.ttft == pytest.approx(told["ttft_mean_s"], rel=0.25)
