"""One part of a study: a job that evaluates some options over the study's grid into one Parquet.

A part is described by plain data, fully resolved, so that a worker needs no Hydra, and its digest
(with that of the code) says whether it has to be computed again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.draws import draw_axis
from infercost.evaluation import BLOCK, evaluated, typed_axis
from infercost.grid import Grid, GridAxis
from infercost.optimise import Chosen, Search, joint_axis, search
from infercost.paths import CONF
from infercost.question import Axis, Question
from infercost.specs.study import Optimise
from infercost.table import columns, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 2**18
Plain = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A part as its plain description states it."""

    options: Options
    axes: tuple[Axis, ...]
    optimise: Optimise | None
    keep: str
    draws: Plain | None = None

    @classmethod
    def of(cls, plain: Plain) -> Part:
        """The part that plain data describes; raises `SpecError` as the options themselves do."""
        question = Question(
            options={},
            labels=tuple(_axis(entry) for entry in plain["labels"]),
            axes=tuple(_axis(entry) for entry in plain["axes"]),
            dirs=(CONF,),
        )
        optimise = plain["optimise"]
        return cls(
            Options(question, plain),
            question.axes,
            None if optimise is None else Optimise.model_validate(optimise),
            plain["keep"],
            plain.get("draws"),
        )

    def tables(self) -> Iterator[tuple[pa.Table, int]]:
        """Rows case by case, each with the number of points that were looked at for them."""
        for composed in self.options.cases():
            outer = tuple(typed_axis(self.options, composed, axis) for axis in self.axes)
            if self.draws is not None:
                outer = (*outer, draw_axis(self.draws, composed))
            if self.optimise is None:
                yield from _whole(composed, outer, self.only)
            else:
                yield from self._optimised(composed, outer, self.optimise)

    @property
    def only(self) -> tuple[str, ...]:
        """Metrics that land; all where none is named."""
        return () if self.draws is None else tuple(self.draws["columns"])

    def _optimised(
        self, composed: ComposedCase, outer: tuple[GridAxis, ...], how: Optimise
    ) -> Iterator[tuple[pa.Table, int]]:
        inner = inner_axes(self.options, composed, how)
        wanted = Search(how.objectives, inner, how.within_slo, self.keep)
        for chosen in search(composed, outer, wanted):
            yield chosen_rows(composed, chosen, wanted.objectives, self.only), chosen.grid.size


def _axis(entry: Plain) -> Axis:
    return Axis(entry["name"], {path: tuple(v) for path, v in entry["values"].items()})


def _whole(
    composed: ComposedCase, outer: tuple[GridAxis, ...], only: tuple[str, ...]
) -> Iterator[tuple[pa.Table, int]]:
    for block in Grid(outer).blocks(BLOCK):
        yield to_arrow(evaluated(composed, block, only)), block.size


def inner_axes(options: Options, composed: ComposedCase, how: Optimise) -> tuple[GridAxis, ...]:
    """The axes to choose along, in SI units, joint ones without what cannot be laid out."""
    axes = []
    for name, values in how.over.items():
        paths = values if isinstance(values, dict) else {name: values}
        typed = {
            path: typed_axis(options, composed, Axis(path, {path: tuple(given)})).values[path]
            for path, given in paths.items()
        }
        if isinstance(values, dict):
            axes.append(joint_axis(name, typed, composed, how.largest_replica))
        else:
            axes.append(GridAxis(name, typed))
    return tuple(axes)


def chosen_rows(
    composed: ComposedCase,
    chosen: Chosen,
    objectives: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> pa.Table:
    """Every column of the points that a search kept, and which of them is the best.

    Of several objectives, `objective` names the one that chose the point, `objective_value` is
    its value. `only` names the metrics to evaluate; none takes all.
    """
    import pyarrow as pa

    from infercost.quantities import field_of

    points = chosen.points()
    point = Evaluation(points.bind(composed.case), chosen.capacity_share[:, None])
    part = columns(point, points, composed.options, composed.labels, chosen.limit[:, None], only)
    table = to_arrow(part)
    best = pa.array(chosen.best)
    table = table.append_column(field_of("best", best.type), best)
    if len(objectives) < 2:
        return table
    names = [objectives[int(which)] for which in chosen.objective]
    values = pa.array([table[name][row].as_py() for row, name in enumerate(names)], pa.float64())
    keys = pa.array(names).dictionary_encode()
    table = table.append_column(field_of("objective", keys.type), keys)
    return table.append_column(field_of("objective_value", values.type), values)


def write_part(plain: Plain, target: Path) -> int:
    """Compute a part and write it whole or not at all; returns the points looked at."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables, looked = [], 0
    for table, points in Part.of(plain).tables():
        tables.append(table)
        looked += points
    rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(rows, scratch, **parquet_options(rows.schema))
    scratch.replace(target)
    return looked


def parquet_options(schema: pa.Schema) -> Plain:
    """How parts are written: the same table gives the same bytes under one pyarrow."""
    import pyarrow as pa

    floats = [f.name for f in schema if pa.types.is_floating(f.type)]
    keys = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": keys,
        "use_byte_stream_split": floats,
        "row_group_size": ROW_GROUP,
        "write_statistics": True,
    }
