"""Published versions against the table formats Delta Lake and Iceberg, side by side on one table.

    pip install -e '.[table-formats]'
    python tests/benchmarks/table_formats.py [--save]

130,000 rows of a grid, all columns, in eight parts; then one of them changes. CPU seconds, all
threads together; `--save` puts what was measured into results.json. DuckLake is tried too: its
extension is fetched from DuckDB's server when it is first loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import HERE, ROOMY, grid_of, machine

from infercost.datasets import open_version, publish, verify
from infercost.evaluation import evaluated_blocks
from infercost.grid import Grid
from infercost.parts import write_table
from infercost.table import to_arrow

PARTS = 8
COLUMN, KEY = "cost_per_mtoken_usd", "hardware"
ABOUT = {"question": "?", "digests": {"inputs": "", "code": ""}, "options": {}, "packages": {}}


def rows() -> pa.Table:
    """26 batches x 100 contexts x 50 bandwidths, their key renamed by part, texts as texts."""
    composed, grid = grid_of(ROOMY)
    few = Grid((grid.axes[0].part(0, 26), *grid.axes[1:]))
    blocks = map(to_arrow, evaluated_blocks(composed, few))
    table = pa.concat_tables(blocks).unify_dictionaries().combine_chunks()
    names = np.array([f"device-{i}" for i in range(PARTS)])
    keys = pa.array(names[np.arange(table.num_rows) * PARTS // table.num_rows])
    place = table.schema.get_field_index(KEY)
    table = table.set_column(place, KEY, keys)
    for place, field in enumerate(table.schema):
        # Neither format stores dictionaries; dots part the steps of nested columns there.
        column, name = table.column(place), field.name.replace(".", "_")
        plain = column.cast(pa.string()) if pa.types.is_dictionary(field.type) else column
        table = table.set_column(place, pa.field(name, plain.type), plain)
    return table


def changed(table: pa.Table) -> pa.Table:
    """The first part with other prices."""
    first = table.slice(0, table.num_rows // PARTS)
    place = first.schema.get_field_index(COLUMN)
    return first.set_column(place, COLUMN, pa.array(first.column(place).to_numpy() * 1.1))


class Versions:
    """As datasets are published: a folder of Parquet for each version, a manifest beside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, list[str]()

    def write(self, table: pa.Table) -> None:
        size = table.num_rows // PARTS
        self.parts = {f"device-{i}": table.slice(i * size, size) for i in range(PARTS)}
        self._publish(self.parts)

    def replace(self, part: pa.Table) -> None:
        self._publish({**self.parts, "device-0": part})

    def _publish(self, parts: dict[str, pa.Table]) -> None:
        files = {name: self.folder / "work" / f"{name}.parquet" for name in parts}
        for name, part in parts.items():
            if not files[name].exists() or name == "device-0":  # others are kept, as by Snakemake
                write_table(part, files[name])
        self.names.append(publish(self.folder / "datasets", "s", files, ABOUT).name)

    def read(self, version: int, columns: list[str] | None, key: str) -> pa.Table:
        data = open_version(self.folder / "datasets", f"s/{self.names[version]}").data
        return pq.read_table(data / f"{key}.parquet" if key else data, columns=columns)

    @property
    def stored(self) -> Path:
        return self.folder / "datasets"

    def plain_files(self) -> str:
        """What a reader of Parquet is pointed at."""
        return f"{self.stored}/s/latest/data/*.parquet"

    def check(self) -> str:
        faults = verify(open_version(self.folder / "datasets", "s"))
        return "values by digest" if not faults else str(faults)


class Delta:
    """Delta Lake, written by delta-rs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "delta"

    def write(self, table: pa.Table, mode: str = "error", predicate: str | None = None) -> None:
        from deltalake import WriterProperties, write_deltalake

        write_deltalake(
            str(self.folder),
            table,
            partition_by=[KEY],
            mode=mode,
            predicate=predicate,
            writer_properties=WriterProperties(compression="ZSTD", compression_level=3),
        )

    def replace(self, part: pa.Table) -> None:
        self.write(part, "overwrite", f"{KEY} = 'device-0'")

    def read(self, version: int, columns: list[str] | None, key: str) -> pa.Table:
        from deltalake import DeltaTable

        table = DeltaTable(str(self.folder), version=version)
        chosen = [(KEY, "=", key)] if key else None
        return table.to_pyarrow_table(filters=chosen, columns=columns)

    @property
    def stored(self) -> Path:
        return self.folder

    def plain_files(self) -> str:
        return f"{self.folder}/*/*.parquet"

    def check(self) -> str:
        return "none"


class Iceberg:
    """Apache Iceberg, written by pyiceberg into a catalogue of SQLite."""

    def __init__(self, folder: Path) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        folder.mkdir(exist_ok=True)
        self.folder = folder
        where = {"uri": f"sqlite:///{folder}/catalogue.db", "warehouse": f"file://{folder}/store"}
        self.catalogue = SqlCatalog("trial", **where)

    def write(self, table: pa.Table) -> None:
        self.catalogue.create_namespace_if_not_exists("n")
        created = self.catalogue.create_table("n.rows", schema=table.schema)
        with created.update_spec() as spec:
            spec.add_identity(KEY)
        created.append(table)

    def replace(self, part: pa.Table) -> None:
        from pyiceberg.expressions import EqualTo

        self.catalogue.load_table("n.rows").overwrite(part, EqualTo(KEY, "device-0"))

    def read(self, version: int, columns: list[str] | None, key: str) -> pa.Table:
        from pyiceberg.expressions import AlwaysTrue, EqualTo

        table = self.catalogue.load_table("n.rows")
        known = table.snapshots()
        scan = table.scan(
            row_filter=EqualTo(KEY, key) if key else AlwaysTrue(),
            selected_fields=tuple(columns or ("*",)),
            snapshot_id=(known[0] if version == 0 else known[-1]).snapshot_id,
        )
        return scan.to_arrow()

    @property
    def stored(self) -> Path:
        return self.folder

    def plain_files(self) -> str:
        return f"{self.folder}/store/**/*.parquet"

    def check(self) -> str:
        return "none"


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by its path."""
    files = (f for f in sorted(folder.rglob("*")) if f.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def took(work: Callable[[], Any]) -> float:
    """CPU seconds of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measured(kind: type[Versions | Delta | Iceberg], table: pa.Table) -> dict[str, Any]:
    """One format's figures."""
    part = changed(table)
    with tempfile.TemporaryDirectory() as name:
        one, two, elsewhere = (Path(name) / n for n in ("one", "two", "elsewhere"))
        store, again = kind(one), kind(two)
        found: dict[str, Any] = {"write_s": took(lambda: store.write(table))}
        again.write(table)
        found["same_files"] = digests(store.stored) == digests(again.stored)
        found["bytes_per_row"] = size_of(store.stored) / table.num_rows
        found["read_s"] = min(took(lambda: store.read(0, None, "")) for _ in range(3))
        found["read_part_column_s"] = min(
            took(lambda: store.read(0, [COLUMN], "device-3")) for _ in range(3)
        )
        before = size_of(store.stored)
        found["replace_part_s"] = took(lambda: store.replace(part))
        found["replace_part_bytes_per_row"] = (size_of(store.stored) - before) / table.num_rows
        then, now = (store.read(v, [COLUMN], "") for v in (0, 1))
        assert then.num_rows == now.num_rows == table.num_rows
        assert np.nansum(now[COLUMN].to_numpy()) > np.nansum(then[COLUMN].to_numpy())
        counted = duckdb.execute(f"SELECT count(*) FROM '{store.plain_files()}'").fetchall()
        found["rows_seen_by_a_plain_reader"] = counted[0][0] / table.num_rows
        found["check_of_stored_values"] = store.check()
        shutil.move(one, elsewhere)
        found["readable_after_a_move"] = _readable(kind, elsewhere, store, table.num_rows)
    return found


def _readable(kind: Any, folder: Path, store: Any, rows: int) -> bool:
    try:
        moved = kind(folder)
        moved.names = getattr(store, "names", [])
        return bool(moved.read(0, [COLUMN], "").num_rows == rows)
    except Exception:  # each library has its own
        return False


def ducklake() -> str:
    """Whether DuckLake can be had here."""
    try:
        duckdb.sql("INSTALL ducklake; LOAD ducklake")
    except duckdb.Error as error:
        return f"not measured: {str(error).splitlines()[0].split(' at URL')[0]}"
    return "can be had, and is not measured yet"


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    table = rows()
    kinds = {"published versions": Versions, "delta lake": Delta, "iceberg": Iceberg}
    found: dict[str, Any] = {name: measured(kind, table) for name, kind in kinds.items()}
    found["ducklake"] = ducklake()
    packages = {n: metadata.version(n) for n in ("deltalake", "pyiceberg", "duckdb")}
    told = {"table_formats": {"machine": {**machine(), **packages}, "found": found}}
    print(json.dumps(told, indent=1))
    if given.save:
        results = HERE / "results.json"
        known = json.loads(results.read_text())
        results.write_text(json.dumps({**known, **told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
