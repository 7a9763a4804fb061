"""The report of a study: its answer in words, and the page around it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from infercost.calibrate.public import MEASURED
from infercost.calibrate.record import read_record
from infercost.datasets import point_to
from infercost.measurements.published import read_table
from infercost.options.witnesses import is_unchecked
from infercost.report import Assumption, ReportData, render
from infercost.report.figures import ReportFigure
from infercost.specs.study import Study
from infercost.stages.aggregate import published
from infercost.stages.answer import sentences
from infercost.stages.ledger import cards_of
from infercost.stages.publish import drawn_sources
from infercost.stages.traced import traced, untraced
from infercost.stages.trust import Trust, trust
from infercost.studies import load_study
from infercost.versions.landing import land_text
from infercost.workplan import WorkPlan, read_plan

FACTS = ("rows", "version", "logical_digest", "digests", "chosen", "packages", "sources")
"""What the page tells of a manifest; all of it lies beside the data."""


def run(
    plan_file: Path, named: Path, root: Path, aggregates: Path, figures: Path, target: Path
) -> None:
    """Write report.html and answer.txt into `target`, and point `latest` beside it there."""
    plan = read_plan(plan_file)
    study = load_study(plan.study, tuple(plan.dirs))
    version = published(named, root)
    manifest = version.manifest()
    told = sentences(study, version)
    regime = trust_of(manifest)
    page = ReportData(
        study=study.name,
        question=study.question,
        version=version.name,
        answers=told,
        figures=[_figure(figures / name) for name in study.drawn],
        aggregates={name: pd.read_csv(aggregates / f"{name}.csv") for name in study.aggregates},
        claims=cards_of(version, tuple(plan.dirs)),
        trust=regime.sentences,
        trust_table=regime.table,
        manifest={key: manifest[key] for key in FACTS},
        assumptions=[*assumptions(manifest["options"]), *drawn(study)],
        traced=traced(study, version, tuple(plan.dirs)),
        untraced=untraced(study, version),
        reproduce=_commands(plan, version.name),
    )
    land_text(target / "report.html", render(page))
    land_text(target / "answer.txt", "\n".join([f"{study.name}/{version.name}", *told]) + "\n")
    point_to(target.parent / "latest", target.name)


def trust_of(manifest: Mapping[str, Any]) -> Trust:
    """What the committed examinations say of the regime of a published version."""
    record = read_record()
    known = set(record.texts["id"])
    measured = frozenset(row["hardware"] for row in read_table(MEASURED) if row["id"] in known)
    axes = manifest["definition"]["axes"]
    targets = (text.lstrip("+~").partition("=")[0] for text in manifest["chosen"])
    changed = [*axes, *(target.rpartition("@")[2] for target in targets)]
    return trust(manifest["options"], changed, record, measured)


def _figure(stem: Path) -> ReportFigure:
    about = json.loads(stem.with_name(f"{stem.name}.about.json").read_text())
    svg = stem.with_name(f"{stem.name}.svg").read_text()
    spec = stem.with_name(f"{stem.name}.json").read_text()
    return ReportFigure(about["title"], about["caption"], svg, f"figures/{stem.name}.csv", spec)


def assumptions(options: Mapping[str, Any]) -> Iterator[Assumption]:
    """Every number of the options used whose witness rests on what nobody checked."""
    for group, named in options.items():
        for name, content in named.items():
            if isinstance(content, Mapping):
                for key, value, witness in _doubtful(content, ""):
                    yield Assumption(f"{group}/{name}", key, value, witness)


def drawn(study: Study) -> Iterator[Assumption]:
    """What a study itself draws on no document at hand."""
    inputs = {} if study.draws is None else study.draws.inputs
    for path, witness in drawn_sources(study).get("sources", {}).items():
        if is_unchecked(witness):
            stated = inputs.get(path, {}) if isinstance(inputs, dict) else {}
            value = next((f"{k}: {v}" for k, v in stated.items() if k != "source"), "correlation")
            yield Assumption(f"study/{study.name}", path, value, witness)


def _doubtful(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    for key, witness in (node.get("sources") or {}).items():
        if is_unchecked(witness):
            yield f"{path}{key}", _value(node, key), str(witness)
    for name, child in node.items():
        if name != "sources" and isinstance(child, Mapping):
            yield from _doubtful(child, f"{path}{name}.")


def _value(node: Any, key: str) -> str:
    """What an option states at a dotted key, or all that no other key names."""
    for step in key.split("."):
        if not isinstance(node, Mapping) or step not in node:
            return "all other numbers" if key == "default" else ""
        node = node[step]
    return str(node)


def _commands(plan: WorkPlan, version: str) -> list[str]:
    more = "".join(f" {name}={json.dumps(value)!r}" for name, value in _given(plan))
    return [
        "make env",
        ".venv/bin/snakemake --workflow-profile workflow/profiles/default"
        f" --config study={plan.study}{more}",
        f".venv/bin/infercost datasets verify {plan.study}/{version}",
    ]


def _given(plan: WorkPlan) -> Iterator[tuple[str, list[str]]]:
    if plan.overrides:
        yield "overrides", plan.overrides
    if plan.dirs:
        yield "config_dir", plan.dirs
