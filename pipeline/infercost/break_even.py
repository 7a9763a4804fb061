"""The value of an input at which two designs tie, each at its own best operating point.

The logarithm of the ratio of their metrics is looked at on a logarithmic grid over the range, for
all cases and draws at once, and the first change of sign is closed in on by Chandrupatla's method
(scipy.optimize.elementwise.find_root). A design that no operating point serves loses. Where the
designs change places at a jump, because one of them stops being feasible, the jump is the answer
and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.arrays import BoolArray, FloatArray
from infercost.compose import ComposedCase, Options
from infercost.effects import refuse_chosen
from infercost.errors import SpecError
from infercost.evaluation import typed_axis
from infercost.grid import Grid, GridAxis
from infercost.operating import usual_grid
from infercost.optimise import Search, least
from infercost.options.places import COMBINING
from infercost.options.question import Axis, ask
from infercost.parts import Part, inner_axes, write_table
from infercost.specs.break_even import Tie
from infercost.specs.case import GROUPS
from infercost.uncertainty.draws import DRAW, draw_axis, full_path
from infercost.uncertainty.draws import described as describe_draws
from infercost.units import unit

if TYPE_CHECKING:
    import pyarrow as pa

Plain = dict[str, Any]

LOOKS = 13
"""Points of the grid over the range: a tie that comes and goes between two of them is missed."""
BEYOND = 60.0
"""Log-ratio that stands for a design that cannot serve."""
EQUAL = 1e-9
"""Log-ratio below which two designs cost the same."""
JUMP = 1e-3
"""Log-ratio left at a change of sign above which it is a jump."""

Ratio = Callable[[FloatArray, FloatArray], FloatArray]
"""Log-ratio of first over second design at log-values of the input and positions of cells."""


@dataclass(frozen=True)
class Ties:
    """What was found, one entry per cell."""

    value: FloatArray
    """The input at the first tie, in SI units; not a number where there is none."""
    verdict: list[str]
    """`tie`, `jump`, `first always`, `second always`, `only first feasible`, `only second
    feasible`, `equal` or `neither feasible`."""
    count: FloatArray
    """Changes of sign over the range."""
    low: FloatArray
    high: FloatArray
    """First design's metric over the second's at both ends of the range."""


def find_ties(ratio: Ratio, cells: int, low: float, high: float) -> Ties:
    """Where the log-ratio changes sign between `low` and `high`, for every cell at once."""
    from scipy.optimize import elementwise

    looks = np.linspace(np.log(low), np.log(high), LOOKS)
    index = np.arange(cells, dtype=np.float64)
    seen = np.stack([ratio(np.full(cells, x), index) for x in looks], axis=1)
    with np.errstate(invalid="ignore"):
        changes = seen[:, :-1] * seen[:, 1:] < 0
    count = changes.sum(axis=1)
    value, left = np.full(cells, np.nan), np.zeros(cells)
    some = np.flatnonzero(count > 0)
    if some.size:
        at = changes[some].argmax(axis=1)
        bracket = (looks[at], looks[at + 1])
        found = elementwise.find_root(
            ratio, bracket, args=(index[some],), tolerances={"xatol": 1e-6, "fatol": 1e-9}
        )
        value[some], left[some] = np.exp(found.x), np.abs(found.f_x)
    with np.errstate(over="ignore", invalid="ignore"):
        ends = np.exp(seen[:, 0]), np.exp(seen[:, -1])
    return Ties(value, _verdicts(seen, count > 0, left), count.astype(float), *ends)


def _verdicts(seen: FloatArray, changes: BoolArray, left: FloatArray) -> list[str]:
    found = []
    for row, changed, rest in zip(seen, changes, left, strict=True):
        known = row[np.isfinite(row)]
        if changed:
            found.append("tie" if rest < JUMP else "jump")
        elif known.size == 0:
            found.append("neither feasible")
        elif (np.abs(known) < EQUAL).all():
            found.append("equal")
        elif (np.abs(known) == BEYOND).all():
            found.append("only first feasible" if known[0] < 0 else "only second feasible")
        else:
            found.append("first always" if known.mean() < 0 else "second always")
    return found


@dataclass(frozen=True)
class Design:
    """One of the two: a case, the axes to choose its operating point along."""

    composed: ComposedCase
    how: Search

    def has(self, path: str) -> bool:
        """Whether an input moves this design at all."""
        group, _, key = path.partition(".")
        if group not in COMBINING:
            return True
        return key.partition(".")[0] in getattr(self.composed.case, group)

    def best(self, cells: GridAxis) -> FloatArray:
        """The metric at the best operating point of each cell; infinite where none is feasible."""
        return least(self.composed, (cells,), self.how)


def log_ratio(first: Design, second: Design, cells: GridAxis, path: str) -> Ratio:
    """The function whose zero is the tie."""
    designs = (first, second)
    fixed = [None if design.has(path) else np.log(design.best(cells)) for design in designs]

    def ratio(x: FloatArray, index: FloatArray) -> FloatArray:
        picked = index.astype(np.int64)
        values = {name: v[picked] for name, v in cells.values.items()}
        axis = GridAxis("cell", {**values, path: np.exp(x)}, cells.told)
        costs = [
            np.log(design.best(axis)) if known is None else known[picked]
            for design, known in zip(designs, fixed, strict=True)
        ]
        with np.errstate(invalid="ignore"):
            return np.asarray(np.clip(costs[0] - costs[1], -BEYOND, BEYOND))

    return ratio


def described(options: Options, of: str, name: str, tie: Tie) -> Plain:
    """A tie as plain data, its range read in SI units. Raises `SpecError`."""
    place = f"break-even '{name}'"
    designs = {str(entry) for entry in tie.between}
    cases = [c for c in options.cases() if c.options[of] in designs]
    ends, faults = [], []
    for composed in cases:
        try:
            typed = [float(options.with_value(composed, tie.input, end)) for end in tie.range]
        except SpecError as error:
            faults.append(error)
            continue
        ends.append(typed)
    if not ends:
        raise faults[0]
    low, high = ends[0]
    if not 0 < low < high:
        remedy = "Write [low, high], both above 0"
        raise SpecError(place, "range", f"goes from {tie.range[0]} to {tie.range[1]}", remedy)
    return {
        "name": name,
        "of": of,
        "between": [str(entry) for entry in tie.between],
        "input": tie.input,
        "range": [low, high],
        "unit": _unit_as_written(tie.range[0]),
    }


def _unit_as_written(value: Any) -> str:
    """The unit in which the low end is written, and in which answers are told."""
    found = re.match(r"\s*[+-]?[\d.]+(?:[eE][+-]?\d+)?\s*(.*?)\s*$", str(value))
    return found[1] if found and found[1] else "1"


def tables(plain: Plain) -> pa.Table:
    """The rows of one tie: every case and draw, with the value at which the two designs tie."""
    import pyarrow as pa

    part, tie = Part.of(plain), plain["break_even"]
    cases = list(part.options.cases())
    of, names = tie["of"], tie["between"]
    found = []
    for composed in (c for c in cases if c.options[of] == names[0]):
        other = next(
            c
            for c in cases
            if c.options == {**composed.options, of: names[1]} and c.labels == composed.labels
        )
        found.append(_rows(part, tie, composed, other))
    return pa.concat_tables(found).unify_dictionaries()


def _rows(part: Part, tie: Plain, composed: ComposedCase, other: ComposedCase) -> pa.Table:
    axes = [typed_axis(part.options, composed, axis) for axis in part.axes]
    designs, told = [], frozenset[str]()
    values: dict[str, FloatArray] = {}
    for case in (composed, other):
        outer = list(axes)
        if part.draws is not None:
            outer.append(draw_axis(part.draws, case))
        cells = _joined(outer)
        told = cells.told if not values else told & cells.told
        for name, drawn in cells.values.items():
            if name not in values or np.isnan(values[name]).all():
                values[name] = drawn
        designs.append((Design(case, _search(part, case)), cells))
    path = tie["input"]
    drawn_too = path in values
    values.pop(path, None)
    both = GridAxis("cell", values, told)
    ratio = log_ratio(designs[0][0], designs[1][0], both, path)
    ties = find_ties(ratio, both.size, *tie["range"])
    if drawn_too:  # all ties of a study have the same columns, and this one's input no draw
        both = GridAxis("cell", {**values, path: np.full(both.size, np.nan)}, told)
    return _table(tie, composed, both, ties)


def _search(part: Part, case: ComposedCase) -> Search:
    how = part.optimise
    assert how is not None
    return Search(how.objectives, inner_axes(part.options, case, how), how.within_slo, "best")


def _joined(axes: list[GridAxis]) -> GridAxis:
    """The product of some axes as one."""
    if not axes:
        return GridAxis("cell", {"cell": np.zeros(1)}, frozenset({"cell"}))
    grid = Grid(tuple(axes))
    positions = np.unravel_index(np.arange(grid.size), grid.shape)
    values = {
        path: axis.values[path][where]
        for axis, where in zip(axes, positions, strict=True)
        for path in axis.values
    }
    return GridAxis("cell", values, grid.told)


_MEANINGS: Mapping[str, str] = {
    "tie": "Name of the break-even",
    "first": "The one design",
    "second": "The other design",
    "input": "What is varied, by its dotted path",
    "unit": "Unit of the values of the row, as the range was written",
    "verdict": "tie, jump (one stops being feasible there), or which design is always better",
    "break_even": "Value of the input at which the designs tie, in the row's own unit",
    "ties": "Times that the designs change places over the range; the first is told",
    "low": "Low end of the range, in the row's own unit",
    "high": "High end of the range, in the row's own unit",
    "ratio_at_low": "First design's metric over the second's at the low end",
    "ratio_at_high": "First design's metric over the second's at the high end",
}


def _table(tie: Plain, composed: ComposedCase, cells: GridAxis, ties: Ties) -> pa.Table:
    import pyarrow as pa

    from infercost.quantities import Quantity, field_of

    first, second = tie["between"]
    named = {
        f"{word} always": f"{name} always" for word, name in (("first", first), ("second", second))
    }
    named |= {
        "only first feasible": f"only {first} feasible",
        "only second feasible": f"only {second} feasible",
    }
    count = cells.size
    scale = unit(tie["unit"])[0] if tie["unit"] != "1" else 1.0
    low, high = (end / scale for end in tie["range"])
    content: dict[str, Any] = {
        "tie": [tie["name"]] * count,
        "first": [first] * count,
        "second": [second] * count,
        "input": [tie["input"]] * count,
        "unit": [tie["unit"]] * count,
        **{g: [composed.options[g]] * count for g in GROUPS if g != tie["of"]},
        **{name: [str(label)] * count for name, label in composed.labels.items()},
        **{name: cells.values[name] for name in sorted(cells.values) if name != "cell"},
        "verdict": [named.get(v, v) for v in ties.verdict],
        "break_even": ties.value / scale,
        "ties": ties.count.astype(np.int64),
        "low": np.full(count, low),
        "high": np.full(count, high),
        "ratio_at_low": ties.low,
        "ratio_at_high": ties.high,
    }
    if DRAW in content:
        content[DRAW] = content[DRAW].astype(np.int64)
    # Without a tie there is no value: quantiles of SQL pass over what is null, not over NaN.
    arrays = {
        name: pa.array(values, from_pandas=name == "break_even") for name, values in content.items()
    }
    fields = [
        field_of(name, array.type, Quantity(name, "1", "", _MEANINGS[name]))
        if name in _MEANINGS
        else field_of(name, array.type)
        for name, array in arrays.items()
    ]
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))


def write_ties(plain: Plain, target: Path) -> int:
    """Find the ties of a part and write them whole or not at all; returns the rows."""
    return write_table(tables(plain), target)


def between(
    overrides: list[str],
    path: str,
    ends: list[str],
    metric: str,
    largest: int,
    of: str = "",
    dirs: tuple[str, ...] = (),
) -> pa.Table:
    """The ties of the two options that one group of the overrides names, as rows.

    Layout, of up to `largest` devices, and batch are chosen for each design, over the grid of
    `infercost.operating`. Raises `SpecError`.
    """
    question = ask(overrides, dirs)
    pairs = [group for group, names in question.options.items() if len(names) == 2]
    if of and of not in pairs:
        raise SpecError("--of", of, "does not name two options", f"Write {of}=one,other")
    if not of and len(pairs) != 1:
        fault = f"{' and '.join(pairs) or 'no group'} names two options"
        remedy = (
            "Say which are the designs: --of" if pairs else "Write for example direction=hbf,none"
        )
        raise SpecError("overrides", "", fault, remedy)
    of = of or pairs[0]
    refuse_chosen(question, usual_grid(metric)["over"], "breakeven")
    options = Options(question)
    for composed in options.cases():
        assert composed.case is not None
    refuse_chosen(options.question, {full_path(options, path): []}, "--range")
    wanted = Tie(between=list(question.options[of]), input=full_path(options, path), range=ends)
    told = described(options, of, "command", wanted)
    swept = [name for axis in question.axes for name in axis.values]
    if told["input"] in swept:
        raise SpecError("--input", path, "is swept by an override too", "Leave one of them out")
    draws = None
    if question.draws is not None:
        draws = describe_draws(options, question.draws, swept)
    plain = {
        **options.to_plain(),
        "labels": [_entry(axis) for axis in options.question.labels],
        "axes": [_entry(axis) for axis in options.question.axes if axis.name != "batch"],
        **({} if draws is None else {"draws": draws}),
        "optimise": usual_grid(metric, largest=largest),
        "keep": "best",
        "break_even": told,
    }
    return tables(plain)


def _entry(axis: Axis) -> Plain:
    return {"name": axis.name, "values": {path: list(v) for path, v in axis.values.items()}}
