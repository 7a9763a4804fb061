"""The report of one dataset version: one HTML page that needs no network.

Everything can be read without scripts; with them, figures answer to the pointer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from infercost.report.figures import Card, ReportFigure, ready, ready_cards
from infercost.report.interactive import runtime
from infercost.report.page import environment, policy_hash
from infercost.report.tables import Table, number, table_of

if TYPE_CHECKING:
    import pandas as pd


class Assumption(NamedTuple):
    """A number that rests on no document at hand: its option, key, value and witness."""

    option: str
    key: str
    value: str
    witness: str


class Traced(NamedTuple):
    """A figure of money, energy or carbon, and the command that puts it together from inputs."""

    column: str
    value: float
    unit: str
    command: str


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
    claims: Sequence[Card] = ()
    """Claims that rest on the study, each with its verdict and figure."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """`sources` (key -> title and url) is listed by itself, all else as it stands."""
    assumptions: Sequence[Assumption | tuple[str, str, str, str]] = ()
    traced: Sequence[Traced] = ()
    untraced: Sequence[str] = ()
    """Why some figures have no such command, in sentences."""
    reproduce: Sequence[str] = ()
    """Command lines."""


def render(report: ReportData) -> str:
    """The page. Every text is escaped; the same report gives the same bytes."""
    figures = [
        ready(ReportFigure(*entry), f"figure-{place}")
        for place, entry in enumerate(report.figures, start=1)
    ]
    return _filled(
        "report",
        figures,
        report.claims,
        report=report,
        tables=_tables(report),
        trusted=None if report.trust_table is None else table_of("trust", report.trust_table),
        assumptions=[Assumption(*entry) for entry in report.assumptions],
        sources=report.manifest.get("sources", {}),
        facts={k: v for k, v in report.manifest.items() if k != "sources"},
    )


def render_ledger(cards: Sequence[Card]) -> str:
    """The page of all claims, each with its verdict, its figure and its query."""
    counts = Counter(card.verdict for card in cards)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    versions = sorted({card.version for card in cards if card.version})
    return _filled("ledger", [], cards, counts=told, versions=versions)


def _filled(
    template: str, figures: list[ReportFigure], cards: Sequence[Card], **content: Any
) -> str:
    """A template with its figures and the one script that draws them."""
    templates = environment("report")
    templates.filters["number"] = number
    templates.tests["linkable"] = _is_linkable
    claims = ready_cards(cards)
    shown = [*figures, *(card.figure for card in claims if card.figure)]
    live = any(figure.spec for figure in shown)
    script = runtime(live)
    return templates.get_template(f"{template}.html.j2").render(
        figures=figures,
        claims=claims,
        live=live,
        script=script,
        script_hash=policy_hash(script),
        **content,
    )


def _tables(report: ReportData) -> list[Table]:
    return [table_of(name, frame) for name, frame in report.aggregates.items()]


def _is_linkable(url: object) -> bool:
    """Whether an address leads to a page rather than to a script."""
    return str(url).startswith(("https://", "http://"))
