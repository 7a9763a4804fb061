"""Traces of requests: lengths, arrivals, sessions and prefix blocks, refused by name where wrong.

One Parquet file holds one trace: `input_tokens`, `output_tokens`, and where published `arrival_s`,
`session_id` and `prefix_hash_ids`, whose block size is in the file's metadata. Arrival times run
within a session where there are sessions, else over the whole file. An id of a prefix block stands
for the block and all before it, so that equal ids mean equal prefixes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from infercost.arrays import FloatArray
from infercost.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

IntArray = NDArray[np.int64]

TOKENS = ("input_tokens", "output_tokens")


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in published order."""

    file: str
    prompt: FloatArray
    """Tokens of each prompt."""
    output: FloatArray
    """Tokens of each output."""
    arrival: FloatArray | None
    """Seconds since the start of the trace, or of each session; none where not published."""
    session: IntArray | None
    """Number of the session of each request; none where requests stand alone."""
    blocks: IntArray
    """Ids of all prefix blocks, request after request; empty where not published."""
    starts: IntArray
    """Where the blocks of each request begin in `blocks`, and where the last one's end."""
    block_tokens: int
    """Tokens of a prefix block; 0 where none are published."""
    thought: FloatArray | None = None
    """Output tokens that are thought, before the answer; none where not published."""

    def without_thoughts(self) -> Trace:
        """The same requests, their answers alone."""
        if self.thought is None:
            fault = "has no thoughts to leave out"
            raise SpecError(self.file, "answers_alone", fault, "Name their column: thoughts")
        return replace(self, output=self.output - self.thought, thought=0.0 * self.thought)

    @property
    def has_prefixes(self) -> bool:
        """Whether prefix blocks are published."""
        return self.block_tokens > 0

    def blocks_of(self, request: int) -> IntArray:
        """Ids of the prefix blocks of one request, in order."""
        return self.blocks[self.starts[request] : self.starts[request + 1]]


POINTS = 4096
"""Requests that stand for a law of lengths."""


@lru_cache(maxsize=64)
def lognormal_trace(
    prompt_mean: float,
    prompt_sigma: float,
    output_mean: float,
    output_sigma: float,
    correlation: float = 0.0,
) -> Trace:
    """Requests whose lengths follow two lognormal laws, without arrivals or prefixes.

    Not drawn: prompts lie at evenly spaced quantiles, outputs at those of a golden-ratio lattice,
    which a Gaussian copula brings to the rank correlation: normal scores of correlation
    2 sin(pi r / 6) have ranks of correlation r. Both laws stay what they are.
    """
    even = (np.arange(POINTS) + 0.5) / POINTS
    lattice = np.argsort(np.argsort(np.arange(POINTS) * 0.6180339887498949 % 1.0))
    if correlation:
        scores, rho = _normal(even), 2.0 * np.sin(np.pi * correlation / 6.0)
        apart = np.sqrt(max(1.0 - rho**2, 0.0))
        lattice = np.argsort(np.argsort(rho * scores + apart * scores[lattice], kind="stable"))
    prompt = _lognormal(even, prompt_mean, prompt_sigma)
    output = _lognormal(even[lattice], output_mean, output_sigma)
    nothing = np.zeros(0, np.int64)
    starts = np.zeros(POINTS + 1, np.int64)
    return Trace("lognormal", prompt.clip(1.0), output.clip(1.0), None, None, nothing, starts, 0)


def _lognormal(at: FloatArray, mean: float, sigma: float) -> FloatArray:
    """Quantiles of a lognormal law, brought to its mean."""
    shape = np.exp(sigma * _normal(at))
    scaled: FloatArray = shape * (mean / shape.mean())
    return scaled


def _normal(at: FloatArray) -> FloatArray:
    """Quantiles of the standard normal law."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile(q) for q in at.tolist()])


def read_trace(
    path: Path,
    sha256: str = "",
    rows: Mapping[str, str] | None = None,
    empty_prompts: int = 0,
    thoughts: str = "",
) -> Trace:
    """The trace in `path`; of the rows alone that have the text stated in `rows` per column.

    `sha256` is the file's stated checksum, if any. `empty_prompts` is the number of rows, known
    beforehand, whose prompt was not logged: they are left out, more or fewer are a fault.
    `thoughts` is the column of thought tokens among the output's. Raises `SpecError` that names the
    file, the column, and how many rows are wrong.
    """
    table = _table(path, sha256)
    for column, text in (rows or {}).items():
        table = _selected(path, table, column, text)
    prompt = _numbers(path, table, "input_tokens")
    if empty_prompts:
        table, prompt = _without_empty(path, table, prompt, empty_prompts)
    output = _numbers(path, table, "output_tokens")
    faulty = ~(np.isfinite(prompt) & np.isfinite(output) & (prompt >= 1) & (output >= 1))
    if prompt.size == 0:
        raise SpecError(str(path), ", ".join(TOKENS), "holds no request")
    if faulty.any():
        fault = f"{int(faulty.sum())} of {prompt.size} rows are not positive counts"
        raise SpecError(str(path), ", ".join(TOKENS), fault)
    session = _sessions(path, table)
    blocks, starts, size = _blocks(path, table, prompt)
    thought = _thoughts(path, table, thoughts, output) if thoughts else None
    return Trace(
        path.stem, prompt, output, _arrivals(path, table, session), session, blocks, starts, size,
        thought,
    )  # fmt: skip


def _thoughts(path: Path, table: pa.Table, column: str, output: FloatArray) -> FloatArray:
    """Thought tokens of each output; a thought that never came to an answer leaves one token."""
    if column not in table.column_names:
        fault = f"there is no column {column}"
        raise SpecError(str(path), column, fault, f"There are {', '.join(table.column_names)}")
    thought = _numbers(path, table, column)
    faulty = ~((thought >= 0) & (thought <= output))
    if faulty.any():
        fault = f"{int(faulty.sum())} of {output.size} rows are no part of the output"
        raise SpecError(str(path), column, fault)
    return np.minimum(thought, output - 1.0)


def _table(path: Path, sha256: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(str(path), "", f"cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise SpecError(str(path), "sha256", f"is {found}, the workload states {sha256}")
    try:
        # Not read_table, which imports pandas: a third of the start-up.
        table = pq.ParquetFile(BytesIO(content)).read()
    except (pa.ArrowException, ValueError) as error:
        raise _unreadable(path, error) from None
    missing = [name for name in TOKENS if name not in table.column_names]
    if missing:
        raise _unreadable(path, ValueError(f"there is no column {' and no '.join(missing)}"))
    return table


def _unreadable(path: Path, error: Exception) -> SpecError:
    fault = f"cannot be read: {str(error).splitlines()[0]}"
    remedy = "A trace is Parquet with these two columns of counts"
    return SpecError(str(path), ", ".join(TOKENS), fault, remedy)


def _selected(path: Path, table: pa.Table, column: str, text: str) -> pa.Table:
    import pyarrow.compute as pc

    if column not in table.column_names:
        raise SpecError(
            str(path), column, "is no column", f"Known: {', '.join(table.column_names)}"
        )
    return table.filter(pc.equal(table[column].cast("string"), text))


def _numbers(path: Path, table: pa.Table, column: str) -> FloatArray:
    """A column as floats; what is missing is not a number."""
    import pyarrow as pa

    try:
        plain = table[column].combine_chunks()
        if not plain.null_count and (pa.types.is_integer(plain.type) or plain.type == pa.float64()):
            # Not cast: what casts is imported with all that computes, a tenth of the start-up.
            return cast(FloatArray, np.from_dlpack(plain).astype(np.float64))
        import pyarrow.compute as pc

        numbers = plain.cast(pa.float64())
        # Neither fill_null where nothing is null nor to_numpy: both import pandas.
        if numbers.null_count:
            numbers = pc.fill_null(numbers, float("nan"))
        return cast(FloatArray, np.from_dlpack(numbers))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unreadable(path, error) from None


def _without_empty(
    path: Path, table: pa.Table, prompt: FloatArray, stated: int
) -> tuple[pa.Table, FloatArray]:
    import pyarrow as pa

    empty = prompt == 0
    if int(empty.sum()) != stated:
        fault = f"{int(empty.sum())} rows have an empty prompt, the workload states {stated}"
        raise SpecError(str(path), "input_tokens", fault)
    return table.filter(pa.array(~empty)), prompt[~empty]


def _sessions(path: Path, table: pa.Table) -> IntArray | None:
    """Numbers of sessions in order of appearance; agents number their sessions alike."""
    if "session_id" not in table.column_names:
        return None
    ids = _numbers(path, table, "session_id")
    agents = table["agent"].to_pylist() if "agent" in table.column_names else [""] * ids.size
    known: dict[tuple[str, float], int] = {}
    keys = zip(agents, ids.tolist(), strict=True)
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def _arrivals(path: Path, table: pa.Table, session: IntArray | None) -> FloatArray | None:
    if "arrival_s" not in table.column_names or table["arrival_s"].null_count == table.num_rows:
        return None
    arrival = _numbers(path, table, "arrival_s")
    wrong = ~np.isfinite(arrival) | (arrival < 0)
    if wrong.any():
        fault = f"{int(wrong.sum())} of {arrival.size} rows are negative or not a number"
        raise SpecError(str(path), "arrival_s", fault)
    order = np.zeros(arrival.size, dtype=np.int64) if session is None else session
    by_session = np.argsort(order, kind="stable")
    back = (np.diff(arrival[by_session]) < 0) & (np.diff(order[by_session]) == 0)
    if back.any():
        fault = f"{int(back.sum())} of {arrival.size} rows are earlier than the row before them"
        raise SpecError(str(path), "arrival_s", fault, "Sort the rows by arrival")
    return arrival


def _blocks(path: Path, table: pa.Table, prompt: FloatArray) -> tuple[IntArray, IntArray, int]:
    """Prefix blocks, where each request's begin, and their size; whole ones, and perhaps a rest."""
    if "prefix_hash_ids" not in table.column_names:
        return np.zeros(0, np.int64), np.zeros(prompt.size + 1, np.int64), 0
    column, stated = table["prefix_hash_ids"], table.schema.metadata or {}
    text = stated.get(b"prefix_block_tokens", b"").decode()
    if not text.isdecimal() or int(text) < 1:
        fault = f"the file's metadata states {text or 'nothing'} for prefix_block_tokens"
        raise SpecError(str(path), "prefix_hash_ids", fault, "State the tokens of a block there")
    size = int(text)
    lists = column.combine_chunks()
    counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    wrong = (counts < prompt // size) | (counts > np.ceil(prompt / size))
    if wrong.any():
        fault = (
            f"{int(wrong.sum())} of {prompt.size} rows have too few or too many blocks of {size}"
        )
        raise SpecError(str(path), "prefix_hash_ids", fault)
    blocks = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return blocks, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), size
