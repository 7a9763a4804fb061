"""A claim of the literature or of this project, and the query that decides it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infercost.specs.fields import FractionField, Spec

Scale = Literal["ratio", "share", "count"]


class Claim(Spec):
    """What is claimed, by whom, and which rows of which study speak for or against it."""

    claim: str
    """One sentence that can be wrong."""
    by: str
    """Who says so: a key of `conf/sources.yaml` with a place, or `thesis`: this project itself."""
    study: str
    """Whose published rows decide."""
    query: str
    """SQL over `rows`, and over the study's aggregates by name: one row per case, the number in
    `value`, every other column says which."""
    value: str
    """What the number is, with its unit."""
    scale: Scale = "ratio"
    """How numbers are held against the threshold: as ratios, as shares of a whole (by odds), or as
    counts, which no measurement error moves."""
    at_least: Annotated[float | None, Field(allow_inf_nan=False)] = None
    """A case supports the claim where its number is this or more."""
    at_most: Annotated[float | None, Field(allow_inf_nan=False)] = None
    """A case supports the claim where its number is this or less."""
    share: FractionField = 0.9
    """Share of cases that must support the claim, or must not for it to be refuted."""
    note: str = ""
    """What a reader should know: assumptions, or why the verdict is what it is."""

    @model_validator(mode="after")
    def _has_one_threshold(self) -> Claim:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("needs one threshold. Add 'at_least:' or 'at_most:', not both")
        threshold = self.threshold
        if self.scale == "ratio" and threshold <= 0:
            raise ValueError(f"a ratio is held against a number above 0, not {threshold:g}")
        if self.scale == "share" and not 0 < threshold < 1:
            raise ValueError(f"a share is held against a number between 0 and 1, not {threshold:g}")
        return self

    @property
    def threshold(self) -> float:
        """The number that values are held against."""
        return float(self.at_least if self.at_least is not None else self.at_most or 0.0)
