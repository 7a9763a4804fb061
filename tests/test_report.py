"""The report: one page, everything escaped, nothing loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest

from infercost.report import Assumption, ReportData, ReportFigure, render
from infercost.report.inline import inline_svg
from infercost.report.tables import MOST_ROWS, column_of, number, table_of

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="9" height="9"><clipPath id="i0"/><g clip-path="url(#i0)"><text>a &lt; b</text></g>'
    "</svg>"
)
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """The tags, ids, links and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, attribute: str) -> list[str]:
        return [str(found[attribute]) for _, found in self.tags if attribute in found]


@pytest.fixture(scope="module")
def report() -> ReportData:
    frame = pd.DataFrame(
        {
            "hardware": ["h100-sxm", EVIL],
            "tpot_s": [0.0123456, float("nan")],
            "models": [7, 5],
            EVIL: ["<b>", "&"],
        }
    )
    return ReportData(
        study="tiny",
        question=f"What costs? {EVIL}",
        version="v-0123",
        answers=[f"Memory & {EVIL}"],
        figures=[
            ReportFigure("Why?", f"Because {EVIL}.", SVG, "why.csv"),
            ("How?", "So.", SVG, 'a"b.csv'),
        ],
        aggregates={f"by {EVIL}": frame},
        trust=[f"Nobody measured {EVIL}."],
        trust_table=frame[["hardware", "models"]],
        manifest={
            "rows": 3931,
            "digests": {"data": "abc", "code": EVIL},
            "packages": {"numpy": "2.4.6"},
            "sources": {
                "paper": {"title": EVIL, "url": "https://example.org/a?b=1&c=2", "version": "1"},
                "trap": {"title": "A trap", "url": "javascript:alert(1)"},
            },
        },
        assumptions=[Assumption("hardware/x1", "price", "1 USD", f"assumed: {EVIL}")],
        reproduce=["make study study=tiny", f"echo {EVIL}"],
    )


@pytest.fixture(scope="module")
def html(report: ReportData) -> str:
    return render(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_hostile_texts_are_shown_as_text(html: str, page: Page) -> None:
    assert html.count("<script") == 1, "ours alone"
    assert not [tag for tag, _ in page.tags if tag in ("iframe", "img", "link", "b")]
    assert "".join(page.text).count(EVIL) >= 9
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_what_stands_between_backticks_is_code() -> None:
    """Inside it too, texts are shown as text; one backtick alone is none."""
    page = render(ReportData("tiny", "?", "v", answers=["Under `typ<b>ical` calibration, 3` wide"]))
    assert "<li>Under <code>typ&lt;b&gt;ical</code> calibration, 3` wide</li>" in page


def test_the_page_names_study_question_and_version(page: Page) -> None:
    text = "".join(page.text)
    assert "v-0123" in text
    assert "tiny: What costs?" in text
    assert "3,931" in text


def test_nothing_is_loaded(html: str, page: Page) -> None:
    assert page.values("src") == []
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert page.values("href") == links
    assert "https://example.org/a?b=1&c=2" in links
    assert not [link for link in links if str(link).startswith("javascript")]
    assert not re.search(r"url\((?!#)|@import", html)
    assert "default-src 'none'" in html
    assert "unsafe-eval" not in html, "no chart here needs it"


def test_only_our_script_is_admitted(html: str) -> None:
    script = html[html.rindex("<script>") + len("<script>") : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_every_link_inside_the_page_has_its_target_and_ids_are_unique(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inside = [href[1:] for href in page.values("href") if href.startswith("#")]
    assert set(inside) <= set(ids)
    assert {"answers", "figure-1", "figure-2", "table-1", "trust", "sources", "reproduce"} <= set(
        inside
    )
    for attribute in ("aria-labelledby", "aria-describedby"):
        assert set(page.values(attribute)) <= set(ids)


def test_figures_are_pictures_with_names(page: Page) -> None:
    pictures = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert [p["aria-label"] for p in pictures] == ["Why?", "How?"]
    assert {p["role"] for p in pictures} == {"img"}
    assert page.values("clip-path") == ["url(#figure-1-i0)", "url(#figure-2-i0)"]


def test_headings_descend_without_gaps_and_the_language_is_stated(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert dict(page.tags)["html"] == {"lang": "en"}


def test_the_same_report_gives_the_same_page(report: ReportData, html: str) -> None:
    assert render(report) == html


def test_the_page_says_how_far_to_trust_it(page: Page) -> None:
    text = "".join(page.text)
    assert text.count("How far to trust it") == 2, "in the contents, and above its section"
    assert f"Nobody measured {EVIL}." in text


def test_a_bare_report_is_a_page_too() -> None:
    page = Page(render(ReportData("tiny", "What costs?", "v-0123")))
    assert "Every number that the study uses has a source." in "".join(page.text)
    assert {href[1:] for href in page.values("href")} <= set(page.values("id"))


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        '<g onload="alert(1)"/>',
        '<image href="https://example.org/x.png"/>',
        '<image xlink:href="//example.org/x.png"/>',
        "<foreignObject/>",
    ],
)
def test_a_picture_that_acts_or_loads_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a report"):
        inline_svg(f"<svg>{body}</svg>", "figure-1", "Why?")


def test_a_prologue_does_not_enter_the_page() -> None:
    assert inline_svg(f'<?xml version="1.0"?>\n<!DOCTYPE svg>\n{SVG}', "f", "T").startswith("<svg")


def test_a_title_cannot_leave_its_attribute() -> None:
    assert 'aria-label="&#34; onload=&#34;x"' in inline_svg(SVG, "f", '" onload="x')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3931, "3,931"),
        (0.0123456, "0.01235"),
        (1234.567, "1,235"),
        (9.9999, "10.00"),
        (1.5e12, "1.500e+12"),
        (2e-7, "2.000e-07"),
        (0.0, "0"),
        (float("nan"), "–"),
        (float("inf"), "inf"),
        (None, "–"),
        (True, "yes"),
        ("context", "context"),
    ],
)
def test_numbers_are_printed_in_four_digits(value: object, text: str) -> None:
    assert number(value) == text


def test_a_column_knows_its_unit_by_its_metric_or_its_suffix() -> None:
    assert column_of("tpot_s", True).unit == "s"
    assert "token" in column_of("tpot_s", True).meaning
    assert column_of("median_cost_per_mtoken_usd", True).unit == "USD"
    assert column_of("bandwidth_b_per_s", True).unit == "B/s"
    assert column_of("hardware.memory.hbm.bandwidth", True).unit == "B/s"
    assert column_of("models", True).unit == ""


def test_a_long_table_is_cut_and_says_so() -> None:
    frame = pd.DataFrame({"models": range(MOST_ROWS + 50)})
    assert len(table_of("long", frame).rows) == MOST_ROWS
    html = render(ReportData("tiny", "What?", "v", aggregates={"long": frame}))
    assert "The first 100 of 150 rows" in html


def test_a_real_size_report_stays_small() -> None:
    """Six figures of 100 kB are well below 5 MB."""
    svg = SVG.replace("</svg>", "<path d='M0 0'/>" * 6_000 + "</svg>")
    figures = [(f"Why {n}?", "So.", svg, "x.csv") for n in range(6)]
    assert len(render(ReportData("tiny", "What?", "v", figures=figures))) < 5_000_000
