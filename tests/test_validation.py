"""Validation: predictions of tables, what is said of them, and what the examinations hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infercost.__main__ import main
from infercost.calibrate.public import MEASURED
from infercost.calibrate.record import ERRORS, EXAMINATION, LEFT_OUT, read_record, write_record
from infercost.errors import SpecError
from infercost.measurements.published import COLUMNS, read_table
from infercost.measurements.readings import Unread, read
from infercost.measurements.validation import REPORT, batch_range, errors_of, validate
from infercost.stages.calibrate import told


@pytest.fixture(scope="module")
def public() -> dict[str, Any]:
    """The whole public table."""
    return validate(MEASURED)


def test_no_row_is_dropped(public: dict[str, Any]) -> None:
    ids = {row["id"] for row in read_table(MEASURED)}
    rows, unmapped = public["rows"], public["unmapped"]
    assert {row["id"] for row in rows} | {row["id"] for row in unmapped} == ids
    assert len(rows) + len(unmapped) == len(ids)
    assert all(row["reason"] for row in unmapped)
    assert sum(public["summary"]["reasons"].values()) == len(unmapped)


def test_every_prediction_lies_in_its_interval(public: dict[str, Any]) -> None:
    for row in public["rows"]:
        assert 0 < row["low"] <= row["predicted"] <= row["high"], row


def test_no_prediction_is_faster_than_physics(public: dict[str, Any]) -> None:
    """A rate at most that of the floor, a time at least."""
    for row in public["rows"]:
        slower = row["predicted"] / row["ideal"]
        assert (1 / slower if "per_s" in row["metric"] else slower) >= 1 - 1e-9, row


def test_an_error_is_of_time(public: dict[str, Any]) -> None:
    """A rate predicted half as high stands for twice the time: error +100 %."""
    for row in public["rows"]:
        ratio = row["predicted"] / row["measured"]
        time = 1 / ratio if "per_s" in row["metric"] else ratio
        assert row["error"] == pytest.approx(time - 1, abs=1e-9)


def test_each_kind_of_the_summary_counts_every_row(public: dict[str, Any]) -> None:
    summary = public["summary"]
    for kind in ("source", "system", "model", "phase", "batch", "tier", "calibration"):
        found = summary[f"by_{kind}"]
        assert sum(errors["rows"] for errors in found.values()) == summary["rows"], kind


def test_errors_by_hand() -> None:
    """Errors +5, -20, +30, 0 %: median of sizes 12.5, mean 13.75 %; two of four within 10 %."""
    rows = [
        {"error": e, "ideal_error": -0.5, "low": 1.0, "high": 3.0, "measured": m}
        for e, m in ((0.05, 2.0), (-0.2, 2.0), (0.3, 4.0), (0.0, 1.0))
    ]
    found = errors_of(rows)
    assert found["median"] == pytest.approx(0.125)
    assert found["mean"] == pytest.approx(0.1375)
    assert found["bias"] == pytest.approx(0.025)
    assert found["within_10"] == 0.5
    assert found["within_25"] == 0.75
    assert found["inside_interval"] == 0.75
    assert found["ideal_median"] == 0.5


@pytest.mark.parametrize(
    ("batch", "words"),
    [(0.5, "1 to 7"), (1, "1 to 7"), (8, "8 to 63"), (64, "64 to 511"), (4096, "512 and more")],
)
def test_a_batch_belongs_to_a_range(batch: float, words: str) -> None:
    assert batch_range(batch) == words


# The record of the examinations


def test_the_record_speaks_of_every_row_that_can_be_read(public: dict[str, Any]) -> None:
    assert list(read_record().texts["id"]) == [row["id"] for row in public["rows"]]


def test_the_report_follows_from_the_record() -> None:
    report = json.loads(REPORT.read_text())
    record = read_record()
    assert report["rows"] == record.size
    assert {key: report[key] for key in report if key not in ("rows", "unread")} == told(record)


def test_a_record_is_written_as_it_is_read(tmp_path: Path) -> None:
    write_record(read_record(), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == EXAMINATION.read_bytes()


def test_intervals_cover_four_in_five_rows_that_no_fit_had_seen() -> None:
    """An 80 % interval is right where 75 to 85 % of left-out rows lie in it."""
    assert 0.75 <= read_record().covered.mean() <= 0.85


def test_no_fit_is_below_the_floor_in_any_examination() -> None:
    """Log errors differ by the log of predicted over ideal time, kept to four decimals."""
    record = read_record()
    for name in ERRORS:
        assert not (record.errors[name] < record.errors["ideal"] - 1e-4).any(), name


def test_what_a_fit_has_seen_it_knows_better() -> None:
    errors = {name: np.nanmedian(np.abs(found)) for name, found in read_record().errors.items()}
    for what in LEFT_OUT:
        assert errors["in_sample"] < errors[f"out_of_{what}"] < errors["ideal"]


def test_a_record_without_a_column_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,tier\n1,A\n")
    with pytest.raises(SpecError, match="phase: column is missing"):
        read_record(tmp_path / "x.csv")
    with pytest.raises(SpecError, match="Run 'make calibrate'"):
        read_record(tmp_path / "nowhere.csv")


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Either of the two would be a silent choice."""
    file = tmp_path / "x.csv"
    file.write_text(f"{','.join(COLUMNS)},value\n")
    with pytest.raises(SpecError, match=r"value: stands in two columns\. Leave out one"):
        read_table(file)


# The command


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two rows that can be read, one of a system that nobody knows, one served under load."""
    rows = read_table(MEASURED)
    kept = [*rows[:2], {**rows[2], "hardware": "h999"}]
    kept.append(next(row for row in rows if isinstance(read(row), Unread)))
    file = tmp_path / "some.csv"
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    return file


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["validate", "--measurements", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_summary_comes_first(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    code, out, _ = said(capsys, table)
    assert code == 0
    assert out.startswith("2 of 4 rows predicted, 2 not read")
    for kind in ("phase", "batch", "system", "model", "source"):
        assert f"Error by {kind}" in out
    assert "no hardware option 'h999'" in out
    assert read_table(table)[2]["id"] not in out


def test_ids_of_unread_rows_are_listed_when_asked_for(
    capsys: pytest.CaptureFixture[str], table: Path
) -> None:
    _, out, _ = said(capsys, table, "--unmapped", "--by", "phase")
    assert f"no hardware option 'h999': {read_table(table)[2]['id']}" in out
    assert "Error by source" not in out


def test_what_no_device_reaches_is_told(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    """A rate ten times as high, or a time taken for seconds that was in ms, beats the floor."""
    _, out, _ = said(capsys, table)
    assert "Faster than the physical floor" not in out
    rows = read_table(table)
    rows[0]["value"] = str(float(rows[0]["value"]) * 10.0)
    with table.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert "per_s" in rows[0]["metric"]
    _, out, _ = said(capsys, table)
    assert f"devices and lengths: {rows[0]['id']}." in out
    _, out, _ = said(capsys, table, "--json")
    assert json.loads(out)["beyond_floor"] == [rows[0]["id"]]


def test_of_the_public_table_nothing_beats_the_floor(public: dict[str, Any]) -> None:
    assert public["beyond_floor"] == []


def test_json_tells_every_row(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    _, out, _ = said(capsys, table, "--json")
    found = json.loads(out)
    assert [len(found[key]) for key in ("rows", "unmapped")] == [2, 2]
    assert {"id", "measured", "predicted", "low", "high", "ideal"} <= set(found["rows"][0])
    assert {"id", "reason"} <= set(found["unmapped"][0])
    assert found["summary"]["mapped_share"] == 0.5


def test_a_table_of_which_nothing_can_be_read_is_told_too(
    capsys: pytest.CaptureFixture[str], table: Path
) -> None:
    table.write_text(table.read_text().replace("llama", "lama"))
    code, out, _ = said(capsys, table)
    assert code == 0
    assert out.startswith("0 of 4 rows predicted, 4 not read")
    _, out, _ = said(capsys, table, "--json")
    assert len(json.loads(out)["unmapped"]) == 4


def test_a_model_without_room_is_told_too(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    """405 billion parameters in 16 bits on one device of 141 GB."""
    lines = [line.replace(",fp8,,4,4,", ",fp16,,1,1,") for line in table.read_text().splitlines()]
    text = "\n".join(line.replace("llama-4-scout", "llama-3.1-405b") for line in lines[:3])
    table.write_text(text + "\n")
    code, out, _ = said(capsys, table)
    assert code == 0
    assert "the weights leave no room for one request" in out


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not UTF-8 text"),
        (b"id;hardware;model\n1;2;3\n", "Separate cells by commas"),
        (b"id,hardware\n1,2\n", "columns are missing"),
    ],
)
def test_what_is_no_table_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, fault: str
) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    code, out, err = said(capsys, file)
    assert (code, out) == (2, "")
    assert fault in err
    assert len(err.strip().splitlines()) == 1


def test_rows_are_counted_in_faults(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1] + ",x,y"]) + "\n")
    code, _, err = said(capsys, table)
    assert code == 2
    assert "row 6 has" in err
    table.write_text(lines[0] + "\n")
    assert "holds no row" in said(capsys, table)[2]


def test_short_rows_and_marks_of_editors_are_read(
    capsys: pytest.CaptureFixture[str], table: Path
) -> None:
    """A row cut short lacks numbers, which is its reason; a byte order mark is no part of `id`."""
    table.write_text("\ufeff" + table.read_text() + "X1,somewhere\n")
    code, out, _ = said(capsys, table)
    assert code == 0
    assert out.startswith("2 of 5 rows predicted")
