"""The command line: output for people and machines, exit codes."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import infercost
from infercost.__main__ import main, parser
from infercost.paths import CONF
from infercost.specs.case import GROUPS


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_every_command_tells_of_itself() -> None:
    """A bare % in a text of argparse fails only when help is asked for."""

    def told(node: argparse.ArgumentParser) -> int:
        assert node.format_help().startswith("usage: infercost")
        inner = [a.choices for a in node._actions if isinstance(a, argparse._SubParsersAction)]
        return 1 + sum(told(below) for choices in inner for below in choices.values())

    assert told(parser()) > 20


def test_quantities_of_a_list_may_be_quoted() -> None:
    path = "hardware.memory.hbm.bandwidth"
    quoted = infercost.evaluate([f"{path}='3 TB/s','4 TB/s'"])
    assert list(quoted[path]) == [3e12, 4e12]


def test_names_that_begin_with_a_digit_are_parts_of_a_key() -> None:
    """Hydra's grammar takes the 3 of `direction.3d-stack` for a number."""
    overrides = ["+direction=3d-stack", "direction.3d-stack.bandwidth=2,4"]
    two, four = (row for _, row in infercost.evaluate(overrides).iterrows())
    alone = infercost.evaluate([overrides[0], "direction.3d-stack.bandwidth=4"]).iloc[0]
    assert four.tpot_s == alone.tpot_s < two.tpot_s


def test_explain_as_json_holds_the_numbers_of_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["hardware=mi300x", "model=mixtral-8x22b", "batch=16"]
    told = json.loads(output(capsys, "explain", *overrides, "--json"))
    row = infercost.evaluate(overrides).iloc[0]
    assert told["feasible"]
    assert told["metrics"]["tpot_s"] == row.tpot_s
    assert told["metrics"]["cost_per_mtoken_usd"] == row.cost_per_mtoken_usd
    step = sum(o["time_s"] for o in told["operators"] if o["phase"] == "decode")
    host = 100e-6  # calibration typical: host work once per step
    assert step + host == pytest.approx(told["metrics"]["decode_step_s"], rel=1e-9)


def test_explain_shows_totals_memory_and_operators(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "explain")
    for heading in ("Memory of one device", "Totals", "Stress", "One decode step", "Prefill of"):
        assert heading in text
    assert "\x1b[" not in text, "no colours in a pipe"


PRICE = "hardware.price={uniform: [10000 USD, 30000 USD]}"


def test_explain_says_which_numbers_are_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    """The middle of 10 and 30 thousand is 20 thousand."""
    text = " ".join(output(capsys, "explain", PRICE).split())
    assert "uncertain, taken at nominal: hardware.price 20 kUSD (uniform, 10 kUSD to" in text
    (row,) = json.loads(output(capsys, "explain", PRICE, "--json"))["uncertain"]
    assert (row["input"], row["values"]) == ("hardware.price", [10_000.0, 30_000.0])
    assert row["nominal"] == 20_000.0
    certain = ("explain", "direction=hbf@best", "--json")
    assert json.loads(output(capsys, *certain))["uncertain"] == []


@pytest.mark.parametrize("group", ["direction", "mitigation"])
def test_explain_tells_every_range(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each option with `ranges` that suits the model, its nominal value between both ends."""
    names = [f.stem for f in sorted((CONF / group).glob("*.yaml")) if "\nranges:" in f.read_text()]
    seen = 0
    for name in names:
        if main(["explain", "--json", f"{group}={name}"]):
            continue
        for row in json.loads(capsys.readouterr().out)["uncertain"]:
            low, high = row["values"]
            assert low * (1 - 1e-12) <= row["nominal"] <= high * (1 + 1e-12), row
            seen += 1
    assert seen > 5


def test_a_range_that_an_override_settles_is_certain(capsys: pytest.CaptureFixture[str]) -> None:
    page = "direction.hbf.page=4 KiB"
    told = json.loads(output(capsys, "explain", "direction=hbf", page, "--json"))["uncertain"]
    assert {row["input"].rpartition(".")[2] for row in told} >= {"latency", "endurance"}
    assert not any(row["input"].endswith(".page") for row in told)


def test_an_infeasible_point_says_what_ran_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "explain", "hardware=tpu-v5e", "model=llama-3.1-405b")
    assert "INFEASIBLE: memory" in text
    told = json.loads(
        output(capsys, "explain", "hardware=tpu-v5e", "model=llama-3.1-405b", "--json")
    )
    assert told["limited_by"] == "capacity"
    assert told["metrics"]["tpot_s"] is None, "NaN is null in JSON"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "hardware=h100"], ("no hardware 'h100'", "h100-")),
        (["explain", "batch=1,2"], ("takes one point", "infercost evaluate")),
        (["explain", "draw=1"], ("draws many points", "infercost evaluate")),
        (["evaluate", "batch=0"], ("batch",)),
        (["evaluate", "--out", "x.xlsx"], (".xlsx", ".parquet")),
        (["options", "hardwares"], ("no such group", "hardware")),
        (["datasets", "show", "nothing"], ("no version of 'nothing'",)),
        (
            [
                *("breakeven", "hardware=h100-sxm,mi300x", "--input", "hardware.price"),
                *("--range", "1 kUSD", "2 kUSD", "--largest", "0"),
            ],
            ("--largest 0: serves nothing", "1 or more"),
        ),
        (["datasets", "gc", "--keep", "-1"], ("--keep -1", "negative")),
        (["answer", "nothing"], ("has no results", "make study")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: tuple[str, ...]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    for word in words:
        assert word in told.err


def test_evaluate_prints_a_row_per_point(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "evaluate", "batch=1,8,64")
    assert len([line for line in text.splitlines() if "True" in line]) == 3


def test_evaluate_writes_all_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("points.parquet", "points.csv"):
        output(capsys, "evaluate", "batch=1,8", "--out", str(tmp_path / name))
    parquet = pd.read_parquet(tmp_path / "points.parquet")
    csv = pd.read_csv(tmp_path / "points.csv")
    assert (
        list(parquet.columns) == list(csv.columns) == list(infercost.evaluate(["batch=1"]).columns)
    )


def test_metrics_name_every_column_that_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    named = {entry["name"] for entry in json.loads(output(capsys, "metrics", "--json"))}
    columns = list(infercost.evaluate([]).columns)
    of_studies = {"draw", "best", "objective", "objective_value"}
    assert named - of_studies == set(columns) - set(GROUPS)


def test_options_lists_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(output(capsys, "options", "--json"))
    assert "h100-sxm" in found["hardware"]
    assert "memory-wall" in found["study"]


def test_sweep_is_another_word_for_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "sweep", "batch=1,8") == output(capsys, "evaluate", "batch=1,8")


def test_a_study_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "smok"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "Did you mean 'smoke'?" in told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "smoke", "--jobs", "0"], "Take 1 or more"),
        (["study", "smoke", "--profile", "defualt"], "Did you mean 'default'?"),
        (["study", "smoke", "--config-dir", "nowhere"], "is not a folder of options"),
        (["catalogue", "blackwell", "--config-dir", "nowhere"], "is not a folder of options"),
        (["options", "--config-dir", "nowhere"], "is not a folder of options"),
        (["doctor", "--config-dir", "nowhere"], "is not a folder of options"),
    ],
)
def test_what_would_be_ignored_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) in (1, 2)
    told = capsys.readouterr()
    assert words in told.err + told.out
    assert "Warning" not in told.err


@pytest.mark.parametrize(
    ("work", "heavy"),
    [
        ("parser()", {"numpy", "pydantic", "hydra", "pyarrow", "pandas"}),
        ("main(['explain'])", {"pandas", "scipy", "numba", "SALib", "duckdb", "altair"}),
    ],
)
def test_a_command_loads_no_more_than_it_needs(work: str, heavy: set[str]) -> None:
    """Start-up is mostly imports."""
    code = f"import sys\nfrom infercost.__main__ import main, parser\n{work}\n"
    code += f"print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_file_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "points.csv").mkdir()
    assert main(["evaluate", "--out", str(tmp_path / "points.csv")]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told == [f"infercost: {tmp_path / 'points.csv'}: is a directory"]


POINTS = [sys.executable, "-m", "infercost", "evaluate", "batch=range(1,800)", "workload=snapshot"]


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    """A table is longer than a pipe holds (64 KiB): the end of it meets a closed one."""
    piped = f"set -o pipefail; {shlex.join(POINTS)} | head -1"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["explain"], ["metrics", "--json"]], ids=["text", "json"])
def test_output_of_any_encoding_or_none(words: list[str]) -> None:
    """Names of resources have Greek letters, which ASCII lacks: JSON escapes them."""
    command = [sys.executable, "-m", "infercost", *words]
    ascii_alone = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run(command, capture_output=True, env=ascii_alone, check=True).stdout
    assert told.isascii()
    if "--json" in words:
        assert any("σ" in entry["symbol"] for entry in json.loads(told))
    closed = f"{shlex.join(command)} >&-"
    subprocess.run(["bash", "-c", closed], stderr=subprocess.PIPE, check=True)
