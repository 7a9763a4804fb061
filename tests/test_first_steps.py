"""What a newcomer types first, and slips at: hints, tables that fit, models read from a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import infercost
from infercost.__main__ import main
from infercost.commands.output import print_table
from infercost.errors import SpecError
from infercost.paths import CONF, ROOT
from infercost.templates.hugging_face import model_option


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


# --- Hints


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("tpot=50 ms", "Did you mean 'workload.slo.tpot'?"),
        ("slo.tpot=50 ms", "Did you mean 'workload.slo.tpot'?"),
        ("tp=8", "'plan.tp'"),
        ("tp=4,8", "'plan.tp'"),
        ("plan.weights=fp8", "Did you mean 'plan.formats.weights'?"),
        ("hardwar=h100-sxm", "Did you mean 'hardware'?"),
        ("workload=fixed", "Did you mean 'fixed-lengths'?"),
        ("workload.prompt_tokens=8192", "Only kind 'fixed' has it, as workload=fixed-lengths"),
        ("workload.prompt_tokens=1024,8192", "Only kind 'fixed' has it"),
        ("gpu=h100-sxm", "Known: batch, calibration"),
    ],
)
def test_a_wrong_key_is_told_where_it_belongs(override: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        infercost.evaluate([override])
    assert hint in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["compre"], "no command is named 'compre'. Did you mean 'compare'?"),
        (["new", "mitigatoin", "m"], "no kind is named 'mitigatoin'. Did you mean 'mitigation'?"),
        (["compare", "--total", "energie", "a", "b"], "Did you mean 'energy'?"),
    ],
)
def test_a_misspelt_word_is_one_line_with_the_nearest(
    capsys: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert hint in err
    assert len(err.splitlines()) == 1


def test_a_third_design_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """What stands behind A and B holds for both; each of them would silently win over it."""
    designs = ["hardware=h200-sxm", "hardware=b200-sxm", "hardware=mi355x"]
    assert main(["compare", *designs, "batch=8"]) == 2
    assert "both designs set hardware themselves" in capsys.readouterr().err


def test_an_objective_that_no_point_keeps_is_told_with_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["model=llama-3.1-8b", "workload.slo.tpot=1 us"]
    text = told(capsys, "compare", "--best", "hardware=h100-sxm", "hardware=h200-sxm", *asked)
    assert text.startswith("Not comparable: A is infeasible: tpot")
    assert "at most 1 us asked" in " ".join(text.split())


def test_one_latency_may_be_limited_alone() -> None:
    from infercost.specs.workload import Slo

    assert Slo.model_validate({"tpot": "50 ms"}).limits == (float("inf"), 0.05)
    assert Slo.model_validate({"ttft": "2 s"}).limits == (2.0, float("inf"))


def test_points_slower_than_the_objective_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    """At batch 1 a token of 8B reads 16 GB at some 3 TB/s: 5 ms, of which 100 ms may pass."""
    point = ["model=llama-3.1-8b", "plan.tp=1", "batch=1"]
    assert main(["evaluate", *point]) == 0
    assert "miss the objective" not in capsys.readouterr().err
    assert main(["evaluate", *point, "workload.slo.tpot=1 ms"]) == 0
    assert "1 of 1 feasible points miss the objective" in capsys.readouterr().err


# --- Columns and fields


def test_a_column_is_found_by_a_word_of_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, "metrics", "prompts", "all-in", "--json"))
    assert "cost_per_mtoken_usd" in {entry["name"] for entry in found}
    assert "limited_by" in told(capsys, "metrics", "limited_by")
    assert main(["metrics", "tpot_ms"]) == 2
    assert "Did you mean 'tpot_s'?" in capsys.readouterr().err


def test_a_parameter_of_a_direction_says_what_it_stands_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "stands for its memory.hbf.bandwidth" in told(
        capsys, "catalogue", "direction.hbf.bandwidth"
    )


def test_a_field_of_some_kinds_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "catalogue", "workload.prompt_tokens")
    assert text.strip() == (
        "workload.prompt_tokens: Tokens that every request brings. (of kind fixed)"
    )


def test_a_mapping_lists_the_kinds_of_its_entries(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(told(capsys, "catalogue", "model.ffns").split())
    assert "moe Routed experts, of which each token visits `n_active`" in text
    assert "NAME.count" in told(capsys, "catalogue", "model.layers")


def test_designs_with_other_outputs_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """A tenth of the thoughts stays: fewer tokens at a higher cost each are not a dearer answer."""
    shared = ["trend=reasoning", "model=llama-3.1-8b"]
    text = told(capsys, "compare", "mitigation=none", "mitigation=latent-reasoning", *shared)
    assert "times the output tokens: compare costs per request" in text
    text = told(capsys, "compare", "mitigation=none", "mitigation=w4", *shared)
    assert "times the output tokens" not in text


def test_a_claim_is_listed_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(told(capsys, "catalogue", "claim").split())
    assert "Prefix caches pay more in a tier below HBM than in HBM." in text


def test_provenance_is_another_word_for_trace(capsys: pytest.CaptureFixture[str]) -> None:
    point = ["model=llama-3.1-8b", "plan.tp=1", "batch=1"]
    trees = [
        told(capsys, "explain", option, "cost_per_mtoken_usd", *point)
        for option in ("--provenance", "--trace")
    ]
    assert trees[0] == trees[1]


# --- Tables


ROWS = [
    ["a-name-without-any-space-in-it", "a sentence of many words " * 8, "1.5"],
    ["another", "short", "-"],
]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_table_fits_the_columns_that_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("", ["name", "what it is", "number"], ROWS)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    assert "a-name-without-any-space-in-it" in text, "names do not break"
    assert text.split().count("sentence") == 8, "nothing is cut"


def test_a_row_in_a_pipe_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table("", ["name", "what it is", "number"], ROWS)
    assert ROWS[0][1].strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "hardware=h200-sxm", "batch=8,16", "plan.tp=4,8"],
        ["explain", "hardware=h200-sxm", "model=deepseek-v3"],
        ["metrics"],
        ["catalogue", "flash"],
        ["claims"],
    ],
)
def test_usual_tables_fit_a_hundred_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    tables = [line for line in told(capsys, *command).splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 100


def test_a_replay_has_a_row_per_metric_and_a_column_per_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units stand beside values; what no rate has, as hits of no prefix cache, is no row."""
    from infercost.commands import replay

    monkeypatch.setenv("COLUMNS", "100")
    row = dict.fromkeys(replay.SHOWN, 0.5) | {"prefix_hit_share": float("nan")}
    replay._print([row | {"rate_per_s": 1.0}, row | {"rate_per_s": 2.0, "ttft_p50_s": 2.5}])
    lines = capsys.readouterr().out.splitlines()
    (ttft,) = [line.split() for line in lines if "TTFT" in line]
    assert ttft[-4:] == ["500", "ms", "2.5", "s"]
    (kept,) = [line.split() for line in lines if "keep the objective" in line]
    assert kept[-2:] == ["50.0%", "50.0%"]
    assert not any("prefix cache" in line for line in lines)


# --- Models of Hugging Face

LLAMA = {
    **{"model_type": "llama", "hidden_size": 4096, "vocab_size": 128256},
    **{"max_position_embeddings": 131072, "num_hidden_layers": 32, "num_attention_heads": 32},
    **{"num_key_value_heads": 8, "intermediate_size": 14336, "torch_dtype": "bfloat16"},
}
DEEPSEEK = {
    **{"model_type": "deepseek_v3", "hidden_size": 7168, "vocab_size": 129280},
    **{"max_position_embeddings": 163840, "num_hidden_layers": 61, "num_attention_heads": 128},
    **{"num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512},
    **{"qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "moe_layer_freq": 1},
    **{"intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256},
    **{"n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3},
    **{"num_nextn_predict_layers": 1, "torch_dtype": "bfloat16"},
    "quantization_config": {"quant_method": "fp8"},
}
GPT_OSS = {
    **{"model_type": "gpt_oss", "hidden_size": 2880, "vocab_size": 201088, "head_dim": 64},
    **{"max_position_embeddings": 131072, "num_hidden_layers": 24, "num_attention_heads": 64},
    **{"num_key_value_heads": 8, "intermediate_size": 2880, "num_local_experts": 32},
    **{"num_experts_per_tok": 4, "sliding_window": 128},
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "quantization_config": {"quant_method": "mxfp4"},
}
"""Keys of the published files, in which the catalogue's options have their dimensions too."""


def option_of(folder: Path, keys: dict[str, Any]) -> dict[str, Any]:
    file = folder / "config.json"
    file.write_text(json.dumps(keys))
    found: dict[str, Any] = yaml.safe_load(model_option(file, "mine", 1.0))
    return found


@pytest.mark.parametrize(
    ("keys", "name"),
    [(LLAMA, "llama-3.1-8b"), (DEEPSEEK, "deepseek-v3"), (GPT_OSS, "gpt-oss-20b")],
)
def test_a_model_read_in_is_that_of_the_catalogue(
    tmp_path: Path, keys: dict[str, Any], name: str
) -> None:
    mine = option_of(tmp_path, keys)
    known = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    for key in ("d_model", "vocab", "tied_embeddings", "mixers", "ffns", "formats"):
        assert mine[key] == known[key]
    assert layers(mine) == layers(known)
    assert mine.get("multi_token_prediction") == known.get("multi_token_prediction")


def layers(model: dict[str, Any]) -> set[tuple[int, str, str]]:
    return {(g["count"], g["mixer"], g["ffn"]) for g in model["layers"].values()}


def test_a_model_read_in_tells_its_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Llama-3.1-8B by its card: 8.03 billion."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA))
    folder = tmp_path / "mine"
    words = ["new", "model", "my-8b", "--from", str(file), "--config-dir", str(folder)]
    assert "8.03 billion parameters" in told(capsys, *words)
    assert "8.0300e+09" in (folder / "model" / "my-8b.yaml").read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_type": "jamba"}, "model_type: 'jamba' is not read"),
        ({"num_attention_heads": None}, "num_attention_heads: is missing"),
        ({"hidden_size": "4096"}, "hidden_size: '4096' is not a whole number"),
        ({"layer_types": ["linear_attention"] * 32}, "linear_attention"),
        ({"quantization_config": {"quant_method": "awq"}}, "'awq' is not read"),
        ({"use_sliding_window": True}, "use_sliding_window"),
    ],
)
def test_what_is_not_understood_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        option_of(tmp_path, LLAMA | changed)
    assert words in str(caught.value)


def test_only_models_are_read_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["new", "chip", "x9", "--from", "config.json", "--config-dir", str(tmp_path)]
    assert main(words) == 2
    assert "Only a model is read from a file" in capsys.readouterr().err


# --- Code that how-to pages print


def printed(page: str) -> str:
    """The Python block of a how-to page that has a file's title."""
    text = (ROOT / "pipeline" / "docs" / "pages" / "how-to" / page).read_text()
    found = re.search(r"^```python title=.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_metric_of_the_page_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred tokens take a hundred times the time of one."""
    from infercost import registry
    from infercost.commands.explain import asked

    monkeypatch.setattr(registry, "_METRICS", dict(registry.metrics()))
    exec(compile(printed("metric.md"), "mine.py", "exec"), {})
    added = registry._METRICS["hundred_token_answer_s"]
    assert added.meaning == "Time that a user waits for 100 tokens after the first."
    point = asked(["model=llama-3.1-8b", "plan.tp=1", "batch=1"], ())[-1]
    tpot = registry.metrics()["tpot_s"].evaluate(point)
    assert added.evaluate(point) == pytest.approx(100 * tpot)


def test_the_figure_of_the_page_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from infercost.plots import base

    rows = pd.DataFrame(
        {
            "hardware": ["a", "b"],
            "best": [True, False],
            "tpot_s": [0.01, 0.02],
            "cost_per_mtoken_usd": [1.0, 2.0],
        }
    )
    monkeypatch.setattr(base, "_FIGURES", dict(base.figures()))
    exec(compile(printed("figure.md"), "best_points.py", "exec"), {})
    drawn = base._FIGURES["best-points"](base.FigureData("mine", "Which?", "mine/0", rows))
    assert drawn.title == "Which?"
    assert list(drawn.table.hardware) == ["a"], "best points alone"
    assert drawn.chart.to_dict()["encoding"]["x"]["title"] == "time per output token (s)"


def test_every_meaning_is_a_whole_sentence() -> None:
    """It was the first line, which for three columns ended in the middle."""
    from infercost.registry import metrics

    for metric in metrics().values():
        assert metric.meaning.endswith(".") or "_stress_" in metric.column
