"""How rows of published measurements are read: which point, which work, which time."""

from __future__ import annotations

from pathlib import Path

import pytest

from infercost.errors import SpecError
from infercost.readings import COLUMNS, Reading, Unread, era_of, read, read_table

ROW = {
    "id": "x1",
    "hardware": "h100-sxm",
    "model": "llama-2-70b",
    "weight_format": "fp16",
    "kv_format": "",
    "n_devices": "4",
    "tp": "4",
    "pp": "",
    "dp": "",
    "parallelism": "TP4",
    "framework": "TensorRT-LLM v0.6.1 (gptSessionBenchmark, static batch)",
    "scenario": "decode",
    "load": "fixed-batch",
    "batch": "8",
    "prompt_tokens": "512",
    "output_tokens": "128",
    "metric": "tpot_s",
    "value": "0.02",
    "notes": "",
}


def reading(**changes: str) -> Reading:
    found = read({**ROW, **changes})
    assert isinstance(found, Reading), found
    return found


def reason(**changes: str) -> str:
    found = read({**ROW, **changes})
    assert isinstance(found, Unread), found
    return found.reason


def test_a_time_per_token_is_one_decode_step() -> None:
    found = reading()
    assert (found.prefills, found.steps, found.time_s) == (0, 1, 0.02)
    assert (found.tp, found.pp, found.dp, found.batch) == (4, 1, 1, 8)
    assert not found.per_time


def test_a_rate_of_decode_is_the_batch_over_a_step() -> None:
    """8 sequences at 400 tokens/s: a step of 20 ms. Of one user at 50 tokens/s: 20 ms too."""
    assert reading(metric="output_tokens_per_s", value="400").time_s == pytest.approx(0.02)
    assert reading(metric="output_tokens_per_s_per_user", value="50").time_s == pytest.approx(0.02)
    assert reading(metric="output_tokens_per_s", value="400").per_time


def test_seconds_per_token_of_the_whole_batch_are_a_step_over_the_batch() -> None:
    found = reading(metric="seconds_per_output_token", value="0.0025")
    assert found.time_s == pytest.approx(0.02)


def test_a_request_is_a_prefill_and_one_step_less_than_its_tokens() -> None:
    found = reading(scenario="latency", metric="e2e_latency_s", value="3")
    assert (found.prefills, found.steps, found.time_s) == (1, 127, 3)


def test_offline_throughput_is_all_tokens_over_prefill_and_decode() -> None:
    """8 x 128 tokens at 512 tokens/s take 2 s; per device, four devices share the rate."""
    whole = reading(scenario="offline", metric="output_tokens_per_s", value="512")
    each = reading(scenario="offline", metric="output_tokens_per_s_per_device", value="128")
    assert whole.time_s == each.time_s == pytest.approx(2.0)


def test_prefill_tokens_per_second_count_every_prompt() -> None:
    """8 prompts of 512 tokens at 40,960 tokens/s take 0.1 s."""
    found = reading(scenario="prefill", metric="prefill_tokens_per_s", value="40960")
    assert found.time_s == pytest.approx(0.1)
    assert found.phase == "prefill"


def test_replicas_share_the_batch() -> None:
    found = reading(n_devices="8", tp="4", dp="2", parallelism="DP2 x TP4")
    assert (found.tp, found.batch) == (4, 4)


def test_neuron_cores_are_the_ranks() -> None:
    words = "TP24 (NeuronCores; 2 cores per chip)"
    found = reading(hardware="inferentia2", n_devices="12", tp="24", parallelism=words)
    assert (found.tp, found.cores_per_device) == (24, 2)


def test_a_layer_split_is_a_pipeline() -> None:
    found = reading(n_devices="2", tp="1", parallelism="layer split")
    assert (found.tp, found.pp, found.dp) == (1, 2, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hardware": "h1000"}, "no hardware option 'h1000'"),
        ({"value": "-1"}, "not a positive number"),
        ({"value": ""}, "not a positive number"),
        ({"value": "inf"}, "not a positive number"),
        ({"weight_format": "int3"}, "weight_format 'int3' is no known number format"),
        ({"n_devices": "CPU"}, "n_devices 'CPU' is not stated"),
        ({"batch": "many"}, "batch 'many' is not stated"),
        ({"prompt_tokens": "MLPerf dataset"}, "'MLPerf dataset' is not a number"),
        ({"load": "open loop 10 req/s"}, "queueing"),
        ({"scenario": "server"}, "queueing"),
        ({"tp": "8", "n_devices": "4"}, "exceeds 4 devices"),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_says_why(changes: dict[str, str], said: str) -> None:
    assert said in reason(**changes)


@pytest.mark.parametrize(
    ("framework", "era"),
    [
        ("TensorRT-LLM v0.6.1 (gptSessionBenchmark)", "trt-llm-2023"),
        ("TensorRT-LLM v0.12.0 (C++ engine)", "trt-llm-2024"),
        ("TensorRT-LLM v1.0 (PyTorch backend)", "trt-llm-2025"),
        ("TensorRT-LLM main after v1.1", "trt-llm-2025"),
        ("TensorRT-LLM v1.2.0rc6", "trt-llm-2026"),
        ("vLLM 0.6.6 / ROCm 6.3.1", "vllm-2025"),
        ("vLLM 0.19.0", "vllm-2026"),
        ("vLLM 0.5.2", "vllm-2024"),
        ("llama.cpp (May 2024) Metal", "llama-cpp-metal"),
        ("a stack of my own", "other"),
    ],
)
def test_versions_belong_to_eras(framework: str, era: str) -> None:
    assert era_of(framework) == era


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(",".join(c for c in COLUMNS if c != "value") + "\n")
    with pytest.raises(SpecError, match="value: column is missing"):
        read_table(file)


def test_a_repeated_id_hides_no_row(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    line = ",".join(f'"{ROW[c]}"' for c in COLUMNS)
    file.write_text("\n".join([",".join(COLUMNS), line, line]) + "\n")
    assert [row["id"] for row in read_table(file)] == ["x1", "x1 (2)"]
