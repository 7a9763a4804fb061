"""Draw one figure of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from infercost.plots.base import FigureData, draw, save
from infercost.provenance import canonical
from infercost.specs.case import GROUPS
from infercost.stages.aggregate import published
from infercost.studies import load_study
from infercost.workplan import read_plan


def run(plan_file: Path, named: Path, root: Path, aggregates: Path, stem: Path) -> None:
    """Write `stem`.svg, .png, .csv, .json and .about.json; named as the study's figures are."""
    plan = read_plan(plan_file)
    study = load_study(plan.study, tuple(plan.dirs))
    version = published(named, root)
    choice = study.drawn[stem.name]
    data = FigureData(
        study=study.name,
        question=study.question,
        version=version.name,
        rows=_in_order(version.rows(), study.axes),
        aggregates={file.stem: pd.read_csv(file) for file in sorted(aggregates.glob("*.csv"))},
        options=choice.options,
    )
    stem.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw(choice.name, data)
    save(drawn, stem)
    about = {"title": drawn.title, "subtitle": drawn.subtitle, "caption": drawn.caption}
    stem.with_name(f"{stem.name}.about.json").write_text(canonical(about) + "\n")


def _in_order(rows: pd.DataFrame, axes: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Rows whose options are ordered as the study lists them, for axes and legends."""
    listed = {name: values for name, values in axes.items() if name in GROUPS}
    ordered = {
        name: pd.Categorical(rows[name], categories=[str(v) for v in values])
        for name, values in listed.items()
    }
    return rows.assign(**ordered)
