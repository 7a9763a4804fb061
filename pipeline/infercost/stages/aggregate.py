"""Aggregates of a version: named SQL over its rows, and the operators of its best points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.breakdown import operator_rows
from infercost.cost import Evaluation
from infercost.datasets import Version, open_version
from infercost.directions import directed
from infercost.errors import SpecError
from infercost.grid import replaced
from infercost.options.places import COMBINING
from infercost.parts import Part
from infercost.specs.case import GROUPS, Case
from infercost.specs.study import Study
from infercost.studies import load_study
from infercost.table import PLAN_COLUMNS
from infercost.uncertainty.sensitivity import sensitivity
from infercost.versions.landing import landing
from infercost.workplan import WorkPlan, read_plan

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

OPERATORS = "operators"
"""The aggregate that every study which chooses operating points has."""

SENSITIVITY = "sensitivity"
"""The aggregate of every study that splits variances: see `infercost.uncertainty.sensitivity`."""


def published(file: Path, root: Path) -> Version:
    """The version that `publish` named."""
    content = json.loads(file.read_text())
    return open_version(root, f"{content['study']}/{content['version']}")


def run(plan_file: Path, named: Path, work: Path, root: Path, target: Path) -> None:
    """Write each aggregate as CSV into the folder `target`."""
    plan = read_plan(plan_file)
    study = load_study(plan.study, tuple(plan.dirs))
    version = published(named, root)
    connection = connect(version, study)
    tables = {name: query(connection, name, text) for name, text in study.aggregates.items()}
    if study.optimise is not None and study.draws is None and study.break_even is None:
        tables[OPERATORS] = operators(plan, work, best_rows(version))
    if study.draws is not None and study.draws.sensitivity:
        tables[SENSITIVITY] = sensitivity(version.rows(), study.draws.sensitivity)
    target.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with landing(target / f"{name}.csv") as scratch:
            table.to_csv(scratch, index=False)


def connect(version: Version, study: Study | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory with the version's rows as the view `rows`, and a study's aggregates.

    An aggregate may read those before it, an answer all of them, each by its name.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 1")  # sums in one order, whatever the machine
    files = str(version.intact().data / "*.parquet").replace("'", "''")
    connection.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet('{files}')")
    for name, text in ({} if study is None else study.aggregates).items():
        query(connection, name, f'CREATE VIEW "{name}" AS {text}')
    return connection


def query(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> pd.DataFrame:
    """The answer to one query. Raises `SpecError` that names it."""
    import duckdb

    try:
        return connection.execute(text).df()
    except duckdb.Error as error:
        fault = str(error).splitlines()[0]
        raise SpecError("study", name, fault, "It is SQL over the table rows") from None


def best_rows(version: Version) -> pd.DataFrame:
    """The last best point of each combination of options; no more of the rows is in memory."""
    import duckdb

    groups = ", ".join(GROUPS)
    return duckdb.execute(
        "SELECT * EXCLUDE (filename, file_row_number) FROM read_parquet("
        "$files, filename = true, file_row_number = true) WHERE best AND feasible"
        f" QUALIFY row_number() OVER (PARTITION BY {groups}"
        " ORDER BY filename DESC, file_row_number DESC) = 1"
        " ORDER BY filename, file_row_number",
        {"files": str(version.data / "*.parquet")},
    ).df()


def operators(plan: WorkPlan, work: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Operators of both phases at the best point of every case that has one."""
    import pandas as pd

    records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    wanted = {tuple(row[g] for g in GROUPS): row for row in records}
    found: list[dict[str, Any]] = []
    for name in plan.parts.values():
        part = Part.of(json.loads((work / "specs" / f"{name}.json").read_text()))
        for composed in part.options.cases():
            row = wanted.get(tuple(composed.options[g] for g in GROUPS))
            if row is not None:
                found += _at(composed.case, row)
    return pd.DataFrame(found)


def _at(case: Case, row: dict[str, Any]) -> list[dict[str, Any]]:
    for column, path in PLAN_COLUMNS.items():
        case = replaced(case, path.split("."), int(row[column]))
    for path in (column for column in row if "." in column):
        steps = path.split(".")
        if steps[0] not in COMBINING or steps[1] in getattr(case, steps[0]):
            case = replaced(case, steps, row[path])
    case = directed(case)
    keys = {name: row[name] for name in ("hardware", "model", "workload", *PLAN_COLUMNS)}
    bandwidth = float(np.asarray(case.hardware.tier.bandwidth))
    return [
        {**keys, "bandwidth_b_per_s": bandwidth, **operator}
        for operator in operator_rows(Evaluation(case))
    ]
