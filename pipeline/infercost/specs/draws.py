"""Draws of uncertain inputs: how many, of what, and which go together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from infercost.specs.fields import CountField, Spec

Distributed = Literal["uniform", "loguniform", "triangular", "lognormal", "choices"]

STATED = "stated"
"""An input that is drawn as the options state it."""


class Distribution(Spec):
    """What one uncertain number may be, in SI units.

    `uniform` and `loguniform` have two ends, the latter evenly in the logarithm; `triangular` has
    low end, mode and high end; `lognormal` its 10th and 90th percentile; `choices` have weights.
    """

    kind: Distributed
    values: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    weights: Annotated[tuple[float, ...], Field(strict=False)] = ()


class Correlation(Spec):
    """Two inputs that go together: the correlation of their normal scores (a Gaussian copula)."""

    between: Annotated[list[str], Field(min_length=2, max_length=2)]
    rho: Annotated[float, Field(ge=-1, le=1, strict=False)]
    source: str


class Draws(Spec):
    """A sample of the uncertain inputs, the same for every design: comparisons are paired."""

    count: CountField
    seed: Annotated[int, Field(ge=0)] = 0
    inputs: dict[str, Any] | list[str] = {}
    """Dotted paths, each as the options state it (`stated`, or a bare list) or with a distribution
    and its `source`. None named: every number that an option states as uncertain."""
    correlations: list[Correlation] = []
    sensitivity: list[str] = []
    """Metrics whose variance is split among the inputs: `count` becomes the base of Saltelli's
    design, which takes count x (inputs + 2) draws."""
    columns: list[str] = []
    """Metrics that land; all where none is named."""
