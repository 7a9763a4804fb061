"""How rows of published measurements are read: which point, which work, which time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from infercost.errors import SpecError
from infercost.measurements.layouts import layout_of
from infercost.measurements.loads import MOST_IN_FLIGHT
from infercost.measurements.published import COLUMNS, Fault, era_of, read_table
from infercost.measurements.readings import Reading, Unread, format_of, read

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


def test_workers_of_a_processor_are_replicas_on_its_shares() -> None:
    """8 workers on each of two sockets: 16 replicas; at 160 tokens/s each makes 10, so that one
    request of 69 tokens takes 6.9 s of its worker."""
    found = reading(
        hardware="xeon-8592", model="gpt-j-6b", weight_format="int4", n_devices="CPU", tp="",
        parallelism="8 workers per socket", framework="PyTorch", scenario="offline", batch="",
        load="max 12 per engine", prompt_tokens="MLPerf dataset", output_tokens="",
        metric="output_tokens_per_s", value="160", block="mlperf-v4.1|CPU|gptj",
        notes="platform 1-node-2S-EMR",
    )  # fmt: skip
    assert (found.tp, found.dp, found.cores_per_device, found.limit) == (1, 1, 8, 12)
    assert found.time_s == pytest.approx(6.9)


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
        ({"n_devices": "some"}, "n_devices 'some' is not stated"),
        ({"batch": "many"}, "batch 'many' is not stated"),
        ({"prompt_tokens": "a data set"}, "'a data set' is not a number of a known data set"),
        ({"load": "production mix"}, "a production average"),
        ({"prompt_tokens": "1 024"}, "'1 024' is not a number"),
        ({"prompt_tokens": "512-2048"}, "'512-2048' is not a number"),
        ({"prompt_tokens": "1,5"}, "'1,5' is not a number"),
        ({"n_devices": "8.5"}, "n_devices '8.5' is not stated"),
        ({"scenario": "decodee"}, "scenario 'decodee' is none of prefill, decode"),
        ({"tp": "8", "n_devices": "4"}, "exceeds 4 devices"),
        ({"tp": "3", "n_devices": "8"}, "tp 3 x pp 1 does not lay out 8 devices"),
        ({"tp": "2", "dp": "2", "n_devices": "8"}, "tp 2 x pp 1 x dp 2 does not lay out 8 devices"),
        ({"tp": "", "parallelism": "ZeRO-3"}, "'ZeRO-3' is outside"),
        ({"tp": "", "parallelism": "2D weight-stationary"}, "'2D weight-stationary' is outside"),
        ({"notes": "Per node; MTP (NEXTN, 1 step) ON."}, "speculative decoding"),
        ({"scenario": "offline", "metric": "output_tokens_per_s", "output_tokens": ""}, "output"),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_says_why(changes: dict[str, str], said: str) -> None:
    assert said in reason(**changes)


def test_fp8_engines_of_tensorrt_llm_cache_in_fp8() -> None:
    """1,024 sequences of 256 tokens of Llama 2 13B (40 layers, width 5,120) would take
    2 x 40 x 5,120 x 2 B x 256 x 1,024 = 215 GB in fp16, more than the 141 GB of an H200."""
    assert reading(weight_format="fp8").kv == "fp8"
    assert reading(weight_format="fp8", kv_format="bf16").kv == "bf16"
    assert reading(weight_format="fp8", framework="vLLM 0.6.6").kv == "native"


def test_gpt_oss_is_published_in_mxfp4_whatever_a_column_says() -> None:
    """Attention and vocabulary stay in bf16, or in Q8_0 in GGUF files."""
    label = {"model": "gpt-oss-20b", "n_devices": "1", "tp": "1"}
    hopper = reading(**label, weight_format="fp8")
    gguf = reading(**label, weight_format="mxfp4", framework="llama.cpp b6918 CUDA")
    assert (hopper.weights, hopper.dense) == ("mxfp4", "native")
    assert (gguf.weights, gguf.dense) == ("mxfp4", "q8_0")


def test_vllm_takes_256_sequences_where_nothing_is_set() -> None:
    offline = {**MLPERF, "scenario": "offline", "metric": "output_tokens_per_s"}
    assert reading(**{**offline, "framework": "vLLM 0.5.2"}).limit == 256
    assert reading(**{**offline, "load": "max 896 per engine"}).limit == 896


# What decides the sequences in flight.


def test_memory_fills_up_to_the_limit_that_words_state() -> None:
    offline = {"scenario": "offline", "metric": "output_tokens_per_s", "batch": ""}
    few = reading(**offline, load="max_num_seqs 1500 (num_prompts 1500)")
    lm = reading(**offline, load="128 (max batch, 3000 prompts)")
    own = reading(**offline, load="max supported (70B: 128 by cross-check)")
    other = reading(**offline, model="llama-2-7b", load="max supported (70B: 128 by cross-check)")
    assert all(r.filled and math.isnan(r.batch) for r in (few, lm, own, other))
    assert [r.limit for r in (few, lm, own, other)] == [1500, 128, 128, MOST_IN_FLIGHT]
    assert few.phase == "max-load"


def test_a_service_at_a_stated_batch_prefills_while_it_decodes() -> None:
    """128 tokens of 8 sequences at 512 tokens/s: 2 s for 128 steps and the prefill of 8 prompts.

    Between the 127 gaps of one sequence run the prefills of the 7 others; of one alone none.
    """
    found = reading(scenario="server", metric="output_tokens_per_s", value="512")
    assert (found.prefills, found.steps, found.time_s) == (1, 128, 2.0)
    step = reading(scenario="server", metric="tpot_s", value="0.02")
    assert (step.prefills, step.steps, step.phase) == (7 / 8 / 127, 1, "served")
    alone = reading(scenario="server", metric="tpot_s", value="0.02", batch="1")
    assert (alone.prefills, alone.phase) == (0, "served")


def test_requests_that_arrive_leave_the_batch_to_be_settled() -> None:
    found = reading(
        load="open loop 0.5 req/s (chat)", batch="", n_devices="8", dp="2", scenario="server"
    )
    assert (found.rate, found.phase) == (0.25, "served")
    assert math.isnan(found.batch)
    load = {"load": "open loop 0.5 req/s", "batch": "", "scenario": "server"}
    assert "follows arrivals" in reason(**load, metric="output_tokens_per_s", value="400")
    for rate in ("some", "0"):
        told = reason(**{**load, "load": f"open loop {rate} req/s"})
        assert "is not stated as a number" in told


def test_a_burst_is_read_at_the_sequences_that_ran() -> None:
    burst = {
        "load": "open loop 10 req/s",
        "batch": "",
        "scenario": "server",
        "notes": "300 requests; time-average running sequences 35. Mean.",
    }
    assert reading(**burst, metric="tpot_s").batch == 35
    assert "queue" in reason(**burst, metric="ttft_s")


def test_figures_of_one_node_are_of_a_group_of_experts_over_many() -> None:
    """22,282 tokens/s per node of 8, of 9 nodes with 256 sequences per GPU: a step of
    256 x 8 / 22,282 = 91.9 ms. Lmsys states the same."""
    found = reading(
        model="deepseek-v3",
        n_devices="8",
        tp="",
        ep="72",
        parallelism="EP72 (9 nodes), DP attention, TBO",
        framework="SGLang (May 2025)",
        load="256 per GPU",
        batch="",
        metric="output_tokens_per_s",
        value="22282",
        notes="Per node; DeepEP low-latency mode, no MTP.",
    )
    assert (found.tp, found.dp, found.ep, found.batch) == (1, 72, 72, 256 * 72)
    assert found.time_s == pytest.approx(256 * 8 / 22282)
    assert found.dispatch == "fp8"


def test_tokens_per_device_are_prompts_per_device() -> None:
    """16,384 tokens are 4 prompts of 4,096."""
    found = reading(load="16384 tokens per GPU", batch="", prompt_tokens="4096", parallelism="TP4")
    assert found.batch == 4 * 4


# MLPerf Inference.

MLPERF = {
    "prompt_tokens": "MLPerf dataset",
    "output_tokens": "",
    "load": "",
    "batch": "",
    "tp": "",
    "parallelism": "",
    "n_devices": "8",
    "weight_format": "fp8",
    "framework": "TensorRT 10.2.0, CUDA 12.4",
    "block": "mlperf-v4.1|H100",
}


def test_mlperf_offline_fills_memory_with_its_data_set() -> None:
    found = reading(**{**MLPERF, "scenario": "offline", "metric": "output_tokens_per_s"})
    assert (found.filled, found.output, found.devices) == (True, 294.45, 8)
    assert found.era == "trt-mlperf-2024"


def test_mlperf_samples_are_requests() -> None:
    """10 samples/s, filled: one takes 0.1 s of the system."""
    found = reading(**{**MLPERF, "scenario": "offline", "metric": "samples_per_s", "value": "10"})
    assert found.time_s == pytest.approx(0.1)


def test_mlperf_servers_keep_the_tpot_limit_of_the_rules() -> None:
    """loadgen/mlperf.conf: 200 ms for Llama 2 70B, 40 ms interactive."""
    throughput = {**MLPERF, "metric": "output_tokens_per_s"}
    assert reading(**{**throughput, "scenario": "server"}).tpot_limit == 0.2
    assert reading(**{**throughput, "scenario": "server (interactive)"}).tpot_limit == 0.04


def test_mlperf_tpot_is_read_at_the_sequences_in_flight() -> None:
    notes = "Implied mean decode concurrency (throughput x TPOT) = 719 sequences system-wide."
    found = reading(**{**MLPERF, "scenario": "server", "metric": "tpot_s", "notes": notes})
    assert (found.batch, found.steps, found.prefills) == (719, 1, pytest.approx(718 / 719 / 293.45))


def test_mlperf_searches_gpt_j_by_four_beams() -> None:
    """language/gpt-j/backend.py: num_beams 4. Others search by none."""
    gpt_j = {"model": "gpt-j-6b", "metric": "output_tokens_per_s"}
    assert reading(**{**MLPERF, **gpt_j, "scenario": "offline"}).beams == 4
    assert reading(**{**MLPERF, **gpt_j, "scenario": "server"}).beams == 4
    assert reading(**{**MLPERF, "scenario": "offline", "metric": "output_tokens_per_s"}).beams == 1
    assert reading(model="gpt-j-6b").beams == 1


def test_single_stream_is_one_query_after_the_other() -> None:
    found = reading(**{**MLPERF, "scenario": "latency", "metric": "e2e_latency_s"})
    assert (found.batch, found.prefills, found.steps) == (1, 1, 294.45 - 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "ttft_s"},
        {"metric": "output_tokens_per_s", "model": "llama-3.1-405b"},
        {"metric": "output_tokens_per_s", "n_devices": "CPU", "model": "llama-3.1-8b"},
    ],
)
def test_what_the_ttft_limit_decides_waits_for_a_queue(changes: dict[str, str]) -> None:
    assert "needs a queueing model" in reason(**{**MLPERF, "scenario": "server", **changes})


@pytest.mark.parametrize(
    ("platform", "sockets"), [("1-node-1S-GNR", 1), ("1-node-2S-GNR", 2), ("SR650_V4", 2)]
)
def test_servers_without_accelerators_count_sockets(platform: str, sockets: int) -> None:
    cpu = {"n_devices": "CPU", "hardware": "xeon-6980p", "notes": f"platform {platform}"}
    found = reading(**{**MLPERF, **cpu, "scenario": "offline", "metric": "output_tokens_per_s"})
    assert found.devices == sockets


# Words for lengths.


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ("few tokens", 8),
        ("~8 (short prompt)", 8),
        ("2048 context", 2048),
        ("~383 per sequence", 383),
        ("3064 total over 8 sequences", 383),
        ("4,989 avg KV length", 4989),
        ("0", 1),
    ],
)
def test_words_for_a_prompt(words: str, tokens: float) -> None:
    assert reading(prompt_tokens=words).prompt == tokens


def test_lengths_of_an_unnamed_sample_follow_from_rates() -> None:
    """LMDeploy: (6981.159 - 3387.419) / 14.556 = 246.9 and 3387.419 / 14.556 = 232.7 tokens."""
    found = reading(
        load="256 (max batch, 3000 prompts)",
        batch="",
        scenario="server",
        prompt_tokens="ShareGPT-like (not fixed)",
        output_tokens="not fixed",
        metric="output_tokens_per_s",
        value="3387.419",
        notes="total tok/s 6981.159; RPS 14.556.",
    )
    assert found.prompt == pytest.approx(246.9, abs=0.05)
    assert found.output == pytest.approx(232.7, abs=0.05)


@pytest.mark.parametrize(
    ("stated", "devices", "degrees"),
    [
        ({}, 8, (8, 1, 1, 1)),
        ({"dp": "4"}, 8, (2, 1, 4, 1)),
        ({"pp": "2"}, 8, (4, 2, 1, 1)),
        ({"pp": "2", "dp": "2"}, 8, (2, 2, 2, 1)),
        ({"tp": "2", "pp": "2"}, 8, (2, 2, 2, 1)),
        # Groups of sequences on all devices of a stage, each with its share of the experts.
        ({"model": "deepseek-v3", "parallelism": "DEP8"}, 8, (1, 1, 8, 8)),
        ({"model": "deepseek-v3", "parallelism": "DEP8", "pp": "2"}, 16, (1, 2, 8, 8)),
        ({"model": "deepseek-v3", "parallelism": "16 GPUs"}, 16, (1, 1, 16, 16)),
        ({"model": "deepseek-v3", "ep": "8"}, 8, (1, 1, 8, 8)),
        ({"model": "deepseek-v3", "ep": "4", "tp": "8"}, 8, (8, 1, 1, 1)),
        ({"model": "llama-2-70b", "ep": "8", "tp": "8"}, 8, (8, 1, 1, 1)),
    ],
    ids=str,
)
def test_devices_that_no_degree_names_are_laid_out(
    stated: dict[str, str], devices: int, degrees: tuple[int, ...]
) -> None:
    """What is left of the devices is tensor parallel; replicas take what tp and pp leave."""
    found = layout_of({**ROW, "tp": "", "parallelism": "", **stated}, devices)
    assert (found.tp, found.pp, found.dp, found.ep) == degrees


def test_prefill_over_experts_of_several_nodes_is_not_read() -> None:
    row = {**ROW, "tp": "", "model": "deepseek-v3", "scenario": "prefill", "ep": "8"}
    with pytest.raises(Fault, match="prefill over the experts"):
        layout_of({**row, "parallelism": ""}, 8)


def test_formats_by_other_names() -> None:
    """AWQ is a method of 4 bits; a name that nobody knows stays as it is."""
    names = ("FP8", "AWQ", "bfloat16", "Strange", "")
    assert [format_of(name) for name in names] == ["fp8", "int4", "bf16", "Strange", ""]


def test_depth_is_context_before_a_prompt() -> None:
    notes = "llama-bench pp2048 at depth 4096 (existing KV context); model file 11.27 GiB."
    assert reading(scenario="prefill", metric="prefill_tokens_per_s", notes=notes).depth == 4096
    assert reading(notes=notes.replace("pp2048", "tg32")).depth == 0
    assert reading(notes=notes).depth == 0, "a decode is not the prompt that was timed beside it"


def test_all_tokens_of_a_request_are_its_prompt_and_its_output() -> None:
    """(512 + 128) x 8 tokens at 2,560 tokens/s take 2 s."""
    found = reading(scenario="offline", metric="total_tokens_per_s", value="2560")
    assert found.time_s == pytest.approx(2.0)


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
        ("SGLang 0.5.2", "sglang-2025"),
        ("SGLang 0.5.9", "sglang-2026"),
        ("SGLang v0.5.14", "sglang-2026"),
        ("vLLM 0.5.2", "vllm-2024"),
        ("llama.cpp (May 2024) Metal", "llama-cpp-metal"),
        ("TensorRT 9.3.0, CUDA 12.2", "trt-mlperf-2024"),
        ("TensorRT 10.11.0.33, CUDA 12.9", "trt-mlperf-2025"),
        ("Ollama", "ollama"),
        ("DeepSeek in-house profile", "deepseek"),
        ("PyTorch", "pytorch"),
        ("not stated in artifact", "other"),
        ("a stack of my own", "other"),
    ],
)
def test_versions_belong_to_eras_at_full_load(framework: str, era: str) -> None:
    assert era_of(framework, filled=True) == era


def test_of_some_versions_full_load_tells_nothing_of_launches() -> None:
    """TensorRT-LLM 1.0 and 1.1 take the numbers of their operators where the batch is stated."""
    for version in ("1.0.0rc3", "v1.1.0rc2.post2"):
        assert era_of(f"TensorRT-LLM {version}") == "trt-llm-2026"
        assert era_of(f"TensorRT-LLM {version}", filled=True) == "trt-llm-2025"
    assert era_of("TensorRT-LLM v0.20") == era_of("TensorRT-LLM v1") == "trt-llm-2025"


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


EXPERTS = {
    "hardware": "b200-sxm",
    "model": "qwen3-235b-a22b",
    "weight_format": "nvfp4",
    "n_devices": "4",
    "tp": "",
    "parallelism": "DEP4",
    "framework": "TensorRT-LLM v1.1 (PyTorch backend)",
}


def test_without_deepep_tokens_are_gathered_for_their_experts() -> None:
    """TensorRT-LLM quantises before it gathers; vLLM gathers as they are."""
    found = reading(**EXPERTS)
    assert (found.dp, found.ep, found.exchange, found.dispatch) == (4, 4, "gather", "nvfp4")
    other = reading(**{**EXPERTS, "weight_format": "fp8", "framework": "vLLM 0.11"})
    assert (other.exchange, other.dispatch) == ("gather", "native")
    deep = reading(**{**EXPERTS, "weight_format": "fp8", "framework": "SGLang 0.5.2 with DeepEP"})
    assert (deep.exchange, deep.dispatch) == ("copies", "fp8")


def test_llama_cpp_of_2025_keeps_a_pass_behind_its_windows() -> None:
    """A pass takes 2,048 tokens there (-ub 2048); caches of May 2024 knew no windows."""
    assert reading(framework="llama.cpp b6918 CUDA, -fa 1 -ub 2048").stale == 2048
    assert reading(framework="llama.cpp (May 2024)").stale == 0


def test_an_instance_per_socket_is_a_model_on_one_device() -> None:
    """Two sockets run a model each, and each times its own requests (Intel and LMSYS, 2025)."""
    found = reading(
        hardware="xeon-6980p",
        weight_format="int8",
        n_devices="2",
        tp="",
        parallelism="1 instance per socket",
        framework="llama.cpp (Q8 GGUF)",
        batch="1",
    )
    assert (found.tp, found.pp, found.dp, found.batch) == (1, 1, 1, 1)


def test_deepspeed_widens_int8_weights_in_memory_and_llama_cpp_did_in_prefill() -> None:
    assert reading(framework="DeepSpeed-Inference", weight_format="int8").staged == 1
    assert reading(framework="llama.cpp (May 2024) CUDA").staged == 64
    assert reading(framework="llama.cpp b6918 CUDA, -fa 1 -ub 2048").staged is None
    assert reading().staged is None


def test_a_name_without_a_version_belongs_to_the_era_of_its_date() -> None:
    assert era_of("vLLM") == era_of("vLLM", "2023-12") == "vllm-2023"
    assert era_of("vLLM", "2025-08-02") == "vllm-2025"
    assert era_of("vLLM", "2031") == "vllm-2026", "the last one that is known"
    assert era_of("SGLang", "2022") == "sglang-2025", "the first one"
    assert era_of("vLLM 0.6.0", "2031") == "vllm-2025", "a version tells more than a date"
    assert era_of("gpt-fast", "2031") == "gpt-fast", "an era without a year"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("FP8", "fp8"), ("BF16", "bf16"), ("bfloat16", "bf16"), ("w4a16", "int4"), ("AWQ", "int4")],
)
def test_formats_go_by_other_names(written: str, meant: str) -> None:
    assert reading(weight_format=written).weights == meant


def test_thousands_may_be_parted_and_a_decimal_comma_is_not_guessed() -> None:
    assert reading(batch="1,024").batch == 1024
    assert "batch '1,5'" in reason(batch="1,5")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tp": "TP4"}, "tp 'TP4' is not a whole number"),
        ({"tp": "inf"}, "tp 'inf' is not a whole number"),
        ({"tp": "3"}, "tp 3 x pp 1 does not lay out 4 devices"),
        ({"tp": "4", "dp": "2"}, "tp 4 x pp 1 x dp 2 does not lay out 4 devices"),
        ({"n_devices": "2.5"}, "n_devices '2.5' is not stated as a number"),
        ({"n_devices": "inf"}, "n_devices 'inf' is not stated as a number"),
        ({"batch": "inf"}, "batch 'inf' is not stated as a number"),
        ({"hardware": "h100-sxn"}, "no hardware option 'h100-sxn'. Did you mean 'h100-sxm'?"),
    ],
)
def test_what_contradicts_itself_is_not_read(changes: dict[str, str], said: str) -> None:
    assert reason(**changes) == said


def test_replicas_without_a_request_have_nothing_to_do() -> None:
    """One sequence on four replicas: a step of one sequence, at the rate of one replica."""
    found = reading(tp="1", batch="1", metric="output_tokens_per_s", value="50")
    assert (found.dp, found.batch, found.time_s) == (1, 1, pytest.approx(0.02))


@pytest.mark.parametrize("name", ["tp", "pp", "dp", "ep"])
@pytest.mark.parametrize("text", ["abc", "-5", "1,5", "1e300"])
def test_a_degree_that_is_no_count_is_a_fault_whoever_reads_it(name: str, text: str) -> None:
    """Attention data parallelism of a sparse model takes no tp from its row, and looks at it."""
    sparse = {"model": "mixtral-8x7b", "notes": "MoE runs use attention-DP"}
    for row in ({name: text}, {**sparse, name: text}):
        assert reason(**row) == f"{name} '{text}' is not a whole number"


def test_more_devices_than_there_are_is_a_fault() -> None:
    assert reason(n_devices="1e300") == "n_devices '1e300' is not stated as a number"


def test_a_rate_of_no_output_is_a_fault() -> None:
    row = {"load": "max-load", "scenario": "offline", "metric": "output_tokens_per_s"}
    assert reason(**row, output_tokens="0") == "output_tokens '0' leave no work to time"
