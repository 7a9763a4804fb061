"""Versions looked after: named, removed, recomputed, rebuilt, exported, and read elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost.__main__ import main
from infercost.datasets import (
    Version,
    half_made,
    open_version,
    remove,
    tag,
    tags,
    unreachable,
    untag,
    verify,
    versions,
)
from infercost.errors import SpecError
from infercost.parts import write_rows
from infercost.stages import part, publish
from infercost.versions.digests import DamagedPart, logical_digest
from infercost.versions.export import export_archive, export_csv, export_parquet
from infercost.versions.recompute import rebuild, recompute
from infercost.workplan import prepare

STUDY = """\
name: cared
question: What does a token cost?
axes:
  hardware: [h100-sxm, tpu-v5e]
  model: [llama-3.1-8b]
  workload: [fixed-lengths]
  hardware.memory.hbm.bandwidth: [1 TB/s, 2 TB/s, 4 TB/s]
split: hardware
overrides: [plan=base, {more}]
{how}
"""
BEST = """\
optimise:
  minimise: cost_per_mtoken_usd
  within_slo: true
  largest_replica: 4
  over:
    layout: {plan.tp: [1, 2, 4]}
    batch: [1, 8, 64]
keep: pareto
"""


def computed(folder: Path, how: str = BEST, more: str = "plan.overlap=0.25") -> Version:
    """The study's version, published below `folder`."""
    (folder / "mine" / "study").mkdir(parents=True, exist_ok=True)
    (folder / "mine" / "study" / "cared.yaml").write_text(STUDY.format(how=how, more=more))
    work = folder / "work"
    plan = prepare("cared", (), (str(folder / "mine"),), work)
    for name in plan.parts.values():
        part.run(
            work / "specs" / f"{name}.json", work / f"parts/{name}.parquet", Path(plan.file), 1
        )
    publish.run(Path(plan.file), work, folder / "datasets", work / "published.json")
    return open_version(folder / "datasets", "cared")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return computed(tmp_path_factory.mktemp("cared"))


@pytest.mark.parametrize("how", [BEST, ""], ids=["pareto", "grid"])
def test_rows_come_out_again_from_the_stored_configuration(how: str, tmp_path: Path) -> None:
    fresh = computed(tmp_path, how)
    rows = fresh.manifest()["rows"]
    (tmp_path / "mine" / "study" / "cared.yaml").unlink()
    assert recompute(fresh, rows) == (rows, [])


def test_a_row_that_was_changed_is_found(tmp_path: Path) -> None:
    """One TPOT a part in a million longer: files and digest made to fit, recomputation tells."""
    fresh = computed(tmp_path, "")
    file = fresh.data / "h100-sxm.parquet"
    table = pq.read_table(file)
    place = table.schema.get_field_index("tpot_s")
    longer = pa.array([t * 1.000001 for t in table.column(place).to_pylist()])
    write_rows([table.set_column(place, table.schema.field(place), longer)], file)
    rows, moved = recompute(fresh, 6)
    assert (rows, {m.column for m in moved}, len(moved)) == (6, {"tpot_s"}, 3)


@pytest.mark.parametrize("how", [BEST, ""], ids=["pareto", "grid"])
def test_a_version_is_rebuilt_to_the_byte_from_its_manifest(how: str, tmp_path: Path) -> None:
    first = computed(tmp_path, how, "plan.overlap=0.5")
    second = computed(tmp_path, how, "hardware.price=30000 USD")
    assert first != second
    kept = tmp_path / "kept.json"
    kept.write_bytes((first.folder / "manifest.json").read_bytes())
    before = {f.name: f.read_bytes() for f in first.folder.rglob("*") if f.is_file()}
    remove(first)
    (tmp_path / "mine" / "study" / "cared.yaml").unlink()
    again = rebuild(kept, tmp_path / "datasets")
    assert {f.name: f.read_bytes() for f in again.folder.rglob("*") if f.is_file()} == before
    assert verify(again) == []


def test_a_damaged_version_is_restored_from_its_manifest(tmp_path: Path) -> None:
    fresh = computed(tmp_path, "")
    file = fresh.data / "tpu-v5e.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    assert verify(fresh)
    rebuild(fresh.folder / "manifest.json", tmp_path / "datasets")
    assert file.read_bytes() == content


def test_a_damaged_part_is_removed_and_nothing_is_published(tmp_path: Path) -> None:
    """So that the next run computes it again: Snakemake sees only whether a file is there."""
    fresh = computed(tmp_path, "")
    remove(fresh)
    work = tmp_path / "work"
    plan = prepare("cared", (), (str(tmp_path / "mine"),), work)
    first, *others = sorted((work / "parts").glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-1000])
    published = work / "published.json"
    published.unlink()
    with pytest.raises(SpecError, match="was damaged after it had been computed, and is removed"):
        publish.run(Path(plan.file), work, tmp_path / "datasets", published)
    assert not first.exists()
    assert all(other.exists() for other in others)
    assert versions(tmp_path / "datasets") == []
    assert not published.exists()


def test_a_manifest_of_other_numbers_lands_nothing(version: Version, tmp_path: Path) -> None:
    manifest = version.manifest()
    manifest["options"]["hardware"]["h100-sxm"]["price"] = "1 USD"
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(manifest))
    with pytest.raises(SpecError, match="otherwise than it was published"):
        rebuild(file, tmp_path / "datasets")
    assert not list((tmp_path / "datasets").rglob("*.parquet"))


def test_a_flipped_bit_inside_a_part_is_noticed(version: Version, tmp_path: Path) -> None:
    whole = version.data / "h100-sxm.parquet"
    content = bytearray(whole.read_bytes())
    column = pq.ParquetFile(whole).metadata.row_group(0).column(20)
    content[column.data_page_offset + column.total_compressed_size - 2] ^= 1
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(content)
    with pytest.raises(DamagedPart, match="is damaged"):
        logical_digest([broken])


def test_a_flipped_bit_that_decompressing_would_not_notice_is_noticed(tmp_path: Path) -> None:
    """In a page that is stored as it is nothing but its checksum knows."""
    file = tmp_path / "plain.parquet"
    how = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table({"x": [1.5, 2.25, 8.0]}), file, **how)
    content = bytearray(file.read_bytes())
    content[content.index(np.float64(2.25).tobytes())] ^= 1
    file.write_bytes(content)
    assert pq.read_table(file)["x"].to_pylist() != [1.5, 2.25, 8.0], "it reads all the same"
    with pytest.raises(DamagedPart, match="is damaged"):
        logical_digest([file])


def test_an_edit_of_equal_size_is_noticed_where_rows_are_read(tmp_path: Path) -> None:
    """One bit in each page in turn, size and time as they were: its checksum tells."""
    fresh = computed(tmp_path, "")
    file = fresh.data / "h100-sxm.parquet"
    whole, times = file.read_bytes(), (file.stat().st_atime, file.stat().st_mtime)
    group = pq.read_metadata(file).row_group(0)
    for number in range(0, group.num_columns, 10):
        column, content = group.column(number), bytearray(whole)
        start = column.dictionary_page_offset or column.data_page_offset
        content[start + column.total_compressed_size - 2] ^= 1
        file.write_bytes(content)
        os.utime(file, times)
        for read in (
            Version.rows,
            lambda v: recompute(v, 6),
            lambda v: export_csv(v, tmp_path / "all.csv"),
        ):
            with pytest.raises(SpecError, match="is damaged: "):
                read(fresh)
        assert verify(fresh), "and verify names it"
    assert not (tmp_path / "all.csv").exists()


def test_tags_point_and_gc_spares_what_is_pointed_at(tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    found = [computed(tmp_path, "", f"batch={b}") for b in (1, 2, 4)]
    tag(root, found[0], "paper")
    assert open_version(root, "cared/paper") == found[0]
    assert tags(root, "cared") == {"latest": found[2].name, "paper": found[0].name}
    assert unreachable(root) == [found[1]]
    assert unreachable(root, keep=2) == []
    assert main(["datasets", "gc", "--dry-run", "--root", str(root)]) == 0
    assert len(versions(root)) == 3
    assert main(["datasets", "gc", "--root", str(root)]) == 0
    assert set(versions(root)) == {found[0], found[2]}
    untag(root, "cared", "paper")
    assert unreachable(root) == [found[0]]
    for wrong in ("latest", "Paper", "../x", found[0].name):
        with pytest.raises(SpecError, match="cannot be a tag"):
            tag(root, found[0], wrong)


def test_gc_takes_what_a_killed_publisher_left_a_day_ago(tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    old, young = (root / "cared" / f".staging-{name}" for name in ("old", "young"))
    for folder in (old, young):
        (folder / "data").mkdir(parents=True)
    for path in (old, old / "data"):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    assert half_made(root) == half_made(root, "cared") == [old]
    assert main(["datasets", "gc", "--root", str(root)]) == 0
    assert not old.exists() and young.exists()
    os.utime(young, (time.time() - 25 * 3600,) * 2)  # a file of it is an hour old
    os.utime(young / "data", (time.time() - 3600,) * 2)
    assert half_made(root) == []


def test_exports_hold_every_row_and_value(version: Version, tmp_path: Path) -> None:
    rows = version.rows().reset_index(drop=True)
    export_parquet(version, tmp_path / "one.parquet")
    export_csv(version, tmp_path / "one.csv")
    same = {"check_dtype": False, "check_categorical": False, "rtol": 0, "atol": 0}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "one.parquet"), rows, **same)
    text = pd.read_csv(tmp_path / "one.csv", keep_default_na=False, na_values=["nan", ""])
    assert len(text) == len(rows)
    assert text["tpot_s"].tolist() == rows["tpot_s"].tolist()
    assert logical_digest([tmp_path / "one.parquet"]) == version.manifest()["logical_digest"]


def test_an_archive_describes_itself(version: Version, tmp_path: Path) -> None:
    """Data Package, version 2: name, licences, sources, and per resource path, hash and schema."""
    export_archive(version, tmp_path / "a.zip")
    export_archive(version, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        about = json.loads(archive.read("datapackage.json"))
        assert about["licenses"][0]["name"] == "Apache-2.0"
        assert "infercost" in about["citation"]
        assert about["sources"]
        for resource in about["resources"]:
            content = hashlib.sha256(archive.read(resource["path"])).hexdigest()
            assert resource["hash"] == f"sha256:{content}"
        units = {f["name"]: f.get("unit") for f in about["resources"][0]["schema"]["fields"]}
        assert (units["tpot_s"], units["cost_per_mtoken_usd"]) == ("s", "USD")
        assert {"LICENSE", "CITATION.cff", "manifest.json"} <= set(archive.namelist())


def test_the_readers_queries_of_the_documentation_agree(version: Version) -> None:
    """Cheapest feasible row of each accelerator, by three readers, as its page shows."""
    folder = version.data
    rows = pd.read_parquet(folder)
    by_pandas = rows[rows.feasible].groupby("hardware", observed=True).cost_per_mtoken_usd.min()
    by_polars = (
        pl.scan_parquet(folder / "*.parquet")
        .filter(pl.col("feasible"))
        .group_by(pl.col("hardware").cast(pl.String))
        .agg(pl.col("cost_per_mtoken_usd").min())
        .collect()
    )
    by_duckdb = duckdb.sql(
        f"SELECT hardware, min(cost_per_mtoken_usd) FROM '{folder}/*.parquet'"
        " WHERE feasible GROUP BY hardware"
    ).fetchall()
    expected = {str(name): value for name, value in by_pandas.items()}
    assert dict(by_polars.iter_rows()) == expected
    assert dict(by_duckdb) == expected
