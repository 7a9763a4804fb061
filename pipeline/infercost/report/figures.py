"""Figures of a page, and claims with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from infercost.report.inline import inline_svg
from infercost.report.interactive import embedded


class ReportFigure(NamedTuple):
    """A figure as saved: its question, how to read it, its SVG, and the file of its numbers."""

    title: str
    caption: str
    svg: str
    csv: str
    spec: str = ""
    """The chart as Vega-Lite, where it can answer to the pointer."""


@dataclass(frozen=True)
class Card:
    """A claim as a page shows it."""

    name: str
    claim: str
    by: str
    url: str
    """Of its source, if that has one."""
    verdict: str
    lines: Sequence[str]
    """What the verdict follows from, in sentences."""
    cells: Sequence[str]
    """Cases, median, rule, margin, probabilities and error, for a row of the ledger."""
    query: str
    study: str
    version: str
    figure: ReportFigure | None = None


def ready(figure: ReportFigure, key: str) -> ReportFigure:
    """A figure whose picture and chart can stand in the page."""
    svg = inline_svg(figure.svg, key, figure.title)
    return figure._replace(svg=svg, spec=embedded(figure.spec) if figure.spec else "")


def ready_cards(cards: Sequence[Card]) -> list[Card]:
    """Claims in order, their figures ready under keys by place."""
    return [
        replace(card, figure=card.figure and ready(card.figure, f"claim-{place}-figure"))
        for place, card in enumerate(cards, start=1)
    ]
