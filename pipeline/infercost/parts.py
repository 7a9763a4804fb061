"""One part of a study: a job that evaluates some options over the study's grid into one Parquet.

A part is described by plain data, fully resolved, so that a worker needs no Hydra, and its digest
(with that of the code) says whether it has to be computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.arrays import FloatArray
from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.evaluation import evaluated_blocks, typed_axis
from infercost.grid import Grid, GridAxis
from infercost.optimise import Chosen, Search, joint_axis, search
from infercost.options.question import Axis, Question
from infercost.paths import CONF
from infercost.specs.study import Optimise, Sample
from infercost.table import columns, to_arrow
from infercost.uncertainty.draws import draw_axis
from infercost.uncertainty.samples import sampled_axis
from infercost.versions.landing import landing

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
    sample: Sample | None = None
    stretch: tuple[int, int] = (0, 0)
    """First point of the sample, and the first behind."""

    @classmethod
    def of(cls, plain: Plain) -> Part:
        """The part that plain data describes; raises `SpecError` as the options themselves do."""
        question = Question(
            options={},
            labels=tuple(_axis(entry) for entry in plain["labels"]),
            axes=tuple(_axis(entry) for entry in plain["axes"]),
            dirs=(CONF,),
        )
        optimise, sample = plain["optimise"], plain.get("sample")
        return cls(
            Options(question, plain),
            question.axes,
            None if optimise is None else Optimise.model_validate(optimise),
            plain["keep"],
            plain.get("draws"),
            None if sample is None else Sample.model_validate(sample),
            tuple(plain.get("stretch", (0, 0))),
        )

    def tables(self) -> Iterator[tuple[pa.Table, int]]:
        """Rows case by case, each with the number of points that were looked at for them."""
        for composed in self.options.cases():
            outer = self.outer(composed)
            if self.optimise is None:
                yield from _whole(composed, outer, self.only)
            else:
                for chosen in self.chosen(composed, outer):
                    rows = chosen_rows(composed, chosen, self.optimise.objectives, self.only)
                    yield rows, chosen.looked_at

    @property
    def only(self) -> tuple[str, ...]:
        """Metrics that land; all where none is named."""
        return () if self.draws is None else tuple(self.draws["columns"])

    def outer(self, composed: ComposedCase) -> tuple[GridAxis, ...]:
        """The axes of the study in SI units: gridded ones, the sample, draws."""
        axes = tuple(typed_axis(self.options, composed, axis) for axis in self.axes)
        if self.sample is not None:
            axes += (sampled_axis(self.options, composed, self.sample, *self.stretch),)
        if self.draws is not None:
            axes += (draw_axis(self.draws, composed),)
        return axes

    def chosen(self, composed: ComposedCase, outer: tuple[GridAxis, ...]) -> Iterator[Chosen]:
        """What the study's objectives keep at each point of the outer axes."""
        assert self.optimise is not None
        how = self.optimise
        inner = inner_axes(self.options, composed, how)
        return search(composed, outer, Search(how.objectives, inner, how.within_slo, self.keep))


def _axis(entry: Plain) -> Axis:
    return Axis(entry["name"], {path: tuple(v) for path, v in entry["values"].items()})


def _whole(
    composed: ComposedCase, outer: tuple[GridAxis, ...], only: tuple[str, ...]
) -> Iterator[tuple[pa.Table, int]]:
    for part in evaluated_blocks(composed, Grid(outer), only):
        yield to_arrow(part), part.grid.size


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
    """Compute a part and write it whole or not at all; returns the points looked at.

    Rows are written as they come, a row group at a time, so that a part of any size fits in memory.
    """
    looked = 0

    def rows() -> Iterator[pa.Table]:
        nonlocal looked
        for table, points in Part.of(plain).tables():
            looked += points
            yield table

    with landing(target) as scratch:
        write_rows(rows(), scratch)
    return looked


def write_rows(tables: Iterable[pa.Table], target: Path) -> None:
    """Write tables as one file of full row groups: the same rows give the same bytes."""
    import pyarrow.parquet as pq

    waiting: list[pa.Table] = []
    writer: pq.ParquetWriter | None = None

    def write(table: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            options = parquet_options(table)
            options.pop("row_group_size")
            writer = pq.ParquetWriter(target, table.schema, **options)
        writer.write_table(table, row_group_size=ROW_GROUP)

    try:
        for table in tables:
            waiting.append(table)
            if sum(t.num_rows for t in waiting) >= ROW_GROUP:
                # Nothing is copied, and what has been written is let go.
                joined = _joined(waiting)
                full = joined.num_rows // ROW_GROUP * ROW_GROUP
                write(joined.slice(0, full))
                waiting = [joined.slice(full)]
                del joined, table
        if writer is None or any(t.num_rows for t in waiting):
            write(_joined(waiting))
    finally:
        if writer is not None:
            writer.close()


def write_table(table: pa.Table, target: Path) -> int:
    """Write one table as a part, whole or not at all; returns its rows."""
    import pyarrow.parquet as pq

    with landing(target) as scratch:
        pq.write_table(table, scratch, **parquet_options(table))
    return int(table.num_rows)


def _joined(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables).unify_dictionaries()


def parquet_options(table: pa.Table) -> Plain:
    """How parts are written: the same rows give the same bytes under one pyarrow.

    Numbers are written by dictionary where few of them differ, else split by bytes. Which it is,
    the first row group says, so that it does not matter how many rows come at once.
    """
    import pyarrow as pa

    keys = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    floats = [f.name for f in table.schema if pa.types.is_floating(f.type)]
    first = table.slice(0, ROW_GROUP)
    repeated = {name for name in floats if _repeats(first.column(name).to_numpy())}
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": [*keys, *(name for name in floats if name in repeated)],
        "use_byte_stream_split": [name for name in floats if name not in repeated],
        "row_group_size": ROW_GROUP,
        "write_statistics": True,
        "write_page_checksum": True,
    }


STEPS, FEW = (61, 7), 0.25
"""Every so manieth row is looked at, more of them where few do not tell; and the share of these
whose values differ, up to which a dictionary is best."""


def _repeats(values: FloatArray) -> bool:
    """Whether few of a column's numbers differ."""
    return any(_differ(values[::step]) <= FEW for step in STEPS)


def _differ(values: FloatArray) -> float:
    """The share of values that no value before them has."""
    bits = np.sort(values.astype(np.float64).view(np.int64))
    return (1 + np.count_nonzero(bits[1:] != bits[:-1])) / max(bits.size, 1)
