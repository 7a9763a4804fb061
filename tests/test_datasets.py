"""Versions of datasets: identity, atomicity, readers, differences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

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
    logical_digest,
    open_version,
    publish,
    tag,
    tags,
    untag,
    verify,
    versions,
)
from infercost.errors import SpecError
from infercost.evaluation import evaluate_arrow
from infercost.parts import parquet_options
from infercost.stages.aggregate import connect
from infercost.versions.differences import diff
from infercost.versions.export import export_csv

ABOUT = {
    "question": "?",
    "digests": {"inputs": "", "code": ""},
    "options": {"hardware": {"x": {"a": 1}}},
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return evaluate_arrow(["hardware=h100-sxm,tpu-v5e", "batch=1,8,64", "plan.tp=8"])


def written(table: pa.Table, folder: Path, cuts: list[int]) -> dict[str, Path]:
    """The table cut into files at the given rows."""
    files = {}
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, table.num_rows], strict=True)):
        files[f"part-{number}"] = folder / f"{number}.parquet"
        piece = table.slice(start, stop - start)
        pq.write_table(piece, files[f"part-{number}"], **parquet_options(piece))
    return files


def test_a_version_is_named_by_its_values_not_by_its_cut(table: pa.Table, tmp_path: Path) -> None:
    whole = logical_digest(list(written(table, tmp_path, []).values()))
    halves = logical_digest(list(written(table, tmp_path, [2, 3]).values()))
    assert whole == halves


def test_one_changed_value_is_another_version(table: pa.Table, tmp_path: Path) -> None:
    column = table.column("tpot_s").to_pylist()
    column[0] *= 1 + 1e-15 * 4
    place = table.schema.get_field_index("tpot_s")
    other = table.set_column(place, table.schema.field("tpot_s"), pa.array(column))
    first = logical_digest(list(written(table, tmp_path, []).values()))
    assert logical_digest(list(written(other, tmp_path, []).values())) != first


SMALL = {"name": ["a", "b", "c"], "x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0], "n": [1, 2, 3]}


def digest_of(columns: dict[str, list[Any]], folder: Path, **units: str) -> str:
    made = pa.table(columns)
    fields = [
        f.with_metadata({"unit": units[f.name]}) if f.name in units else f for f in made.schema
    ]
    return logical_digest(list(written(made.cast(pa.schema(fields)), folder, []).values()))


def test_rows_in_another_order_are_the_same_version(tmp_path: Path) -> None:
    turned = {name: [values[i] for i in (2, 0, 1)] for name, values in SMALL.items()}
    assert digest_of(turned, tmp_path) == digest_of(SMALL, tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {name: values[:2] for name, values in SMALL.items()},  # a row less
        {name: [*values, values[0]] for name, values in SMALL.items()},  # one twice
        {name: [*values[:2], values[0]] for name, values in SMALL.items()},  # one for another
        {**SMALL, "x": [2.0, 1.0, 3.0]},  # the same values, in other rows
        {**SMALL, "x": SMALL["y"], "y": SMALL["x"]},  # in other columns
        {**SMALL, "name": ["b", "a", "c"]},
        {**SMALL, "name": ["a", "b", None]},
        {**SMALL, "n": [1.0, 2.0, 3.0]},  # of another type
        {("z" if name == "x" else name): values for name, values in SMALL.items()},
        {name: values for name, values in SMALL.items() if name != "n"},
        {**SMALL, "x": [1.0, 2.0, float("nan")]},
    ],
    ids=str,
)
def test_whatever_is_said_otherwise_is_another_version(
    changed: dict[str, list[Any]], tmp_path: Path
) -> None:
    assert digest_of(changed, tmp_path) != digest_of(SMALL, tmp_path)


def test_parts_of_unlike_columns_are_no_version(tmp_path: Path) -> None:
    parts = {}
    for name, columns in (("one", SMALL), ("two", {**SMALL, "n": [1.0, 2.0, 3.0]})):
        (tmp_path / name).mkdir()
        parts[name] = written(pa.table(columns), tmp_path / name, [])["part-0"]
    with pytest.raises(SpecError, match=r"two.*: has other columns than the parts before"):
        publish(tmp_path / "datasets", "s", parts, ABOUT)
    assert not list((tmp_path / "datasets").rglob("*.parquet"))


def test_a_unit_is_part_of_what_is_said_and_the_sign_of_zero_is_not(tmp_path: Path) -> None:
    assert digest_of(SMALL, tmp_path, x="s") != digest_of(SMALL, tmp_path, x="ms")
    zero, other = ({**SMALL, "x": [sign, 2.0, 3.0]} for sign in (0.0, -0.0))
    assert digest_of(zero, tmp_path) == digest_of(other, tmp_path)


def test_the_same_table_gives_the_same_bytes(table: pa.Table, tmp_path: Path) -> None:
    first = written(table, tmp_path, [])["part-0"].read_bytes()
    assert written(table, tmp_path, [])["part-0"].read_bytes() == first


def test_publishing_twice_leaves_one_version(table: pa.Table, tmp_path: Path) -> None:
    root, parts = tmp_path / "datasets", written(table, tmp_path, [3])
    first, second = publish(root, "s", parts, ABOUT), publish(root, "s", parts, ABOUT)
    assert first == second
    assert [v.name for v in versions(root)] == [first.name]
    assert open_version(root, "s/latest") == first
    assert not list((root / "s").glob(".staging*"))


def test_any_reader_opens_the_folder(table: pa.Table, tmp_path: Path) -> None:
    version = publish(tmp_path / "datasets", "s", written(table, tmp_path, [3]), ABOUT)
    wanted = sorted(table.column("memory_share").to_pylist(), key=str)
    readers = {
        "pandas": pd.read_parquet(version.data)["memory_share"].tolist(),
        "polars": pl.read_parquet(version.data)["memory_share"].to_list(),
        "duckdb": [
            r[0]
            for r in duckdb.sql(f"SELECT memory_share FROM '{version.data}/*.parquet'").fetchall()
        ],
    }
    for name, values in readers.items():
        assert sorted(values, key=str) == wanted, name


def test_every_column_states_unit_and_meaning(table: pa.Table) -> None:
    for field in table.schema:
        assert field.metadata[b"meaning"], field.name
    assert table.schema.field("tpot_s").metadata[b"unit"] == b"s"


def test_verify_names_a_damaged_a_missing_and_a_foreign_file(
    table: pa.Table, tmp_path: Path
) -> None:
    version = publish(tmp_path / "datasets", "s", written(table, tmp_path, [1, 3]), ABOUT)
    assert verify(version) == []
    damaged = version.data / "part-0.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (version.data / "part-1.parquet").unlink()
    (version.data / "other.parquet").write_bytes(b"")
    assert [fault.split(":")[0] for fault in verify(version)] == [
        "data/part-0.parquet",
        "data/part-1.parquet",
        "data/other.parquet",
    ]


def test_rows_are_not_read_from_files_that_are_not_those_published(
    table: pa.Table, tmp_path: Path
) -> None:
    """A version without one of its files would be a smaller one, in silence."""
    version = publish(tmp_path / "datasets", "s", written(table, tmp_path, [1, 3]), ABOUT)
    first, second = (version.data / f"part-{n}.parquet" for n in (0, 1))
    whole = second.read_bytes()
    for content, said in ((None, "is missing"), (first.read_bytes(), "other bytes")):
        second.unlink()
        if content is not None:
            second.write_bytes(content)
        for read in (Version.rows, connect, lambda v: export_csv(v, tmp_path / "all.csv")):
            with pytest.raises(SpecError, match=f"part-1.parquet: .*{said}"):
                read(version)
        second.write_bytes(whole)
    (version.data / ".DS_Store").write_bytes(b"")  # no reader looks at it
    assert len(version.rows()) == table.num_rows
    (version.data / "more.parquet").write_bytes(whole)
    with pytest.raises(SpecError, match=r"more\.parquet: was not published"):
        version.rows()


def test_a_damaged_manifest_is_one_line(table: pa.Table, tmp_path: Path) -> None:
    version = publish(tmp_path / "datasets", "s", written(table, tmp_path, []), ABOUT)
    file = version.folder / "manifest.json"
    text = file.read_text()
    rows = table.num_rows
    file.write_text(text.replace(f'"rows": {rows}', f'"rows": {rows + 1}'))
    assert verify(version)[-1].endswith("other rows than the manifest says")
    short = f'"rows": {rows},\n "study"'
    assert text.count(short) == 1, "the version's own rows"
    file.write_text(text.replace(short, short.replace(str(rows), str(rows + 1))))
    assert verify(version) == ["manifest.json: rows are not those of its files"]
    for damaged, said in (
        ("", "is not JSON"),
        ("[]", "study: is missing"),
        (text.replace('"files"', '"file"'), "files: is missing"),
    ):
        file.write_text(damaged)
        with pytest.raises(SpecError, match=f"manifest.json: {said}. Restore"):
            verify(version)


def test_values_that_were_exchanged_together_with_their_hashes_are_found(tmp_path: Path) -> None:
    """Files of a kind with the version's, listed as they are: their digest names another one."""
    version = publish(tmp_path, "s", written(pa.table(SMALL), tmp_path, []), ABOUT)
    file, listing = version.data / "part-0.parquet", version.folder / "manifest.json"
    turned = pa.table({**SMALL, "x": [2.0, 1.0, 3.0]})
    pq.write_table(turned, file, **parquet_options(turned))
    manifest = version.manifest()
    content = file.read_bytes()
    fresh = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"][0].update(fresh)
    listing.write_text(json.dumps(manifest))
    assert verify(version) == ["values: have another digest than published"]


def test_diff_finds_inputs_and_rows_that_moved(tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    tables = [
        evaluate_arrow(["batch=1,8", *more])
        for more in ([], ["hardware.memory.hbm.bandwidth=6 TB/s"])
    ]
    names = []
    for table, capital in zip(tables, (1, 2), strict=True):
        about = {**ABOUT, "options": {"hardware": {"x": {"a": capital}}}}
        names.append(publish(root, "s", written(table, tmp_path, []), about).name)
    found = diff(open_version(root, f"s/{names[0]}"), open_version(root, f"s/{names[1]}"))
    assert found.inputs == [("hardware.x.a", 1, 2)]
    assert (len(found.moved), found.compared, found.by_order) == (2, 2, False)
    assert (found.moved["change"] < 0).all(), "more bandwidth, cheaper tokens"


def replayed(latencies: list[float], prices: list[float]) -> pa.Table:
    """Two loads and two draws of arrivals of one service, which its keys do not tell apart."""
    return pa.table(
        {
            "case": pa.array(["one"] * 4).dictionary_encode(),
            "load": [0.5, 0.5, 0.9, 0.9],
            "ttft_s": latencies,
            "cost_per_mtoken_usd": prices,
            "limited_by": ["", "", "", "queue"],
        }
    )


def test_rows_of_equal_keys_are_compared_in_their_order(tmp_path: Path) -> None:
    """Joined by keys alone each would meet each: a version would differ from itself."""
    one = replayed([1.0, 2.0, 3.0, np.nan], [1.0, 1.0, 1.0, 1.0])
    other = replayed([1.0, 2.0, 6.0, 4.0], [1.0, 1.5, 1.0, 1.0])
    first, second = (
        publish(tmp_path / "datasets", "s", written(table, tmp_path, [3]), ABOUT)
        for table in (one, other)
    )
    same = diff(first, first)
    assert (same.compared, same.only_before, same.movements) == (4, 0, [])
    found = diff(first, second)
    assert (found.by_order, found.compared) == (True, 4)
    # A time where there was none comes before a price that rose by half.
    assert [(m.metric, m.rows) for m in found.movements] == [
        ("ttft_s", 2),
        ("cost_per_mtoken_usd", 1),
    ]
    assert np.isnan(found.movements[0].largest)
    moved = diff(first, second, "ttft_s").moved
    assert moved["load"].tolist() == ["0.9", "0.9"]
    assert np.isnan(moved["change"].iloc[0])
    assert moved["change"].iloc[1] == 1.0  # 3 s became 6 s
    with pytest.raises(SpecError, match="metric 'case': is not a number"):
        diff(first, second, "case")


def test_diff_counts_rows_of_one_side_and_puts_the_largest_first(tmp_path: Path) -> None:
    """Of a, b, c and b, c, d, e two are in both. The latency of b doubles, its price is quartered;

    c gets dearer by half.

    Inputs that were not there before have no value before.
    """
    tables = (
        {
            "case": ["a", "b", "c"],
            "ttft_s": [9.0, 1.0, 3.0],
            "cost_per_mtoken_usd": [9.0, 1.0, 2.0],
        },
        {
            "case": ["b", "c", "d", "e"],
            "ttft_s": [2.0, 3.0, 9.0, 9.0],
            "cost_per_mtoken_usd": [0.25, 3.0, 9.0, 9.0],
        },
    )
    options = ({"x": {"a": 1}}, {"x": {"a": 1, "b": 2}, "y": {"a": 3}})
    first, second = (
        publish(
            tmp_path / "datasets",
            "s",
            written(pa.table(columns), tmp_path, []),
            {**ABOUT, "options": {"hardware": hardware}},
        )
        for columns, hardware in zip(tables, options, strict=True)
    )
    found = diff(first, second, "cost_per_mtoken_usd")
    assert (found.compared, found.only_before, found.only_after) == (2, 1, 2)
    assert not found.by_order
    assert [(m.metric, m.rows, m.largest) for m in found.movements] == [
        ("ttft_s", 1, 1.0),
        ("cost_per_mtoken_usd", 2, -0.75),
    ]
    assert found.moved["case"].tolist() == ["b", "c"]
    assert found.moved["change"].tolist() == [-0.75, 0.5]
    assert found.moved["cost_per_mtoken_usd_before"].tolist() == [1.0, 2.0]
    assert found.inputs == [("hardware.x.b", None, 2), ("hardware.y", None, {"a": 3})]
    back = diff(second, first, "cost_per_mtoken_usd")
    assert (back.only_before, back.only_after) == (2, 1)
    assert back.moved["change"].tolist() == [3.0, pytest.approx(-1 / 3)]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["list", "none"], "no version of 'none'"),
        (["gc", "none"], "no version of 'none'"),
        (["show", ""], "no version of ''"),
        (["gc", "--keep", "-1"], "--keep -1: is negative"),
        (["verify", "s", "--recompute", "-1"], "--recompute -1: is negative"),
        (["diff", "s", "s", "--most", "-1"], "--most -1: is negative"),
        (["export", "s", "/proc/no/rows.csv"], "/proc/no: no such file"),
        (["export", "s", "/proc/rows.parquet"], "/proc/rows.parquet: no such file"),
    ],
)
def test_wrong_uses_are_one_line(
    command: list[str],
    said: str,
    table: pa.Table,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish(tmp_path, "s", written(table, tmp_path, []), ABOUT)
    assert main(["datasets", *command, "--root", str(tmp_path)]) in (1, 2)
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_an_unknown_version_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no version of 'nothing'"):
        open_version(tmp_path, "nothing")


def test_a_version_is_found_by_the_start_of_its_name(tmp_path: Path) -> None:
    for name in ("ab12", "ab34"):
        (tmp_path / "s" / name).mkdir(parents=True)
        (tmp_path / "s" / name / "manifest.json").write_text("{}")
    assert open_version(tmp_path, "s/ab1").name == "ab12"
    with pytest.raises(SpecError, match=r"fits several versions\. Known: ab12, ab34"):
        open_version(tmp_path, "s/ab")
    with pytest.raises(SpecError, match="is not the start of a version's name"):
        open_version(tmp_path, "s/b")


def test_a_tag_that_is_none_and_latest_are_not_taken_away(table: pa.Table, tmp_path: Path) -> None:
    version = publish(tmp_path, "s", written(table, tmp_path, []), ABOUT)
    tag(tmp_path, version, "paper")
    for name in ("papers", "latest", version.name):
        with pytest.raises(SpecError, match="is no tag of s"):
            untag(tmp_path, "s", name)
    assert set(tags(tmp_path, "s")) == {"latest", "paper"}
    untag(tmp_path, "s", "paper")
    assert set(tags(tmp_path, "s")) == {"latest"}
