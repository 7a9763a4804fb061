"""A named question: axes, what to optimise over, what to keep, and how to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from infercost.specs.break_even import BreakEven
from infercost.specs.draws import Draws
from infercost.specs.fields import (
    BytesField,
    CountField,
    CountOrZeroField,
    FractionField,
    PositiveField,
    Spec,
)

Values = Annotated[list[Any], Field(min_length=1)]


OTHER_POINTS = ("measurements", "fleet", "replays")
"""Keys of a study whose points are no search over axes; one of them at most."""
OWN_TABLES = ("rows", "operators", "sensitivity")
"""Tables made without asking: rows, operators of best points, indices of uncertain inputs."""


def by_path(over: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched over by path, those that vary together too."""
    return {
        path: given
        for name, values in over.items()
        for path, given in (values if isinstance(values, Mapping) else {name: values}).items()
    }


class Optimise(Spec):
    """Every case is judged at its own best operating point, found on the grid of `over`."""

    minimise: str | Values
    """Column of the objective; of several, each chooses operating points of its own."""
    over: Annotated[dict[str, Values | dict[str, Values]], Field(min_length=1)]
    """Axes to choose along: values of a dotted path, or a name with several paths whose product is
    one axis, from which combinations that cannot be laid out are left out."""
    largest_replica: CountField
    """Most devices of one replica."""
    within_slo: bool
    """Whether TPOT and TTFT must meet the workload's objective."""

    @property
    def objectives(self) -> tuple[str, ...]:
        """Columns to minimise, each on its own."""
        return (self.minimise,) if isinstance(self.minimise, str) else tuple(self.minimise)


class Range(Spec):
    """Two ends between which a path is sampled, each with its unit."""

    low: int | float | str
    high: int | float | str
    scale: Literal["linear", "log"] = "linear"


class Sample(Spec):
    """Points spread over several paths at once, where a grid of them all would be too large."""

    count: CountField
    method: Literal["latin-hypercube", "sobol"]
    seed: CountOrZeroField
    over: Annotated[dict[str, Range], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_balanced(self) -> Sample:
        if self.method == "sobol" and self.count & (self.count - 1):
            near = 1 << self.count.bit_length()
            raise ValueError(f"count {self.count} is no power of 2, which sobol needs. Take {near}")
        return self


class PartSize(Spec):
    """How large a part may become. The size of a dataset's files; no value depends on it."""

    rows: CountField = 2_000_000
    """Cases of a part: rows that land, or several for each case where a front is kept."""
    size: BytesField = 1e9
    """Values of a part, uncompressed: eight bytes for each column of a row."""


class Answer(Spec):
    """One sentence: a template, and the SQL over table `rows`, and over aggregates by name, that
    gives its values in one row."""

    text: str
    """`{name:.2f}` takes a value; `{name:.2f~}` tells the range of measurements behind it too."""
    values: str


class FigureChoice(Spec):
    """A figure by name, and the options it takes."""

    name: str
    options: dict[str, Any] = {}


class Measurements(Spec):
    """Published points to predict, in place of points to search."""

    table: str
    """CSV of measurements, columns as in data/reference/measured.csv."""
    examination: str = ""
    """CSV of each row's errors by fits that had not seen it, as `make calibrate` writes it."""


class Fleets(Spec):
    """Scenarios of fleets to plan, in place of points: options of the group `fleet`."""

    scenarios: Annotated[list[str], Field(min_length=1)]


class Replays(Spec):
    """Services to replay, in place of points to search: one part per case."""

    cases: Annotated[dict[str, Values], Field(min_length=1)]
    """Named overrides, as `infercost replay` takes them."""
    overrides: list[str] = []
    """Overrides of all cases."""
    requests: CountOrZeroField = 0
    """Requests of each trace, from its start; 0 is all."""
    every: CountField = 1
    """Of these each so many-th: a long trace thinned evenly, its hours as they were mixed."""
    arrivals: Literal["trace", "poisson"] = "trace"
    """Times of a trace, or Poisson arrivals at its mean rate."""
    rate: PositiveField | None = None
    """Requests per second where a trace has no arrivals of its own; they are Poisson then."""
    share: FractionField = 0.9
    """Share of requests that must keep the workload's objective."""
    tolerance: PositiveField = 0.03
    """Width of the bracket around the largest rate."""
    relative: bool = True
    """Whether loads are shares of the largest rate of the case, or requests per second."""
    loads: list[PositiveField] = []
    """Loads to replay."""
    variations: list[PositiveField] = []
    """Squared coefficients of variation of gaps, to replay the same requests at gamma arrivals."""
    variation_loads: list[PositiveField] = [0.8]
    """Loads at which they are replayed."""
    seed: CountOrZeroField = 0
    """Of arrivals and accepted drafts."""


class Study(Spec):
    """A study. `axes` over groups name options; over dotted paths, values.

    A study of `measurements` has neither axes nor an operating point to choose: its rows are the
    table's.
    """

    name: str
    question: str
    overrides: list[str] = []
    """Choices and values that hold for every case."""
    measurements: Measurements | None = None
    replays: Replays | None = None
    axes: dict[str, Values] = {}
    split: str = ""
    """Axis along which the study is cut into parts, one job each."""
    draws: Draws | None = None
    """Uncertain inputs, drawn the same for every design; each draw has its own best point."""
    sample: Sample | None = None
    """Paths that are sampled together, in place of a grid or beside one."""
    part: PartSize = PartSize()
    """Where a value of `split` makes too large a part, it is cut further."""
    optimise: Optimise | None = None
    break_even: BreakEven | None = None
    """Values at which two designs tie, in place of designs: a row per tie, case and draw."""
    fleet: Fleets | None = None
    """Fleets to plan, in place of points: rows are the numbers of each scenario's plan."""
    keep: Literal["all", "best", "pareto"] = "all"
    """Points that land: a whole grid, each case's best, or its front of TPOT against objective."""
    aggregates: dict[str, str] = {}
    """Named tables: SQL over the table `rows`."""
    answers: list[Answer] = []
    figures: list[FigureChoice] = []

    @field_validator("aggregates")
    @classmethod
    def _names_are_free(cls, aggregates: dict[str, str]) -> dict[str, str]:
        for name in OWN_TABLES:
            if name in aggregates:
                raise ValueError(f"{name} is a table of every study. Choose another name")
        return aggregates

    @property
    def drawn(self) -> dict[str, FigureChoice]:
        """Figures by the name of their files: a kind's second one has a 2 behind, and so on."""
        found: dict[str, FigureChoice] = {}
        for choice in self.figures:
            earlier = sum(other.name == choice.name for other in found.values())
            found[choice.name if not earlier else f"{choice.name}-{earlier + 1}"] = choice
        return found

    @model_validator(mode="after")
    def _has_points(self) -> Study:
        searched = ("axes", "split", "sample", "draws", "optimise", "break_even")
        other = next((kind for kind in OTHER_POINTS if getattr(self, kind) is not None), None)
        if other is None:
            for name in ("axes", "split") if self.break_even is None else ():
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing. Add '{name}:', or 'measurements:'")
        if self.break_even is not None and self.optimise is None:
            raise ValueError("optimise is missing. Say what break_even has to tie, and over what")
        alone = () if other is None else (*searched, *(k for k in OTHER_POINTS if k != other))
        for name in (*alone, *(("overrides",) if other in ("measurements", "replays") else ())):
            if getattr(self, name):
                raise ValueError(f"{name} does not go with {other}. Leave one of them out")
        return self
