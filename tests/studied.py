"""Studies computed once for all tests of a process: their rows, tables, sentences and figures."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from infercost.datasets import Version, publish
from infercost.parts import write_part
from infercost.plots.base import FigureData, draw
from infercost.stages.aggregate import connect, query
from infercost.stages.answer import sentences
from infercost.studies import StudyPlan, plan_study

ABOUT = {"question": "?", "digests": {"inputs": "", "code": ""}, "options": {}}
SMALLER: dict[str, tuple[str, dict[str, list[str]]]] = {
    "four-directions": ("h100-sxm", {"model": ["qwen3-next-80b-a3b"]}),
}
"""The one part that is left of a study too large for tests, and what is left of its options."""
SCRATCH = TemporaryDirectory(prefix="infercost-studies-")


@cache
def computed(name: str) -> tuple[StudyPlan, Version]:
    """A study with its parts, or what is left of them, published in a folder of this process."""
    plan = plan_study(name)
    parts = dict(plan.parts)
    if name in SMALLER:
        label, chosen = SMALLER[name]
        parts = {label: parts[label]}
        parts[label]["chosen"] |= chosen
    folder = Path(SCRATCH.name) / name
    files = {label: folder / f"{label}.parquet" for label in parts}
    for label, plain in parts.items():
        write_part(plain, files[label])
    return plan, publish(folder / "datasets", name, files, ABOUT)


@cache
def aggregates(name: str) -> dict[str, pd.DataFrame]:
    """The named tables of a study."""
    plan, version = computed(name)
    connection = connect(version, plan.study)
    return {key: query(connection, key, sql) for key, sql in plan.study.aggregates.items()}


def told(name: str, number: int) -> dict[str, Any]:
    """The values of one answer."""
    plan, version = computed(name)
    frame = query(connect(version, plan.study), "answer", plan.study.answers[number].values)
    return frame.to_dict("records")[0]  # type: ignore[return-value]


def fills_every_sentence(name: str, least: int) -> None:
    """Every answer has its values, and none of them is a gap."""
    plan, version = computed(name)
    found = sentences(plan.study, version)
    assert len(found) == len(plan.study.answers) >= least
    assert not any("{" in sentence or "nan" in sentence for sentence in found)


def draws_every_figure(name: str) -> None:
    """Every figure shows numbers and asks a question."""
    plan, version = computed(name)
    tables, rows = aggregates(name), version.rows()
    for choice in plan.study.figures:
        drawn = draw(
            choice.name,
            FigureData(name, plan.study.question, "v", rows, tables, choice.options),
        )
        assert len(drawn.table) > 3
        assert drawn.title.endswith("?")
