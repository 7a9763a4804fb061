"""A version for elsewhere: one CSV, one Parquet, or an archive that describes itself.

The archive is a Frictionless Data Package (version 2): a zip of the Parquet files, the manifest,
and `datapackage.json` with schema, units, sources, licence and citation. One version gives the same
bytes every time.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infercost.datasets import Manifest, Version, undamaged
from infercost.parts import write_rows
from infercost.paths import ROOT
from infercost.versions.landing import landing

if TYPE_CHECKING:
    import pyarrow as pa

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
LICENCE = {
    "name": "Apache-2.0",
    "path": "https://www.apache.org/licenses/LICENSE-2.0",
    "title": "Apache License 2.0",
}
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can state: archives of one version are equal."""


def export_csv(version: Version, target: Path) -> None:
    """All rows as one CSV file; units are in the columns' names."""
    import pyarrow as pa
    from pyarrow import csv

    writer: csv.CSVWriter | None = None
    with landing(target) as scratch:
        try:
            for table in _tables(version):
                plain = table.cast(pa.schema([_plain(field) for field in table.schema]))
                writer = writer or csv.CSVWriter(scratch, plain.schema)
                writer.write_table(plain)
        finally:
            if writer is not None:
                writer.close()


def _plain(field: pa.Field) -> pa.Field:
    """Text instead of a dictionary, which a CSV does not know."""
    import pyarrow as pa

    return field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field


def export_parquet(version: Version, target: Path) -> None:
    """All rows as one Parquet file, units and meanings with its columns."""
    with landing(target) as scratch:
        write_rows(_tables(version), scratch)


def _tables(version: Version) -> Iterator[pa.Table]:
    """Rows file by file, a row group at a time."""
    import pyarrow.parquet as pq

    for entry in version.intact().manifest()["files"]:
        path = version.folder / entry["path"]
        with undamaged(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)


def export_archive(version: Version, target: Path) -> None:
    """A zip that says what is in it, under which licence, and how to cite it."""
    manifest = version.intact().manifest()
    about = json.dumps(data_package(manifest), indent=1, ensure_ascii=False) + "\n"
    with landing(target) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        _put(archive, "datapackage.json", about.encode())
        for name in ("manifest.json", *(entry["path"] for entry in manifest["files"])):
            _put(archive, name, (version.folder / name).read_bytes())
        for name in ("LICENSE", "CITATION.cff"):
            if (ROOT / name).is_file():  # an installed package has them in its metadata instead
                _put(archive, name, (ROOT / name).read_bytes())


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    packed = not name.endswith(".parquet")
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)


def data_package(manifest: Manifest) -> dict[str, Any]:
    """The description of a version as a Frictionless Data Package."""
    from infercost import __version__

    name = f"{manifest['study']}-{manifest['version']}"
    return {
        "$schema": PROFILE,
        "name": name,
        "id": manifest["logical_digest"],
        "title": f"infercost study {manifest['study']}",
        "description": manifest["question"],
        "version": manifest["version"],
        "licenses": [LICENCE],
        "contributors": [{"title": "The infercost developers", "roles": ["creator"]}],
        "citation": f"The infercost developers. infercost {__version__}, dataset"
        f" {manifest['study']}, version {manifest['version']}.",
        "sources": [_source(key, said) for key, said in manifest["sources"].items()],
        "resources": [
            {
                "name": Path(entry["path"]).stem.lower(),
                "type": "table",
                "path": entry["path"],
                "format": "parquet",
                "mediatype": "application/vnd.apache.parquet",
                # No "bytes": frictionless 5 counts none in Parquet, and calls all of them wrong.
                "hash": f"sha256:{entry['sha256']}",
                "schema": {"fields": [_field(column) for column in manifest["columns"]]},
            }
            for entry in manifest["files"]
        ],
    }


def _source(key: str, said: Any) -> dict[str, str]:
    known = said if isinstance(said, dict) else {"title": str(said)}
    source = {"title": str(known.get("title", key))}
    return source | ({"path": str(known["url"])} if known.get("url") else {})


KINDS = {"bool": "boolean", "int64": "integer", "double": "number"}


def _field(column: dict[str, str]) -> dict[str, str]:
    """A column's schema; `unit` is ours, beside the properties of the standard."""
    field = {"name": column["name"], "type": KINDS.get(column["type"], "string")}
    field |= {"description": column["meaning"]} if column["meaning"] else {}
    return field | ({"unit": column["unit"]} if column["unit"] not in ("", "1") else {})
