"""Fits and examinations of calibrations, on a part of the public table."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

import infercost
from infercost.__main__ import main
from infercost.calibrate.cases import calibration
from infercost.calibrate.examine import interval, own_weight
from infercost.calibrate.features import calibration_at
from infercost.calibrate.fit import FASTER, LEVELS, PRIOR, restored, transformed
from infercost.calibrate.options import option_of, taken_over
from infercost.calibrate.public import MEASURED, Public, load
from infercost.measurements.validation import validate
from infercost.options.question import ask
from infercost.passes.reached import specialised
from infercost.specs.calibration import PARAMETERS, SHARES, FormatNumbers


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every 20th row of the public table, and a system's whole series."""
    with MEASURED.open(newline="") as handle:
        reader = csv.DictReader(handle)
        names, rows = list(reader.fieldnames or ()), list(reader)
    kept = [r for i, r in enumerate(rows) if i % 20 == 0 or r["hardware"] == "gaudi3"]
    file = tmp_path_factory.mktemp("table") / "some.csv"
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(kept)
    return file


@pytest.fixture(scope="module")
def public(some: Path) -> Public:
    return load(some)


def test_a_parameter_comes_back_from_its_line() -> None:
    for name in PARAMETERS:
        there = np.array(transformed(name, PRIOR[name][0]))
        assert restored(name, there) == pytest.approx(PRIOR[name][0])


def test_stacked_passes_equal_the_point_itself(public: Public) -> None:
    """One row of the table, predicted by its features and by `evaluate`."""
    index = next(
        i
        for i, r in enumerate(public.readings)
        if r.phase == "decode"
        and r.pp == r.dp == 1
        and np.isfinite(r.batch)
        and r.weights in ("fp16", "bf16")
        and r.cores_per_device == 1
    )
    r = public.readings[index]
    ideal = public.examination.features.predicted(lambda _: calibration("ideal"))
    row = infercost.evaluate(
        [
            f"hardware={r.hardware}",
            f"model={r.model}",
            "calibration=ideal",
            "workload=fixed-lengths",
            f"workload.prompt_tokens={r.prompt}",
            f"workload.output_tokens={r.output}",
            f"batch={int(r.batch)}",
            "plan=base",
            f"plan.tp={r.tp}",
            f"plan.formats.weights={r.weights}",
            f"plan.formats.kv={r.kv}",
            f"plan.formats.compute={r.weights}",
            "calibration.memory_utilisation=1",
            "hardware.tdp=1 MW",
            "model.max_context=1000000",
            f"hardware.memory.{_tier(r.hardware)}.capacity=10 TB",
        ]
    ).iloc[0]
    assert row.decode_step_s == pytest.approx(ideal[index], rel=1e-9)


def _tier(hardware: str) -> str:
    from infercost.compose import Options

    case = next(Options(ask([f"hardware={hardware}"])).cases()).case
    return next(iter(case.hardware.memory))


def test_a_fit_is_better_than_the_data_sheet_and_never_below_the_floor(public: Public) -> None:
    everything = np.ones(len(public.rows), dtype=bool)
    fitted = public.examination.fitted(everything)
    error = np.abs(public.examination.errors(fitted))
    features = public.examination.features
    floor = features.predicted(lambda _: calibration("ideal"))
    assert np.median(error) < 0.5 * np.median(np.abs(np.log(floor / features.seconds)))
    assert (np.exp(public.examination.errors(fitted)) * features.seconds >= floor * 0.999).all()
    for name in SHARES:
        assert (fitted.values()[name] <= 1).all()


def test_what_is_left_out_is_not_seen(public: Public) -> None:
    """Stated times of left-out rows may be anything: the fit to the others stays as it is."""
    used = np.array([r.hardware != "gaudi3" for r in public.readings])
    first = public.examination.fitted(used)
    features = public.examination.features
    before = features.seconds.copy()
    try:
        features.seconds[~used] *= 7.0
        second = public.examination.fitted(used)
    finally:
        features.seconds[:] = before
    np.testing.assert_array_equal(first.common, second.common)


def test_a_part_feels_what_it_says(public: Public) -> None:
    """Slopes are taken over parts that feel a parameter: no other part may move with it."""
    features, base = public.examination.features, public.examination.base
    size = len(features.readings)
    centre = {name: np.full(size, PRIOR[name][0]) for name in PARAMETERS}
    times = [part.time(calibration_at(base, centre)) for part in features.parts]
    for name in PARAMETERS:
        moved = {**centre, name: centre[name] * 0.9}
        there = calibration_at(base, moved)
        for part, time in zip(features.parts, times, strict=True):
            if name not in part.felt:
                np.testing.assert_array_equal(part.time(there), time)
    assert features.combined(times, calibration_at(base, centre)) == pytest.approx(
        features.predicted(calibration_at(base, centre))
    )


def test_one_number_makes_a_stack_slower_in_everything() -> None:
    pace = next(level for level in LEVELS if level.together)
    reach = dict(zip(pace.parameters, pace.reach, strict=True))
    assert pace.width == 1
    for name, (_, deviation) in PRIOR.items():
        assert reach[name] == (-deviation if name in FASTER else deviation)


def test_three_rows_of_a_stack_of_ones_own_count_whole() -> None:
    """sqrt(3 / 3) = 1; each of a dozen sqrt(3 / 12) = 1/2."""
    assert own_weight(3.0) == pytest.approx(1.0)
    assert own_weight(12.0) == pytest.approx(0.5)


def test_an_interval_covers_four_in_five() -> None:
    """Of 10,000 normal errors of 10 %: factors of about exp(-0.128) and exp(0.128)."""
    errors = np.random.default_rng(1).normal(0.0, 0.1, 10_000)
    low, high = interval(errors)
    assert low == pytest.approx(np.exp(-0.128), rel=0.01)
    assert high == pytest.approx(np.exp(0.128), rel=0.01)


def test_an_interval_from_few_units_is_wider() -> None:
    """Of 9 units whatever their size: all errors, since 10 % of 9 + 1 is one unit at each end."""
    errors = np.random.default_rng(1).normal(0.0, 0.1, 900)
    low, high = interval(errors, 9)
    assert low == pytest.approx(np.exp(-errors.max()))
    assert high == pytest.approx(np.exp(-errors.min()))


def test_validate_tells_every_row(some: Path) -> None:
    found = validate(some)
    with some.open(newline="") as handle:
        ids = {row["id"] for row in csv.DictReader(handle)}
    told = {row["id"] for row in found["rows"]} | {row["id"] for row in found["unmapped"]}
    assert told == ids
    for row in found["rows"]:
        assert 0 < row["low"] <= row["high"]
        slower = row["predicted"] / row["ideal"]
        assert (slower if "per_s" not in row["metric"] else 1 / slower) >= 0.999, row
    assert found["summary"]["all"]["rows"] == len(found["rows"])


def test_validate_as_json(some: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--measurements", str(some), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"rows", "unmapped", "beyond_floor", "summary"}
    assert {"id", "measured", "predicted", "low", "high"} <= set(told["rows"][0])


def test_validate_refuses_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--measurements", "nowhere.csv"]) == 2
    assert "nowhere.csv: cannot be read" in capsys.readouterr().err


def test_a_dozen_own_rows_make_a_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack a third as fast as the public Gaudi 3 rows is known within 25 % after 12 rows."""
    with MEASURED.open(newline="") as handle:
        reader = csv.DictReader(handle)
        names, rows = list(reader.fieldnames or ()), list(reader)
    mine = [r for r in rows if r["hardware"] == "gaudi3"][:12]
    slow = [{**r, "value": str(float(r["value"]) / 3)} for r in mine]
    file = tmp_path / "mine.csv"
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(slow)
    out = tmp_path / "options"
    arguments = ["--measurements", str(file), "--name", "my-cluster", "--out", str(out)]
    assert main(["calibrate", *arguments]) == 0
    assert "fitted to 12 rows" in capsys.readouterr().out
    written = (out / "calibration" / "my-cluster.yaml").read_text()
    error = re.search(r"median error (\d+)%", written)
    assert error is not None
    assert int(error[1]) < 25
    point = ["hardware=gaudi3", "model=llama-2-70b", "workload=fixed-lengths", "batch=16"]
    own = infercost.evaluate([*point, "calibration=my-cluster"], dirs=(str(out),))
    public = infercost.evaluate([*point, "calibration=gaudi-optimum-habana"])
    assert own.decode_step_s[0] > public.decode_step_s[0]


def test_a_calibration_keeps_the_projects_names(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--measurements", "x.csv", "--name", "typical", "--out", "x"]
    assert main(["calibrate", *arguments]) == 2
    assert "is a calibration of the project" in capsys.readouterr().err


def test_the_nearest_calibration_is_chosen() -> None:
    known = frozenset(["apple", "apple-llama-cpp-metal", "apple-other", "typical"])
    assert option_of("apple", "llama-cpp-metal", known) == ("apple-llama-cpp-metal", "stack")
    assert option_of("apple", "mlc", known) == ("apple", "family")
    assert option_of("apple", "other", known) == ("apple", "family"), "unknown software is no stack"
    assert option_of("apple", "vllm-2026", known) == ("typical", "family")
    assert option_of("tpu", "jetstream", known) == ("common", "common")


def test_a_family_takes_over_what_is_known_of_the_software() -> None:
    known = calibration("common").softwares
    common = calibration("common")
    assert taken_over("apple", "mlc", common) == known["mlc"]
    assert taken_over("common", "jetstream", common) == known["jetstream"]
    assert not taken_over("apple-llama-cpp-metal", "llama-cpp-metal", common), "its own has it"
    assert not taken_over("typical", "vllm-2026", common)
    assert not taken_over("apple", "other", common), "unknown software is no software"


def test_an_architecture_multiplies_what_a_format_has_of_its_own() -> None:
    """Odds of 0.8 are 4; twice that is 8 / 9. FP8's own 16 us times 1.5 are 24 us."""
    plain = calibration("typical")
    special = plain.model_copy(
        update={
            "architectures": {"hopper": {"memory_efficiency": 2.0, "decode_overhead": 1.5}},
            "formats": {"fp8": FormatNumbers(decode_overhead="16 us")},
        }
    )
    found = specialised(special, "hopper", "fp8")
    assert found.memory_efficiency == pytest.approx(8.0 / 9.0)
    assert found.decode_overhead == pytest.approx(24e-6)
    assert specialised(special, "ada", "bf16") == special


def test_no_factor_lifts_a_share_above_one() -> None:
    ideal = calibration("ideal").model_copy(
        update={"architectures": {"hopper": {"memory_efficiency": 1000.0}}}
    )
    assert specialised(ideal, "hopper", "bf16").memory_efficiency == 1.0
