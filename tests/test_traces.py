"""The trace reader: what it refuses, and the statistics that the traces' collection states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost import evaluate
from infercost.errors import SpecError
from infercost.paths import ROOT
from infercost.workloads.traces import Trace, read_trace
from probes import point

TRACES = ROOT / "data/traces"

AGENTS = {"magagent": 53, "miniswe": 0}
"""Calls of each agent whose prompt was not logged."""


def agents(agent: str) -> Trace:
    file = TRACES / "lmcache_agent_sessions.parquet"
    return read_trace(file, rows={"agent": agent}, empty_prompts=AGENTS[agent])


def written(folder: Path, block: str = "", **columns: list[Any]) -> Path:
    file = folder / "trace.parquet"
    whole = {"input_tokens": [10, 20], "output_tokens": [2, 3], **columns}
    table = pa.table(whole)
    if block:
        table = table.replace_schema_metadata({"prefix_block_tokens": block})
    pq.write_table(table, file)
    return file


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"input_tokens": [-1, 20]}, "input_tokens, output_tokens: 1 of 2 rows are not positive"),
    ({"output_tokens": [0, 0]}, "input_tokens, output_tokens: 2 of 2 rows are not positive"),
    ({"input_tokens": [None, 20]}, "1 of 2 rows are not positive counts"),
    ({"input_tokens": [float("nan"), 20.0]}, "1 of 2 rows are not positive counts"),
    ({"input_tokens": [float("inf"), 20.0]}, "1 of 2 rows are not positive counts"),
    ({"input_tokens": ["ten", "20"]}, "input_tokens, output_tokens: cannot be read"),
    ({"input_tokens": [], "output_tokens": []}, "holds no request"),
    ({"arrival_s": [0.0, float("nan")]}, "arrival_s: 1 of 2 rows are negative or not a number"),
    ({"arrival_s": [0.0, None]}, "arrival_s: 1 of 2 rows are negative or not a number"),
    ({"arrival_s": [-1.0, 0.0]}, "arrival_s: 1 of 2 rows are negative or not a number"),
    ({"arrival_s": [2.0, 1.0]}, "arrival_s: 1 of 2 rows are earlier than the row before them"),
    (
        {"input_tokens": [1] * 3, "output_tokens": [1] * 3, "arrival_s": [0.0, 2.0, 1.0]},
        "arrival_s: 1 of 3 rows are earlier than the row before them",
    ),
    ({"prefix_hash_ids": [[1], [2]]}, "metadata states nothing for prefix_block_tokens"),
    ({"prefix_hash_ids": [[1], [2]], "block": "0"}, "metadata states 0 for prefix_block_tokens"),
    ({"prefix_hash_ids": [[1], [2]], "block": "10"}, "1 of 2 rows have too few or too many"),
    ({"prefix_hash_ids": [[1], [2, 3, 4]], "block": "10"}, "1 of 2 rows have too few or too"),
]


@pytest.mark.parametrize(("columns", "fault"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_wrong_trace_is_refused_by_name(
    tmp_path: Path, columns: dict[str, Any], fault: str
) -> None:
    file = written(tmp_path, **columns)
    with pytest.raises(SpecError) as raised:
        read_trace(file)
    assert str(file) in str(raised.value)
    assert fault in str(raised.value)


def test_a_file_that_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("arrival,input\n1,2\n")
    with pytest.raises(SpecError, match="cannot be read"):
        read_trace(tmp_path / "text")
    pq.write_table(pa.table({"input_tokens": [1]}), tmp_path / "half")
    with pytest.raises(SpecError, match="no column output_tokens"):
        read_trace(tmp_path / "half")


def test_rows_by_text(tmp_path: Path) -> None:
    file = written(tmp_path, agent=["a", "b"])
    assert read_trace(file, rows={"agent": "b"}).prompt.tolist() == [20]
    with pytest.raises(SpecError, match="holds no request"):
        read_trace(file, rows={"agent": "c"})
    with pytest.raises(SpecError, match="agnt: is no column"):
        read_trace(file, rows={"agnt": "a"})


def test_prompts_that_were_not_logged_are_counted(tmp_path: Path) -> None:
    file = written(tmp_path, input_tokens=[0, 20])
    assert read_trace(file, empty_prompts=1).prompt.tolist() == [20]
    with pytest.raises(SpecError, match="1 rows have an empty prompt, the workload states 2"):
        read_trace(file, empty_prompts=2)


def test_arrivals_run_within_a_session(tmp_path: Path) -> None:
    """The second session begins anew at 0."""
    file = written(tmp_path, arrival_s=[5.0, 0.0], session_id=[0, 1])
    trace = read_trace(file)
    assert trace.arrival is not None and trace.session is not None
    assert trace.session.tolist() == [0, 1]
    with pytest.raises(SpecError, match="earlier than the row before"):
        read_trace(written(tmp_path, arrival_s=[5.0, 0.0], session_id=[1, 1]))


def test_a_thought_without_an_answer_leaves_one_token(tmp_path: Path) -> None:
    """All of the second output is thought; a thought is a part of its output."""
    file = written(tmp_path, output_tokens=[5, 5], reason=[3, 5])
    thought = read_trace(file, thoughts="reason").thought
    assert thought is not None and thought.tolist() == [3, 4]
    for wrong in (6, -1):
        with pytest.raises(SpecError, match="r: 1 of 2 rows are no part of the output"):
            read_trace(written(tmp_path, output_tokens=[5, 5], r=[3, wrong]), thoughts="r")
    with pytest.raises(SpecError, match="there is no column thought"):
        read_trace(file, thoughts="thought")


def test_blocks_of_a_request(tmp_path: Path) -> None:
    file = written(tmp_path, block="10", prefix_hash_ids=[[7], [7, 9]])
    trace = read_trace(file)
    assert [trace.blocks_of(i).tolist() for i in (0, 1)] == [[7], [7, 9]]
    assert trace.block_tokens == 10


# As the README of the collection states them: mean, p50, p90, p99 of input, then of output.
STATED = {
    "azure_2023_code": (2047.85, 1469, 5187.6, 7436, 27.88, 13, 55, 251.46),
    "azure_2023_conv": (1154.7, 1020, 2734.5, 4142, 211.13, 129, 424, 601),
    "mooncake_fast25_conversation": (12035.1, 6909, 27367, 85400.4, 342.62, 350, 597, 1118.5),
    "mooncake_fast25_synthetic": (15325.5, 11587, 38611.2, 66456.2, 149.12, 69, 389, 768.08),
    "sharegpt_8k_lengths": (2340.03, 1730, 5696, 7433.7, 438.71, 415, 834, 998),
    "arxiv_summarization_lengths": (2588.08, 2730, 3702, 3933.44, 291.43, 167, 372, 3271.32),
    "sharegpt_300req_llama31_10rps": (857.46, 731.5, 1460.1, 2765.2, 652.51, 632, 770, 784.12),
    "servegen_deepseek_r1_resampled_24h_5pct": (
        *(1263.2, 208, 2084, 23097.4),
        *(1524.01, 800, 3409, 12452.3),
    ),
    "servegen_mm_image_resampled_24h_5pct": (1456.61, 1286, 2676, 6855.97, 129.82, 100, 264, 587),
}


def quantiles(tokens: Any) -> list[float]:
    return [float(np.mean(tokens)), *np.quantile(tokens, [0.5, 0.9, 0.99]).tolist()]


@pytest.mark.parametrize("name", STATED)
def test_token_statistics_are_the_stated_ones(name: str) -> None:
    trace = read_trace(TRACES / f"{name}.parquet")
    found = quantiles(trace.prompt) + quantiles(trace.output)
    assert found == pytest.approx(STATED[name], abs=0.06, rel=1e-5)


def test_token_statistics_of_agents_are_the_stated_ones() -> None:
    """Over both agents' calls, the 53 of magagent without a logged prompt included as 0."""
    both = [agents(agent) for agent in AGENTS]
    prompt = np.concatenate([*(trace.prompt for trace in both), np.zeros(53)])
    stated = (3454.55, 1388, 9083, 30902)
    assert prompt.size == 1148
    assert quantiles(prompt) == pytest.approx(stated, abs=0.06)
    assert [trace.prompt.size for trace in both] == [746 - 53, 402]
    sessions = [trace.session for trace in both]
    assert [len(np.unique(s)) for s in sessions if s is not None] == [25, 20]


def test_outputs_of_agents_are_the_stated_ones() -> None:
    """Over all 1148 calls: those without a logged prompt have outputs in the file alone."""
    output = pq.read_table(TRACES / "lmcache_agent_sessions.parquet")["output_tokens"].to_numpy()
    assert quantiles(output) == pytest.approx((419.11, 274, 417, 10000), abs=0.06)


# As the catalogue of workloads states them: input, then output, over logged prompts or not.
AGENT_STATED = {
    "magagent": (1991.6, 1044, 9083, 10265, 585.8, 331.5, 480, 10000),
    "miniswe": (6169.5, 3890, 12329.5, 39428.5, 109.7, 95, 176.9, 290.9),
}


@pytest.mark.parametrize("agent", AGENT_STATED)
def test_statistics_of_each_agent_are_the_stated_ones(agent: str) -> None:
    rows = pq.read_table(TRACES / "lmcache_agent_sessions.parquet").to_pydict()
    mine = np.array([name == agent for name in rows["agent"]])
    prompt, output = (np.array(rows[f"{side}_tokens"])[mine] for side in ("input", "output"))
    stated = AGENT_STATED[agent]
    assert quantiles(prompt) + quantiles(output) == pytest.approx(stated, abs=0.06)
    calls = {"magagent": (25, 29.84), "miniswe": (20, 20.1)}[agent]
    sessions = len(set(np.array(rows["session_id"])[mine]))
    assert (sessions, mine.sum() / sessions) == pytest.approx(calls)


# Of services whose traces are not public: mean prompt, mean output, share of prompts in a cache.
MEANS = {
    "agent-copilot": (67892, 528, 0.8567),
    "agent-mooncake": (8596, 182, 0.59),
    "retrieval-question": (32, 256, 0),
}


@pytest.mark.parametrize("name", MEANS)
def test_means_of_services_without_a_trace_are_the_stated_ones(name: str) -> None:
    workload = point(f"workload={name}").case.workload
    prompt, output, share = MEANS[name]
    assert (workload.prompt_tokens, workload.output_tokens) == (prompt, output)
    assert workload.cached_tokens / prompt == pytest.approx(share, abs=1e-4)


def test_a_question_with_its_passages_is_the_prompt_of_rago() -> None:
    """32 tokens of question and five passages, 512 together; an index of 64e9 x 96 B = 5.6 TiB."""
    found = evaluate(["workload=retrieval-question", "trend=rag-hyperscale", "batch=1"]).iloc[0]
    alone = evaluate(["workload=fixed-lengths", "workload.prompt_tokens=512", "batch=1"]).iloc[0]
    assert found.index_memory_b / 2**40 == pytest.approx(5.6, abs=0.02)
    assert found.decode_step_s == alone.decode_step_s
    waited = found.ttft_s - found.retrieval_time_s
    assert waited == pytest.approx(alone.ttft_s, rel=1e-12)
