"""What a row leaves open: parallelism, batch and queue, settled under a calibration for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from infercost.calibrate.cases import calibration, cases_of
from infercost.calibrate.features import Features, features
from infercost.measurements.readings import Reading, Unread

GPU = Reading(
    id="r",
    hardware="h100-sxm",
    model="llama-2-70b",
    weights="fp8",
    kv="fp8",
    era="trt-mlperf-2024",
    tp=8,
    pp=1,
    dp=1,
    ep=1,
    batch=float("nan"),
    prompt=300.0,
    output=300.0,
    chunk=8192.0,
    prefills=1.0,
    steps=300.0,
    time_s=1.0,
    value=1.0,
    per_time=True,
    phase="max-load",
    filled=True,
    devices=8,
)


def laid_out(readings: list[Reading]) -> tuple[Features, list[Unread]]:
    return features(readings, cases_of(readings, ()), calibration("typical"))


def settle(reading: Reading) -> Reading:
    stacked, lost = laid_out([reading])
    assert not lost, lost
    return stacked.readings[0]


@pytest.mark.parametrize(
    ("hardware", "model", "tp", "replicas"),
    [
        ("h100-sxm", "llama-2-70b", 2, 4),  # 70 GB of 80 GB: 88 %
        ("h200-sxm", "llama-2-70b", 1, 8),  # of 141 GB: 50 %
        ("h100-sxm", "mixtral-8x7b", 1, 8),  # 47 GB of 80 GB: 58 %
    ],
)
def test_tp_is_the_least_that_nvidia_configures(
    hardware: str, model: str, tp: int, replicas: int
) -> None:
    """mlcommons/inference_results_v4.1, closed/NVIDIA/configs: TP2, TP1 and TP1."""
    found = settle(replace(GPU, hardware=hardware, model=model))
    assert (found.tp, found.time_s) == (tp, replicas)


def test_a_model_beyond_one_node_adds_stages() -> None:
    """810 GB of weights in bf16 at 60 % of 85.2 GB (81,559 MiB): 15.8, so 16 devices, 8 x 2."""
    found = settle(replace(GPU, model="llama-3.1-405b", weights="bf16", kv="native", devices=32))
    assert (found.tp, found.pp, found.time_s) == (8, 2, 2)


def test_filled_memory_stops_at_the_limit() -> None:
    assert settle(replace(GPU, limit=96.0)).batch == 96


def test_a_tighter_tpot_takes_fewer_sequences() -> None:
    loose, tight = (settle(replace(GPU, tpot_limit=t)).batch for t in (0.2, 0.04))
    assert 1 <= tight < loose


def test_a_rate_near_nothing_serves_one_request_alone() -> None:
    alone = replace(
        GPU, filled=False, devices=0, rate=1e-9, steps=1.0, prefills=1 / 300, phase="served"
    )
    found = settle(alone)
    assert found.batch == pytest.approx(1.0, abs=1e-6)
    assert found.prefills == pytest.approx(0.0, abs=1e-6)


def test_a_prompt_waits_for_those_before_it() -> None:
    """M/D/1: more arrivals, a longer wait; none, one prefill and no step."""
    ttft = replace(GPU, filled=False, devices=0, steps=0.0, prefills=1.0, phase="served")
    idle, busy = (settle(replace(ttft, rate=rate)) for rate in (1e-9, 5.0))
    assert (idle.prefills, idle.steps) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6))
    assert busy.prefills > 1.0
    assert 0.4 < busy.steps <= 0.5


def test_a_rate_beyond_what_can_be_served_is_not_read() -> None:
    flooded = replace(
        GPU, id="flooded", filled=False, devices=0, rate=1e4, steps=1.0, phase="served"
    )
    stacked, lost = laid_out([GPU, flooded])
    assert len(stacked.readings) == 1
    assert "saturation" in lost[0].reason


def test_depth_adds_the_attention_to_what_is_cached() -> None:
    """A prompt of P tokens after D has P (P / 2 + D) pairs of them, not P² / 2: with D = 8 P
    seventeen times as many, which shows in the time of attention alone."""
    prompt = replace(
        GPU, filled=False, devices=0, batch=1.0, steps=0.0, phase="prefill", prompt=4096.0
    )
    deep = replace(prompt, id="deep", depth=8 * 4096.0)
    stacked, _ = laid_out([prompt, deep])
    attention = next(s for s in stacked.stacks if s.operator.kind == "prefill_attention")
    shallow, after = np.asarray(attention.operator.flops)
    assert after / shallow == pytest.approx(17.0, rel=0.01)


def test_a_table_of_which_nothing_is_left_says_why() -> None:
    stacked, lost = laid_out([replace(GPU, devices=0, tp=1, model="llama-3.1-405b")])
    assert stacked.readings == ()
    assert lost[0].reason.startswith("the weights leave no room")
