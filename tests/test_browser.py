"""The report in a real browser, from disk and with the network off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd
import pytest

from chromium import drawn_page, grave_findings
from infercost.plots.frame import framed, rendered
from infercost.report import Assumption, ReportData, ReportFigure, render

EVIL = """<script>document.title="taken"</script>"''é<b>"""


def hostile_report() -> ReportData:
    rows = pd.DataFrame(
        {
            "x": [1.0, 10.0, 1.0, 10.0],
            "y": [1.0, 2.0, 3.0, 5.0],
            "series": ["plain", "plain", EVIL, EVIL],
        }
    )
    chart = (
        alt.Chart(rows)
        .mark_line(point=True, strokeWidth=6)
        .encode(x=alt.X("x:Q").scale(type="log"), y="y:Q", color="series:N")
    )
    drawn = rendered(framed(chart, f"How much? {EVIL}", "", "corner"))
    table = pd.DataFrame({"hardware": [f"chip-{n}" for n in range(20)] + [EVIL]})
    return ReportData(
        study=EVIL,
        question=f"What costs? {EVIL}",
        version="v-0123",
        answers=[f"All of it {EVIL}"],
        figures=[ReportFigure("How much?", f"So {EVIL}.", drawn.svg, "x.csv", drawn.spec)],
        aggregates={"by_chip": table},
        trust=["Well."],
        manifest={"rows": 4, "sources": {"paper": {"title": EVIL, "url": "https://example.org"}}},
        assumptions=[Assumption("hardware/x1", "price", "1 USD", f"assumed: {EVIL}")],
        reproduce=["make study"],
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The report opened from disk, drawn; with what it said and asked for meanwhile."""
    with drawn_page(render(hostile_report()), tmp_path_factory.mktemp("page"), "report") as page:
        yield page


def test_it_draws_every_figure_without_an_error(opened: Any) -> None:
    drawn = opened.evaluate(
        "[...document.querySelectorAll('[data-chart]')].map(card => card.dataset.drawn)"
    )
    assert drawn == ["yes"]
    assert [text for kind, text in opened.said if kind == "error"] == []


def test_it_asks_for_nothing_but_itself(opened: Any) -> None:
    assert [url for url in opened.asked if not url.startswith("file://")] == []
    assert len(opened.asked) == 1


def test_hostile_names_are_texts(opened: Any) -> None:
    assert opened.title().startswith(EVIL)
    assert opened.evaluate("document.title") != "taken"
    assert EVIL in opened.locator("h1").inner_text()
    assert EVIL in opened.locator(".live svg.marks").text_content()


def test_a_legend_entry_singles_out_its_series(opened: Any) -> None:
    faint = "[...document.querySelectorAll('.live .mark-line path')].map(p => p.getAttribute('stroke-opacity') ?? p.getAttribute('opacity') ?? '1')"  # noqa: E501
    assert len(set(opened.evaluate(faint))) == 1
    opened.locator(".live .role-legend-symbol path").first.click(force=True)
    opened.wait_for_function(f"new Set({faint}).size === 2")
    opened.locator(".live .role-legend-symbol path").first.click(force=True)
    opened.wait_for_function(f"new Set({faint}).size === 1")


def test_a_mark_tells_its_values_on_hover(opened: Any) -> None:
    opened.locator(".live .mark-symbol.role-mark path").first.hover(force=True)
    tooltip = opened.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert "series" in tooltip.inner_text()


def test_a_table_is_filtered_by_words(opened: Any) -> None:
    opened.locator("input[type=search]").first.fill("chip-1")
    # chip-1, and chip-10 to chip-19
    assert "11 of 21 rows" in opened.locator("[role=status]").first.inner_text()
    opened.locator("input[type=search]").first.fill("")


def test_paper_gets_the_still_picture(opened: Any) -> None:
    opened.emulate_media(media="print")
    assert opened.locator(".still").first.is_visible()
    assert not opened.locator(".live").first.is_visible()
    opened.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_assistive_technology(
    opened: Any, scheme: str
) -> None:
    opened.emulate_media(color_scheme=scheme)
    assert grave_findings(opened) == []
