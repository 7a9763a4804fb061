"""Models of bytes, models that think in depth, and thoughts without tokens: by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import infercost
from infercost.breakdown import operator_rows
from infercost.compose import Options
from infercost.errors import SpecError
from infercost.operators.base import Operator
from infercost.options.question import ask
from infercost.passes.positions import in_positions
from infercost.placement import kv_bytes_per_sequence
from infercost.serving.ask import serving_of
from infercost.serving.tables import Passes
from infercost.workloads.lengths import lengths_of
from probes import number, point

BYTES = ("model=blt-8b", "plan=base", "hardware=h100-sxm", "calibration=ideal", "batch=1")
SHORT = ("workload=snapshot", "workload.context=8")
GLOBAL = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
LOCAL = 7 * (4 * 1280**2 + 3 * 1280 * 3584) + 260 * 1280
CORE = 4 * 5280**2 + 3 * 5280 * 17920


# --- bytes and patches


def test_a_patch_takes_the_model_once_and_its_light_layers_once_a_byte() -> None:
    """(6.476e9 + 4.5 x 0.143e9) weights of 2 B at 3.35 TB/s, where nothing else is large."""
    expected = 2 * (GLOBAL + 4.5 * LOCAL) / 3.35e12
    assert number(point(*BYTES, *SHORT).step_time) == pytest.approx(expected, rel=0.02)


def test_a_patch_of_bytes_is_a_token_and_more() -> None:
    """4.5 bytes of a patch over 4.4 of a token: 1.0227 tokens a step."""
    found = point(*BYTES, *SHORT)
    assert number(found.tpot) == pytest.approx(number(found.step_time) * 4.4 / 4.5, rel=1e-12)


def test_global_and_light_layers_have_the_parameters_that_the_paper_states() -> None:
    """6.4 B, and 20 M + 120 M of one and six light layers."""
    assert pytest.approx(6.4e9, rel=0.02) == GLOBAL
    assert pytest.approx(140e6, rel=0.03) == LOCAL


def test_hash_tables_take_memory_and_no_time() -> None:
    """6 x 500,002 rows of 1280 in 2 B beside the layers; of them a row is read."""
    found = infercost.evaluate([*BYTES, *SHORT]).iloc[0]
    tables = 6 * 500_002 * 1280
    assert found.weight_memory_b == pytest.approx(2 * (GLOBAL + LOCAL + tables), rel=1e-3)


def test_longer_patches_halve_what_the_model_does_and_keeps() -> None:
    """Twice the bytes a patch: half of the positions, so half of the cache (light layers keep 512
    bytes whatever the patch), and as much for each byte of the light layers."""
    fixed = (*BYTES, "workload=fixed-lengths", "workload.prompt_tokens=100000")
    room = ("model.max_context=1000000", "hardware.memory.hbm.capacity=200 GB")
    short, long = (point(*fixed, *room, f"model.patches.patch={p}") for p in (4.5, 9))
    kept = 2 * 512 * 7 * 1280 * 2
    ratio = (number(long.memory.kv) - kept) / (number(short.memory.kv) - kept)
    assert ratio == pytest.approx(0.5, rel=1e-3)
    assert number(long.tpot) < number(short.tpot)
    spent = 2 * 4.4 * LOCAL / 3.35e12
    assert number(long.tpot) > spent


@pytest.mark.parametrize("factor", [1.0, 0.5, 4.4])
def test_requests_in_positions_are_requests_of_that_many_tokens(factor: float) -> None:
    """1000 tokens in, 401 out, at `factor` positions a token, against lengths stated so."""
    case = next(iter(Options(ask(["workload=fixed-lengths"])).cases())).case

    def lengths(prompt: float, output: float) -> Any:
        work = case.workload.model_copy(update={"prompt_tokens": prompt, "output_tokens": output})
        return lengths_of(work, case.trend)  # type: ignore[arg-type]

    found = in_positions(lengths(1000.0, 401.0), factor)
    stated = lengths(1000.0 * factor, 401.0 * factor)
    for window in (100.0, 1e15):
        assert number(found.context(window)) == pytest.approx(stated.context(window), rel=5e-3)
        assert number(found.pairs(window)) == pytest.approx(stated.pairs(window), rel=0.02)
    assert number(found.prefills_per_step) == pytest.approx(stated.prefills_per_step, rel=1e-12)
    assert number(found.prompt) == stated.prompt
    assert found.prompt_mean == 1000.0
    assert number(found.tokens_per_step) == pytest.approx(401.0 / (401.0 * factor - 1), rel=1e-12)


# --- every byte through all layers: EvaByte

EVA = ("model=evabyte-6.5b", *BYTES[1:])
KEY_AND_VALUE = 2 * 32 * 128 * 2
OWN = (2048 + 1) / 2


def core(context: int, *overrides: str) -> Operator:
    """Attention core of a layer at so many tokens, 4.4 times as many bytes."""
    at = point(*EVA, "workload=snapshot", f"workload.context={context}", *overrides)
    return next(o for block in at.decode_blocks for o in block.operators if "core" in o.name)


def test_a_byte_sees_half_a_window_and_chunks_of_all_before() -> None:
    """44,000 bytes: 1024.5 of its window of 2048 in the mean, (44,000 - 1024.5) / 16 chunks."""
    seen = OWN + (44_000 - OWN) / 16
    found = core(10_000)
    assert number(found.flops) == pytest.approx(2 * 32 * (128 + 128) * seen, rel=1e-9)
    assert number(found.traffic["kv"]) == pytest.approx((seen + 1) * KEY_AND_VALUE, rel=1e-9)
    assert number(found.written["kv"]) == pytest.approx((1 + 1 / 16) * KEY_AND_VALUE, rel=1e-12)


def test_the_first_window_is_plain_attention() -> None:
    """440 bytes, and the one that is written."""
    assert number(core(100).traffic["kv"]) == pytest.approx(441 * KEY_AND_VALUE, rel=1e-9)


def test_a_window_and_chunks_are_kept() -> None:
    """32 layers of (44,000 / 16 + 2048) pairs; a Llama of the same shape keeps 44,000."""
    at = point(*EVA, "workload=snapshot", "workload.context=10000")
    kept = 32 * (44_000 / 16 + 2048) * KEY_AND_VALUE
    assert number(kv_bytes_per_sequence(at.layout, at.lengths)) == pytest.approx(kept, rel=1e-9)


def test_a_prompt_is_windows_and_chunks() -> None:
    """Ten windows of 2048 bytes: own pairs (1 + ... + 2048) in each, and of n windows before it

    2048 n · 128 chunks. The first window is exact; a stratum's mean place in later ones is too.
    """
    work = ("workload=fixed-lengths", "workload.prompt_tokens=4654.545454545455")
    at = point(*EVA, *work)
    block = at.prefill_blocks[0]
    found = next(o for o in block.operators if "core" in o.name)
    own = 10 * 2048 * 2049 / 2
    chunks = 2048 * 128 * sum(range(10))
    flops = number(found.flops) * number(at.prompt_passes)
    assert flops == pytest.approx(2 * 32 * 256 * (own + chunks), rel=1e-3)


def test_eight_heads_write_five_bytes_at_a_time() -> None:
    """(1 - 0.9^8) / 0.1 = 5.695 bytes for 7 x 320 x 4096 entries more, read once, and seven keys

    and values more in 32 layers."""
    plain = point(*EVA, *SHORT)
    own = "mitigation.speculation-bytes"
    drafted = point(*EVA, *SHORT, "+mitigation=speculation-bytes", f"{own}.overhead=0 s")
    more = number(drafted.step_time) - number(plain.step_time)
    moved = 2 * 7 * 320 * 4096 + 7 * 32 * KEY_AND_VALUE
    assert more == pytest.approx(moved / 3.35e12, rel=0.01)
    gain = number(plain.tpot) / number(drafted.tpot)
    assert gain == pytest.approx((1 - 0.9**8) / 0.1, rel=0.01)


def test_heads_have_no_prompt_to_take() -> None:
    """They draft from a hidden state: a prefill is what it was, their tables take memory."""
    work = ("workload=fixed-lengths", "workload.prompt_tokens=1000")
    heads = "+mitigation=speculation-bytes"
    plain, drafted = (infercost.evaluate([*EVA, *work, *m]).iloc[0] for m in ((), (heads,)))
    assert drafted.ttft_s == plain.ttft_s
    assert drafted.weight_memory_b - plain.weight_memory_b == 2 * 7 * 320 * 4096


def test_heads_of_a_model_of_tokens_have_a_square_layer_each() -> None:
    """Five heads of d^2 and a table of 128,256 entries, in 2 B."""
    base = ("model=llama-3.1-8b", *BYTES[1:], *SHORT)
    plain, drafted = (point(*base, *m) for m in ((), ("+mitigation=speculation-heads",)))
    more = number(drafted.memory.weights) - number(plain.memory.weights)
    assert more == 2 * 5 * (4096**2 + 128256 * 4096)


# --- patches of eight: MegaByte


def test_light_layers_of_a_fixed_patch_run_eight_times() -> None:
    """14 layers of 12 x 2048^2 once, 18 of 12 x 1024^2 and a table of bytes eight times."""
    mega = ("model=megabyte-1b", *BYTES[1:], *SHORT)
    large, light = 14 * 12 * 2048**2 + 256 * 2048, 18 * 12 * 1024**2 + 256 * 1024
    expected = 2 * (large + 8 * light) / 3.35e12
    assert number(point(*mega).step_time) == pytest.approx(expected, rel=0.02)


def test_parameters_of_megabyte_are_its_layers() -> None:
    found = infercost.evaluate(["model=megabyte-1b", *BYTES[1:], *SHORT]).iloc[0]
    large, light = 14 * 12 * 2048**2 + 256 * 2048, 18 * 12 * 1024**2 + 256 * 1024
    assert found.parameter_count == large + light
    assert found.weight_memory_b == 2 * (large + light)


def test_bytes_write_no_drafts() -> None:
    with pytest.raises(SpecError, match=r"Vary model\.patches\.patch instead"):
        point(*BYTES, *SHORT, "+mitigation=speculation-eagle")


def test_a_replay_refuses_bytes() -> None:
    with pytest.raises(SpecError, match="bytes within a patch"):
        Passes(point(*BYTES, "workload=fixed-lengths").case, serving_of([]))


def test_narrow_weights_narrow_the_light_layers_too() -> None:
    """4.5 of 16 bits of all that is read."""
    plain, w4 = (number(point(*BYTES, *SHORT, *m).step_time) for m in ((), ("+mitigation=w4",)))
    assert w4 / plain == pytest.approx(4.5 / 16, rel=0.05)


# --- depth


DEEP = ("model=huginn-3.5b", "plan=base", "hardware=h100-sxm", "calibration=ideal", "batch=1")


def test_a_core_that_runs_32_times_is_kept_once_and_read_32_times() -> None:
    """8 layers of 395 M and one adapter are kept; 2 + 128 + 2 layers and 32 adapters are read."""
    found = infercost.evaluate([*DEEP, *SHORT]).iloc[0]
    head, adapter = 65536 * 5280, 2 * 5280**2
    assert found.parameter_count == 8 * CORE + adapter + head
    read = 2 * (132 * CORE + 32 * adapter + head)
    assert found.decode_step_s == pytest.approx(read / 3.35e12, rel=0.02)


def test_every_run_keeps_keys_and_values_of_its_own() -> None:
    """132 layers x (K, V) x 5280 x 2 B."""
    found = infercost.evaluate([*DEEP, *SHORT]).iloc[0]
    assert found.kv_per_token_b == 132 * 2 * 5280 * 2


def test_half_of_the_depth_is_half_of_the_step() -> None:
    """(2 + 64 + 2) layers and 16 adapters over (2 + 128 + 2) and 32, and one head."""
    shallow = ("model.layers.core.count=64", "model.layers.adapter.count=16")
    whole, half = (number(point(*DEEP, *SHORT, *o).step_time) for o in ((), shallow))
    head, adapter = 65536 * 5280, 2 * 5280**2
    expected = (68 * CORE + 16 * adapter + head) / (132 * CORE + 32 * adapter + head)
    assert half / whole == pytest.approx(expected, rel=0.01)


# --- thoughts without tokens


def test_latent_thoughts_are_fewer_steps() -> None:
    """1132 thoughts become 1132 x 0.328 = 371.296 steps, whatever stands for them."""
    base = ["workload=fixed-lengths", "trend=reasoning"]
    latent = infercost.evaluate([*base, "+mitigation=latent-reasoning"]).iloc[0]
    fewer = infercost.evaluate([*base, "trend.output_tokens=371.296"]).iloc[0]
    plain = infercost.evaluate(base).iloc[0]
    assert latent.cost_per_request_usd == pytest.approx(fewer.cost_per_request_usd, rel=1e-12)
    assert latent.steps_per_request == pytest.approx(256 + 371.296 - 1, rel=1e-12)
    assert latent.cost_per_request_usd < 0.5 * plain.cost_per_request_usd
    assert latent.quality_loss == pytest.approx(1 - 34.1 / 42.9, abs=1e-3)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [((), "trend=reasoning"), (("model=llada-8b", "trend=reasoning"), "tokens_per_step")],
)
def test_what_thinks_no_thoughts_takes_none_in_latent_steps(
    overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SpecError, match="does not suit") as caught:
        infercost.evaluate(["workload=fixed-lengths", "+mitigation=latent-reasoning", *overrides])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "asked",
    [(*BYTES, *SHORT), ("model=llama-3.1-8b", *BYTES[1:], *SHORT, "+mitigation=speculation-eagle")],
)
def test_operators_of_a_step_are_those_of_all_of_its_passes(asked: tuple[str, ...]) -> None:
    """Light layers and drafts beside the model's own: the whole step, less the host's 0.65 ms."""
    found = point(*asked)
    host = 0.65e-3 if found.case.mechanisms.drafting else 0.0
    rows = [row["time_s"] for row in operator_rows(found) if row["phase"] == "decode"]
    assert sum(rows) == pytest.approx(number(found.step_time) - host, rel=1e-9)


def test_two_positions_a_token_by_hand() -> None:
    """1000 + 200 tokens are 2000 + 400 positions: 399 steps, of half a token each.

    A window of 100 positions is one of 50 tokens; pairs go as the square.
    """
    fixed = ("workload=fixed-lengths", "workload.prompt_tokens=1000", "workload.output_tokens=200")
    plain = replace(
        point("model=llama-3.1-8b", *fixed).lengths,
        cached_prompt=300.0,
        cached_pairs=lambda window: 7.0 * window,
        branches=4.0,
        pace=1.0,
    )
    found = in_positions(plain, 2.0)
    assert (number(found.prompt), number(found.longest)) == (2000, 2 * 1199)
    assert number(found.prefills_per_step) == pytest.approx(1 / 399 / 4)
    assert number(found.tokens_per_step) == pytest.approx(200 / 399)
    assert number(found.pairs(100.0)) == 4 * number(plain.pairs(50.0))
    assert number(found.context(100.0)) == 2 * number(plain.context(50.0))
    assert number(found.deviation(1e4)) == 2 * number(plain.deviation(5e3))
    assert number(found.whole(2)) == 4 * number(plain.whole(2))
    assert number(found.whole(1)) == 2 * number(plain.whole(1))
    assert (number(found.cached_prompt), number(found.cached_pairs(100.0))) == (600, 4 * 7 * 50)
    assert number(in_positions(plain, 3.0).whole(2)) == 9 * number(plain.whole(2))
    assert number(found.pace) == 0.5
    assert number(in_positions(plain, 1e-6).prompt) == 1, "one position at least"
    still = in_positions(point("model=llama-3.1-8b", "workload=snapshot").lengths, 4.0)
    assert (number(still.prefills_per_step), number(still.tokens_per_step)) == (0, 0.25)
