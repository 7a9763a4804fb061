"""Prices of tokens: the production day of DeepSeek, and what rents and measured rates imply."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infercost.calibrate.record import read_record
from infercost.evaluation import evaluate
from infercost.measurements.readings import Reading, read
from probes import number, point

TABLE = Path(__file__).parents[1] / "data/reference/measured.csv"
RENT = {"h100-sxm": 2.95, "a100-sxm-80gb": 1.5}
"""USD per hour: median of AIMultiple's index of on-demand H100s; A100 at specialised clouds, upper
end of Mercatus' guide (mercatus-rental). Both of 2026-05."""
RENTS = RENT | {"h200-sxm": 3.5, "b200-sxm": 5.5, "l40s": 1.5484}
"""The others on demand at Nebius in 2026 (skypilot-nebius)."""


def test_cost_of_a_production_day() -> None:
    """226.75 nodes of 8 H800 at 2 USD an hour for 24 hours: 87,072 USD (open-infra-index)."""
    frame = evaluate(
        [
            "hardware=h800-sxm",
            "hardware.rental_price=2 USD/h",
            "economics=rental",
            "economics.utilisation=1",
            "model=deepseek-v3",
            "plan=base",
            "plan.dp=144",
            "plan.ep=144",
            f"batch={144 * 88}",
            "workload=snapshot",
            "workload.context=4989",
            "calibration=ideal",
        ]
    )
    per_token = frame["cost_per_mtoken_usd"][0] / 1e6
    per_device_day = per_token * frame["throughput_per_device_per_s"][0] * 86400
    # Device-time paid is device-time at work: the rate times a day, whatever is computed in it.
    assert per_device_day == pytest.approx(2 * 24, rel=1e-9)
    assert 226.75 * 8 * per_device_day == pytest.approx(87_072, rel=1e-9)


@cache
def decoded() -> pd.DataFrame:
    """The decode unit: 18 nodes, 144 ranks of experts, 88 sequences of 4,989 tokens a device.

    In flight: 14,800 / 8 a device at 20 to 22 tokens/s a user. No communication hidden: the
    fitted calibration was fitted so. The row is none that the fit could read.
    """
    return evaluate(
        [
            "hardware=h800-sxm",
            "model=deepseek-v3",
            "plan=base",
            "plan.dp=144",
            "plan.ep=144",
            "plan.formats.kv=bf16",
            "plan.formats.dispatch=fp8",
            f"batch={144 * 88}",
            "workload=snapshot",
            "workload.context=4989",
            "calibration=nvidia-datacentre-deepseek",
        ]
    )


def test_decode_throughput_of_the_production_day() -> None:
    """14,800 output tokens/s a node and 20 to 22 tokens/s a user."""
    frame = decoded()
    assert 8 * frame["throughput_per_device_per_s"][0] == pytest.approx(14_800, rel=0.25)
    assert 1 / frame["tpot_s"][0] == pytest.approx(21, rel=0.25)


DAY = {"input": 608e9, "hits": 342e9, "output": 168e9, "nodes": 226.75}
"""Tokens of the 24 hours, and the mean number of nodes in use (deepseek-day-6)."""
# Requests alike: a prompt is 608 / 168 = 3.62 outputs, and the cache of a decode step holds the
# prompt and half of the output on average: 4,989 = 4.12 outputs, 1,211 and 4,383 tokens.
OUTPUT = 4989 / (DAY["input"] / DAY["output"] + 0.5)
PROMPT = OUTPUT * DAY["input"] / DAY["output"]
CACHED = PROMPT * DAY["hits"] / DAY["input"]


def prefill_rate(prompt: float, cached: float, prompts: int, overlap: float) -> float:
    """Prompt tokens per second and node, hits included: 32 devices, 16,384 tokens each a pass.

    A token goes once to each node, as DeepEP's kernels for prefill send it; `overlap` 1 hides
    messages behind a second batch, as that service does where it has two.
    """
    frame = evaluate(
        [
            "hardware=h800-sxm",
            "model=deepseek-v3",
            "plan=base",
            "plan.dp=32",
            "plan.ep=32",
            "plan.formats.kv=bf16",
            "plan.formats.dispatch=fp8",
            "plan.exchange=merged",
            f"plan.overlap={overlap}",
            f"plan.prefill_batch={prompts}",
            "plan.prefill_chunk=16384",
            "plan.phases=disaggregated",
            "batch=256",
            "workload=fixed-lengths",
            f"workload.prompt_tokens={prompt}",
            f"workload.cached_tokens={cached}",
            f"workload.output_tokens={OUTPUT}",
            "calibration=nvidia-datacentre-deepseek",
        ]
    )
    both, decode = "device_time_per_mtoken_s", "decode_device_time_per_moutput_s"
    return 8 * prompt / float((frame[both] - frame[decode])[0] / 1e6 * OUTPUT)


def test_rates_of_the_day_are_means_over_all_nodes_in_use() -> None:
    """7.04 M/s over 73,700 are 95.5 nodes, 1.94 M/s over 14,800 are 131.4: 226.9 of 226.75.

    So that waiting for requests, uneven experts and slow hours are in both rates.
    """
    nodes = DAY["input"] / 86400 / 73_700 + DAY["output"] / 86400 / 14_800
    assert nodes == pytest.approx(DAY["nodes"], rel=1e-3)
    assert pytest.approx(0.563, abs=1e-3) == CACHED / PROMPT


@pytest.mark.parametrize(
    ("prompt", "published"),
    [(4096, 62_713), (1000, 57_674), (2000, 54_543), (4000, 50_302)],
    ids=["deepseek-profile", "sglang-1k", "sglang-2k", "sglang-4k"],
)
def test_prefill_throughput_of_published_profiles(prompt: float, published: float) -> None:
    """Tokens/s a node, 16,384 tokens a device and pass: DeepSeek's trace, and SGLang's three runs.

    Within 25 % with all messages shown, a ceiling with all of them hidden behind a second batch.
    The calibration was fitted to decode alone: no row of a prefill over several nodes is read.
    """
    prompts = round(16_384 / prompt)
    shown, hidden = (prefill_rate(prompt, 0, prompts, overlap) for overlap in (0, 1))
    assert shown == pytest.approx(published, rel=0.25)
    assert hidden > published


def test_prefill_of_the_production_day_leaves_time_to_wait() -> None:
    """73,700 prompt tokens/s a node, hits included, is a mean of hours in which nodes wait too.

    A busy node does half as much again, and more with messages hidden: the mean is that of nodes
    busy for a third of the day at least. How long they wait is not published.
    """
    shown, hidden = (prefill_rate(PROMPT, CACHED, 8, overlap) for overlap in (0, 1))
    assert 0.5 < 73_700 / shown < 1
    assert 0.33 < 73_700 / hidden < 1


def test_output_of_a_node_of_the_whole_deployment() -> None:
    """168e9 tokens / 86,400 s / 226.75 nodes = 8,575 tokens/s a node, prefill and decode together.

    Within 25 % with messages shown, as of the profiles, and too high as all that is without waits.
    """
    seconds = DAY["input"] / prefill_rate(PROMPT, CACHED, 8, overlap=0)
    seconds += DAY["output"] / (8 * decoded()["throughput_per_device_per_s"][0])
    published = 168e9 / 86400 / 226.75
    assert published < DAY["output"] / seconds == pytest.approx(published, rel=0.25)


RATES = ("output_tokens_per_s", "output_tokens_per_s_per_device")


@cache
def rented() -> dict[str, tuple[float, float]]:
    """Predicted and implied USD per million output tokens of the rows of TensorRT-LLM 2023.

    Implied: USD/h of all devices over 3600 s and measured tokens/s. A static batch: all of its
    prompts are prefilled, then all decode.
    """
    found: dict[str, tuple[float, float]] = {}
    with TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if row["hardware"] in RENT]
    for row in rows:
        reading = read(row)
        if not isinstance(reading, Reading) or reading.era != "trt-llm-2023" or reading.filled:
            continue
        if reading.phase != "end-to-end" or row["metric"] not in RATES:
            continue
        frame = evaluate(
            [
                f"hardware={reading.hardware}",
                f"hardware.rental_price={RENT[reading.hardware]} USD/h",
                "economics=rental",
                "economics.utilisation=1",
                f"model={reading.model}",
                "workload=fixed-lengths",
                f"workload.prompt_tokens={reading.prompt}",
                f"workload.output_tokens={reading.output}",
                "plan=base",
                f"plan.tp={reading.tp}",
                f"plan.formats.weights={reading.weights}",
                f"plan.formats.kv={reading.kv}",
                f"plan.formats.compute={reading.weights}".replace("int4", "fp16"),
                f"batch={int(reading.batch)}",
                f"plan.prefill_batch={int(reading.batch)}",
                "plan.prefill_chunk=1000000",
                "calibration=nvidia-datacentre-trt-llm-2023",
            ]
        )
        if not frame["feasible"][0]:
            continue  # longer than the model's published context
        devices = 1 if row["metric"].endswith("per_device") else reading.tp
        implied = RENT[reading.hardware] * devices / 3600 / float(row["value"]) * 1e6
        found[row["id"]] = (float(frame["cost_per_mtoken_usd"][0]), implied)
    return found


def test_rents_and_measured_rates_imply_the_predicted_price() -> None:
    """Within 25 % for ten rows at least: the model evaluated, under a calibration of their era."""
    found = rented()
    errors = np.array([predicted / implied - 1 for predicted, implied in found.values()])
    assert np.sum(np.abs(errors) <= 0.25) >= 10, dict(zip(found, errors.round(2), strict=True))


def unseen() -> dict[str, list[tuple[float, float]]]:
    """Predicted and implied USD per million output tokens, by device, of rows that no fit saw.

    Each prediction is that of a calibration fitted without the row's block: the same source,
    system and model (data/reference/examination.csv has its error).
    """
    with TABLE.open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    record, found = read_record(), {device: [] for device in RENTS}
    for name, error in zip(record.texts["id"], record.errors["out_of_block"], strict=True):
        row = rows[name]
        if row["hardware"] in RENTS and row["metric"] in RATES and np.isfinite(error):
            each = row["metric"].endswith("per_device")
            devices = 1.0 if each else float(row["n_devices"])
            implied = RENTS[row["hardware"]] * devices / 3600 / float(row["value"]) * 1e6
            found[row["hardware"]].append((implied * np.exp(error), implied))
    return found


def test_prices_that_rows_outside_the_fit_imply() -> None:
    """Within 25 % for three in four rows of five devices, and for ten at least of each.

    A rent cancels in the ratio: what is tested is the rate, at prices that someone asks.
    """
    right, count = 0, 0
    for device, pairs in unseen().items():
        near = [abs(predicted / implied - 1) <= 0.25 for predicted, implied in pairs]
        assert sum(near) >= 10, device
        right, count = right + sum(near), count + len(near)
    assert right / count >= 0.75


def test_an_implied_price_by_hand() -> None:
    """GT1348: GPT-J on one H100, 10,907 tokens/s: 2.95 / 3600 / 10907 · 10^6 = 0.0751 USD."""
    assert rented()["GT1348"][1] == pytest.approx(0.0751, abs=5e-5)


REQUEST = (
    "model=llama-3.1-8b",
    "workload=fixed-lengths",
    "workload.prompt_tokens=1000",
    "workload.output_tokens=200",
    "plan.tp=8",
    "batch=16",
)


@pytest.mark.parametrize(
    "more", [(), ("+mitigation=speculation-lookup",), ("plan.dp=2",)], ids=["plain", "drafts", "dp"]
)
def test_a_token_pays_its_part_of_the_prompt_behind_it(more: tuple[str, ...]) -> None:
    """8 devices for the time of a prefill, over 200 tokens, however many a step settles.

    A second group of 8 prefills another prompt meanwhile. Energy: that of the pass on 8 devices,
    and rest of 70 W and a host of 575 W over the time that use of 0.6 leaves to pay, times PUE.
    """
    at = point(*REQUEST, *more)
    prefill = number(at.prefill_time)
    found = at.prefill_per_token
    seconds = 8 * prefill / 200
    assert number(found.device_time.total) == pytest.approx(seconds, rel=1e-12)
    economics, device = at.case.economics, at.case.hardware
    assert (number(device.idle_power), number(device.host_power)) == (70, 575)
    assert number(economics.utilisation) == 0.6
    dynamic = number(at.prefill.energy.total) * 8 / 200
    joules = (dynamic + 645 * seconds / 0.6) * number(economics.pue)
    assert number(found.energy.total) == pytest.approx(joules, rel=1e-12)


def test_a_token_pays_its_part_of_a_step() -> None:
    """8 devices for a step of 16 sequences; of 200 tokens the prefill gives the first."""
    at = point(*REQUEST)
    seconds = 8 * number(at.step_time) / 16 * 199 / 200
    found = at.decode_per_token
    assert number(found.device_time.total) == pytest.approx(seconds, rel=1e-12)
    dynamic = number(at.decode.energy.total) * 8 / 16 * 199 / 200
    joules = (dynamic + 645 * seconds / 0.6) * number(at.case.economics.pue)
    assert number(found.energy.total) == pytest.approx(joules, rel=1e-12)
    both = at.per_token.device_time.total
    assert number(both) == pytest.approx(seconds + number(at.prefill_device_time.total), rel=1e-12)
