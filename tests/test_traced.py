"""A report names a command for each figure of money, energy and carbon, which gives it."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import infercost
from infercost.__main__ import main
from infercost.commands.explain import asked
from infercost.datasets import publish
from infercost.fleet.explain import rows
from infercost.fleet.part import plan_of
from infercost.fleet.tracing import FleetTracer
from infercost.parts import write_table
from infercost.paths import CONF
from infercost.registry import metrics
from infercost.report import ReportData, Traced, render
from infercost.serving.study import rows_of, to_arrow
from infercost.specs.study import Replays, Study
from infercost.stages.traced import FLEET, UNITS, row_words, traced, untraced, used
from infercost.studies import load_study
from infercost.tracing.columns import SEARCHED
from infercost.tracing.trees import Tracer
from studied import ABOUT, computed

STUDIES = sorted(file.stem for file in (CONF / "study").glob("*.yaml"))
REPLAYED = ("cost_per_mtoken_usd", "cost_per_request_usd", "energy_per_request_j",
            "edge_energy_per_request_j", "edge_machine_per_request_usd")  # fmt: skip
CALLED = re.compile(r"\{(\w+)[^}]*\} (?:[kM]?USD|gCO2e|kgCO2e|g\b|k?J\b|kWh|MWh)")
"""A value of an answer that its text calls money, energy or carbon."""

OF_POWER = "A phone, Llama-3.2-3B"
"""An answer whose joules are power times time, both columns without a tree (pnm-vs-pim)."""


def told_by(command: str, capsys: pytest.CaptureFixture[str]) -> float:
    program, *words = shlex.split(command)
    assert program == "infercost"
    assert main([*words, "--json"]) == 0
    value: float = json.loads(capsys.readouterr().out)["value"]
    return value


@pytest.mark.parametrize("name", ["smoke", "token-price"])
def test_commands_give_the_figures_of_a_study(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, version = computed(name)
    found = traced(plan.study, version)
    assert "cost_per_mtoken_usd" in [entry.column for entry in found]
    for entry in found:
        assert told_by(entry.command, capsys) == pytest.approx(entry.value, rel=1e-9), entry


@pytest.mark.parametrize(
    "question",
    [
        ["+direction=hbf,none", "direction.hbf.bandwidth=1 TB/s,2 TB/s", "plan.tp=8"],
        ["plan.formats.kv=bf16,fp8", "economics=rental", "hardware.rental_price=2 USD/h,3 USD/h"],
        ["economics=owner-sweden", "hardware.memory.hbm.embodied_carbon=1 kgCO2e/GB,3 kgCO2e/GB"],
        ["+mitigation=[w4,kv8],none", "batch=8,64"],
        [
            "+direction=hbf,none",
            "draw=2",
            "draw.inputs=[direction.hbf.price,direction.hbf.latency]",
        ],
        ["hardware.price={uniform: [20000 USD, 40000 USD]}", "draw=2"],
    ],
)
def test_overrides_of_a_row_are_its_point(question: list[str]) -> None:
    stated = [text for text in question if "," not in text and not text.startswith("draw")]
    for row in infercost.evaluate_arrow(question).to_pylist():
        _, composed, _, point = asked(row_words(stated, row), ())
        trace = Tracer(composed, point, (), ())
        for column in ("cost_per_mtoken_usd", "carbon_per_mtoken_kgco2e", "energy_per_mtoken_j"):
            assert trace.trace(column).value == pytest.approx(row[column], rel=1e-9), row


@pytest.mark.parametrize("arrivals", ["trace", "poisson"])
def test_commands_give_the_figures_of_replayed_services(
    arrivals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: dict[str, Any] = {
        "requests": 60,
        "every": 2,
        "arrivals": arrivals,
        "relative": False,
        "loads": [2.0],
        "overrides": ["plan.tp=8"],
        "cases": {"one": ["hardware=h200-sxm", "workload=azure-2023-conversation"]},
    }
    replays = Replays.model_validate(content)
    words = [*replays.overrides, *map(str, replays.cases["one"])]
    offered = rows_of(replays, "one", words, ())
    file = tmp_path / "one.parquet"
    write_table(to_arrow(offered), file)
    version = publish(tmp_path / "datasets", "tiny", {"one": file}, ABOUT)
    study = Study.model_validate(
        {
            "name": "tiny",
            "question": "?",
            "replays": content,
            "aggregates": {"all": f"SELECT {', '.join(REPLAYED[:3])} FROM rows"},
        }
    )
    found = traced(study, version)
    assert [entry.column for entry in found] == [
        name for name in offered[0] if name in REPLAYED[:3]
    ]
    for entry in found:
        assert told_by(entry.command, capsys) == pytest.approx(entry.value, rel=1e-9), entry


@cache
def traceable() -> frozenset[str]:
    """Columns with a tree, of points, replays and fleets."""
    ends = tuple(f"_{unit.lower()}" for unit in UNITS)
    return frozenset(name for name in metrics() if name.endswith(ends)) | {*REPLAYED, *FLEET}


@pytest.mark.parametrize("name", STUDIES)
def test_what_answers_call_money_energy_or_carbon_is_made_of_columns_with_a_tree(name: str) -> None:
    """The SQL of each such answer, and of the aggregates that it reads, names such a column."""
    study = load_study(name)
    if study.break_even is not None:
        return  # ties are values of inputs: `infercost breakeven` finds them
    for answer in study.answers:
        if not CALLED.search(answer.text) or answer.text.startswith(OF_POWER):
            continue
        texts, more = [answer.values], True
        while more:
            reads = [
                sql
                for key, sql in study.aggregates.items()
                if sql not in texts and any(re.search(rf"\b{key}\b", text) for text in texts)
            ]
            texts, more = [*texts, *reads], bool(reads)
        named = {word for text in texts for word in re.findall(r"\w+", text)}
        assert named & traceable(), answer.text


def test_what_a_search_alone_knows_is_not_promised() -> None:
    plan, version = computed("smoke")
    text = f"SELECT max({SEARCHED[0]}), max(energy_per_mtoken_j) FROM rows"
    study = plan.study.model_copy(update={"aggregates": {"more": text}})
    assert used(study, SEARCHED[0])
    assert not {entry.column for entry in traced(study, version)} & set(SEARCHED)
    (why,) = untraced(study, version)
    assert why.startswith(f"`{SEARCHED[0]}` compares")
    page = render(ReportData("tiny", "?", "v", untraced=[why]))
    assert f"<code>{SEARCHED[0]}</code> compares a design&#39;s best point" in page


def test_a_tree_that_a_point_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An infeasible point has no cost, and what a search alone knows is no zero."""
    for words, said in (
        ((SEARCHED[0],), "is known to a study's search alone"),
        (("cost_per_mtoken_usd", "plan.ep=3"), "the point is infeasible: the plan does not fit"),
    ):
        assert main(["explain", "--trace", *words]) == 2
        told = capsys.readouterr()
        assert said in told.err
        assert not told.out


def test_the_page_lists_the_commands_escaped() -> None:
    entry = Traced("cost_per_mtoken_usd", 1.5, "USD", "infercost explain 'a=<b>'")
    page = render(ReportData("tiny", "?", "v", traced=[entry]))
    assert '<a href="#traces">' in page
    assert "infercost explain &#39;a=&lt;b&gt;&#39;" in page
    assert "traces" not in render(ReportData("tiny", "?", "v"))


def test_fleets_are_traced_by_scenario(tmp_path: Path) -> None:
    plan = plan_of("steady", (), [])
    file, told = tmp_path / "steady.parquet", [vars(row) for row in rows(plan)]
    told = [{"scenario": "steady", **row, "value": float(row["value"])} for row in told]
    write_table(pa.Table.from_pylist(told), file)
    version = publish(tmp_path / "datasets", "fleet-shift", {"steady": file}, ABOUT)
    found = traced(load_study("fleet-shift"), version)
    figures = [entry.column.partition(",")[0] for entry in found]
    assert figures == ["shadow_money", "shadow_power", "spent", "worth"]
    for entry in found:
        *command, figure = shlex.split(entry.command)
        assert command == ["infercost", "fleet", "steady", "--trace"]
        tree = FleetTracer(plan, "steady", (), ()).trace(figure)
        assert tree.value == pytest.approx(entry.value, rel=1e-9), entry
