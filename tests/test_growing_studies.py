"""Studies that grow: sampled axes, parts of any size, and what an edit computes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infercost import parts
from infercost.datasets import Version, open_version
from infercost.errors import SpecError
from infercost.stages import part, publish
from infercost.stages.aggregate import best_rows
from infercost.uncertainty.samples import unit_points
from infercost.versions.recompute import recompute
from infercost.workplan import WorkPlan, prepare

SAMPLED = """\
name: grown
question: What does a token cost over a space of machines?
axes:
  hardware: [h100-sxm, tpu-v5e]
  model: [llama-3.1-8b]
  workload: [fixed-lengths]
split: hardware
overrides: [plan=base]
sample:
  count: {count}
  method: {method}
  seed: 7
  over:
    hardware.memory.hbm.bandwidth: {{low: 1 TB/s, high: 16 TB/s, scale: log}}
    hardware.price: {{low: 10000 USD, high: 50000 USD}}
    batch: {{low: 1, high: 64, scale: log}}
{more}
"""
GRIDDED = """\
name: grown
question: What does a token cost at each bandwidth and price?
axes:
  hardware: [h100-sxm]
  model: [llama-3.1-8b]
  workload: [azure-2023-conversation]
  hardware.memory.hbm.bandwidth: [{bandwidths}]
  hardware.price: [10000 USD, 20000 USD]
split: hardware
overrides: [plan=base]
{more}
"""
OPTIMISE = """\
optimise:
  minimise: cost_per_mtoken_usd
  within_slo: false
  largest_replica: 4
  over:
    plan.tp: [1, 2, 4]
keep: {keep}
"""


def planned(folder: Path, text: str) -> WorkPlan:
    (folder / "mine" / "study").mkdir(parents=True, exist_ok=True)
    (folder / "mine" / "study" / "grown.yaml").write_text(text)
    return prepare("grown", (), (str(folder / "mine"),), folder / "work")


def computed(folder: Path, text: str) -> Version:
    plan, work = planned(folder, text), folder / "work"
    for name in plan.parts.values():
        if not (work / f"parts/{name}.parquet").is_file():
            spec = work / "specs" / f"{name}.json"
            part.run(spec, work / f"parts/{name}.parquet", Path(plan.file), 1)
    publish.run(Path(plan.file), work, folder / "datasets", work / "published.json")
    return open_version(folder / "datasets", "grown")


def sampled(method: str = "sobol", count: int = 64, more: str = "") -> str:
    return SAMPLED.format(method=method, count=count, more=more)


def gridded(bandwidths: str = "1 TB/s, 2 TB/s, 4 TB/s, 8 TB/s", more: str = "") -> str:
    return GRIDDED.format(bandwidths=bandwidths, more=more)


@pytest.mark.parametrize("method", ["sobol", "latin-hypercube"])
def test_a_sample_fills_every_stratum_of_every_axis_once(method: str) -> None:
    """64 points, 64 slices: one point in each, along each axis, by both methods."""
    points = unit_points(method, 64, 3, 7)
    for column in points.T:
        assert sorted(np.floor(column * 64).astype(int)) == list(range(64))


def test_sampled_rows_lie_between_their_ends(tmp_path: Path) -> None:
    rows = computed(tmp_path, sampled()).rows()
    assert len(rows) == 2 * 64
    bandwidth = rows["hardware.memory.hbm.bandwidth"]
    assert bandwidth.between(1e12, 16e12).all()
    # Even in the logarithm: half of the points lie below the geometric mean, 4 TB/s.
    assert (bandwidth < 4e12).sum() == 64
    assert rows["hardware.price"].between(10000, 50000).all()
    assert rows["batch"].dtype.kind == "i"
    assert rows["batch"].between(1, 64).all()


@pytest.mark.parametrize("keep", ["all", "best", "pareto"])
def test_the_digest_does_not_know_how_a_sample_was_cut(keep: str, tmp_path: Path) -> None:
    how = "" if keep == "all" else OPTIMISE.format(keep=keep)
    whole = computed(tmp_path / "whole", sampled(more=how))
    small = computed(tmp_path / "small", sampled(more=f"{how}\npart: {{rows: 10}}"))
    assert len(whole.manifest()["files"]) == 2
    assert len(small.manifest()["files"]) == 2 * 7, "64 points, ten to a part"
    assert small.name == whole.name
    rows = small.manifest()["rows"]
    assert recompute(small, rows) == (rows, [])


@pytest.mark.parametrize("keep", ["all", "best", "pareto"])
def test_the_digest_does_not_know_how_a_grid_was_cut(keep: str, tmp_path: Path) -> None:
    how = "" if keep == "all" else OPTIMISE.format(keep=keep)
    whole = computed(tmp_path / "whole", gridded(more=how))
    small = computed(tmp_path / "small", gridded(more=f"{how}\npart: {{rows: 2}}"))
    assert (len(whole.manifest()["files"]), len(small.manifest()["files"])) == (1, 4)
    assert small.name == whole.name


def test_parts_are_cut_by_their_bytes_too(tmp_path: Path) -> None:
    """A row has above a hundred columns of eight bytes, so that two rows are above a kilobyte."""
    plan = planned(tmp_path, gridded(more="part: {size: 1 kB}"))
    assert len(plan.parts) == 4
    assert sum(plan.points.values()) == 8


def test_changing_one_value_of_an_axis_computes_one_part(tmp_path: Path) -> None:
    size = "part: {rows: 2}"
    before = planned(tmp_path, gridded(more=size)).parts
    after = planned(tmp_path, gridded("1 TB/s, 2 TB/s, 5 TB/s, 8 TB/s", size)).parts
    longer = planned(tmp_path, gridded("1 TB/s, 2 TB/s, 4 TB/s, 8 TB/s, 9 TB/s", size)).parts
    assert len(set(after.values()) - set(before.values())) == 1
    assert len(set(longer.values()) - set(before.values())) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (sampled(count=60), "60 is no power of 2"),
        (sampled().replace("high: 16 TB/s", "high: 16 GB"), "16 GB"),
        (sampled().replace("high: 16 TB/s", "high: 0.5 TB/s"), "is not below high"),
        (sampled().replace("low: 1,", "low: 0,"), "batch"),
        (sampled().replace("hardware.price:", "hardware.prise:"), "prise"),
        (sampled().replace("batch: {", "model.name: {"), "model.name"),
        (
            sampled().replace("split:", "  hardware.price: [1 USD, 2 USD]\nsplit:"),
            "is an axis too",
        ),
        (
            sampled(more=OPTIMISE.format(keep="best").replace("plan.tp: [1, 2, 4]", "batch: [8]")),
            "optimise.over.batch: is an axis of the study too",
        ),
        (
            gridded(more=OPTIMISE.format(keep="best").replace("plan.tp", "hardware.price")),
            "optimise.over.hardware.price: is an axis of the study too",
        ),
        (sampled(count=2**40), "makes 1,[0-9]{3},[0-9]{3} parts of 'h100-sxm', more than 10,000"),
    ],
)
def test_a_wrong_sample_is_refused_before_any_job(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        planned(tmp_path, text)
    assert len(str(refused.value).splitlines()) == 1


def test_aggregates_see_one_best_row_for_each_combination(tmp_path: Path) -> None:
    """The last one, as the dataset lists them; whatever it is cut into."""
    how = OPTIMISE.format(keep="pareto") + "\npart: {rows: 10}"
    version = computed(tmp_path, sampled(more=how))
    rows = version.rows()
    wanted = rows[rows.best & rows.feasible].groupby("hardware", observed=True).tail(1)
    found = best_rows(version)
    assert found["cost_per_mtoken_usd"].tolist() == wanted["cost_per_mtoken_usd"].tolist()
    assert list(found.columns) == list(rows.columns)


def test_the_same_rows_give_the_same_bytes_however_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 rows in row groups of 4,096: at once, by groups, in pieces that divide none."""
    monkeypatch.setattr(parts, "ROW_GROUP", 4096)
    numbers = np.random.default_rng(0).normal(size=10_000)
    words = pa.array(["a", "b"] * 5_000).dictionary_encode()
    few = np.where(np.arange(10_000) < 5_000, numbers.round(1), numbers)
    table = pa.table({"word": words, "number": numbers, "few": few, "flag": numbers > 0})
    written = set()
    for size in (10_000, 4_096, 999):
        target = tmp_path / f"{size}.parquet"
        parts.write_rows((table.slice(i, size) for i in range(0, 10_000, size)), target)
        written.add(target.read_bytes())
    assert len(written) == 1
    assert pq.read_table(target).equals(table)


def test_numbers_that_repeat_are_written_by_dictionary_others_by_bytes(tmp_path: Path) -> None:
    """A quarter of the rows at most may differ: 1,000 values do, 49,000 do not."""
    count = np.arange(49_000.0)
    none = np.full(49_000, np.nan)
    table = pa.table({"few": count % 1000, "many": count, "none": none, "flag": count > 0})
    parts.write_table(table, tmp_path / "rows.parquet")
    group = pq.read_metadata(tmp_path / "rows.parquet").row_group(0)
    columns = (group.column(i) for i in range(3))
    written = {c.path_in_schema: "BYTE_STREAM_SPLIT" in c.encodings for c in columns}
    assert written == {"few": False, "many": True, "none": False}


def test_time_left_is_that_of_points_not_of_rows_that_landed(tmp_path: Path) -> None:
    """Three of four parts of 100 points are left, 2 s each, on two cores: 3 s, whatever landed."""
    parts = {f"part-{i}": f"{i:016x}" for i in range(4)}
    points = dict.fromkeys(parts, 100)
    plan = WorkPlan("study", [], [], "", parts, points, figures=[], claims="", files={}, file="")
    target = tmp_path / f"{0:016x}.parquet"
    target.touch()
    told = part._progress(plan, target, seconds=2.0, workers=2)
    assert told == "study: 1 of 4 parts, 100 of 400 points, about 3 s left"
