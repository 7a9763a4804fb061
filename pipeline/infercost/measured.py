"""A study of measurements: its one part, a row per published point, predicted and examined.

Rows that cannot be read are rows too, with the reason and without a prediction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.calibrate.cases import case_of, families
from infercost.calibrate.options import COMMON_NAME
from infercost.calibrate.record import LEFT_OUT, Record, read_record
from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.errors import SpecError
from infercost.measurements.published import era_of, read_table
from infercost.measurements.readings import Reading, read
from infercost.measurements.validation import REPORT, Row, chosen_calibrations, predictions
from infercost.options.question import Question
from infercost.parts import write_table
from infercost.paths import ROOT, config_dirs, data_file, shown
from infercost.specs.study import Measurements

if TYPE_CHECKING:
    import pyarrow as pa

Plain = dict[str, Any]
LABEL = "measured"
"""Name of the part, and of its file."""
ERAS = ROOT / "data" / "reference" / "eras.csv"


def files_of(study: Measurements) -> dict[str, Path]:
    """The files that a study of measurements stands on, by the names that a manifest gives them."""
    found = {"table": data_file(study.table), "eras": ERAS, "intervals": REPORT}
    if study.examination:
        found["examination"] = data_file(study.examination)
    return found


def file_digests(study: Measurements) -> dict[str, str]:
    """Digest of each file's content, by its path. Raises `SpecError` where one is missing."""
    found = {}
    for file in files_of(study).values():
        try:
            found[shown(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise SpecError(shown(file), "", f"cannot be read: {error.strerror}") from None
    return found


def described(study: Measurements, dirs: tuple[str, ...] = ()) -> Plain:
    """The plain description of the part: files with their digests, and every option resolved."""
    table = read_table(data_file(study.table))
    names = _named([entry for row in table if isinstance(entry := read(row, dirs), Reading)], dirs)
    plain = Options(Question(names, dirs=config_dirs(dirs))).to_plain()
    options = {group: plain["options"][group] for group in names}
    digests = {name: {"sha256": digest} for name, digest in file_digests(study).items()}
    return {
        "measurements": study.model_dump(),
        "rows": len(table),
        "options": {**options, "reference": digests},
    }


def _named(readings: list[Reading], dirs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Options that the readings name and those that their prediction needs."""
    chosen = [name for name, _ in chosen_calibrations(readings, dirs)]
    return {
        "hardware": tuple(sorted({r.hardware for r in readings})),
        "model": tuple(sorted({r.model for r in readings})),
        "workload": ("fixed-lengths",),
        "plan": ("base",),
        "calibration": tuple(sorted({*chosen, COMMON_NAME, "ideal"})),
    }


def write_measured(plain: Plain, dirs: tuple[str, ...], target: Path) -> int:
    """Compute the part and write it whole or not at all; returns its rows."""
    study = Measurements.model_validate(plain["measurements"])
    for name, digest in file_digests(study).items():
        if plain["options"]["reference"][name]["sha256"] != digest:
            fault = "has changed since the study was planned"
            raise SpecError(name, "", fault, "Run the study again")
    return write_table(to_arrow(measured_rows(study, dirs)), target)


def measured_rows(study: Measurements, dirs: tuple[str, ...] = ()) -> list[Row]:
    """Every row of the table in its order: as stated, as predicted, as examined."""
    file = data_file(study.table)
    table = read_table(file)
    predicted, unread = predictions(file, dirs)
    known = {row["id"]: row for row in predicted}
    reasons = {entry.id: entry.reason for entry in unread}
    readings = {r.id: r for row in table if isinstance(r := read(row, dirs), Reading)}
    weights = weight_bytes(readings.values(), dirs)
    family = dict(
        zip(readings, families([r.hardware for r in readings.values()], dirs), strict=True)
    )
    record = read_record(data_file(study.examination)) if study.examination else None
    places = record.place_of() if record is not None else {}
    return [
        _as_stated(row)
        | _as_predicted(known.get(row["id"]), readings.get(row["id"]))
        | ({"era": readings[row["id"]].era} if row["id"] in readings else {})
        | {"family": family.get(row["id"], ""), "weights_b": weights.get(row["id"], np.nan)}
        | _examined(record, places.get(row["id"]))
        | {"unmapped": reasons.get(row["id"], "")}
        for row in table
    ]


def _as_stated(row: Mapping[str, str]) -> Row:
    texts = ("id", "source", "block", "hardware", "model", "weight_format", "framework")
    numbers = {
        "devices": "n_devices",
        "prompt_tokens": "",
        "output_tokens": "",
        "measured": "value",
    }
    return {
        **{name: row.get(name, "") for name in (*texts, "metric", "tier")},
        **{name: _number(row.get(column or name, "")) for name, column in numbers.items()},
        "unit": "token/s" if "per_s" in row["metric"] else "s",
        "era": era_of(row["framework"], row.get("date", "")),
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


PREDICTED = ("predicted", "low", "high", "ideal", "error", "ideal_error", "batch")
TIMES = ("predicted", "low", "high", "ideal")


def _as_predicted(row: Row | None, reading: Reading | None) -> Row:
    """What is predicted, in the unit of the row and as times of the work that the row states."""
    if row is None or reading is None:
        texts = dict.fromkeys(("phase", "calibration", "level"), "")
        return {
            **texts,
            **dict.fromkeys((*PREDICTED, "measured_s", *(f"{t}_s" for t in TIMES)), np.nan),
            "inside": False,
        }
    stated = row["measured"]
    time = {
        name: reading.time_s * (stated / row[name] if reading.per_time else row[name] / stated)
        for name in TIMES
    }
    if reading.per_time:  # the lowest rate is the longest time
        time["low"], time["high"] = time["high"], time["low"]
    return {
        **{name: row[name] for name in ("phase", "calibration", "level", *PREDICTED)},
        "measured_s": reading.time_s,
        **{f"{name}_s": value for name, value in time.items()},
        "inside": row["low"] <= stated <= row["high"],
    }


def _examined(record: Record | None, place: int | None) -> Row:
    """Errors of one row by fits that had not seen its block, system, model or stack."""
    names = [f"out_of_{what}" for what in LEFT_OUT]
    if record is None or place is None:
        missing = dict.fromkeys((f"error_{name}" for name in names), np.nan)
        return {**missing, "level_out_of_block": "", "inside_out_of_block": False}
    return {
        **{f"error_{name}": _share_of(record.errors[name][place]) for name in names},
        "level_out_of_block": record.texts["level_out_of_block"][place],
        "inside_out_of_block": bool(record.covered[place]),
    }


def _share_of(error: float) -> float:
    """A log error as a share, to six digits: exponentials differ in the last bit between CPUs."""
    return round(float(np.expm1(error)), 6)


def weight_bytes(readings: Iterable[Reading], dirs: tuple[str, ...] = ()) -> dict[str, float]:
    """Bytes of a whole model's weights in each reading's formats, by the reading's id."""
    readings = list(readings)
    if not readings:
        return {}
    names = {"model": tuple(dict.fromkeys(r.model for r in readings))}
    names |= {"workload": ("fixed-lengths",), "plan": ("base",), "calibration": ("ideal",)}
    options = Options(Question(names, dirs=config_dirs(dirs)))
    cases = {c.options["model"]: c.case for c in options.cases()}
    found: dict[tuple[str, str], float] = {}
    for r in readings:
        key = (r.model, r.weights)
        if key not in found:
            point = Evaluation(case_of({(r.hardware, r.model): cases[r.model]}, r))
            found[key] = float(np.asarray(point.memory.weights))
    return {r.id: found[r.model, r.weights] for r in readings}


FLAGS = ("inside", "inside_out_of_block")
ORDER = (
    *("id", "source", "block", "hardware", "family", "model", "weight_format", "framework"),
    *("era", "calibration", "level", "phase", "metric", "tier", "unit", "batch", "prompt_tokens"),
    *("output_tokens", "devices", "weights_b", "measured", "predicted", "low", "high", "ideal"),
    *("measured_s", "predicted_s", "low_s", "high_s", "ideal_s", "error", "ideal_error", "inside"),
    *(f"error_out_of_{what}" for what in LEFT_OUT),
    *("level_out_of_block", "inside_out_of_block", "unmapped"),
)
"""Columns of the dataset."""


def to_arrow(rows: list[Row]) -> pa.Table:
    """Rows as an Arrow table, with unit and meaning in each column's metadata."""
    import pyarrow as pa

    from infercost.quantities import field_of, measured_quantity

    arrays = []
    for name in ORDER:
        values = [row[name] for row in rows]
        kind = pa.bool_() if name in FLAGS else None
        kind = kind or (pa.string() if isinstance(values[0], str) else pa.float64())
        arrays.append(pa.array(values, kind, from_pandas=False))
    fields = [
        field_of(name, array.type, measured_quantity(name))
        for name, array in zip(ORDER, arrays, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
