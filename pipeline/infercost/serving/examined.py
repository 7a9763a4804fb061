"""Replays of measured services, examined: by the calibration of their era, and by one that had not
seen their block.

`infercost stage replays` writes data/reference/replayed.csv; the tables of errors come from it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from infercost.arrays import BoolArray
from infercost.calibrate.cases import calibration
from infercost.calibrate.fit import LEVELS, Fit, restored
from infercost.calibrate.public import MEASURED, Public, labels_at, load, stack_name
from infercost.errors import SpecError
from infercost.paths import ROOT, shown
from infercost.serving.measured import Run, replayed, runs_of, server_rows
from infercost.specs.calibration import PARAMETERS, Calibration

REPLAYED = ROOT / "data" / "reference" / "replayed.csv"
TEXTS = ("id", "kind", "hardware", "model", "stack", "metric")
CALIBRATIONS = ("typical", "in_sample", "out_of_block")
"""One that nothing was fitted for; the fit to all rows; the fit to all but the row's block."""
NUMBERS = ("stated", *CALIBRATIONS)
DIGITS = 5


@dataclass(frozen=True)
class Examined:
    """One row of the table of measurements, as stated and as replayed under each calibration.

    NaN: no rate keeps the benchmark's limits under that calibration.
    """

    id: str
    kind: str
    hardware: str
    model: str
    stack: str
    metric: str
    stated: float
    typical: float
    in_sample: float
    out_of_block: float

    def error(self, name: str) -> float:
        """Replayed over stated, less 1; -1 where no rate keeps the limits."""
        value: float = getattr(self, name)
        return -1.0 if math.isnan(value) else value / self.stated - 1.0


def examined(table: Path = MEASURED, workers: int = 1) -> list[Examined]:
    """Every row of a service, replayed under the three calibrations. Minutes: a fit per block."""
    public = load(table)
    runs = list(runs_of(server_rows(table)))
    whole = public.examination.fitted(np.ones(len(public.rows), dtype=bool))
    blocks: dict[str, list[Run]] = {}
    for run in runs:
        blocks.setdefault(run.rows[0]["block"], []).append(run)
    one = partial(_block, public, whole)
    if workers == 1:
        found = list(map(one, blocks, blocks.values()))
    else:
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(one, blocks, blocks.values()))
    return sorted((row for rows in found for row in rows), key=lambda row: row.id)


def _block(public: Public, whole: Fit, block: str, runs: Sequence[Run]) -> list[Examined]:
    """Rows of one block."""
    others: BoolArray = np.array(public.column("block")) != block
    fit = public.examination.fitted(others)
    typical, base = calibration("typical"), public.examination.base
    rows: list[Examined] = []
    for run in runs:
        labels = labels_of(run)
        told = [
            replayed(run, typical),
            replayed(run, fitted_for(whole, base, labels)),
            replayed(run, fitted_for(fit, base, labels)),
        ]
        rows += [
            Examined(
                row["id"], run.kind, row["hardware"], row["model"], labels["stack"], row["metric"],
                float(row["value"]), *(by[row["id"]] for by in told),
            )
            for row in run.rows
        ]  # fmt: skip
    return rows


def labels_of(run: Run) -> dict[str, str]:
    """What a run belongs to at each level of a fit."""
    era = run.reading.era
    return labels_at(run.case, stack_name(run.case.hardware.family, era), era)


def fitted_for(fit: Fit, base: Calibration, labels: dict[str, str]) -> Calibration:
    """A fit's calibration for what carries these labels; levels that it lacks keep those above."""
    names = fit.groups.names
    entries = {
        level.name: names[level.name].index(labels[level.name])
        for level in LEVELS
        if labels[level.name] in names[level.name]
    }
    line = fit.line(entries)
    values = {p: float(restored(p, line[k])) for k, p in enumerate(PARAMETERS)}
    return base.model_copy(update={**values, "architectures": {}, "formats": {}})


def write(rows: Sequence[Examined], file: Path) -> None:
    """The rows as CSV."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*TEXTS, *NUMBERS])
        for row in rows:
            numbers = (f"{getattr(row, name):.{DIGITS}g}" for name in NUMBERS)
            writer.writerow([*(getattr(row, name) for name in TEXTS), *numbers])


@cache
def read_rows(file: Path = REPLAYED) -> list[Examined]:
    """The rows that `infercost stage replays` wrote. Raises `SpecError` where it did not."""
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
        remedy = "Run 'infercost stage replays'"
        raise SpecError(shown(file), "", fault, remedy) from None
    return [_row_of(row) for row in rows]


def _row_of(row: dict[str, str]) -> Examined:
    values: dict[str, Any] = {name: row[name] for name in TEXTS}
    values |= {name: float(row[name]) for name in NUMBERS}
    return Examined(**values)


TARGETS = {"tpot_s": 0.15, "ttft_s": 0.30, "output_tokens_per_s": 0.20}
"""Medians of absolute errors that a replay should stay within."""
TITLES = {"tpot_s": "TPOT", "ttft_s": "TTFT", "e2e_latency_s": "E2E",
          "output_tokens_per_s": "throughput"}  # fmt: skip


def table(rows: Sequence[Examined]) -> str:
    """Medians and 90th percentiles of absolute errors by kind of run and metric, as Markdown."""
    heads = ("`typical`", "fitted, in sample", "block left out")
    lines = [
        f"| median / 90th percentile | {' | '.join(heads)} | bias, block left out | aim |",
        "|---|" + "---:|" * (len(heads) + 2),
    ]
    for label, mine in _groups(rows):
        errors = {name: np.array([row.error(name) for row in mine]) for name in CALIBRATIONS}
        cells = [_sizes(errors[name]) for name in CALIBRATIONS]
        cells.append(f"{np.median(errors['out_of_block']):+.0%}".replace("%", " %"))
        aim = TARGETS.get(mine[0].metric)
        cells.append(f"{aim:.0%}".replace("%", " %") if aim else "–")
        lines.append(f"| {label} ({len(mine)}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def _groups(rows: Sequence[Examined]) -> Iterator[tuple[str, list[Examined]]]:
    for metric, title in TITLES.items():
        mine = [row for row in rows if row.metric == metric]
        kinds = list(dict.fromkeys(row.kind for row in mine))
        if len(kinds) > 1:
            yield f"{title}, all", mine
        for kind in sorted(kinds):
            yield f"{title}, {kind}", [row for row in mine if row.kind == kind]


def _sizes(errors: np.ndarray) -> str:
    size = np.abs(errors)
    return f"{np.median(size):.0%} / {np.quantile(size, 0.9):.0%}".replace("%", " %")
