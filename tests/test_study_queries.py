"""What studies ask of their rows is SQL that their rows can answer, whatever they turn out to be.

Most studies are computed whole elsewhere: by tests of their own, or for the claims that rest on
them. Here each has the first value of every axis alone, so that a column that was renamed is found.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from infercost.datasets import publish
from infercost.parts import write_part
from infercost.paths import CONF
from infercost.serving.study import write_replays
from infercost.stages.aggregate import connect, query
from infercost.studies import code_of, load_study, plan_study

ABOUT = {"question": "?", "digests": {"inputs": "", "code": ""}, "options": {}}
STUDIES = sorted(file.stem for file in (CONF / "study").glob("*.yaml"))
CODE = {name: code_of(load_study(name)) for name in STUDIES}


def studies_of(module: str) -> list[str]:
    return [name for name in STUDIES if CODE[name] == module]


def of_one_point(part: dict[str, Any]) -> dict[str, Any]:
    """A part with one option of each group, one value of each axis, and few draws."""
    few = deepcopy(part)
    few["chosen"] = {group: names[:1] for group, names in part["chosen"].items()}
    for entry in (*few["axes"], *few["labels"]):
        entry["values"] = {path: values[:1] for path, values in entry["values"].items()}
    if few["optimise"]:
        few["optimise"]["over"] = {name: firsts(v) for name, v in few["optimise"]["over"].items()}
    if "draws" in few:
        few["draws"]["count"] = 8
    return few


def firsts(values: Any) -> Any:
    if isinstance(values, dict):
        return {path: firsts(inner) for path, inner in values.items()}
    return values[:1]


def of_few_requests(part: dict[str, Any]) -> dict[str, Any]:
    """A part that replays a handful of requests."""
    small = {"requests": 40, "every": 1, "loads": [1.0], "relative": False, "tolerance": 1.0}
    return {**part, "replays": {**part["replays"], **small}}


def asked(name: str, file: Path) -> None:
    """Every aggregate and every answer of a study, asked of one published part."""
    study = load_study(name)
    version = publish(file.parent / "datasets", name, {"one": file}, ABOUT)
    connection = connect(version, study)
    for number, answer in enumerate(study.answers):
        query(connection, f"answers.{number}", answer.values)


@pytest.mark.parametrize("name", studies_of("infercost.parts"))
def test_rows_of_points_answer_what_their_study_asks(name: str, tmp_path: Path) -> None:
    part = next(iter(plan_study(name).parts.values()))
    write_part(of_one_point(part), tmp_path / "one.parquet")
    asked(name, tmp_path / "one.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("name", studies_of("infercost.serving.study"))
def test_rows_of_replays_answer_what_their_study_asks(name: str, tmp_path: Path) -> None:
    part = next(iter(plan_study(name).parts.values()))
    write_replays(of_few_requests(part), (), tmp_path / "one.parquet")
    asked(name, tmp_path / "one.parquet")
