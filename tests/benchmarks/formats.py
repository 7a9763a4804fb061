"""The rows of a study in the formats that pyarrow writes: sizes, and CPU seconds to write and read.

`make benchmark PARTS=formats`; the first line is how datasets are written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from infercost.parts import parquet_options

FEW = ["hardware", "feasible", "cost_per_mtoken_usd"]
"""Columns of the questions that readers ask."""

Clock = Callable[[Callable[[], Any]], float]


def variants(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Options of Parquet by name: how datasets are written, and one change at a time."""
    ours = parquet_options(table)
    keys = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    floats = [f.name for f in table.schema if pa.types.is_floating(f.type)]
    faster = {"compression_level": None}
    return {
        "parquet, as published": ours,
        "zstd 1": {**ours, "compression_level": 1},
        "zstd 9": {**ours, "compression_level": 9},
        "lz4": {**ours, **faster, "compression": "lz4"},
        "snappy": {**ours, **faster, "compression": "snappy"},
        "floats split by bytes": {**ours, "use_dictionary": keys, "use_byte_stream_split": floats},
        "floats in dictionaries": {
            **ours,
            "use_dictionary": True,
            "use_byte_stream_split": False,
        },
        "floats in neither": {**ours, "use_dictionary": keys, "use_byte_stream_split": False},
        "without checksums of pages": {**ours, "write_page_checksum": False},
        "row groups of a quarter": {**ours, "row_group_size": ours["row_group_size"] // 4},
        "pyarrow's defaults": {},
    }


def trial(table: pa.Table, folder: Path, clock: Clock) -> dict[str, dict[str, float]]:
    """Every format: bytes of a row, CPU seconds of writing, reading, and reading three columns."""
    found = {}
    for name, options in variants(table).items():
        found[name] = _measured(
            table,
            folder / "rows.parquet",
            clock,
            partial(pq.write_table, **options),
            partial(pq.read_table, use_threads=False),
        )
    for codec in ("zstd", "lz4", "uncompressed"):
        found[f"feather, {codec}"] = _measured(
            table,
            folder / "rows.arrow",
            clock,
            partial(feather.write_feather, compression=codec),
            partial(feather.read_table, use_threads=False, memory_map=False),
        )
    return found


def _measured(
    table: pa.Table, target: Path, clock: Clock, write: Callable[..., Any], read: Callable[..., Any]
) -> dict[str, float]:
    few = [name for name in FEW if name in table.column_names]
    return {
        "write_s": clock(lambda: write(table, target)),
        "bytes_per_row": target.stat().st_size / table.num_rows,
        "read_s": clock(lambda: read(target)),
        "read_few_s": clock(lambda: read(target, columns=few)),
    }
