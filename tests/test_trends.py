"""Doses of the workload trends: what they do by hand, and that a neutral dose does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import infercost
from infercost.errors import SpecError

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
    """All columns, but for the index that stands unused."""
    plain, dosed = first(), first(*dose)
    others = [name for name in plain.index if name not in ("trend", "index_memory_b")]
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


def test_doses_without_experts_do_not_share_an_axis() -> None:
    with pytest.raises(SpecError, match="Evaluate them apart"):
        infercost.evaluate([*FLOOR, "trend=moe", "trend.experts=1,8"])


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
    ["moe", "reasoning", "branching", "rag", "long-context", "multimodal", "video", "audio"],
)
def test_no_strength_leaves_the_case_as_it_is(trend: str) -> None:
    plain, dosed = first(), first(f"trend={trend}", "trend.dose=0")
    others = [name for name in plain.index if name != "trend"]
    pd.testing.assert_series_equal(plain[others], dosed[others])
