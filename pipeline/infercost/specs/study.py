"""A named question: axes, what to optimise over, what to keep, and how to answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import CountField, CountOrZeroField, FractionField, PositiveField, Spec

Values = Annotated[list[Any], Field(min_length=1)]


class Optimise(Spec):
    """Every case is judged at its own best operating point, found on the grid of `over`."""

    minimise: str
    """Column of the objective."""
    over: Annotated[dict[str, Values | dict[str, Values]], Field(min_length=1)]
    """Axes to choose along: values of a dotted path, or a name with several paths whose product is
    one axis, from which combinations that cannot be laid out are left out."""
    largest_replica: CountField
    """Most devices of one replica."""
    within_slo: bool
    """Whether TPOT and TTFT must meet the workload's objective."""


class Answer(Spec):
    """One sentence: a template, and the SQL over table `rows` that gives its values in one row."""

    text: str
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


class Replays(Spec):
    """Services to replay, in place of points to search: one part per case."""

    cases: Annotated[dict[str, Values], Field(min_length=1)]
    """Named overrides, as `infercost replay` takes them."""
    overrides: list[str] = []
    """Overrides of all cases."""
    requests: CountOrZeroField = 0
    """Requests of each trace, from its start; 0 is all."""
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
    variation_load: PositiveField = 0.8
    """Load at which they are replayed."""
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
    optimise: Optimise | None = None
    keep: Literal["all", "best", "pareto"] = "all"
    """Points that land: a whole grid, each case's best, or its front of TPOT against objective."""
    aggregates: dict[str, str] = {}
    """Named tables: SQL over the table `rows`."""
    answers: list[Answer] = []
    figures: list[FigureChoice] = []

    @model_validator(mode="after")
    def _has_points(self) -> Study:
        if self.measurements is None and self.replays is None:
            for name in ("axes", "split"):
                if not getattr(self, name):
                    raise ValueError(f"{name} is missing. Add '{name}:', or 'measurements:'")
        other = "measurements" if self.measurements is not None else "replays"
        for name in ("axes", "split", "optimise", "overrides"):
            searched = self.measurements is None and self.replays is None
            if not searched and getattr(self, name):
                raise ValueError(f"{name} does not go with {other}. Leave one of them out")
        return self
