"""Requests to replay: a trace, or what stands for one, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from infercost.arrays import FloatArray
from infercost.errors import SpecError
from infercost.paths import data_file
from infercost.specs.workload import FixedLengths, Snapshot, TraceLengths, Workload
from infercost.workloads.traces import read_trace

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """Requests in order of arrival."""

    name: str
    arrival: FloatArray
    prompt: IntArray
    output: IntArray
    blocks: IntArray
    """Ids of prefix blocks from 0 up, request after request."""
    starts: IntArray
    block_tokens: int = 0
    """Tokens of a prefix block; 0 where prefixes are not known."""
    thought: IntArray | None = None
    """Output tokens before the answer; none where not known."""

    @property
    def size(self) -> int:
        """Number of requests."""
        return int(self.arrival.size)

    @property
    def rate(self) -> float:
        """Requests per second, over the time between the first and the last."""
        span = float(self.arrival[-1] - self.arrival[0]) if self.size > 1 else 0.0
        return (self.size - 1) / span if span > 0 else float("inf")

    @property
    def mean_context(self) -> float:
        """Mean context of a sequence in flight."""
        output = self.output.astype(np.float64)
        return float(((self.prompt + output / 2) * output).sum() / output.sum())

    @property
    def longest(self) -> int:
        """Most tokens of one request."""
        return int((self.prompt + self.output).max())

    def at_rate(self, rate: float) -> Arrivals:
        """The same requests with all gaps stretched alike, so that they come at `rate`."""
        if not (np.isfinite(rate) and rate > 0):
            raise SpecError("rate", "", f"{rate} is not a positive number of requests per second")
        if self.size < 2:
            return self
        if not np.isfinite(self.rate):
            raise SpecError(self.name, "arrival_s", "all requests arrive at once: no rate to scale")
        return replace(self, arrival=(self.arrival - self.arrival[0]) * (self.rate / rate))

    def head(self, count: int) -> Arrivals:
        """The first requests."""
        return self if not 0 < count < self.size else self.chosen(np.arange(count))

    def chosen(self, index: IntArray) -> Arrivals:
        """Some of the requests, in that order."""
        counts = np.diff(self.starts)[index]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.repeat(self.starts[index] - starts[:-1], counts) + np.arange(starts[-1])
        return replace(
            self,
            arrival=self.arrival[index],
            prompt=self.prompt[index],
            output=self.output[index],
            blocks=self.blocks[places],
            starts=starts,
            thought=None if self.thought is None else self.thought[index],
        )

    def with_arrivals(self, arrival: FloatArray) -> Arrivals:
        """The same requests at other times."""
        return replace(self, arrival=arrival)


def arrivals(
    name: str,
    arrival: FloatArray,
    prompt: FloatArray | IntArray,
    output: FloatArray | IntArray,
    blocks: IntArray | None = None,
    starts: IntArray | None = None,
    block_tokens: int = 0,
) -> Arrivals:
    """Checked requests. Raises `SpecError` with how many are wrong, and what is wrong with them."""
    sizes = {np.size(arrival), np.size(prompt), np.size(output)}
    if len(sizes) > 1:
        raise SpecError(name, "", "arrivals, prompts and outputs differ in number")
    if sizes == {0}:
        raise SpecError(name, "", "holds no request", "Name a trace with requests")
    _all(name, "arrival_s", np.isfinite(arrival), "not a number")
    _all(name, "input_tokens", np.isfinite(prompt), "not a number")
    _all(name, "output_tokens", np.isfinite(output), "not a number")
    _all(name, "arrival_s", np.asarray(arrival) >= 0, "negative")
    _all(name, "input_tokens", np.asarray(prompt) >= 1, "less than one token")
    _all(name, "output_tokens", np.asarray(output) >= 1, "less than one token")
    later = np.diff(arrival, prepend=arrival[0]) >= 0
    _all(name, "arrival_s", later, "earlier than the row before", "Sort the rows by arrival")
    count = np.size(arrival)
    if blocks is None or starts is None:
        blocks, starts, block_tokens = np.zeros(0, np.int64), np.zeros(count + 1, np.int64), 0
    known = np.unique(blocks, return_inverse=True)[1] if blocks.size else blocks
    return Arrivals(
        name,
        np.asarray(arrival, dtype=np.float64),
        np.asarray(prompt).astype(np.int64),
        np.asarray(output).astype(np.int64),
        known.astype(np.int64),
        starts.astype(np.int64),
        block_tokens,
    )


def _all(name: str, key: str, good: NDArray[np.bool_], what: str, remedy: str = "") -> None:
    bad = int((~good).sum())
    if bad:
        first = int(np.argmin(good))
        fault = f"{bad} of {good.size} rows are {what}, row {first} first"
        raise SpecError(name, key, fault, remedy)


def poisson(rate: float, count: int, seed: int, squared_variation: float = 1.0) -> FloatArray:
    """Arrival times with gamma gaps of a given squared coefficient of variation; 1 is Poisson."""
    generator = np.random.Generator(np.random.PCG64(seed))
    shape = 1.0 / squared_variation
    gaps = generator.gamma(shape, 1.0 / (rate * shape), count)
    times: FloatArray = np.cumsum(gaps) - gaps[0]
    return times


def spread(arrival: FloatArray) -> FloatArray:
    """Arrivals that are published in coarse steps, spread evenly over each step.

    Only where most gaps are zero, as in Mooncake's steps of 3 s: bunches there are of the clock.
    """
    times, counts = np.unique(arrival, return_counts=True)
    if times.size < 2 or 2 * times.size > arrival.size:
        return arrival
    width = np.append(np.diff(times), np.median(np.diff(times)))
    within = np.concatenate([np.arange(n) / n for n in counts])
    result: FloatArray = np.repeat(times, counts) + np.repeat(width, counts) * within
    return result


def of_workload(workload: Workload, count: int, rate: float | None, seed: int) -> Arrivals:
    """Requests of a workload option: a trace at its own times, or Poisson arrivals of lengths.

    `count` limits them (0 is all of a trace, 1,000 of fixed lengths); `rate` stretches a trace's
    gaps, and is needed where none are published. Coarse steps are spread (`spread`).
    """
    if isinstance(workload, FixedLengths):
        size = count or 1000
        if rate is None:
            raise SpecError(f"workload '{workload.name}'", "", "has no arrivals", "Name a --rate")
        prompt = np.full(size, round(float(workload.prompt_tokens)))
        output = np.full(size, round(float(workload.output_tokens)))
        return arrivals(workload.name, poisson(rate, size, seed), prompt, output)
    if not isinstance(workload, TraceLengths):
        kind = "a snapshot" if isinstance(workload, Snapshot) else "of pictures"
        fault = f"is {kind} and has no requests to replay"
        raise SpecError(f"workload '{workload.name}'", "kind", fault, "Take a trace")
    trace = read_trace(
        data_file(workload.file), workload.sha256, workload.rows, int(workload.empty_prompts),
        workload.thoughts,
    )  # fmt: skip
    if workload.answers_alone:
        trace = trace.without_thoughts()
    times = trace.arrival if trace.session is None else None
    if times is None:
        if rate is None:
            fault = "has no arrivals over the whole trace"
            raise SpecError(f"workload '{workload.name}'", "arrival_s", fault, "Name a --rate")
        times = poisson(rate, trace.prompt.size, seed)
    times = spread(times)
    found = arrivals(
        workload.name, times, trace.prompt, trace.output,
        trace.blocks, trace.starts, trace.block_tokens,
    )  # fmt: skip
    if trace.thought is not None:
        found = replace(found, thought=trace.thought.astype(np.int64))
    found = found.head(count)
    return found if rate is None else found.at_rate(rate)


def thinned(requests: Arrivals, every: int, is_poisson: bool, seed: int) -> Arrivals:
    """Each so many-th request, at its own time or at Poisson arrivals of the same rate."""
    if every > 1:
        requests = requests.chosen(np.arange(0, requests.size, every))
    if is_poisson:
        times = poisson(requests.rate, requests.size, seed)
        requests = requests.with_arrivals(times).at_rate(requests.rate)
    return requests
