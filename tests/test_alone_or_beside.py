"""A point has the same bits alone and beside others, whatever a value beside it sets in motion.

Equations skip what does nothing at any point of a grid; a point for which it does nothing must not
notice that it does something at the next. Parts of a study hold other points at other part sizes,
and one digest, by this law.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import infercost
from infercost.cost import Evaluation
from infercost.errors import SpecError
from infercost.grid import Grid, GridAxis
from probes import point
from test_mitigations import NEUTRAL

TARGET = ("model=llama-3.1-70b", "plan.tp=8", "batch=8")
TRACE = (*TARGET, "workload=azure-2023-conversation")
FIXED = (*TARGET, "workload=fixed-lengths")
EXPERTS = ("model=deepseek-v3", "plan.tp=8", "workload=azure-2023-conversation")
SEEN = ("model=qwen2.5-vl-72b", "plan.tp=8", "batch=8", "workload=fixed-lengths")

DOSED = {
    "activation-sparsity": "0.4",
    "cascade": "0.5",
    "chunked-prefill": "512",
    "disaggregation": "0.5",
    "early-exit": "0.3",
    "edge-split": "0.5",
    "latent-reasoning": "0.5",
    "eviction-h2o": "0.2",
    "offload": "2",
    "prefix-cache": "0.5",
    "routing": "0.5",
    "sparse-attention": "1000",
    "speculation-bytes": "7",
    "speculation-eagle": "3",
    "speculation-eagle-tree": "3",
    "speculation-heads": "5",
    "speculation-layers": "6",
    "speculation-lookup": "3",
    "speculation-model": "3",
    "speculation-model-qwen": "3",
    "speculation-mtp": "1",
}
"""A dose of each mitigation beside its neutral one."""

BASES = {
    "speculation-mtp": (*EXPERTS, "plan.ep=8", "batch=8"),
    "latent-reasoning": ("workload=fixed-lengths", "trend=reasoning", "trend.output_tokens=500"),
    "speculation-model-qwen": ("model=qwen3-32b", "plan.tp=2", "batch=8"),
}

SWEPT = [
    ((*FIXED, "trend=moe"), "trend.experts", ("0", "1", "64")),
    ((*FIXED, "trend=branching"), "trend.branches", ("1", "4")),
    ((*FIXED, "trend=reasoning"), "trend.output_tokens", ("0", "5000")),
    ((*FIXED, "trend=rag-hyperscale"), "trend.retrieval.rounds", ("0", "1", "4")),
    ((*SEEN, "trend=multimodal"), "trend.images", ("0", "2")),
    ((*SEEN, "trend=video"), "trend.video", ("0 s", "10 s")),
    ((*TRACE, "trend=long-context"), "trend.dose", ("0", "1", "2")),
    (TRACE, "+trend.cached_share", ("0",)),
    (TRACE, "plan.placement.shared_context", ("0", "2000")),
    (TRACE, "plan.overlap", ("0", "0.5")),
    (TRACE, "plan.spares", ("0", "1")),
    (TRACE, "plan.pp", ("1", "2", "4")),
    (TRACE, "batch", ("1", "16", "4096")),
    (TRACE, "hardware.tdp", ("300 W", "700 W", "900 W")),
    (TRACE, "economics.discount_rate", ("0", "0.08")),
    (TRACE, "calibration.score_bytes", ("0", "2")),
    ((*TRACE, "calibration=eager-pytorch"), "calibration.layer_launch", ("0 s", "1 ms")),
    (TRACE, "hardware.scale_up.topology.kind", ("switch", "ring", "torus_2d")),
    ((*EXPERTS, "batch=64"), "plan.dp", ("1", "2")),
    ((*EXPERTS, "batch=64"), "plan.ep", ("1", "8")),
    ((*EXPERTS, "batch=64", "+direction=hbf"), "plan.dp", ("1", "2")),
    ((*EXPERTS, "+direction=pnm-dimm"), "batch", ("1", "64", "512")),
    ((*EXPERTS, "batch=64", "+direction=[hbf,low-latency]"), "batch", ("1", "64", "256")),
]


def beside(base: tuple[str, ...], path: str, values: tuple[str, ...]) -> None:
    together = infercost.evaluate([*base, f"{path}={','.join(values)}"])
    alone = pd.concat([infercost.evaluate([*base, f"{path}={value}"]) for value in values])
    others = [name for name in alone.columns if name in together.columns]
    assert len(together.columns) - len(others) <= 1  # a swept column
    for name in others:
        one, two = alone[name].to_numpy(), together[name].to_numpy()
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(two, one, err_msg=name)
        else:
            assert list(two) == list(one), name


@pytest.mark.parametrize("name", sorted(DOSED))
def test_no_mitigation_is_felt_where_it_is_off(name: str) -> None:
    field, _, off = NEUTRAL[name].partition("=")
    base = (*BASES.get(name, TRACE), f"+mitigation={name}")
    beside(base, f"mitigation.{name}.{field}", (off, DOSED[name]))


def test_every_mitigation_with_a_neutral_dose_is_tried() -> None:
    assert set(DOSED) == set(NEUTRAL)


@pytest.mark.parametrize("case", SWEPT, ids=lambda case: f"{case[1]} {' '.join(case[0][2:])}")
def test_a_value_changes_no_bit_of_the_one_beside_it(
    case: tuple[tuple[str, ...], str, tuple[str, ...]],
) -> None:
    beside(*case)


def test_a_column_of_doses_holds_numbers() -> None:
    frame = infercost.evaluate([*TRACE, "+mitigation=routing", "mitigation.routing.share=0,0.5"])
    assert list(frame["mitigation.routing.share"]) == [0.0, 0.5]


def test_a_dose_that_stands_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="is 0 again"):
        infercost.evaluate([*TRACE, "+mitigation=routing", "mitigation.routing.share=0,0.0"])


def test_a_grid_that_holds_a_dose_and_its_absence_is_refused() -> None:
    """Where no case is made of each value, one line says so."""
    case = point(*TRACE, "+mitigation=routing").case
    assert case.unmitigated is not None
    plain = case.unmitigated.model_copy(update={"mitigation": case.mitigation})
    axis = GridAxis("share", {"mitigation.routing.share": np.array([0.0, 0.5])})
    with pytest.raises(SpecError, match="0 switches it off, and shares no axis"):
        Evaluation(Grid((axis,)).bind(plain))
