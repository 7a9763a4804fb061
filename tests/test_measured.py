"""The study of measurements: a row per published point, and what figures and reports make of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost.calibrate.public import MEASURED
from infercost.calibrate.record import read_record
from infercost.compose import compose_study
from infercost.datasets import Version, logical_digest, publish, verify
from infercost.errors import SpecError
from infercost.measured import LABEL, described, measured_rows, to_arrow, write_measured
from infercost.measurements.published import read_table
from infercost.measurements.readings import Reading, read
from infercost.measurements.validation import REPORT
from infercost.paths import config_dirs
from infercost.plots.base import FigureData, draw
from infercost.specs.study import Measurements
from infercost.stages.aggregate import connect, query
from infercost.stages.answer import sentences
from infercost.stages.publish import about
from infercost.stages.trust import trust
from infercost.studies import plan_study
from infercost.versions.differences import diff
from infercost.workplan import prepare

FIGURES = (
    "calibration-gain",
    "error-by-class",
    "interval-coverage",
    "predicted-against-measured",
    "residuals",
)
EXAMINED = "data/reference/examination.csv"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Measurements:
    """Every 15th row of the public table, with what the examinations found of it."""
    rows = read_table(MEASURED)
    file = tmp_path_factory.mktemp("table") / "few.csv"
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[::15])
    return Measurements(table=str(file), examination=EXAMINED)


@pytest.fixture(scope="module")
def plain(few: Measurements) -> dict[str, Any]:
    return described(few)


@pytest.fixture(scope="module")
def version(plain: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("measured")
    part = folder / "part.parquet"
    write_measured(plain, (), part)
    manifest = {"question": "?", "digests": {"inputs": "", "code": ""}, "options": plain["options"]}
    return publish(folder / "datasets", "validation", {LABEL: part}, manifest)


@pytest.fixture(scope="module")
def rows(version: Version) -> pd.DataFrame:
    return version.rows()


def test_every_row_of_the_table_is_a_row_of_the_dataset(
    few: Measurements, rows: pd.DataFrame
) -> None:
    table = read_table(Path(few.table))
    assert list(rows["id"]) == [row["id"] for row in table]
    readable = [isinstance(read(row), Reading) for row in table]
    assert (rows.loc[~np.array(readable), "unmapped"] != "").all()
    unmapped = rows["unmapped"] != ""
    assert unmapped.any()
    assert rows.loc[unmapped, "predicted"].isna().all()
    assert rows.loc[~unmapped, "predicted"].notna().all()


def test_times_and_rates_say_the_same(rows: pd.DataFrame) -> None:
    """Predicted over measured time is measured over predicted rate."""
    mapped = rows[rows["unmapped"] == ""]
    ratio = mapped["predicted"] / mapped["measured"]
    time = ratio.where(mapped["unit"] == "s", 1 / ratio)
    assert (mapped["predicted_s"] / mapped["measured_s"]).to_numpy() == pytest.approx(time)
    assert mapped["error"].to_numpy() == pytest.approx(time - 1, abs=1e-9)
    assert (mapped["low_s"] <= mapped["predicted_s"]).all()
    assert (mapped["predicted_s"] <= mapped["high_s"]).all()
    assert (mapped["ideal_s"] <= mapped["predicted_s"] * (1 + 1e-9)).all()


def test_a_rate_of_tokens_by_hand(rows: pd.DataFrame) -> None:
    """GT0003: 128 output tokens at full load and 30,354 token/s are 128 / 30,354 s a request."""
    row = rows.set_index("id").loc["GT0003"]
    assert row["unit"] == "token/s"
    assert row["measured_s"] == pytest.approx(128 / 30354)


def test_examinations_are_those_of_the_record(rows: pd.DataFrame) -> None:
    record = read_record()
    row = rows.set_index("id").loc["GT0003"]
    place = record.place_of()["GT0003"]
    for what in ("block", "system", "model", "stack"):
        error = record.errors[f"out_of_{what}"][place]
        assert row[f"error_out_of_{what}"] == pytest.approx(np.expm1(error), abs=1e-6)


def test_weights_by_hand(rows: pd.DataFrame) -> None:
    """Llama-3.1-70B has 70.6 billion parameters: 70.6 GB in fp8, 141 GB in 16 bits."""
    mine = rows[rows["model"] == "llama-3.1-70b"].set_index("weight_format")["weights_b"]
    assert mine.loc["fp8"].iloc[0] == pytest.approx(70.6e9, rel=0.01)


def test_every_column_has_a_unit_and_a_meaning_of_its_own(version: Version) -> None:
    columns = version.manifest()["columns"]
    assert all(column["unit"] and column["meaning"] for column in columns)
    assert not [c["name"] for c in columns if c["meaning"].startswith("Swept field")]
    units = {column["name"]: column["unit"] for column in columns}
    assert units["predicted_s"] == "s"
    assert units["weights_b"] == "B"


def test_the_same_table_is_the_same_version_however_it_is_ordered(
    few: Measurements, plain: dict[str, Any], version: Version, tmp_path: Path
) -> None:
    write_measured(plain, (), tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == next(version.data.iterdir()).read_bytes()
    backward = to_arrow(measured_rows(few)[::-1])
    pq.write_table(backward, tmp_path / "backward.parquet")
    digest = version.manifest()["logical_digest"]
    assert logical_digest([tmp_path / "backward.parquet"]) == digest
    assert verify(version) == []


def test_versions_are_compared_row_by_row(version: Version, tmp_path: Path) -> None:
    table = pq.read_table(version.data)
    place = table.schema.get_field_index("predicted_s")
    column = table.column(place).to_pylist()
    column[3] *= 2
    moved = table.set_column(place, table.schema.field(place), pa.array(column))
    pq.write_table(moved, tmp_path / "moved.parquet")
    options = {"reference": {"x.csv": {"sha256": "other"}}}
    about = {"question": "?", "digests": {"inputs": "", "code": ""}, "options": options}
    other = publish(tmp_path / "datasets", "validation", {LABEL: tmp_path / "moved.parquet"}, about)
    found = diff(version, other)
    assert found.metric == "predicted_s"
    assert list(found.moved["id"]) == [table.column("id")[3].as_py()]
    assert found.moved["change"].tolist() == pytest.approx([1.0])
    assert any(path.startswith("reference.x.csv") for path, _, _ in found.inputs)


def test_another_table_is_another_part(few: Measurements, tmp_path: Path) -> None:
    again = tmp_path / "few.csv"
    again.write_text(Path(few.table).read_text().replace("30354.0", "30355.0"))
    digests = [
        described(Measurements(table=str(file), examination=EXAMINED))["options"]["reference"]
        for file in (few.table, again)
    ]
    assert sorted(d["sha256"] for d in digests[0].values()) != sorted(
        d["sha256"] for d in digests[1].values()
    )


def test_a_table_that_changes_under_a_job_is_refused(few: Measurements, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(Path(few.table).read_text())
    plain = described(Measurements(table=str(table)))
    table.write_text(table.read_text().replace("30354.0", "30355.0"))
    with pytest.raises(SpecError, match="has changed since the study was planned"):
        write_measured(plain, (), tmp_path / "part.parquet")


def test_the_plan_is_made_again_when_the_table_changes(few: Measurements, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(Path(few.table).read_text())
    (tmp_path / "mine" / "study").mkdir(parents=True)
    (tmp_path / "mine" / "study" / "own.yaml").write_text(
        f"name: own\nquestion: '?'\nmeasurements: {{table: {table}}}\n"
    )
    dirs = (str(tmp_path / "mine"),)
    first = prepare("own", (), dirs, tmp_path / "work")
    assert prepare("own", (), dirs, tmp_path / "work") == first
    table.write_text(table.read_text().replace("30354.0", "30355.0"))
    assert prepare("own", (), dirs, tmp_path / "work").parts != first.parts
    assert first.points == {LABEL: len(read_table(table))}


def test_a_manifest_names_files_options_and_sources(few: Measurements, tmp_path: Path) -> None:
    plan = prepare("validation", (), (), tmp_path)
    manifest = about(plan, tmp_path)
    assert set(manifest["options"]["reference"]) >= {"data/reference/measured.csv", EXAMINED}
    assert "h100-sxm" in manifest["options"]["hardware"]
    assert manifest["sources"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("measurements: {table: nowhere.csv}", "nowhere.csv: cannot be read"),
        ("measurements: {tabel: x.csv}", "tabel"),
        ("measurements: {table: x.csv}\nsplit: hardware", "split: does not go with measurements"),
        ("keep: all", "axes is missing"),
    ],
)
def test_a_wrong_study_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "own.yaml").write_text(f"name: own\nquestion: '?'\n{text}\n")
    with pytest.raises(SpecError) as error:
        plan_study("own", (), (str(tmp_path),))
    assert fault in str(error.value)


def test_overrides_go_not_with_measurements() -> None:
    with pytest.raises(SpecError, match="overrides nothing"):
        plan_study("validation", ("calibration=ideal",))


# Figures and answers


@pytest.fixture(scope="module")
def data(rows: pd.DataFrame) -> FigureData:
    return FigureData("validation", "How far off?", "v-0123", rows)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_asks_a_question(name: str, data: FigureData) -> None:
    drawn = draw(name, data)
    assert drawn.title.endswith("?")
    assert drawn.caption.endswith(".")
    assert len(drawn.table) > 0
    assert "infercost · validation" in json.dumps(drawn.chart.to_dict(), ensure_ascii=False)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_do_without_examinations(name: str, data: FigureData) -> None:
    bare = data.rows.assign(
        **{column: np.nan for column in data.rows if str(column).startswith("error_out_of")}
    )
    assert len(draw(name, FigureData("own", "?", "v", bare)).table) > 0


def test_a_figure_of_measurements_needs_measurements() -> None:
    other = FigureData("tiny", "?", "v", pd.DataFrame({"hardware": ["x"], "best": [True]}))
    with pytest.raises(SpecError, match="shows a study of measurements"):
        draw("residuals", other)


def test_coverage_in_the_figure_is_that_of_the_rows(data: FigureData, rows: pd.DataFrame) -> None:
    table = draw("interval-coverage", data).table
    mapped = rows[rows["unmapped"] == ""]
    for by in table["by"].unique():
        mine = table[table["by"] == by]
        assert mine["rows"].sum() == len(mapped)
        share = (mine["coverage"] * mine["rows"]).sum() / len(mapped)
        assert share == pytest.approx(mapped["inside_out_of_block"].mean())


def test_answers_tell_what_the_rows_say(version: Version, rows: pd.DataFrame) -> None:
    study = compose_study("validation", config_dirs())
    told = sentences(study, version)
    mapped = rows[rows["unmapped"] == ""]
    assert told[0].startswith(f"{len(mapped)} of {len(rows)} published")
    median = mapped["error_out_of_block"].abs().median()
    assert f"off by {median:.0%} at the median" in told[1]
    assert "0 predictions lie below their physical floor" in told[3]
    connection = connect(version)
    by_class = query(connection, "by_class", study.aggregates["by_class"])
    assert by_class["rows"].sum() == len(mapped)
    for name, text in study.aggregates.items():
        assert len(query(connection, name, text)) > 0, name


# How far to trust a study


def system(family: str) -> dict[str, str]:
    return {"family": family}


def test_a_study_on_typical_is_held_against_its_families() -> None:
    """What the record says of family gaudi under `typical`, by its own rows."""
    record = read_record()
    options = {"hardware": {"gaudi3": system("gaudi")}, "calibration": {"typical": {}}}
    found = trust(options, [], record, frozenset({"gaudi3"}))
    mine = record.where(family="gaudi")
    size = np.abs(np.expm1(record.errors["typical"][mine]))
    assert found.table is not None
    assert found.table["rows"].sum() == mine.sum()
    assert f"is {np.median(size):.0%} at the median" in found.sentences[0]
    assert not [s for s in found.sentences if "never measured" in s]


def test_a_regime_that_nobody_measured_is_said_to_be_one() -> None:
    options = {
        "hardware": {"x1": system("no-such-family")},
        "calibration": {"typical": {}},
        "direction": {"none": {}, "flash": {}},
        "trend": {"none": {}},
    }
    told = " ".join(trust(options, ["hardware.tdp", "batch"], read_record(), frozenset()).sentences)
    assert "No published measurement at hand speaks of calibration typical" in told
    assert "1 of 1 systems was never measured" in told
    assert "No measurement speaks of: direction flash." in told
    assert "The study changes hardware.tdp" in told
    assert "trend" not in told
    assert trust(options, [], read_record(), frozenset()).table is None


def test_a_fitted_calibration_is_held_against_blocks_that_it_had_not_seen() -> None:
    record = read_record()
    name = next(stack for stack in record.texts["stack"] if "trt-llm-2024" in stack)
    options = {"hardware": {"h": system("nvidia-datacentre")}, "calibration": {name: {}}}
    table = trust(options, [], record, frozenset("h")).table
    assert table is not None
    mine = record.where(stack=name, family="nvidia-datacentre")
    assert table["rows"].sum() == mine.sum()
    size = np.abs(np.expm1(record.errors["out_of_block"][mine & record.where(phase="max-load")]))
    shown = table[table["phase"] == "max-load"]["median_percent"].tolist()
    assert shown == pytest.approx([100 * np.median(size)], abs=0.06)


def test_the_files_of_the_record_are_there() -> None:
    assert REPORT.is_file()
    assert json.loads(REPORT.read_text())["rows"] == read_record().size
