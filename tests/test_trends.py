"""Doses of the workload trends: what they do by hand, and that a neutral dose does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import infercost
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.errors import SpecError
from infercost.grid import Grid, GridAxis
from infercost.operators.stack import weight_bytes_per_device
from infercost.options.question import ask, option_names
from infercost.paths import CONF
from infercost.specs.mixers import GROWING
from infercost.workloads.media import unserved
from probes import point

FLOOR = ("calibration=ideal", "workload=fixed-lengths")


def first(*overrides: str) -> Any:
    return infercost.evaluate([*FLOOR, *overrides]).iloc[0]


NEUTRAL = [
    ("trend=moe", "trend.experts=0"),
    ("trend=moe", "trend.experts=1"),
    ("trend=branching", "trend.branches=1", "trend.output_tokens=0"),
    ("trend=reasoning", "trend.output_tokens=0"),
    ("trend=long-context", "trend.prompt_tokens=0"),
    ("trend=rag", "trend.prompt_tokens=0"),
    ("trend=rag-hyperscale", "trend.prompt_tokens=0", "trend.retrieval.rounds=0"),
    ("trend=multimodal", "trend.images=0"),
    ("trend=video", "trend.video=0 s"),
    ("trend=audio", "trend.audio=0 s"),
]


@pytest.mark.parametrize("dose", NEUTRAL, ids=lambda dose: dose[0])
def test_a_neutral_dose_leaves_the_case_as_it_is(dose: tuple[str, ...]) -> None:
    plain, dosed = first(), first(*dose)
    others = [name for name in plain.index if name != "trend"]
    swept = [text.partition("=")[0] for text in dose]
    others = [name for name in others if name not in swept]
    pd.testing.assert_series_equal(plain[others], dosed[others])


def test_experts_grow_a_model_at_equal_active_size() -> None:
    """Llama-3.1-8B in 64 experts, 8 visited: 32 layers of 64 / 8 blocks and a router of 4096 x 64.

    8 x 3 x 4096 x 14336 instead of 3 x 4096 x 14336 in each layer.
    """
    plain, dosed = (
        first("model=llama-3.1-8b"),
        first("model=llama-3.1-8b", "trend=moe", "trend.experts=64"),
    )
    block, router = 3 * 4096 * 14336, 32 * 4096 * 64
    grown = dosed.parameter_count - plain.parameter_count
    assert grown == 32 * 7 * block + router
    assert dosed.active_parameter_count - plain.active_parameter_count == router


def test_doses_of_experts_are_an_axis() -> None:
    """Weights read at batch 1 are those of the visited experts, and of routers, which every device

    of 8 reads whole: 32 x 4096 x (512 - 8) x 2 B more.
    """
    roomy = ("hardware.memory.hbm.capacity=4 TB", "model=llama-3.1-8b", "batch=1")
    frame = infercost.evaluate([*FLOOR, *roomy, "trend=moe", "trend.experts=8,64,512"])
    assert list(np.diff(frame.weight_memory_b) > 0) == [True, True]
    moved = frame.decode_device_moved_b.to_numpy()
    assert moved[2] - moved[0] == pytest.approx(32 * 4096 * 504 * 2, rel=1e-9)


def test_a_sparse_model_has_a_dense_equivalent() -> None:
    """Mixtral-8x7B: two visited experts of 14336 are one block of 28672."""
    frame = first("model=mixtral-8x7b", "trend=moe", "trend.experts=1")
    layer = 4096 * 128 * (32 + 16) + 32 * 128 * 4096 + 3 * 4096 * 28672
    assert frame.parameter_count == 32 * layer + 2 * 32000 * 4096


def test_doses_without_experts_do_not_share_a_grid() -> None:
    """`evaluate` makes a case of each (tests/test_alone_or_beside.py)."""
    axis = GridAxis("experts", {"trend.experts": np.array([1.0, 8.0])})
    with pytest.raises(SpecError, match="Evaluate them apart"):
        Evaluation(Grid((axis,)).bind(point(*FLOOR, "trend=moe").case)).step_time  # noqa: B018


def test_branches_share_one_prefill() -> None:
    """Eight answers from a prompt: an eighth of its prefill each, all in one request."""
    one, eight = first(), first("trend=branching", "trend.output_tokens=0", "trend.branches=8")
    decode = one.decode_cost_per_moutput_usd
    prefill = one.cost_per_mtoken_usd - decode
    assert eight.cost_per_mtoken_usd == pytest.approx(decode + prefill / 8, rel=1e-12)
    request = 8 * 256 * eight.cost_per_mtoken_usd / 1e6
    assert eight.cost_per_request_usd == pytest.approx(request, rel=1e-12)
    assert eight.steps_per_request == one.steps_per_request


def test_a_search_of_a_hyperscale_index() -> None:
    """64e9 x 96 B = 6.144 TB on 16 servers of 384 GB, of which 6.144 GB are scanned.

    3 ms + 6.144 / (16 x 460) s = 3.835 ms; 6.144 / 460 s of one server at 4 USD/h = 14.84 uUSD.
    """
    frame = first("trend=rag-hyperscale")
    plain = first("workload.prompt_tokens=1504")
    assert frame.index_memory_b == 6.144e12
    assert frame.retrieval_time_s == pytest.approx(3e-3 + 6.144 / (16 * 460), rel=1e-12)
    assert frame.retrieval_cost_per_request_usd == pytest.approx(6.144 / 460 * 4 / 3600, rel=1e-12)
    assert frame.ttft_s == pytest.approx(plain.ttft_s + frame.retrieval_time_s, rel=1e-12)
    searched = frame.cost_per_request_usd - frame.retrieval_cost_per_request_usd
    assert searched == pytest.approx(plain.cost_per_request_usd, rel=1e-12)


STRENGTHS = [
    ("trend=reasoning", "trend.output_tokens", 1132),
    ("trend=long-context", "trend.prompt_tokens", 100000),
    ("trend=rag", "trend.prompt_tokens", 2048),
    ("trend=moe", "trend.experts", 256),
]


@pytest.mark.parametrize(("trend", "path", "stated"), STRENGTHS, ids=str)
def test_a_dose_scales_what_a_trend_adds(trend: str, path: str, stated: int) -> None:
    """A quarter of the strength equals a quarter of the amount, half a half."""
    scaled = infercost.evaluate([*FLOOR, trend, "trend.dose=0.25,0.5"])
    amount = infercost.evaluate([*FLOOR, trend, f"{path}={stated // 4},{stated // 2}"])
    shown = [name for name in scaled.columns if name in amount.columns and name != path]
    pd.testing.assert_frame_equal(scaled[shown], amount[shown])


@pytest.mark.parametrize(
    "trend",
    [
        *("moe", "reasoning", "branching", "rag", "rag-hyperscale", "long-context", "multimodal"),
        *("video", "audio", "imbalance", "denoising"),
    ],
)
def test_no_strength_leaves_the_case_as_it_is(trend: str) -> None:
    plain, dosed = first(), first(f"trend={trend}", "trend.dose=0")
    others = [name for name in plain.index if name != "trend"]
    pd.testing.assert_series_equal(plain[others], dosed[others])


# --- every trend on every model

TRENDS = [name for name in option_names((CONF,), "trend") if name != "none"]
MODELS = option_names((CONF,), "model")


@pytest.fixture(scope="module")
def composed() -> dict[tuple[str, str], Any]:
    """All models with all trends, the makers of pictures among them asked for pictures."""
    fixed = [
        "hardware=b200-sxm",
        "calibration=ideal",
        "plan=base",
        "batch=2",
        "plan.tp=2",
        "plan.ep=2",
    ]
    fixed += ["model.max_context=1000000000", "workload=fixed-lengths"]
    sets = [f"model={','.join(MODELS)}", f"trend={','.join(['none', *TRENDS])}"]
    picture = next(iter(Options(ask(["model=flux.1-dev", "workload=image-1024"])).cases())).case
    cases = {}
    for found in Options(ask([*fixed, *sets])).cases():
        case = found.case
        if case.model.generation.kind == "media_diffusion":
            case = case.model_copy(update={"workload": picture.workload})
        cases[found.options["model"], found.options["trend"]] = case
    return cases


def shown(case: Any) -> tuple[float, ...]:
    """What a trend may change: price of a request, memory, time and work of passes."""
    point = Evaluation(Grid(()).bind(case))
    values = (point.per_token_price * point.lengths.output_mean * point.lengths.branches,)
    held = (point.memory.kv, weight_bytes_per_device(point.layout), point.prefill.time.total)
    spent = (*values, *held, point.step_time, point.decode.flops + point.prefill.flops)
    return tuple(float(np.asarray(v).reshape(-1)[0]) for v in spent)


def is_of_that_shape(model: Any) -> bool:
    """Whether the trend's experts, 256 of which 8 are visited, are the model's own."""
    return any(
        (f.n_experts, f.n_active) == (256, 8) for f in model.ffns.values() if f.kind == "moe"
    )


def grows(model: Any) -> bool:
    """Whether any layer keeps a cache that grows with the context."""
    return any(model.mixers[layer.mixer].kind in GROWING for layer in model.layers.values())


@pytest.mark.parametrize("trend", TRENDS)
def test_a_trend_composes_with_every_model_that_it_suits_or_says_what_to_take(
    composed: dict[tuple[str, str], Any], trend: str
) -> None:
    """It changes what a request costs, holds or takes; or one line names fault and remedy."""
    suits = 0
    for model in MODELS:
        case = composed[model, trend]
        reason = unserved(case)
        if reason:
            assert "take " in reason and "\n" not in reason, model
            continue
        try:
            changed = shown(case)
        except SpecError as error:
            assert f"does not suit '{case.model.name}'" in str(error), model
            assert error.remedy and "\n" not in str(error), model
            continue
        suits += 1
        assert np.all(np.isfinite(changed)) and changed[0] > 0, model
        plain = composed[model, "none"]
        same = trend == "moe" and is_of_that_shape(plain.model)
        # A state is as large after a prefix that was found as without: nothing is added.
        same |= trend == "rag-reused" and not grows(plain.model)
        assert same or unserved(plain) or changed != shown(plain), (
            f"{trend} does nothing to {model}"
        )
    assert suits >= {"audio": 1, "denoising": 8, "multimodal": 8, "video": 8}.get(trend, 10)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model=llama-3.1-8b", "trend=denoising"), "such as model=llada-8b"),
        (("model=llama-3.1-8b", "trend=imbalance"), "such as model=mixtral-8x7b"),
        (("model=flux.1-dev", "workload=image-1024", "trend=reasoning"), "workload.steps"),
        (("model=falcon-mamba-7b", "trend=moe"), "such as model=llama-3.1-8b"),
        # Prompts alone grow; of several values one alone asks for something.
        (("model=flux.1-dev", "workload=image-1024", "trend=rag"), "workload.steps"),
        (("model=llama-3.1-8b", "trend=denoising", "trend.denoising=1,2"), "model=llada-8b"),
        (("model=llama-3.1-8b", "trend=imbalance", "trend.dose=0,1"), "model=mixtral-8x7b"),
        (("model=falcon-mamba-7b", "trend=moe", "trend.experts=0,64"), "model=llama-3.1-8b"),
    ],
)
def test_a_trend_that_finds_nothing_to_act_on_is_refused(
    overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SpecError, match="does not suit") as caught:
        infercost.evaluate(list(overrides))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=llama-3.1-8b", "trend=imbalance", "trend.dose=0"),
        ("model=llama-3.1-8b", "trend=denoising", "trend.dose=0"),
        ("model=llama-3.1-8b", "trend=rag"),
        ("model=mixtral-8x7b", "trend=imbalance"),
        ("model=llada-8b", "trend=denoising"),
    ],
)
def test_a_trend_of_no_dose_or_of_what_a_model_has_suits(overrides: tuple[str, ...]) -> None:
    short = ("workload=fixed-lengths", "workload.prompt_tokens=500", "workload.output_tokens=200")
    assert np.all(infercost.evaluate([*short, *overrides])["cost_per_mtoken_usd"] > 0)


def test_steps_of_a_picture_have_a_dose() -> None:
    """Twice the 50 steps of FLUX.1-dev, half, and no less than one."""
    base = ("model=flux.1-dev", "workload=image-1024", "trend=denoising")
    steps = [first(*base, f"trend.denoising={d}").steps_per_request for d in (1, 2, 0.5, 0.001)]
    own = first(*base[:2]).steps_per_request
    assert steps == [own, 2 * own, own / 2, 1]


def test_skew_may_go_with_experts_of_the_same_trend() -> None:
    """A dense model in 64 experts has something to skew."""
    even, skewed = (
        infercost.evaluate(
            [
                *FLOOR,
                "model=llama-3.1-8b",
                "trend=moe",
                "trend.experts=64",
                "plan.ep=8",
                f"+trend.expert_skew={s}",
            ]
        ).iloc[0]
        for s in (1, 2)
    )
    assert skewed.cost_per_mtoken_usd > even.cost_per_mtoken_usd


@pytest.mark.parametrize(
    ("model", "trend"), [("mixtral-8x7b", "imbalance"), ("llada-8b", "denoising")]
)
def test_a_dose_of_none_takes_skew_and_steps_away(model: str, trend: str) -> None:
    """Dose 0 is even routing and the model's own steps."""
    base = (f"model={model}", "plan.ep=8")
    plain, dosed = first(*base), first(*base, f"trend={trend}", "trend.dose=0")
    others = [name for name in plain.index if name not in ("trend", "trend.dose")]
    pd.testing.assert_series_equal(plain[others], dosed[others])
