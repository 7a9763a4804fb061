"""The digest of a table's values, whatever the order of its rows and their cut into files.

Every row is mixed into 128 bits; the sums of all rows stand for the table. Sums need no order, so
that files of any size are read batch by batch. The mixing finds accidents, not forgeries: bytes on
disk are guarded by SHA-256 in the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infercost.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

Bits = NDArray[np.uint64]
BATCH = 2**16
"""Rows mixed at once."""
LANES = 2


class DamagedPart(SpecError):
    """A part that cannot be read."""

    def __init__(self, part: Path, reason: str) -> None:
        super().__init__(str(part), "", f"is damaged: {reason}", "Remove it and run again")
        self.part = part


def logical_digest(parts: Sequence[Path]) -> str:
    """Digest of schema and values. Raises `DamagedPart`, or `SpecError` where schemas differ."""
    schema: list[tuple[str, str, Any]] = []
    sums, rows = np.zeros(LANES, dtype=np.uint64), 0
    for part in parts:
        mine, lanes, count = _of_file(part)
        if schema and mine != schema:
            raise SpecError(str(part), "", "has other columns than the parts before", "Run again")
        schema, sums, rows = mine, sums + lanes, rows + count
    text = repr((schema, rows, [int(lane) for lane in sums]))
    return hashlib.sha256(text.encode()).hexdigest()


def _of_file(part: Path) -> tuple[list[tuple[str, str, Any]], Bits, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sums, rows = np.zeros(LANES, dtype=np.uint64), 0
    try:
        with pq.ParquetFile(part, page_checksum_verification=True) as file:
            schema = [_told(field) for field in file.schema_arrow]
            for batch in file.iter_batches(batch_size=BATCH):
                sums, rows = sums + _mixed(batch, schema).sum(axis=1), rows + batch.num_rows
    except FileNotFoundError:
        raise DamagedPart(part, "there is no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DamagedPart(part, str(error).splitlines()[0]) from None
    return schema, sums, rows


def _told(field: pa.Field) -> tuple[str, str, Any]:
    """Name, type and meaning of a column; dictionaries are a way of writing text."""
    import pyarrow as pa

    kind = "string" if pa.types.is_dictionary(field.type) else str(field.type)
    return field.name, kind, sorted((field.metadata or {}).items())


def _mixed(batch: pa.RecordBatch, schema: list[tuple[str, str, Any]]) -> Bits:
    """Bits of each row, one line per lane."""
    lanes = np.zeros((LANES, batch.num_rows), dtype=np.uint64)
    for (name, kind, _), column in zip(schema, batch.columns, strict=True):
        bits = _bits(column)
        for lane in range(LANES):
            lanes[lane] = _stirred(lanes[lane] ^ (bits + _word(f"{lane} {name} {kind}")))
    return lanes


def _stirred(bits: Bits) -> Bits:
    """The finaliser of splitmix64: every bit of the result depends on every bit given.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _bits(column: pa.Array) -> Bits:
    """A column's values as 64 bits each; one NaN, one zero, texts by their digest."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        words = [*column.dictionary.to_pylist(), "\0"]
        table = np.array([_word(str(word)) for word in words], dtype=np.uint64)
        codes = column.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
        coded: Bits = table[codes]
        return coded
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        values = np.where(np.isnan(values), np.nan, values) + 0.0
    else:
        values = values.astype(np.int64)
    bits: Bits = values.view(np.uint64)
    return bits


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
