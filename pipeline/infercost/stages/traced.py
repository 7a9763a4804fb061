"""The command that traces each figure of money, energy and carbon of a study down to its inputs.

A column of points is traced where it is least (`infercost explain --trace`), one of replayed
services at its row (`infercost replay --trace`), a fleet's plan by its scenario (`infercost fleet
--trace`). Answers and figures are values, ratios, sums or medians of such columns: their SQL stands
in the study. Ties of a break-even study are values of inputs and have no tree of their own.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from infercost.datasets import Version
from infercost.options.places import COMBINING, combination
from infercost.options.question import NO_DIRECTION, winning
from infercost.quantities import quantity
from infercost.report import Traced
from infercost.specs.case import GROUPS
from infercost.specs.study import Replays, Study
from infercost.stages.aggregate import connect, query
from infercost.table import PLAN_COLUMNS
from infercost.tracing.columns import SEARCHED

UNITS = ("USD", "J", "kgCO2e")
FLEET = {
    "cost": "cost",
    "spent": "spent",
    "worth": "worth",
    "shadow_money": "money",
    "shadow_power": "power",
}
"""Quantities of a fleet's plan, and the figure of `infercost fleet --trace` that they are."""


def traced(study: Study, version: Version, dirs: tuple[str, ...] = ()) -> list[Traced]:
    """One line per column that an answer, an aggregate or a figure of the study uses."""
    folders = [word for folder in dirs for word in ("--config-dir", folder)]
    if study.fleet is not None:
        return list(_of_fleet(study, version, folders))
    columns = list(_columns(study, version))
    rows = (_least(version, column) for column in columns)
    found = []
    for column, row in zip(columns, rows, strict=True):
        if row is None:
            continue
        if study.replays is not None:
            words = replay_words(study.replays, row)
        else:
            words = ["explain", *row_words(version.manifest().get("chosen", study.overrides), row)]
        unit = next(unit for unit in UNITS if column.endswith(f"_{unit.lower()}"))
        command = shlex.join(["infercost", *words, *folders, "--trace", column])
        found.append(Traced(column, float(row[column]), unit, command))
    return found


OF_SEARCH = (
    "`{}` compares a design's best point with the best one of a device of unlimited memory: the"
    " search of a study alone knows both, and no command takes it apart."
)
OF_TIES = (
    "A tie is the value of an input at which two designs cost the same, found by search: it has no"
    " terms. `infercost breakeven` finds it again, `infercost explain --trace` takes either side"
    " apart there."
)
OF_GAMMA = (
    "Rows at gamma arrivals have no command: `infercost replay` takes a trace's own arrivals, or"
    " Poisson ones. Figures above are traced at those."
)


def untraced(study: Study, version: Version) -> list[str]:
    """Why figures of a study that look like traced ones are not, a sentence per kind."""
    there = {entry["name"] for entry in version.manifest()["columns"]}
    found = [OF_SEARCH.format(name) for name in SEARCHED if name in there and used(study, name)]
    found += [] if study.break_even is None else [OF_TIES]
    gamma = study.replays is not None and study.replays.variations
    return [*found, OF_GAMMA] if gamma else found


def used(study: Study, name: str) -> bool:
    """Whether an answer, an aggregate, a figure or the search of a study names a column."""
    texts = [answer.values for answer in study.answers] + list(study.aggregates.values())
    texts += [str(choice.options) for choice in study.figures]
    texts += [] if study.optimise is None else list(study.optimise.objectives)
    return any(re.search(rf"\b{re.escape(name)}\b", text) for text in texts)


def _columns(study: Study, version: Version) -> Iterator[str]:
    """Columns of money, energy and carbon that a study uses and a command traces."""
    there = [entry["name"] for entry in version.manifest()["columns"]]
    if study.replays is None and not {*GROUPS, *PLAN_COLUMNS, "feasible"} <= set(there):
        return
    for name in there:
        ends = name.endswith(tuple(f"_{unit.lower()}" for unit in UNITS))
        if ends and name not in SEARCHED and used(study, name):
            yield name


def _least(version: Version, column: str) -> dict[str, Any] | None:
    """The row with the least value of a column among those that can be run."""
    connection = connect(version)
    there = [entry["name"] for entry in version.manifest()["columns"]]
    good = [name for name in ("feasible", "best") if name in there]
    good += ["kind IN ('trace', 'poisson')"] if "kind" in there else []
    where = " AND ".join([f'isfinite("{column}")', *good])
    text = f'SELECT * FROM rows WHERE {where} ORDER BY "{column}" LIMIT 1'
    found: list[dict[str, Any]] = query(connection, column, text).to_dict("records")  # type: ignore[assignment]
    return found[0] if found else None


def row_words(chosen: list[str], row: Mapping[str, Any]) -> list[str]:
    """Overrides of the point of a row: its options, what holds for all rows, and its values."""
    own = [f"{group}={row[group]}" for group in GROUPS if group not in COMBINING]
    for group in COMBINING:
        own += [f"+{group}={row[group]}"] if row[group] != NO_DIRECTION else []
    own += [f"{path}={int(row[name])}" for name, path in PLAN_COLUMNS.items()]
    own += [word for name, value in row.items() for word in _value(row, name, value)]
    others = [text for text in chosen if text.lstrip("+").partition("=")[0] not in GROUPS]
    return winning(others, own)


def _value(row: Mapping[str, Any], name: str, value: Any) -> Iterator[str]:
    """The override of a swept value, with its unit; nothing for a column that is none."""
    group, _, inner = name.partition(".")
    if group not in GROUPS or not inner:
        return
    if group in COMBINING and inner.partition(".")[0] not in combination(row[group]):
        return
    if not isinstance(value, str) and math.isnan(value):
        return
    unit = "" if isinstance(value, str) else quantity(name).unit
    number = value if isinstance(value, str) or not float(value).is_integer() else int(value)
    yield f"{name}={number}" + (f" {unit}" if unit not in ("", "1") else "")


def replay_words(study: Replays, row: Mapping[str, Any]) -> list[str]:
    """The replay of a row at the arrivals of its trace."""
    words = ["replay", *winning(study.overrides, map(str, study.cases[row["case"]]))]
    words += ["--rate", repr(float(row["rate_per_s"]))]
    words += ["--requests", str(study.requests)] if study.requests else []
    words += ["--every", str(study.every)] if study.every > 1 else []
    words += ["--poisson"] if study.arrivals == "poisson" else []
    return [*words, "--seed", str(study.seed)]


def _of_fleet(study: Study, version: Version, folders: list[str]) -> Iterator[Traced]:
    """Each quantity of each scenario that the study uses; ends of ranges are named like these."""
    named = [name for name in FLEET if used(study, name)]
    text = (
        "SELECT scenario, quantity, first(unit) AS unit, sum(value) AS value FROM rows"
        f" WHERE quantity IN ({', '.join(repr(name) for name in named)})"
        " AND scenario NOT LIKE '%@%'"
        " AND (quantity <> 'worth' OR (scenario, site, kind, pool) IN (SELECT"
        " (scenario, site, kind, pool) FROM rows WHERE quantity = 'installed' AND value > 0))"
        " GROUP BY scenario, quantity ORDER BY scenario, quantity"
    )
    rows = query(connect(version), "scenarios", text).to_dict("records") if named else []
    for row in rows:
        scenario, name = row["scenario"], row["quantity"]
        words = ["infercost", "fleet", scenario, *folders, "--trace", FLEET[name]]
        what, value = f"{name}, {scenario}", float(row["value"])
        yield Traced(what, value, str(row["unit"]), shlex.join(words))
