"""The report of one dataset version: one HTML page that needs no network.

Everything can be read without scripts; with them, figures answer to the pointer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from infercost.report.inline import inline_svg
from infercost.report.interactive import embedded, runtime
from infercost.report.page import environment, policy_hash
from infercost.report.tables import Table, number, table_of

if TYPE_CHECKING:
    import pandas as pd


class ReportFigure(NamedTuple):
    """A figure as saved: its question, how to read it, its SVG, and the file of its numbers."""

    title: str
    caption: str
    svg: str
    csv: str
    spec: str = ""
    """The chart as Vega-Lite, where it can answer to the pointer."""


class Assumption(NamedTuple):
    """A number that rests on no document at hand: its option, key, value and witness."""

    option: str
    key: str
    value: str
    witness: str


@dataclass(frozen=True)
class ReportData:
    """Everything that the report says."""

    study: str
    question: str
    version: str
    answers: Sequence[str] = ()
    figures: Sequence[ReportFigure | tuple[str, ...]] = ()
    aggregates: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    trust: Sequence[str] = ()
    """How far to trust it, in sentences."""
    trust_table: pd.DataFrame | None = None
    """The numbers behind these."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """`sources` (key -> title and url) is listed by itself, all else as it stands."""
    assumptions: Sequence[Assumption | tuple[str, str, str, str]] = ()
    reproduce: Sequence[str] = ()
    """Command lines."""


def render(report: ReportData) -> str:
    """The page. Every text is escaped; the same report gives the same bytes."""
    templates = environment("report")
    templates.filters["number"] = number
    templates.tests["linkable"] = _is_linkable
    figures = _figures(report)
    script = runtime(any(figure.spec for figure in figures))
    return templates.get_template("report.html.j2").render(
        report=report,
        figures=figures,
        script=script,
        script_hash=policy_hash(script),
        tables=_tables(report),
        trusted=None if report.trust_table is None else table_of("trust", report.trust_table),
        assumptions=[Assumption(*entry) for entry in report.assumptions],
        sources=report.manifest.get("sources", {}),
        facts={k: v for k, v in report.manifest.items() if k != "sources"},
    )


def _figures(report: ReportData) -> list[ReportFigure]:
    """Figures with their pictures ready to stand in the page."""
    found = []
    for place, entry in enumerate(report.figures, start=1):
        shown = ReportFigure(*entry)
        svg = inline_svg(shown.svg, f"figure-{place}", shown.title)
        spec = embedded(shown.spec) if shown.spec else ""
        found.append(shown._replace(svg=svg, spec=spec))
    return found


def _tables(report: ReportData) -> list[Table]:
    return [table_of(name, frame) for name, frame in report.aggregates.items()]


def _is_linkable(url: object) -> bool:
    """Whether an address leads to a page rather than to a script."""
    return str(url).startswith(("https://", "http://"))
