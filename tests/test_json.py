"""`--json` everywhere: one JSON document on standard output, and nothing else."""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost.__main__ import main, parser
from infercost.calibrate.public import MEASURED
from infercost.datasets import point_to, publish
from infercost.evaluation import evaluate_arrow

WITHOUT = {"stage", "completion"}
"""Steps of the workflow, which people do not call, and code for a shell."""


def leaves(node: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, Any]]:
    inner = [a for a in node._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        yield name, node
    for action in inner:
        seen: set[int] = set()
        for word, below in action.choices.items():  # an alias names the same parser
            if id(below) not in seen:
                seen.add(id(below))
                yield from leaves(below, f"{name} {word}".strip())


COMMANDS = {name: node for name, node in leaves(parser()) if name.partition(" ")[0] not in WITHOUT}
POINT = ["model=llama-3.1-8b", "hardware=h100-sxm"]
EXAMPLES: dict[str, list[str]] = {
    "explain": POINT,
    "compare": ["hardware=h100-sxm", "hardware=mi300x", "model=llama-3.1-8b"],
    "evaluate": [*POINT, "batch=1,8"],
    "replay": [*POINT, "--requests", "20", "--rate", "2"],
    "breakeven": [
        *("direction=hbf,none", "plan=base", "workload=snapshot", "model=llama-3.1-8b"),
        *("--input", "direction.hbf.price", "--range", "0.5 USD/GB", "50 USD/GB"),
        *("--largest", "1"),
    ],
    "fleet": ["all-cools"],
    "validate": ["--measurements", "{work}/some.csv"],
    "calibrate": [
        *("--measurements", "{work}/some.csv", "--name", "mine", "--out", "{work}/options"),
    ],
    "metrics": [],
    "options": ["hardware"],
    "catalogue": ["blackwell"],
    "new": ["chip", "x1", "--config-dir", "{work}/mine"],
    "study": ["smoke"],
    "datasets list": ["--root", "{root}"],
    "datasets show": ["numbers", "--root", "{root}"],
    "datasets diff": ["numbers", "numbers", "--root", "{root}"],
    "datasets verify": ["--root", "{root}"],
    "datasets export": ["numbers", "{work}/numbers.csv", "--root", "{root}"],
    "datasets tag": ["numbers", "good", "--root", "{root}"],
    "datasets gc": ["--root", "{root}"],
    "datasets rebuild": ["{work}/manifest.json", "--root", "{root}"],
    "answer": ["smoke", "--data", "{work}"],
    "claims": ["--root", "{root}"],
    "explorer": ["numbers", "--root", "{root}", "--out", "{work}/page.html"],
    "doctor": [],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A published version, an answer, and a dozen measurements."""
    work = tmp_path_factory.mktemp("json")
    table = evaluate_arrow([*POINT, "batch=1,8"])
    pq.write_table(pa.table(table), work / "part.parquet")
    about = {"question": "?", "digests": {"inputs": "", "code": ""}, "packages": {}, "options": {}}
    root = work / "datasets"
    version = publish(root, "numbers", {"all": work / "part.parquet"}, about)
    point_to(root / "numbers" / "latest", version.name)
    (work / "results" / "smoke" / "latest").mkdir(parents=True)
    (work / "results" / "smoke" / "latest" / "answer.txt").write_text("smoke/v\nIt is so.\n")
    with MEASURED.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    mine = [row for row in rows if row["hardware"] == "gaudi3"][:12]
    with (work / "some.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(mine)
    return {"work": work, "root": root}


def test_every_command_is_tried_and_takes_json() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    for name, node in COMMANDS.items():
        options = [option for action in node._actions for option in action.option_strings]
        assert "--json" in options, name


@pytest.mark.parametrize("command", EXAMPLES)
def test_json_is_one_document_and_nothing_else(
    command: str,
    places: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for target, stand_in in STAND_INS.get(command, {}).items():
        monkeypatch.setattr(target, stand_in(places))
    given = [text.format(**places) for text in EXAMPLES[command]]
    assert main([*command.split(), *given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told, command


def _no_workflow(places: dict[str, Path]) -> Callable[..., Any]:
    """The workflow, which has its own tests, prints to where it was told to."""

    def run(command: list[str], *, stdout: Any, **_: Any) -> Any:
        print("progress", file=stdout)
        return subprocess.CompletedProcess(command, 0)

    return run


STAND_INS: dict[str, dict[str, Callable[[dict[str, Path]], Any]]] = {
    "study": {
        "infercost.commands.study.subprocess.run": _no_workflow,
        "infercost.commands.answer._results": lambda places: (
            lambda _data, study: places["work"] / "results" / study / "latest"
        ),
    },
    "explorer": {"infercost.explorer.render": lambda _: lambda _version: "<html>"},
    "datasets rebuild": {
        "infercost.versions.recompute.rebuild": lambda places: (
            lambda _manifest, root: next(iter(_versions(root)))
        )
    },
}


def _versions(root: Path) -> Any:
    from infercost.datasets import versions

    return versions(root, "")
