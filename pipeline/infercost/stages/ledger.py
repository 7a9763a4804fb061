"""Claims as pages show them: verdict in words, margin, probabilities, and a figure of the cases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from infercost.claim_options import claims_of
from infercost.claims import (
    UNTESTED,
    Verdict,
    cases_of,
    margins_of,
    rule_of,
    summed_up,
    verdict_of,
)
from infercost.datasets import Version, open_version
from infercost.lookup import sources
from infercost.paths import config_dirs
from infercost.plots.cases import Rule, cases_figure
from infercost.plots.frame import rendered
from infercost.report.figures import Card, ReportFigure


def cards(root: Path, verdicts: list[Verdict], dirs: tuple[str, ...] = ()) -> list[Card]:
    """The cards of verdicts that rest on versions below `root`."""
    return [
        _card(found, open_version(root, found.version) if found.version else None, dirs)
        for found in verdicts
    ]


def cards_of(version: Version, dirs: tuple[str, ...] = ()) -> list[Card]:
    """The cards of all claims that a version decides."""
    found = []
    for name, claim in claims_of(version.study, dirs).items():
        table = cases_of(name, claim, version, dirs)
        found.append(_card(verdict_of(name, claim, table, version), version, dirs))
    return found


def _card(found: Verdict, version: Version | None, dirs: tuple[str, ...]) -> Card:
    claim = found.claim
    key = claim.by.partition(",")[0]
    return Card(
        name=found.name,
        claim=claim.claim,
        by="this project" if claim.by == "thesis" else claim.by,
        url=str(sources(config_dirs(dirs)).get(key, {}).get("url", "")),
        verdict=found.verdict,
        lines=list(_lines(found)),
        cells=_cells(found),
        query=claim.query.strip(),
        study=claim.study,
        version=found.version,
        figure=None if version is None else _figure(found, version, dirs),
    )


def _figure(found: Verdict, version: Version, dirs: tuple[str, ...]) -> ReportFigure | None:
    """Every decided case against the threshold; nothing where none is decided."""
    if found.verdict == UNTESTED:
        return None
    claim = found.claim
    table, _ = summed_up(claim, cases_of(found.name, claim, version, dirs))
    table = table[np.isfinite(table["value"].to_numpy(dtype=np.float64))].reset_index(drop=True)
    holds = pd.Series(margins_of(claim, table["value"].to_numpy(dtype=np.float64)) >= 0)
    upper = claim.at_most is not None
    rule = Rule(claim.claim, claim.value, claim.threshold, upper, claim.scale)
    said = f"{found.verdict}: {found.holding} of {found.cases} cases, median {found.median:.3g}"
    drawn = cases_figure(rule, table, holds, said, f"infercost · {found.name} · {found.version}")
    images = rendered(drawn.chart)
    return ReportFigure(claim.claim, drawn.caption, images.svg, "", images.spec)


def _lines(found: Verdict) -> Iterator[str]:
    claim = found.claim
    if found.verdict == UNTESTED:
        yield f"Untested here: make study STUDY={claim.study}"
        return
    yield (
        f"{found.holding} of {found.cases} cases have {claim.value} {rule_of(claim)}; "
        f"the median is {found.median:.3g}{_away(found)}."
    )
    if found.undecided:
        yield f"{found.undecided} cases have no number, as where no plan is feasible."
    if found.region:
        yield f"Where it holds. {found.region}."
    if not math.isnan(found.drawn):
        yield f"A case supports the claim in {found.drawn:.0%} of the draws of uncertain inputs."
    yield _trusted(found)
    if claim.note:
        yield claim.note


def _away(found: Verdict) -> str:
    """The margin of the median case in words."""
    side = "on the right side" if found.margin >= 0 else "on the wrong side"
    if not math.isfinite(found.margin) or found.margin == 0:
        return ""
    if found.claim.scale == "count":
        return f", {abs(found.margin):.3g} from the threshold {side}"
    what = "odds" if found.claim.scale == "share" else "a number"
    return f", {what} {math.exp(min(abs(found.margin), 700)):.3g} times off the threshold {side}"


def _trusted(found: Verdict) -> str:
    if math.isnan(found.error):
        return "No measurement speaks of this calibration: the verdict is the model's alone."
    off = f"predictions of this calibration were off measured time by {_percent(found.error)}"
    if math.isnan(found.probability):
        return f"No probability is told: the number is no time or price; {off}."
    return (
        f"A case supports the claim with a probability of {found.probability:.0%} if errors are as "
        f"on measurements, where {off}, and nothing of them cancels."
    )


def _percent(error: float) -> str:
    """The scale of log errors as a factor and its reciprocal, in percent."""
    return f"-{-math.expm1(-error):.0%} to +{math.expm1(error):.0%} (one standard deviation)"


def _cells(found: Verdict) -> list[str]:
    cases = f"{found.holding}/{found.cases}" if found.cases else ""
    numbers = (found.margin, found.probability, found.drawn, found.error)
    told = ["–" if math.isnan(value) else f"{value:.3g}" for value in (found.median, *numbers)]
    return [cases, told[0], rule_of(found.claim), *told[1:]]
