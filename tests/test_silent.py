"""Nothing is silent: sets of mitigations have no order, and what cannot act says so in one line."""

from __future__ import annotations

import json
import math
import re
from itertools import combinations

import numpy as np
import pytest

import infercost
from infercost.__main__ import main
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.effects import idle
from infercost.errors import SpecError
from infercost.grid import Grid
from infercost.metrics.latency import ttft
from infercost.options.question import ask, option_names
from infercost.paths import CONF
from infercost.registry import metrics
from infercost.specs.case import Case
from probes import examples, number, point

MITIGATIONS = [name for name in option_names((CONF,), "mitigation") if name != "none"]
LARGE = ("model=llama-3.1-70b", "plan.tp=8", "batch=8", "workload=fixed-lengths")
SHOWN = (
    "ttft_s",
    "ttft_p90_s",
    "tpot_s",
    "e2e_latency_s",
    "cost_per_mtoken_usd",
    "energy_per_mtoken_j",
    "kv_memory_b",
    "weight_memory_b",
    "prefill_stress_compute",
    "decode_stress_weights",
    "quality_loss",
)


def seen(case: Case) -> tuple[float, ...] | str:
    """What a user sees of a case, or the line that refuses it."""
    try:
        found = Evaluation(Grid(()).bind(case))
        columns = metrics()
        return tuple(number(columns[name].evaluate(found)) for name in SHOWN)
    except SpecError as error:
        assert error.remedy and "\n" not in str(error)
        return str(error)


# --- order of mitigations


@pytest.mark.parametrize(
    ("model", "firsts"),
    [("llama-3.1-70b", MITIGATIONS), ("deepseek-v3", ["speculation-mtp", "w4"])],
)
def test_two_mitigations_are_the_same_in_either_order(model: str, firsts: list[str]) -> None:
    """All ordered pairs: equal to the bit, or refused in both orders by one line."""
    pairs = [pair for pair in combinations(MITIGATIONS, 2) if set(pair) & set(firsts)]
    names = [f"{a}+{b}" for pair in pairs for a, b in (pair, pair[::-1])]
    asked = [*LARGE, "hardware=b200-sxm", f"model={model}", "trend=reasoning"]
    found = {
        each.options["mitigation"]: seen(each.case)
        for each in Options(ask([*asked, f"mitigation={','.join(names)}"])).cases()
    }
    composed = 0
    for a, b in pairs:
        one, other = found[f"{a}+{b}"], found[f"{b}+{a}"]
        assert one == other or np.array_equal(one, other, equal_nan=True), (a, b, one, other)
        if isinstance(one, str):
            assert re.search("does not (suit|go with) '", one), one
            continue
        composed += 1
        assert all(value > 0 for value in one[:8]), (
            a,
            b,
        )  # the last are shares, of which some are 0
    assert composed > len(pairs) / 2


@pytest.mark.parametrize(
    "pair",
    [
        "distillation,distillation-7b",
        "cascade,routing",
        "speculation-eagle,speculation-lookup",
    ],
)
def test_two_of_one_kind_are_refused_where_one_would_be_lost(pair: str) -> None:
    with pytest.raises(SpecError, match="both are of one kind, and one would be lost"):
        point(*LARGE, f"+mitigation=[{pair}]")


def test_two_evictions_go_together_where_one_states_a_share_and_one_a_budget() -> None:
    """A fifth of 20,000 tokens and more is above 2,048, of 1,024 and more below."""
    for prompt, one in ((20_000, "eviction-snapkv"), (1024, "eviction-h2o")):
        long = (*LARGE, f"workload.prompt_tokens={prompt}")
        both, alone = (
            number(point(*long, f"+mitigation=[{m}]").decode_pass.kv_read(1e15))
            for m in ("eviction-h2o,eviction-snapkv", one)
        )
        assert both == alone
    with pytest.raises(SpecError, match="states a share of the cache, and one would be lost"):
        point(
            *LARGE,
            "+mitigation=[eviction-h2o,eviction-snapkv]",
            "+mitigation.eviction-snapkv.kept=0.5",
        )


def test_a_pool_for_prefill_takes_no_share_of_a_lighter_model() -> None:
    """14 % of the prefills at the large model's price and 86 % at the small one's, wherever the
    large one's are computed: pools of equal devices cost the same."""
    routed, both = (
        point(*LARGE, f"+mitigation=[{m}]") for m in ("routing", "routing,disaggregation")
    )
    parts = [number(e.cost_terms(e.prefill_per_token).total) for e in (routed, both)]
    assert parts[1] == pytest.approx(parts[0], rel=1e-12)


# --- two pools


def test_pools_of_a_plan_hand_caches_over() -> None:
    """1,024 tokens of 327,680 B over 8 devices, 50 GB/s and 5 us a message, of InfiniBand NDR:
    two replicas of eight do not fit one domain of eight. Four and four do: NVLink."""
    base = (*LARGE, "hardware=h100-sxm", "calibration=ideal")
    together, apart = point(*base), point(*base, "plan.phases=disaggregated")
    later = number(apart.prefill_time) - number(together.prefill_time)
    assert later == pytest.approx(5e-6 + 1024 * 327_680 / 8 / 50e9, rel=1e-9)
    near = (*base, "plan.tp=4", "hardware.memory.hbm.capacity=1 TB")
    link = point(*near).case.hardware.scale_up
    later = number(point(*near, "plan.phases=disaggregated").prefill_time)
    later -= number(point(*near).prefill_time)
    sent = 1024 * 327_680 / 4 / link.bandwidth_out / link.payload
    assert later > sent
    assert later == pytest.approx(sent, abs=10e-6)


def test_a_drafter_reads_prompts_where_they_are_prefilled() -> None:
    """28 layers of Llama-3.2-3B with 8 KV heads of 128: 114,688 B a token more are handed over."""
    base = (*LARGE, "mitigation=speculation-model")
    together = point(*base)
    apart = point(*LARGE, "mitigation=speculation-model+disaggregation")
    later = number(apart.prefill_time) - number(together.prefill_time)
    sent = 1024 * (327_680 + 28 * 2 * 8 * 128 * 2) / 8
    assert later == pytest.approx(10e-6 + sent / 50e9, rel=1e-9)
    parts = [number(e.cost_terms(e.prefill_per_token).total) for e in (together, apart)]
    assert parts[1] == pytest.approx(parts[0], rel=1e-12)


def test_a_plan_and_a_mitigation_part_phases_once() -> None:
    with pytest.raises(SpecError, match="parts prefill from decode already") as caught:
        point(*LARGE, "plan.phases=disaggregated", "+mitigation=disaggregation")
    assert caught.value.remedy == "Take plan.phases=colocated, or no such mitigation"


def test_a_users_own_device_prefills_where_it_decodes() -> None:
    base = (*LARGE, "mitigation=edge-split")
    alike = (point(*base, f"plan.phases={p}").light for p in ("colocated", "disaggregated"))
    one, other = (number(light.prefill_time) for light in alike if light is not None)
    assert one == other


def test_pools_that_no_link_joins_are_out_of_reach() -> None:
    phone = ["hardware=phone", "model=llama-3.2-3b", "plan=base", "batch=1"]
    phone += ["plan.formats.weights=int4"]
    rows = infercost.evaluate([*phone, "plan.phases=colocated,disaggregated"])
    assert rows.limited_by.tolist() == ["", "reach"]


# --- terms add up


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=llama-3.1-70b", "plan.tp=4", "plan.pp=4", "workload.prompt_tokens=8192"),
        ("model=llama-3.1-70b", "plan.tp=4", "plan.pp=4", "plan.phases=disaggregated"),
        ("model=llama-3.1-70b", "plan.tp=8", "trend=rag-hyperscale", "+mitigation=cascade"),
        (
            "model=llama-3.1-70b",
            "plan.tp=4",
            "plan.pp=2",
            "+mitigation=[prefix-cache,routing,disaggregation]",
            "mitigation.disaggregation.share=0.3",
        ),
        ("model=llada2.0-flash-100b-a6b", "plan.tp=8"),
        ("model=qwen2.5-vl-72b", "plan.tp=4", "plan.pp=2", "trend=multimodal"),
    ],
    ids=lambda overrides: " ".join(overrides[1:4]),
)
def test_terms_of_the_time_to_first_token_add_up_to_it(
    overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Chunks of 256 tokens follow one another through stages; turns of all stages are more."""
    asked = ("workload=fixed-lengths", "plan.prefill_chunk=256", *overrides)
    found = point(*asked)
    searched = 0.0 if found.search is None else number(found.search.time)
    terms = number(found.ttft_terms.total) + searched
    assert terms == pytest.approx(number(ttft(found)), rel=1e-12)
    if found.case.mechanisms.pool is None:
        assert main(["explain", "--json", *asked]) == 0
        told = json.loads(capsys.readouterr().out)
        assert sum(told["ttft_terms_s"].values()) == pytest.approx(told["metrics"]["ttft_s"])


def test_what_a_cascade_answers_again_is_searched_for_once() -> None:
    """3.835 ms of one search (tests/test_trends.py), however many models read what it found."""
    base = (*LARGE, "+mitigation=cascade", "trend=rag-hyperscale")
    none = point(*base, "trend.retrieval.rounds=0")
    later = number(ttft(point(*base))) - number(ttft(none))
    assert later == pytest.approx(3e-3 + 6.144 / (16 * 460), rel=1e-9)


def test_a_cascade_that_answers_all_shows_whole_answers_too() -> None:
    """Nearly all and all differ by little: each is shown once it is whole."""
    nearly, all_of_them = (
        number(ttft(point(*LARGE, "+mitigation=cascade", f"mitigation.cascade.share={share}")))
        for share in ("0.9999", "1")
    )
    assert all_of_them == pytest.approx(nearly, rel=1e-3)


# --- doses at their ends


def test_all_tokens_may_leave_early() -> None:
    """Half of the layers and the head: less than a step of all, more than half of its products."""
    whole = point(*LARGE, "calibration=ideal")
    early = point(
        *LARGE, "calibration=ideal", "+mitigation=early-exit", "mitigation.early-exit.exits=1"
    )
    assert 0.5 < number(early.step_time) / number(whole.step_time) < 0.7


def test_a_snapshot_of_whole_answers_has_no_first_token() -> None:
    (row,) = infercost.evaluate(["model=llada-8b", "workload=snapshot", "batch=2"]).itertuples()
    assert row.feasible and math.isnan(row.ttft_s) and row.tpot_s > 0
    with pytest.raises(SpecError, match="no whole answers to judge"):
        point(*LARGE[:3], "workload=snapshot", "+mitigation=cascade")


def test_steps_that_ride_along_read_no_weights() -> None:
    """Chunks of one token are due in every step: what decode still reads are its caches."""
    shared = (*LARGE, "+mitigation=chunked-prefill", "mitigation.chunked-prefill.chunk=1")
    plain, riding = point(*LARGE), point(*shared)
    assert number(riding.decode.time["weights"]) == 0
    assert number(riding.decode.energy["weights"]) == 0
    left = number(riding.decode.bytes_moved) / number(plain.decode.bytes_moved)
    assert 0 < left < 0.1
    assert number(metrics()["decode_mbu"].evaluate(riding)) <= 1


# --- what cannot act is told


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("model=mixtral-8x7b", "trend=imbalance"),
            "trend 'imbalance' changes no number here: experts do not lie on devices of their own:"
            " take plan.ep above 1",
        ),
        (
            ("model=deepseek-v3", "trend=moe", "plan.tp=16"),
            "trend 'moe' changes no number here: the model's experts are as many already",
        ),
        (
            (*LARGE, "+mitigation=[activation-sparsity,speculation-lookup]"),
            "mitigation 'activation-sparsity' changes no number here: passes of so many tokens",
        ),
        (
            (*LARGE, "mitigation=none,kv8,kv8+eviction-snapkv"),
            "mitigation 'eviction-snapkv' changes no number here: caches are within its budget",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_a_trend_or_a_mitigation_that_changes_nothing_is_told(
    overrides: tuple[str, ...], said: str
) -> None:
    (line,) = idle(ask(list(overrides)))
    assert line.startswith(said)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=mixtral-8x7b", "trend=imbalance", "plan.tp=8", "plan.ep=8"),
        ("model=mixtral-8x7b", "trend=imbalance", "plan.tp=1,8", "plan.ep=1,8"),
        ("model=llama-3.1-8b", "trend=reasoning", "trend.dose=0,1"),
        ("model=llama-3.1-8b", "trend=none,rag", "mitigation=none,w4,w4+kv8"),
        ("model=llama-3.1-8b", "+mitigation=offload"),
    ],
    ids=lambda overrides: overrides[1],
)
def test_what_acts_anywhere_needs_no_note(overrides: tuple[str, ...]) -> None:
    assert idle(ask(list(overrides))) == []


# --- a hostile hour


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("trend=[rag,reasoning]",), "a case takes one trend. Write trend=rag,reasoning for"),
        (("trend=rag+reasoning",), "a case takes one trend. Write trend=rag,reasoning for"),
        (("trend=rag", "trend.dose=1e300"), "1e+300 is beyond any such number. Write 0, or 1e-15"),
        (("mitigation=w4", "mitigation.w4.tile_rows=1e-300"), "is beyond any such number"),
        (("mitigation=w4", "mitigation.w4.quality.loss=5"), "a value less than or equal to 1"),
        (("mitigation=w4", "mitigation.w4.kind=routing"), "what 'w4' is, is no dose of it"),
        (
            ("mitigation=cascade", "model@mitigation.cascade.model=llama-3.1-70b"),
            "mitigation 'cascade' mounts its own model, which no override replaces. Write DIR/",
        ),
        (
            ("mitigation=chunked-prefill", "mitigation.chunked-prefill.chunk=0.5"),
            "0.5 is less than a token. Write 1 or more, or 0",
        ),
        (("plan.formats=[fp8]",), "a value stands where keys belong. Set the keys one by one"),
        (("plan.prefill_chunk=0.5",), "a value greater than or equal to 1"),
        (
            ("mitigation=eviction-snapkv", "mitigation.eviction-snapkv.budget=1e-9"),
            "a value greater than or equal to 1",
        ),
        (
            ("mitigation=speculation-eagle", "mitigation.speculation-eagle.curve=[9,10,11]"),
            "curve[0] is 9, and a pass of 1 drafts settles 1 to 2",
        ),
        (
            ("model=rwkv-7-2.9b", "mitigation=speculation-model", "model.max_context=100000"),
            "'Llama-3.2-3B' has another vocabulary",
        ),
        (
            ("model=llama-3.1-8b", "mitigation=w4", "mitigation.w4.weights=bf16"),
            "its weights and experts are as narrow already, or not there",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_hostile_words_are_one_line(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        infercost.evaluate([*overrides, "plan=base"])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_experts_that_stay_as_they_are_take_no_conversion() -> None:
    """gpt-oss has them in MXFP4, narrower than 4-bit integers with scales: w4 unpacks the rest."""
    w4 = point("model=gpt-oss-120b", "hardware=b200-sxm", "plan=base", "mitigation=w4")
    found = {
        operator.name: number(operator.conversion)
        for block in w4.decode_blocks
        for operator in block.operators
    }
    assert found["routed experts up"] == 0 < found["output projection"]


def test_an_answer_takes_a_step_however_much_is_drafted() -> None:
    """Two tokens: the prefill's, and one step's, of which 64 perfect drafts save nothing."""
    short = ("model=llama-3.1-8b", "workload=fixed-lengths", "workload.output_tokens=2")
    doses = ("drafted=64", "acceptance=1")
    lookup = (f"mitigation.speculation-lookup.{dose}" for dose in doses)
    drafting = point(*short, "plan=base", "mitigation=speculation-lookup", *lookup)
    assert number(metrics()["steps_per_request"].evaluate(drafting)) == 1


def test_kept_prefixes_take_a_share_of_each_devices_own_memory() -> None:
    """A tenth of a laptop's 128 GB and of a card's 80 GB."""
    both = point(
        *LARGE,
        "hardware=h100-sxm",
        "+mitigation=[prefix-cache,edge-split]",
        "mitigation.prefix-cache.own_share=0.1",
    )
    assert both.light is not None
    for one in (both, both.light):
        (memory,) = one.case.hardware.memory.values()
        assert number(one.memory.context) == pytest.approx(0.1 * number(memory.total_capacity))


def test_lists_are_values_of_a_mitigation() -> None:
    """Caches on the host's memory are read at its rate: 55 GB/s where HBM has 3,350."""
    base = (*LARGE, "hardware=h100-sxm", "calibration=ideal")
    moved = point(*base, "mitigation=offload", "mitigation.offload.classes=[kv]")
    slower = number(moved.decode.time["kv"]) / number(point(*base).decode.time["kv"])
    assert slower == pytest.approx(3350 / 55, rel=0.05)


def test_a_mitigation_that_needs_another_stands_in_its_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Eviction does not suit DeepSeek-V3.2, whose student takes it."""
    sparse = ("model=deepseek-v3.2", "hardware=b200-sxm", "plan.tp=8", "workload=fixed-lengths")
    assert main(["explain", "--json", *sparse, "mitigation=eviction-h2o+distillation-7b"]) == 0
    alone, student, together = json.loads(capsys.readouterr().out)["mitigations"]
    assert alone["tpot_s"] is None
    assert together["tpot_s"] < student["tpot_s"] < 0


def test_a_context_beyond_the_trained_one_is_told_in_tokens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """1,024 + 100,000 tokens of prompt, and 256 of output, of which the last is not kept."""
    long = ("model=llama-2-7b", "workload=fixed-lengths", "trend=long-context")
    assert main(["explain", "--json", *long]) == 0
    why = json.loads(capsys.readouterr().out)["why"]
    assert why.endswith("the model's context: up to 101,279 tokens, and it takes 4,096")


def test_what_runs_out_beside_a_case_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    seeing = ("model=qwen2.5-vl-72b", "plan.tp=8", "trend=multimodal", "mitigation=routing")
    assert main(["explain", *seeing]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "INFEASIBLE: the lighter model: requests hold images or video" in said
    wide = ("model=llama-3.1-8b", "mitigation=disaggregation", "mitigation.disaggregation.tp=64")
    assert main(["explain", "--json", "plan=base", *wide]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["limited_by"] == "plan"
    assert told["why"].startswith("prefill's pool: the plan does not fit the model")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trend=reasoning", "output_tokens: a replay takes requests from the workload as they are"),
        ("trend=rag-hyperscale", "prompt_tokens: a replay takes requests from the workload"),
        ("trend=multimodal", "images: a replay takes requests from the workload as they are"),
        ("plan.phases=disaggregated", "phases: a replay's pools and caches are those of its way"),
        ("plan.prefix_cache.capacity=1 TB", "prefix_cache.capacity: a replay's pools and caches"),
        ("plan.prefill_chunk=64", "sets nothing: a pass takes what is left of its budget. Set"),
    ],
)
def test_a_replay_refuses_what_it_does_not_see(
    override: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["replay", "--requests", "5", "--json", "hardware=b200-sxm", "plan.tp=8"]
    assert main([*few, override]) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1


def test_a_replay_notes_a_trend_that_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["replay", "--requests", "5", "--json", "hardware=b200-sxm", "model=mixtral-8x7b"]
    assert main([*few, "trend=imbalance"]) == 0
    assert "note: trend 'imbalance' changes no number here" in capsys.readouterr().err


DOSES = {
    "trend.dose": ("0", "0.01", "1", "40", "-1", "nan", "3 s", "[1]"),
    "+trend.branches": ("1", "64", "0", "2.5"),
    "+trend.cached_share": ("0.5", "1", "1.5"),
    "+trend.images": ("0", "3", "-1"),
    "mitigation.routing.share": ("0", "0.5", "1", "1.2"),
    "mitigation.cascade.share": ("0", "0.5", "1", "86%"),
    "mitigation.early-exit.exits": ("0", "1", "true"),
    "mitigation.early-exit.exit_at": ("0", "1"),
    "mitigation.disaggregation.share": ("0", "0.3", "1"),
    "mitigation.disaggregation.bandwidth": ("1 B/s", "50 GB/s", "50", "50 GB"),
    "mitigation.prefix-cache.hit_rate": ("0", "1", "-0.5"),
    "mitigation.eviction-h2o.kept": ("1e-9", "1", "0"),
    "mitigation.speculation-lookup.drafted": ("0", "1", "64", "1.5"),
    "mitigation.speculation-lookup.acceptance": ("0", "1", "2"),
    "mitigation.chunked-prefill.chunk": ("0", "1", "1e9", "1e-3"),
    "mitigation.activation-sparsity.sparsity": ("0", "1"),
    "mitigation.offload.classes": ("[kv]", "[weights,kv]", "[nonsense]", "kv"),
}
KINDS = [
    "llama-3.1-70b",
    "deepseek-v3",
    "qwen2.5-vl-72b",
    "gemma-3-27b",
    "nemotron-h-56b",
    "blt-8b",
]
KINDS += ["minimax-text-01", "rwkv-7-7.2b", "llada2.0-flash-100b-a6b", "llada-8b", "gpt-oss-120b"]
WITHOUT_END = ("e2e_latency_s", "steps_per_request", "memory_life_s")


def drawn(rng: np.random.Generator) -> list[str]:
    """Words that a hostile user might type: a model, a trend, mitigations and doses of them."""

    def pick(names: list[str]) -> str:
        return str(rng.choice(names))

    words = [
        f"model={pick(KINDS)}",
        "hardware=b200-sxm",
        "plan=base",
        f"plan.pp={pick(['1', '2'])}",
    ]
    words += ["hardware.memory.hbm.capacity=100 TB", "model.max_context=100000000"]
    words += [f"workload={pick(['fixed-lengths'] * 3 + ['snapshot'])}"]
    words += [f"trend={pick(option_names((CONF,), 'trend'))}"]
    words += [f"plan.phases={pick(['colocated', 'colocated', 'disaggregated'])}"]
    chosen = rng.choice(MITIGATIONS, rng.integers(0, 3), replace=False)
    words += [f"+mitigation=[{','.join(chosen)}]"]
    able = [d for d in DOSES if not d.startswith("mitigation") or d.split(".")[1] in chosen]
    for dose in rng.choice(able, rng.integers(0, 3), replace=False):
        words.append(f"{dose}={pick(list(DOSES[dose]))}")
    return words


def test_random_words_are_plausible_numbers_or_lines() -> None:
    """Never a traceback, nor a feasible point below nothing or above its device's peaks."""
    rng = np.random.default_rng(5)
    feasible = 0
    for _ in range(examples(30)):
        words = drawn(rng)
        try:
            (row,) = infercost.evaluate(words).to_dict("records")
        except SpecError as error:
            for line in str(error).splitlines():
                assert len(line) < 500, words
            continue
        if not row["feasible"]:
            assert row["limited_by"], words
            continue
        feasible += 1
        for name, value in row.items():
            if isinstance(value, float) and not math.isnan(value):
                assert math.isfinite(value) or name in WITHOUT_END, (name, words)
                assert value >= -1e-12 or name == "quality_loss", (name, words)
        for peak in ("decode_mfu", "decode_mbu", "prefill_mfu"):
            assert not row[peak] > 1 + 1e-9, (peak, words)
        assert row["decode_step_s"] > 0, words
        assert row["tpot_s"] > 0 and row["cost_per_mtoken_usd"] > 0, words
    assert feasible > 3
