"""`infercost compare`: two designs, the difference between them, and its parts."""

from __future__ import annotations

import json

import pytest

import infercost
from infercost.__main__ import main

H100, MI300X = "hardware=h100-sxm", "hardware=mi300x plan.tp=4"
COMMON = ["model=llama-3.1-70b", "batch=64"]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["compare", *arguments]) == 0
    return capsys.readouterr().out


def test_designs_hold_the_numbers_of_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(told(capsys, H100, MI300X, *COMMON, "--json"))
    for side, design in zip("ab", (H100, MI300X), strict=True):
        row = infercost.evaluate([*COMMON, *design.split()]).iloc[0]
        for name in ("tpot_s", "cost_per_mtoken_usd", "throughput_per_device_per_s"):
            assert content["metrics"][name][side] == row[name]


@pytest.mark.parametrize("total", ["cost", "energy", "decode", "prefill"])
def test_terms_of_a_difference_sum_to_it(capsys: pytest.CaptureFixture[str], total: str) -> None:
    content = json.loads(told(capsys, H100, MI300X, *COMMON, "--total", total, "--json"))
    row = content["metrics"][content["total"]]
    for side in "ab":
        assert sum(t[side] for t in content["terms"].values()) == pytest.approx(row[side], rel=1e-9)


def test_inputs_that_differ_are_all_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = "hardware.memory.hbm.bandwidth=3 TB/s", "hardware.memory.hbm.bandwidth=6 TB/s"
    content = json.loads(told(capsys, slow, fast, "--json"))
    assert content["inputs"] == {"hardware.memory.hbm.bandwidth": {"a": "3 TB/s", "b": "6 TB/s"}}
    text = told(capsys, slow, fast)
    assert "6 TB/s" in text
    assert "most of it by weights" in text, "a decode step of 32 sequences reads weights mostly"


def test_equal_designs_tie(capsys: pytest.CaptureFixture[str]) -> None:
    assert "A and B tie" in told(capsys, H100, H100)


def test_each_at_its_best_point_is_not_dearer_than_at_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Layouts of powers of two and batch 64 are on the grid, and meet the objectives of service."""
    fixed = json.loads(told(capsys, H100, MI300X, *COMMON, "--json"))
    best = json.loads(told(capsys, H100, MI300X, *COMMON, "--best", "--json"))
    for side in "ab":
        assert (
            best["metrics"]["cost_per_mtoken_usd"][side]
            <= fixed["metrics"]["cost_per_mtoken_usd"][side]
        )


def test_an_infeasible_design_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "model=llama-3.1-405b", "model=llama-3.1-8b", "hardware=tpu-v5e")
    assert text.startswith("Not comparable: A is infeasible: capacity")


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ("h100-sxm", ("'h100-sxm' sets nothing", "key=value")),
        ("hardware=h100-sxmm", ("no hardware 'h100-sxmm'", "h100-sxm")),
        ("batch=1,2", ("takes one point",)),
        ("model='x", ("quotation",)),
    ],
)
def test_a_design_that_cannot_be_read_is_one_line(
    capsys: pytest.CaptureFixture[str], design: str, words: tuple[str, ...]
) -> None:
    assert main(["compare", design, H100]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_explain_takes_an_override_of_a_direction(capsys: pytest.CaptureFixture[str]) -> None:
    """Two stacks of 512 GB, of which 90 % may be filled: 921.6 GB."""
    assert main(["explain", "+direction=[hbf]", "direction.hbf.stacks=2"]) == 0
    assert "921.6 GB" in capsys.readouterr().out
