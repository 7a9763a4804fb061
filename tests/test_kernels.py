"""Operator equations of current stacks by hand, and the committed report of their fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infercost.calibrate.cases import calibration
from infercost.equations import roofline
from infercost.kernels import fits, silicon
from infercost.kernels.tables import CELLS, EXPERT_SHAPE, SYSTEMS, Cell, fastest_experts
from infercost.network import Message
from infercost.operators.base import Kind, Operator
from infercost.passes import (
    launch_overhead,
    message_terms,
    operator_time,
    reached_rates,
)
from infercost.paths import config_dirs
from infercost.question import option_names
from infercost.reached import specialised
from infercost.specs.calibration import NUMBERS, ExpertNumbers

ROOT = Path(__file__).parents[1]
REPORT = json.loads((ROOT / "data" / "reference" / "kernel_report.json").read_text())
FITTED = [name for name in option_names(config_dirs(()), "calibration") if name.endswith("-2026")]


def operator(kind: Kind, **shape: float) -> Operator:
    traffic = {"weights": 2e6, "kv": 4e6, "activations": 1e6}
    return Operator("", 1.0, 1e9, traffic, 1e15, kind, **shape)


def test_uneven_groups_cost_streams_less_than_arithmetic() -> None:
    """At half of the efficiency a stream keeps 0.5^1 of the bandwidth, or 0.5^0.5, or all."""
    ideal, product = calibration("ideal"), operator("experts")
    for streaming, kept in ((1.0, 0.5), (0.5, 0.5**0.5), (0.0, 1.0)):
        changed = {"expert_efficiency": 0.5, "expert_streaming": streaming}
        rates = reached_rates(ideal.model_copy(update=changed), product, True)
        assert rates.efficiency == 0.5
        assert rates.reached["weights"] == pytest.approx(kept)


def test_unpacking_takes_its_flops_in_decode_alone() -> None:
    """1e9 FLOPs and 16 for each of 1e9 packed weights: 17e9 at 1e12 FLOP/s are 17 ms."""
    stack = calibration("ideal").model_copy(update={"unpacking_flops": 16.0})
    product = replace(operator("matmul"), packed=1e9, peak=1e12)
    assert operator_time(stack, product, 1e12, True).compute == pytest.approx(17e-3)
    assert operator_time(stack, product, 1e12, False).compute == pytest.approx(1e-3)


def test_a_ramp_costs_half_of_itself_at_its_half() -> None:
    """10 us / 0.5 + 4 us x 10 / (10 + 10) = 22 us."""
    assert roofline.ramped_time(10e-6, 0.5, 4e-6, 10e-6) == pytest.approx(22e-6)


def test_a_long_stream_loses_the_ramp_once() -> None:
    """1 s / 0.8 + 4 us x 1 / (1 + 1e-5) = 1.25 s + 3.99996 us."""
    assert roofline.ramped_time(1.0, 0.8, 4e-6, 10e-6) == pytest.approx(
        1.25 + 3.99996e-6, abs=1e-10
    )


def test_an_empty_stream_takes_no_time() -> None:
    assert roofline.ramped_time(0.0, 0.5, 4e-6, 1e-6) == 0.0


def test_a_short_context_is_read_as_one_tile() -> None:
    """A tile of 128 tokens for 32 of them is four times the traffic; for 1,024 it is none more."""
    assert roofline.tile_padding(32.0, 128.0) == 4.0
    assert roofline.tile_padding(1024.0, 128.0) == 1.0
    assert roofline.tile_padding(0.0, 128.0) == 128.0


def test_groups_of_eight_query_heads_read_a_head_four_times_for_32() -> None:
    assert roofline.group_reads(32.0, 1 / 8) == 4.0
    assert roofline.group_reads(4.0, 1 / 8) == 1.0
    assert roofline.group_reads(4.0, 0.0) == 1.0


def test_the_walk_through_the_inner_dimension_takes_its_depth() -> None:
    """8,192 entries of 0.5 ns are 4.096 us."""
    assert roofline.depth_time(8192.0, 0.5e-9) == pytest.approx(4.096e-6)


def test_quantising_reads_two_bytes_and_writes_one() -> None:
    """Two passes over 16 x 4,096 entries: 2 x 3 x 65,536 = 393,216 B."""
    assert roofline.quantising_bytes(16.0, 4096.0, 2.0) == 393_216


def test_a_product_pays_launch_set_up_depth_and_quantising() -> None:
    """1 + 2 + 1,000 x 1 ns + 3 x 10 x 1,000 B / 1 GB/s = 1 + 2 + 1 + 30 us."""
    stack = calibration("ideal").model_copy(
        update={
            "decode_overhead": 1e-6,
            "matmul_overhead": 2e-6,
            "depth_overhead": 1e-9,
            "input_passes": 1.0,
        }
    )
    product = operator("matmul", rows=10.0, depth=1000.0)
    assert launch_overhead(stack, product, 1e9, True) == pytest.approx(34e-6)


def test_a_collective_ramps_by_latencies_of_its_link() -> None:
    """2 us; 10 us / 0.5 + 3 x 2 us x 10 / (10 + 5 x 2) = 23 us; one overhead of 1 us."""
    stack = calibration("ideal").model_copy(
        update={
            "network_efficiency": 0.5,
            "collective_overhead": 1e-6,
            "collective_ramp": 3.0,
            "collective_ramp_half": 5.0,
        }
    )
    terms = message_terms(stack, Message("", 1.0, 2e-6, 10e-6, 0.0, 0.0, 8.0))
    assert terms["network_latency"] == pytest.approx(3e-6)
    assert terms["network_bandwidth"] == pytest.approx(23e-6)


def test_nobody_waits_in_a_collective_of_one() -> None:
    stack = calibration("ideal").model_copy(update={"collective_overhead": 1e-6})
    assert message_terms(stack, Message("", 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)).total == 0.0


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("kind", ["matmul", "experts", "decode_attention", "prefill_attention"])
def test_no_fitted_operator_is_faster_than_physics(name: str, kind: Kind) -> None:
    rows = 2.0 ** np.arange(0, 14)
    mine = operator(kind, rows=rows, depth=128.0, context=rows, sharing=8.0)  # type: ignore[arg-type]
    ideal = calibration("ideal")
    for weights in ("native", "fp8", "nvfp4"):
        stack = specialised(calibration(name), "", weights)
        for decode in (True, False):
            floor = operator_time(ideal, mine, 1e12, decode).terms.total
            time = operator_time(stack, mine, 1e12, decode).terms.total
            assert np.all(np.asarray(time) >= np.asarray(floor))
            assert np.all(np.asarray(launch_overhead(stack, mine, 1e12, decode)) > 0)


@pytest.mark.parametrize("name", FITTED)
def test_a_larger_message_never_takes_less_time(name: str) -> None:
    size = np.geomspace(1e-9, 1e-2, 200)
    time = message_terms(calibration(name), Message("", 1.0, 3e-6, size, 0.0, 0.0, 8.0)).total
    assert np.all(np.diff(np.asarray(time)) > 0)


@pytest.mark.parametrize("name", FITTED)
def test_a_longer_context_never_takes_less_time(name: str) -> None:
    context = 2.0 ** np.arange(0, 18)
    core = Operator(
        "", 1.0, 0.0, {"kv": context * 4096.0}, 1e15, "decode_attention", context=context
    )
    time = operator_time(calibration(name), core, 1e12, True).terms.total
    assert np.all(np.diff(np.asarray(time)) >= 0)


_WHOLE = ("memory_utilisation", "pipeline_overlap", "expert_streaming")


def test_ideal_states_every_number_as_neutral() -> None:
    ideal = calibration("ideal")
    for name in NUMBERS:
        expected = 1.0 if name.endswith("_efficiency") or name in _WHOLE else 0.0
        assert getattr(ideal, name) == expected, name


def test_the_report_speaks_of_known_cells_and_systems() -> None:
    assert set(REPORT["systems"]) == set(SYSTEMS.values())
    keys = {(r["framework"], r["operator"], r["system"]) for r in REPORT["rows"]}
    assert len(keys) == len(REPORT["rows"]) > 100
    for row in REPORT["rows"]:
        assert row["operator"] in CELLS
        assert row["system"] in REPORT["systems"]
        assert 0 < row["rows"] <= 500 or row["operator"] == "all-reduce in one node"
        assert 0 <= row["left_out_percent"] <= row["p90_left_out_percent"]


def test_experts_have_numbers_by_their_own_format_and_tiles_of_their_own() -> None:
    """bf16 beside MXFP4: 1e9 x (1 + 3 / 4) FLOPs at 1e15 x 0.5 FLOP/s for 4 rows of an expert;
    products of the dense layers keep their 12 rows, 1e9 x (1 + 12 / 4) at the whole peak."""
    own = {"expert_efficiency": 0.5, "expert_streaming": 0.0, "half_rate_group": 3.0}
    changed = {"half_rate_rows": 12.0, "experts": {"mxfp4": ExpertNumbers(**own)}}
    stack = calibration("ideal").model_copy(update=changed)
    found = specialised(stack, "", "bf16", "mxfp4")
    routed = operator_time(found, operator("experts", rows=4.0), 1e15, True)
    assert routed.compute == pytest.approx(1.75e9 / 0.5e15)
    dense = operator_time(found, operator("matmul", rows=4.0), 1e15, True)
    assert dense.compute == pytest.approx(4e9 / 1e15)
    assert specialised(stack, "", "mxfp4", "bf16").expert_efficiency == 1.0


def test_a_collective_of_a_cell_takes_the_way_that_is_fastest_as_reached() -> None:
    """Ideally 3 + 1 = 4 us against 1 + 2.5 = 3.5 us; at half of the link 3 + 2 = 5 against 6 us."""
    ways = (
        Message("", 1.0, np.array([3e-6]), np.array([1e-6]), 0.0, 0.0, 1.0),
        Message("", 1.0, np.array([1e-6]), np.array([2.5e-6]), 0.0, 0.0, 1.0),
    )
    cell = Cell("all-reduce", (), ways, np.ones(1), ("x",), np.zeros(1), np.ones(1))
    for efficiency, time in ((1.0, 3.5e-6), (0.5, 5e-6)):
        stack = calibration("ideal").model_copy(update={"network_efficiency": efficiency})
        assert fits.predicted(stack, cell) == pytest.approx([time])


def _experts(*rows: tuple[str, str, str, float]) -> list[float]:
    """Times that are kept of rows of one shape: system, format, kernel, seconds."""
    shape = dict.fromkeys(EXPERT_SHAPE, 1)
    names = ("system", "moe_dtype", "kernel_source", "seconds")
    frame = pd.DataFrame([{**shape, **dict(zip(names, row, strict=True))} for row in rows])
    return sorted(fastest_experts(frame)["seconds"])


def test_of_kernels_for_one_shape_of_experts_the_fastest_counts() -> None:
    assert _experts(("x", "fp8", "a", 2.0), ("x", "fp8", "b", 1.0), ("y", "fp8", "a", 3.0)) == [
        *(1.0, 3.0)
    ]


def test_mxfp4_experts_take_narrow_inputs_where_a_device_can() -> None:
    """Device x has both kernels, of which the narrow one is slower here; y has one that widens."""
    rows = (("x", "w4a16_mxfp4", "a", 1.0), ("x", "w4a8_mxfp4_mxfp8", "a", 2.0))
    assert _experts(*rows, ("y", "w4a16_mxfp4", "a", 3.0)) == [2.0, 3.0]


def test_nvfp4_experts_without_the_kernel_for_few_tokens_are_of_another_stack() -> None:
    rows = (("x", "nvfp4", "min_latency", 1.0), ("x", "nvfp4", "cutlass", 2.0))
    assert _experts(*rows, ("y", "nvfp4", "cutlass", 3.0), ("y", "fp8", "cutlass", 4.0)) == [
        *(1.0, 4.0)
    ]
    assert _experts(("y", "nvfp4", "cutlass", 3.0)) == [3.0], "where nobody has it"


def test_every_fitted_parameter_has_a_start_and_a_place() -> None:
    names = {name for _, parameters in fits.GROUPS.values() for name in parameters}
    assert names | set(fits.EXPERTS) == set(fits.START)
    assert set(fits.START) <= set(NUMBERS)


ROW = {
    "id": "x",
    "silicon_data_source": "a; image=b/c:v0.5.9-cu130",
    "backend": "sglang",
    "backend_version": "",
    "model_path": "deepseek-ai/DeepSeek-R1",
    "system": "b200_sxm",
    "mode": "agg",
    "isl": "1024",
    "osl": "512",
    "gemm_quant_mode": "fp8_block",
    "batch_size": "16.0",
    "tp_size": "8.0",
    "pp_size": "1.0",
    "attention_dp_size": "1.0",
    "moe_tp_size": "8.0",
    "moe_ep_size": "1.0",
    "silicon_tpot_ms": "12.5",
}
"""Invented."""


def test_an_end_to_end_row_comes_in_our_columns() -> None:
    row = silicon.converted(ROW)
    assert (row["hardware"], row["model"], row["weight_format"]) == (
        "b200-sxm",
        "deepseek-r1",
        "fp8",
    )
    assert (row["framework"], row["tp"], row["n_devices"]) == ("SGLang 0.5.9", "8", "8")
    assert (row["load"], row["value"]) == ("concurrency 16", "0.0125")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"gemm_quant_mode": ""}, "gemm_quant_mode"),
        ({"batch_size": ""}, "batch_size"),
        ({"tp_size": "64"}, "devices of a server"),
        ({"moe_ep_size": "4"}, "moe tp x moe ep"),
        ({"pp_size": "2"}, "pipeline"),
        ({"silicon_data_source": "a"}, "version"),
        ({"silicon_data_source": "a; image=b/release:1.2.0rc6.post3"}, "speculative"),
    ],
)
def test_an_incomplete_row_has_a_reason(changed: dict[str, str], reason: str) -> None:
    with pytest.raises(silicon.Incomplete, match=reason):
        silicon.converted({**ROW, **changed})
