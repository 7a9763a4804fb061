"""A scenario as one part of a study: from its name to rows in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.compose import Options
from infercost.fleet.abilities import Abilities, abilities, question_of
from infercost.fleet.explain import Plan, planned, rows
from infercost.fleet.scenario import content_of, load_fleet
from infercost.options.question import Question
from infercost.parts import write_table
from infercost.paths import CONF
from infercost.specs.fleet import Fleet

if TYPE_CHECKING:
    import pyarrow as pa

Plain = dict[str, Any]


def plan_of(name: str, dirs: tuple[str, ...] = (), overrides: Sequence[str] = ()) -> Plan:
    """The cheapest plan of a scenario."""
    fleet = load_fleet(name, dirs, overrides)
    return planned(fleet, abilities(fleet, Options(question_of(fleet, dirs))))


def described(name: str, dirs: tuple[str, ...] = ()) -> Plain:
    """The plain description of a scenario: the fleet and every option resolved."""
    content = content_of(name, dirs)
    fleet = Fleet.model_validate(content)
    options = Options(question_of(fleet, dirs))
    for composed in options.cases():  # every option is typed and checked before any job starts
        assert composed.case is not None
    plain = options.to_plain()
    plain["options"] = {**plain["options"], "fleet": {name: content}}
    return {**plain, "fleet": content, "scenario": name, "rows": 1}


def _able(plain: Plain, fleet: Fleet) -> Abilities:
    return abilities(fleet, Options(Question(options={}, dirs=(CONF,)), plain))


_MEANINGS = {
    "scenario": "Option of the group fleet",
    "quantity": "What the row states of the plan",
    "year": "Year; the first one for what holds over the horizon",
    "site": "Site of the fleet",
    "kind": "Kind of device",
    "pool": "What devices are set up for: training or serving; of conversions, before",
    "demand": "Class of demand",
    "unit": "Unit of the value",
    "value": "The number, in the row's own unit",
}


def table(plain: Plain) -> pa.Table:
    """The rows of a scenario's plan."""
    import pyarrow as pa

    from infercost.quantities import Quantity, field_of

    fleet = Fleet.model_validate(plain["fleet"])
    found = [asdict(row) for row in rows(planned(fleet, _able(plain, fleet)))]
    arrays = {}
    for name in _MEANINGS:
        values = [plain["scenario"] if name == "scenario" else row[name] for row in found]
        kind = {"value": pa.float64(), "year": pa.int64()}.get(name, pa.string())
        arrays[name] = pa.array(values, kind)
    fields = [
        field_of(name, array.type, Quantity(name, "1", "", _MEANINGS[name]))
        for name, array in arrays.items()
    ]
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))


def write_plan(plain: Plain, target: Path) -> int:
    """Plan a scenario and write its rows whole or not at all; returns their number."""
    return write_table(table(plain), target)
