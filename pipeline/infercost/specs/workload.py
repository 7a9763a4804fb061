"""What requests look like: prompt and output lengths as a joint distribution, and the objective."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from infercost.specs.fields import (
    CorrelationField,
    CountField,
    CountOrZeroField,
    DurationField,
    NonNegativeField,
    OutputTokensField,
    SourcedSpec,
    Spec,
    TokensField,
    TokensOrZeroField,
)


class Slo(Spec):
    """Service level objective. A study may constrain its operating points by it.

    A latency that is not stated may be as long as it wants.
    """

    ttft: DurationField | None = None
    """Longest time to first token at the 90th percentile of prompts, without queueing."""
    tpot: DurationField | None = None
    """Longest mean time per output token."""

    @property
    def limits(self) -> tuple[float, float]:
        """TTFT and TPOT at most; infinite where not stated."""
        ttft, tpot = (math.inf if each is None else each for each in (self.ttft, self.tpot))
        return ttft, tpot


class FixedLengths(SourcedSpec):
    """Every request alike."""

    kind: Literal["fixed"]
    name: str
    prompt_tokens: TokensField
    """Tokens that every request brings."""
    output_tokens: OutputTokensField
    """Tokens of every answer, more than one: the first token comes from prefill, the others from
    decode steps."""
    cached_tokens: TokensOrZeroField = 0.0
    """Tokens at the head of every prompt that a prefix cache holds: they are not computed, but read
    by attention and kept by each sequence. One token is always left to compute."""
    slo: Slo | None = None


class TraceLengths(SourcedSpec):
    """Lengths of recorded requests, taken as their joint empirical distribution."""

    kind: Literal["trace"]
    name: str
    file: str
    """Parquet with `input_tokens` and `output_tokens`, below the project's data folder."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    rows: dict[str, str] = {}
    """Text that a column must have, for a file of several services; all rows where nothing is
    stated."""
    empty_prompts: CountOrZeroField = 0
    """Rows whose prompt was not logged, which are left out; more or fewer are a fault."""
    thoughts: str = ""
    """Column of output tokens that are thought, before the answer; empty where there is none."""
    answers_alone: bool = False
    """Leave the thoughts out: what the same requests were without them."""
    slo: Slo | None = None


class LognormalLengths(SourcedSpec):
    """Prompts and outputs of lognormal laws that go together by a Gaussian copula."""

    kind: Literal["lognormal"]
    name: str
    prompt_mean: TokensField
    prompt_sigma: NonNegativeField
    """Standard deviation of the logarithm; 0 makes all prompts alike."""
    output_mean: OutputTokensField
    output_sigma: NonNegativeField
    correlation: CorrelationField = 0.0
    """Rank correlation (Spearman's) of a request's prompt and output; 0: independent."""
    slo: Slo | None = None


class Snapshot(SourcedSpec):
    """Decode alone, every sequence at one context length: for comparison with measured steps."""

    kind: Literal["snapshot"]
    name: str
    context: TokensField
    slo: Slo | None = None


class Media(SourcedSpec):
    """Requests for pictures or clips, of a model that denoises them; all alike."""

    kind: Literal["media"]
    name: str
    width: CountField
    """Pixels."""
    height: CountField
    """Pixels."""
    frames: CountField = 1
    """Frames of a clip; 1 for an image."""
    duration: DurationField | None = None
    """Time that a clip plays."""
    steps: CountOrZeroField = 0
    """Denoising steps; 0 takes the model's own."""
    slo: Slo | None = None


Workload = Annotated[
    FixedLengths | TraceLengths | Snapshot | LognormalLengths | Media, Field(discriminator="kind")
]
