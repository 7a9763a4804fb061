"""The ledger of claims: verdicts that follow from published rows.

A claim's query gives a number per case. A case supports the claim on the right side of its
threshold; the claim is supported or refuted where (nearly) all cases agree, and depends where they
differ: then the ledger names the region. Where a query gives the cases draw by draw of uncertain
inputs, a case is the median of its draws, and the ledger tells the share of draws that support it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infercost.arrays import BoolArray, FloatArray
from infercost.claim_options import GROUP, load_claim
from infercost.errors import SpecError
from infercost.options.question import option_names
from infercost.paths import ROOT, config_dirs
from infercost.specs.claim import Claim

if TYPE_CHECKING:
    import pandas as pd

    from infercost.datasets import Version
    from infercost.specs.study import Study

DRAW, LOW, HIGH = "draw", "value_p10", "value_p90"
"""Column that tells draws apart in a query's answer; quantiles of the values of a case's draws."""
SUPPORTED, REFUTED, DEPENDS, UNTESTED = "supported", "refuted", "depends", "untested"
_ROWS_ALONE = re.compile(r'(?is)(?!.*\b(?:from|join)\s+(?!rows\b)["\w]).*')
"""A query that reads nothing but `rows`."""
RECORD = ROOT / "data" / "reference" / "claims.csv"
"""Verdicts that are known and explained: a verdict that differs from it is news."""


@dataclass(frozen=True)
class Verdict:
    """A claim, and what its cases say."""

    name: str
    claim: Claim
    verdict: str
    version: str
    """The dataset that decides, as STUDY/VERSION; empty where it has not been published here."""
    cases: int
    holding: int
    undecided: int
    """Cases without a number, as where no plan is feasible."""
    median: float
    """Of the numbers of all cases."""
    margin: float
    """How far the median is on the right side: log ratio, log odds ratio or difference; negative
    on the wrong one."""
    probability: float
    """Chance that a case supports the claim, given how far predictions were off measurements of
    the same calibration; NaN for counts and for what no measurement speaks of."""
    drawn: float
    """Share of draws of uncertain inputs in which a case supports the claim; NaN where the study
    draws none."""
    error: float
    """Scale of the log errors of predicted time that the study's calibration made on measurements,
    which `probability` stands on; NaN where no measurement speaks of it."""
    region: str
    """Where the claim holds and where it does not, if it depends."""

    @property
    def share(self) -> float:
        """Share of decided cases that support the claim."""
        return self.holding / self.cases if self.cases else float("nan")


def ledger(root: Path, dirs: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> list[Verdict]:
    """Verdicts of the named claims, or of all, from the latest versions below `root`."""
    chosen = names or tuple(option_names(config_dirs(dirs), GROUP))
    return [judged(name, load_claim(name, dirs), root, dirs) for name in chosen]


def judged(name: str, claim: Claim, root: Path, dirs: tuple[str, ...] = ()) -> Verdict:
    """The verdict on a claim; `untested` where its study has not been published."""
    from infercost.datasets import open_version

    try:
        version = open_version(root, claim.study)
    except SpecError:
        return verdict_untested(name, claim)
    return verdict_of(name, claim, cases_of(name, claim, version, dirs), version)


def verdict_untested(name: str, claim: Claim) -> Verdict:
    """That nothing can be said of a claim here."""
    none = float("nan")
    return Verdict(name, claim, UNTESTED, "", 0, 0, 0, none, none, none, none, none, "")


@lru_cache(maxsize=64)
def _study(name: str, dirs: tuple[str, ...]) -> Study | None:
    """The study of that name, if it is an option: its aggregates may be read by name."""
    from infercost.studies import load_study

    known = option_names(config_dirs(dirs), "study")
    return load_study(name, dirs) if name in known else None


def cases_of(name: str, claim: Claim, version: Version, dirs: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per case, with its number in `value`. Raises `SpecError` for a wrong query."""
    from infercost.stages.aggregate import connect, query

    study = None if _ROWS_ALONE.fullmatch(claim.query) else _study(claim.study, dirs)
    try:
        table = query(connect(version, study), "query", claim.query)
    except SpecError as error:
        raise SpecError(f"{GROUP} '{name}'", "query", error.fault, error.remedy) from None
    if "value" not in table.columns:
        remedy = f"Name one of its columns 'value': {', '.join(map(str, table.columns))}"
        raise SpecError(f"{GROUP} '{name}'", "query", "gives no column 'value'", remedy)
    return table


def verdict_of(name: str, claim: Claim, table: pd.DataFrame, version: Version) -> Verdict:
    """What the cases of a claim say."""
    told, drawn = summed_up(claim, table)
    values = told["value"].to_numpy(dtype=np.float64)
    decided = np.isfinite(values)
    margins = margins_of(claim, values[decided])
    holds = margins >= 0
    cases, holding = int(decided.sum()), int(holds.sum())
    if cases == 0:
        verdict = UNTESTED
    elif holding >= claim.share * cases:
        verdict = SUPPORTED
    elif holding <= (1 - claim.share) * cases:
        verdict = REFUTED
    else:
        verdict = DEPENDS
    labels = told[decided].drop(columns=["value", LOW, HIGH], errors="ignore")
    return Verdict(
        name,
        claim,
        verdict,
        f"{version.study}/{version.name}",
        cases,
        holding,
        int((~decided).sum()),
        float(np.median(values[decided])) if cases else float("nan"),
        float(np.median(margins)) if cases else float("nan"),
        probability(claim, margins, version),
        float(np.mean(drawn[decided])) if cases and drawn.size else float("nan"),
        error_of(version),
        "; ".join(regions(labels, holds)) if verdict == DEPENDS else "",
    )


def summed_up(claim: Claim, table: pd.DataFrame) -> tuple[pd.DataFrame, FloatArray]:
    """One row per case, and the share of its draws that support the claim (empty without draws).

    A case of draws has the median of its numbers, and their 10th and 90th percentile beside it.
    """
    if DRAW not in table.columns:
        return table, np.zeros(0)
    labels = [column for column in table.columns if column not in ("value", DRAW)]
    margins = margins_of(claim, table["value"].to_numpy(dtype=np.float64))
    held = np.where(np.isfinite(margins), margins >= 0, np.nan)
    keys = labels or np.zeros(len(table), dtype=np.intp)
    cases = table.assign(held=held).groupby(keys, sort=False, dropna=False, observed=True)
    ends = {name: cases["value"].quantile(q) for name, q in ((LOW, 0.1), (HIGH, 0.9))}
    told = cases.agg(value=("value", "median"), held=("held", "mean")).assign(**ends)
    told = told.reset_index(drop=not labels)
    return told.drop(columns="held"), told["held"].to_numpy(dtype=np.float64)


def margins_of(claim: Claim, values: FloatArray) -> FloatArray:
    """How far each number is on the right side of the threshold.

    ln(v / t) for ratios, ln(v / (1 - v)) - ln(t / (1 - t)) for shares, v - t for counts; with the
    other sign where the claim sets an upper bound. A share of a total whose part is off by a factor
    f has its odds off by f, so that both kinds move by the log error of a prediction.
    """
    threshold = claim.threshold
    with np.errstate(divide="ignore"):
        if claim.scale == "ratio":
            margins = np.log(np.maximum(values, 0.0) / threshold)
        elif claim.scale == "share":
            shares = np.clip(values, 0.0, 1.0)
            odds = np.log(shares) - np.log1p(-shares)
            margins = odds - np.log(threshold / (1.0 - threshold))
        else:
            margins = values - threshold
    return margins if claim.at_least is not None else -margins


def probability(claim: Claim, margins: FloatArray, version: Version) -> float:
    """Mean chance that a case is on the right side, its log error normal with the scale of the
    errors that its calibration made on measurements: a cautious figure, since errors that two
    designs have in common cancel in a ratio."""
    from scipy.stats import norm

    scale = error_of(version)
    if claim.scale == "count" or not margins.size or not np.isfinite(scale):
        return float("nan")
    return float(np.mean(norm.cdf(margins / scale)))


def error_of(version: Version) -> float:
    """The error scale of the calibrations that a version's rows were predicted with."""
    return error_scale(tuple(version.manifest().get("options", {}).get("calibration", {})))


def error_scale(calibrations: tuple[str, ...]) -> float:
    """Robust standard deviation of log errors, of the worst of some calibrations; NaN for a floor.

    1.4826 times the median absolute log error is the standard deviation of a normal distribution.
    """
    from infercost.calibrate.record import read_record

    record = read_record()
    scales = [_scale_of(record, name) for name in calibrations]
    return max(scales, default=float("nan")) if np.isfinite(scales).all() else float("nan")


def _scale_of(record: Any, calibration: str) -> float:
    if calibration == "ideal":
        return float("nan")
    if calibration == "typical":
        errors = record.errors["typical"]
    else:
        errors = record.errors["out_of_block"][record.where(stack=calibration)]
        errors = errors if errors.size else record.errors["out_of_stack"]
    return 1.4826 * float(np.median(np.abs(errors)))


def regions(labels: pd.DataFrame, holds: BoolArray) -> Iterator[str]:
    """Values of each label at which a claim always or never holds, for labels that part cases."""
    for column in labels.columns:
        shares = {
            plainly(value): float(holds[(labels[column] == value).to_numpy()].mean())
            for value in labels[column].dropna().unique()
        }
        always = [value for value, share in shares.items() if share == 1.0]
        never = [value for value, share in shares.items() if share == 0.0]
        if len(shares) > 1 and (always or never):
            told = [f"holds at {', '.join(always)}"] if always else []
            told += [f"not at {', '.join(never)}"] if never else []
            yield f"{column}: {', '.join(told)}"


def plainly(value: Any) -> str:
    """A label's value; whole numbers without a point."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def recorded(file: Path = RECORD) -> Mapping[str, tuple[str, str]]:
    """Known verdict of each claim, and why it is what it is."""
    with file.open(newline="", encoding="utf-8") as handle:
        return {row["claim"]: (row["verdict"], row["why"]) for row in csv.DictReader(handle)}


def record(verdicts: list[Verdict], file: Path = RECORD, why: str = "") -> None:
    """Write verdicts as known. A reason stays where the verdict does; a claim's first verdict tells
    its cases, and one that changed tells `why` too. Raises `SpecError` where it lacks that."""
    known = recorded(file) if file.is_file() else {}
    rows = [[found.name, *_recorded(found, known.get(found.name), why)] for found in verdicts]
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["claim", "verdict", "why"])
        writer.writerows(rows)


def _recorded(found: Verdict, before: tuple[str, str] | None, why: str) -> tuple[str, str]:
    if before is not None and found.verdict in (before[0], UNTESTED):
        return before
    if before is not None and before[0] and not why:
        fault = f"was {before[0]} and is {found.verdict} now"
        raise SpecError(f"{GROUP} '{found.name}'", "", fault, "Say why: --record --why '...'")
    reason = why if before is not None and before[0] else ""
    return found.verdict, "; ".join(text for text in (in_cases(found), reason) if text)


def in_cases(verdict: Verdict) -> str:
    """What a verdict follows from, in few words."""
    if verdict.verdict == UNTESTED:
        return ""
    told = f"{verdict.holding} of {verdict.cases} cases {rule_of(verdict.claim)}"
    told += f", median {verdict.median:.3g}"
    return told + (f"; {verdict.region}" if verdict.region else "")


def rule_of(claim: Claim) -> str:
    """The threshold with its side."""
    return f"{'>=' if claim.at_least is not None else '<='} {claim.threshold:g}"


def news(verdicts: list[Verdict], known: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """What differs from the known verdicts; untested claims say nothing."""
    for verdict in verdicts:
        before = known.get(verdict.name, ("not recorded", ""))[0]
        if verdict.verdict not in (before, UNTESTED):
            yield f"{verdict.name}: {before} before, {verdict.verdict} now ({in_cases(verdict)})"
    for name in known.keys() - {verdict.name for verdict in verdicts}:
        yield f"{name}: recorded, but there is no such claim any more"
