"""Request lengths as a distribution: what prefill and decode need to know of a workload.

Decode cost is linear in the visible context, so its in-flight mean is exact; a request of n tokens
is in flight for n - 1 steps, hence the mean is weighted by output length. Prefill cost is not
linear in the prompt, so prompts are kept in strata of equal count, on the grid's last dimension.
Memory room depends on the spread of contexts too, and on the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infercost.arrays import Array, FloatArray, as_array
from infercost.equations.attention import attended_pairs
from infercost.errors import SpecError
from infercost.paths import data_file
from infercost.specs.trend import Trend
from infercost.specs.workload import FixedLengths, LognormalLengths, Snapshot, TraceLengths
from infercost.workloads.prefix_cache import Policy, Pool, cached_tokens
from infercost.workloads.traces import Trace, lognormal_trace, read_trace

UNLIMITED = 1e15
"""A window that sees everything: larger than any context, small enough to square."""

STRATA = 16
COARSE = 4
"""Strata that suffice to tell which of two ways is the faster."""
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Lengths:
    """Statistics of a workload. Arrays broadcast over the grid; prompts fill its last dimension.

    `prompt` holds the mean prompt of each stratum, then the prompts at `QUANTILES`; `weight` is the
    share of requests in each, zero for the quantiles. `pairs(w)` is the mean number of query-key
    pairs per prompt. `context(w)`, `deviation(w)` and `longest(w)` describe the visible tokens of a
    sequence in flight. `prefills_per_step` and `tokens_per_step` are per sequence in flight.
    """

    prompt: Array
    weight: FloatArray
    pairs: Callable[[float], Array]
    context: Callable[[float], Array]
    deviation: Callable[[float], Array]
    longest: Array
    prompt_mean: Array
    output_mean: Array
    prefills_per_step: Array
    tokens_per_step: Array
    whole: Callable[[int], Array]
    """Mean over steps of a power of a request's tokens, prompt and output together."""
    per_step: Array = 1.0
    """Tokens of one sequence that a step takes through the model."""
    at_once: Array = 1.0
    """Output tokens that become readable together: one, a block, or all."""
    first_steps: Array = 0.0
    """Steps before the first of them; none where the prefill gives it."""
    pace: Array = 1.0
    """Output tokens that a step gives each sequence."""
    cached_prompt: Array = 0.0
    """Mean tokens of each stratum's prompts that are found in a cache of prefixes."""
    cached_pairs: Callable[[float], Array] = lambda window: 0.0
    """Mean query-key pairs of them, by stratum."""
    branches: Array = 1.0
    """Answers of one request, all from one prefill."""
    cached: bool = True
    """Whether steps read a cache, and prompts are prefilled into it."""
    makes_tokens: bool = True
    """Whether the output is text; else pictures or clips, counted one by one."""

    @property
    def reuses(self) -> bool:
        """Whether any prompt finds a part of itself in a prefix cache."""
        return bool(np.any(as_array(self.cached_prompt) > 0))

    def coarse(self) -> Lengths:
        """The same requests in `COARSE` strata, without quantiles."""
        kept = self.weight.size - len(QUANTILES)
        if kept <= COARSE or kept % COARSE or np.any(self.weight[:kept] != self.weight[0]):
            return self

        def joined(value: Array) -> Array:
            whole = np.asarray(value)
            if whole.ndim == 0 or whole.shape[-1] == 1:
                return value
            strata: FloatArray = whole[..., :kept].reshape(*whole.shape[:-1], COARSE, -1)
            means: FloatArray = strata.mean(axis=-1)
            return means

        return replace(
            self,
            prompt=joined(self.prompt),
            weight=np.full(COARSE, 1.0 / COARSE),
            pairs=lambda window: joined(self.pairs(window)),
            cached_prompt=joined(self.cached_prompt),
            cached_pairs=lambda window: joined(self.cached_pairs(window)),
        )

    def mean(self, per_prompt: Array) -> Array:
        """Mean over requests of a quantity that is known per stratum."""
        weighted = as_array(per_prompt) * self.weight
        total: FloatArray = np.sum(weighted, axis=-1, keepdims=True)
        return total

    def quantile(self, per_prompt: Array, q: float) -> Array:
        """The quantity at one of `QUANTILES` of the prompts; it must grow with the prompt."""
        value = as_array(per_prompt)
        if value.ndim == 0 or value.shape[-1] == 1:
            return value
        index = self.weight.size - len(QUANTILES) + QUANTILES.index(q)
        return value[..., index : index + 1]


def has_requests(workload: object) -> bool:
    """Whether each point has strata of requests, rather than one of each kind."""
    return isinstance(workload, TraceLengths | LognormalLengths)


def lengths_of(
    workload: FixedLengths | TraceLengths | LognormalLengths | Snapshot,
    trend: Trend,
    pool: Pool | None = None,
) -> Lengths:
    """The length statistics of `workload` with the tokens that `trend` adds to each request.

    `pool` is a prefix cache; what it holds when each request of a trace comes is simulated.
    """
    if pool is not None and not isinstance(workload, TraceLengths):
        raise SpecError(
            "plan",
            "prefix_cache.capacity",
            f"the requests of '{workload.name}' have no history from which to fill a prefix cache",
            "Take a trace with prefix blocks, or state workload.cached_tokens of kind 'fixed'",
        )
    if isinstance(workload, Snapshot):
        return _snapshot(workload, trend)
    if isinstance(workload, FixedLengths):
        return _fixed(
            workload.prompt_tokens + trend.prompt_tokens,
            workload.output_tokens + trend.output_tokens,
            workload.cached_tokens + trend.cached_share * trend.prompt_tokens,
        )
    if isinstance(workload, LognormalLengths):
        prompt, output = workload.prompt_mean, workload.output_mean
        laws = (prompt, workload.prompt_sigma, output, workload.output_sigma, workload.correlation)
        if any(np.size(law) > 1 for law in laws):
            fault = "parameters of a law share no axis"
            raise SpecError("workload", "prompt_mean", fault, "Evaluate them apart")
        return _trace(lognormal_trace(*(float(np.ravel(law)[0]) for law in laws)), trend, None)
    rows = tuple(sorted(workload.rows.items()))
    named = _Named(
        data_file(workload.file), workload.sha256, rows, int(workload.empty_prompts),
        workload.thoughts, workload.answers_alone,
    )  # fmt: skip
    trace = _recorded(named)
    if pool is not None and not trace.has_prefixes:
        raise SpecError(
            "plan",
            "prefix_cache.capacity",
            f"the trace of '{workload.name}' has no prefix blocks",
            "Take one that has, such as workload=mooncake-conversation",
        )
    return _trace(trace, trend, pool)


def _snapshot(workload: Snapshot, trend: Trend) -> Lengths:
    if np.any(as_array(trend.output_tokens) > 0):
        raise SpecError(
            f"trend '{trend.name}'",
            "output_tokens",
            "a snapshot decodes at one context and has no outputs to lengthen",
            "Take a workload of kind 'fixed' or 'trace'",
        )
    context = workload.context + trend.prompt_tokens
    return Lengths(
        prompt=context,
        weight=np.ones(1),
        pairs=lambda window: attended_pairs(context, window),
        context=lambda window: np.minimum(context, window),
        deviation=lambda window: 0.0 * context,
        longest=context,
        prompt_mean=context,
        output_mean=float("nan"),
        prefills_per_step=0.0,
        tokens_per_step=1.0,
        whole=lambda power: context**power,
    )


def _power_sum(tokens: Array, window: float) -> Array:
    """Sum of min(i, w)^2 for i = 1..S."""
    seen = np.minimum(tokens, window)
    squares = seen * (seen + 1.0) * (2.0 * seen + 1.0) / 6.0
    return squares + np.minimum(window, tokens) ** 2 * (tokens - seen)


def _fixed(prompt: Array, output: Array, cached: Array) -> Lengths:
    found = np.minimum(cached, prompt - 1.0)
    steps = output - 1.0
    last = prompt + steps

    def context(window: float) -> Array:
        return (attended_pairs(last, window) - attended_pairs(prompt, window)) / steps

    def deviation(window: float) -> Array:
        square = (_power_sum(last, window) - _power_sum(prompt, window)) / steps
        return np.sqrt(np.maximum(square - context(window) ** 2, 0.0))

    return Lengths(
        prompt=prompt,
        weight=np.ones(1),
        pairs=lambda window: attended_pairs(prompt, window),
        context=context,
        deviation=deviation,
        longest=last,
        prompt_mean=prompt,
        output_mean=output,
        prefills_per_step=1.0 / steps,
        tokens_per_step=output / steps,
        whole=lambda power: (prompt + output) ** power,
        cached_prompt=found,
        cached_pairs=lambda window: attended_pairs(found, window),
    )


@dataclass(frozen=True)
class _Requests:
    """A trace sorted by what is to be computed, with `bounds` where its strata begin."""

    prompt: FloatArray
    output: FloatArray
    cached: FloatArray
    bounds: FloatArray

    def lengthened(self, prompt: float, output: float, cached: float) -> _Requests:
        more = np.minimum(self.cached + cached, self.prompt + prompt - 1.0)
        return _Requests(self.prompt + prompt, self.output + output, more, self.bounds)

    def strata(self, values: FloatArray) -> FloatArray:
        """Mean of `values` per stratum, then the values at the quantiles."""
        starts = self.bounds.astype(int)
        counts = np.diff(np.append(starts, values.size))
        means = np.add.reduceat(values, starts) / counts
        return np.concatenate([means, values[self._quantile_rows()]])

    def weight(self) -> FloatArray:
        starts = self.bounds.astype(int)
        counts = np.diff(np.append(starts, self.prompt.size))
        return np.concatenate([counts / self.prompt.size, np.zeros(len(QUANTILES))])

    def _quantile_rows(self) -> list[int]:
        return [int(np.ceil(q * self.prompt.size)) - 1 for q in QUANTILES]

    def in_flight(self, values: Callable[[FloatArray], FloatArray]) -> float:
        """Mean per decode step of a quantity whose sum over positions 1..S is `values(S)`."""
        steps = self.output - 1.0
        total = values(self.prompt + steps) - values(self.prompt)
        return float(total.sum() / steps.sum())

    def weighted(self, values: FloatArray) -> float:
        """Mean per step of a quantity that a request keeps over all its steps."""
        return float((values * self.output).sum() / self.output.sum())


class _Named(NamedTuple):
    """What makes a trace."""

    path: Path
    sha256: str
    rows: tuple[tuple[str, str], ...]
    empty_prompts: int
    thoughts: str = ""
    answers_alone: bool = False


@lru_cache(maxsize=16)
def _recorded(workload: _Named) -> Trace:
    trace = read_trace(
        workload.path, workload.sha256, dict(workload.rows), workload.empty_prompts,
        workload.thoughts,
    )  # fmt: skip
    if workload.answers_alone:
        trace = trace.without_thoughts()
    if trace.output.max() < 2:
        fault = "holds no request with two output tokens"
        raise SpecError(str(workload.path), "input_tokens, output_tokens", fault)
    return trace


@lru_cache(maxsize=64)
def _requests(trace: Trace, blocks: float, policy: Policy) -> _Requests:
    """Requests of a trace beside a prefix cache of so many blocks, sorted by tokens to compute."""
    prompt, output = trace.prompt, trace.output
    cached = cached_tokens(trace, blocks, policy)
    order = np.lexsort((output, prompt, prompt - cached))
    bounds = np.floor(np.arange(min(STRATA, prompt.size)) * prompt.size / STRATA)
    first = np.diff(bounds, prepend=-1.0) > 0  # they rise; numpy.unique imports masked arrays
    return _Requests(prompt[order], output[order], cached[order], bounds[first])


def _over(evaluate: Callable[..., FloatArray | float], *parameters: Array) -> Array:
    """`evaluate` at each combination of broadcast parameters; a vector fills the last dimension."""
    if all(np.ndim(p) == 0 for p in parameters):
        return as_array(evaluate(*(float(p) for p in parameters)))
    grids = np.broadcast_arrays(*parameters)
    rows = [
        np.atleast_1d(evaluate(*values))
        for values in zip(*(g.ravel().tolist() for g in grids), strict=True)
    ]
    return np.asarray(rows).reshape(*grids[0].shape[:-1], -1)


def _remembered(evaluate: Callable[[float], Array]) -> Callable[[float], Array]:
    """`evaluate` with its answers kept: every layer asks for the same few windows."""
    known: dict[float, Array] = {}

    def lookup(window: float) -> Array:
        if np.ndim(window):  # an axis over windows: not a key
            return evaluate(window)
        if window not in known:
            known[window] = evaluate(window)
        return known[window]

    return lookup


def _trace(trace: Trace, trend: Trend, pool: Pool | None) -> Lengths:
    policy: Policy = "lru" if pool is None else pool.policy
    added = (
        0.0 if pool is None else pool.blocks(trace.block_tokens),
        trend.prompt_tokens,
        trend.output_tokens,
        trend.cached_share * trend.prompt_tokens,
    )
    if all(np.ndim(each) == 0 for each in added):
        return _one_of_trace(trace, policy, *map(float, added))
    return _of_trace(trace, policy, *added)


def _of_trace(
    trace: Trace, policy: Policy, blocks: Array, prompt: Array, output: Array, cached: Array
) -> Lengths:
    """Statistics of a trace beside a pool of blocks, with tokens added to each request."""

    def on(evaluate: Callable[..., FloatArray | float], *window: float) -> Array:
        """`evaluate(requests, window)` for each dose of the trend and each room of the cache."""

        def at(blocks: float, prompt: float, output: float, cached: float, *w: float) -> Any:
            found = _requests(trace, blocks, policy)
            return evaluate(found.lengthened(prompt, output, cached), *w)

        return _over(at, blocks, prompt, output, cached, *window)

    def context(window: float) -> Array:
        return on(lambda r, w: r.in_flight(lambda s: as_array(attended_pairs(s, w))), window)

    def deviation(window: float) -> Array:
        square = on(lambda r, w: r.in_flight(lambda s: as_array(_power_sum(s, w))), window)
        return np.sqrt(np.maximum(square - context(window) ** 2, 0.0))

    def pairs(window: float) -> Array:
        return on(lambda r, w: r.strata(as_array(attended_pairs(r.prompt, w))), window)

    def cached_pairs(window: float) -> Array:
        return on(lambda r, w: r.strata(as_array(attended_pairs(r.cached, w))), window)

    output_mean = on(lambda r: float(r.output.mean()))
    return Lengths(
        prompt=on(lambda r: r.strata(r.prompt)),
        weight=_requests(trace, 0.0, policy).weight(),
        pairs=_remembered(pairs),
        context=_remembered(context),
        deviation=_remembered(deviation),
        longest=on(lambda r: float((r.prompt + r.output - 1.0).max())),
        prompt_mean=on(lambda r: float(r.prompt.mean())),
        output_mean=output_mean,
        prefills_per_step=1.0 / (output_mean - 1.0),
        tokens_per_step=output_mean / (output_mean - 1.0),
        whole=lambda power: on(lambda r: r.weighted((r.prompt + r.output) ** power)),
        cached_prompt=on(lambda r: r.strata(r.cached)),
        cached_pairs=_remembered(cached_pairs),
    )


_one_of_trace = lru_cache(maxsize=64)(_of_trace)
"""As `_of_trace`, of numbers alone: what thousands of requests add up to is found once."""
