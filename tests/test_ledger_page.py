"""The ledger as a page: a figure per claim, hostile names as texts, in a real browser offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from chromium import drawn_page, grave_findings
from infercost.__main__ import main
from infercost.claim_options import load_claim
from infercost.claims import judged
from infercost.datasets import point_to, publish
from infercost.plots.cases import Rule, span, telling
from infercost.report import render_ledger
from infercost.stages.ledger import cards

EVIL = """<script>document.title="taken"</script>"''é<b>"""
RULE = Rule("Numbers are large.", "a number", 2.0, False, "ratio")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Datasets with hostile names in them, and a folder of claims on them."""
    folder = tmp_path_factory.mktemp("ledger")
    table = pa.table(
        {
            "batch": pa.array(range(6), pa.int64()),
            "kind": ["plain", EVIL] * 3,
            "size": pa.array([3.0, 1.0, 4.0, 1.5, 5.0, 40.0]),
        }
    )
    pq.write_table(table, folder / "part.parquet")
    about = {"options": {"calibration": {"typical": {}}}}
    version = publish(folder / "datasets", "numbers", {"all": folder / "part.parquet"}, about)
    point_to(folder / "datasets" / "numbers" / "latest", version.name)
    (folder / "mine" / "claim").mkdir(parents=True)
    base = {
        "claim": f"Numbers are large {EVIL}.",
        "by": f"ma-patterson-2026, {EVIL}",
        "study": "numbers",
        "query": f"SELECT kind, size AS value FROM rows -- {EVIL}",
        "value": f"a number {EVIL}",
        "note": EVIL,
    }
    for name, more in {
        "large": {"at_least": 2.0},
        "share": {"at_most": 0.5, "scale": "share", "query": "SELECT 0.25 AS value FROM rows"},
        "untested": {"at_least": 2.0, "study": "nowhere"},
    }.items():
        file = folder / "mine" / "claim" / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**base, **more}))
    return folder / "datasets", folder / "mine"


NAMES = ("large", "share", "untested")


def page_of(root: Path, folder: Path) -> str:
    dirs = (str(folder),)
    found = [judged(name, load_claim(name, dirs), root, dirs) for name in NAMES]
    return render_ledger(cards(root, found, dirs))


# --- the figure


def test_rows_are_by_the_label_that_parts_the_cases() -> None:
    """`a` parts them fully, `b` not at all, `c` is the same everywhere."""
    labels = pd.DataFrame({"b": ["x", "x", "y", "y"], "a": ["p", "q", "p", "q"], "c": ["z"] * 4})
    assert telling(labels, pd.Series([True, False, True, False])) == "a"
    assert telling(labels[["c"]], pd.Series([True, False, True, False])) == ""


def test_numbers_over_a_wide_range_stand_on_a_logarithmic_axis() -> None:
    def ends(values: list[float], scale: str = "ratio") -> tuple[float, float, bool]:
        rule = Rule("", "", 0.5 if scale == "share" else 2.0, False, scale)
        return span(pd.DataFrame({"value": values}), rule)

    assert ends([1.0, 3.0])[2] is False
    low, high, log = ends([1.0, 100.0])
    assert log
    assert low < 1.0
    assert high > 100.0
    assert ends([0.0, 100.0])[2] is False, "zero has no logarithm"
    assert ends([0.001, 0.9], "share") == (0.0, 1.0, False)


def test_the_threshold_is_inside_the_axis() -> None:
    low, high, _ = span(pd.DataFrame({"value": [5.0, 6.0]}), RULE)
    assert low < RULE.threshold < high


# --- the page


def test_the_command_writes_the_page(
    place: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = place
    target = tmp_path / "ledger.html"
    where = ["--root", str(root), "--config-dir", str(folder), "--html", str(target)]
    assert main(["claims", *NAMES, *where]) == 0
    text = target.read_text()
    assert text == page_of(root, folder), "the same claims give the same bytes"
    assert "<script>document" not in text
    assert len(text) < 5e6
    capsys.readouterr()
    assert main(["claims", *NAMES, *where[:-1], str(tmp_path / "no" / "x.html")]) == 2


@pytest.fixture(scope="module")
def opened(place: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with drawn_page(page_of(*place), tmp_path_factory.mktemp("page"), "ledger") as page:
        yield page


def test_every_decided_claim_has_its_figure_drawn_without_an_error(opened: Any) -> None:
    drawn = "[...document.querySelectorAll('[data-chart]')].map(card => card.dataset.drawn)"
    assert opened.evaluate(drawn) == ["yes", "yes"]
    assert [text for kind, text in opened.said if kind == "error"] == []
    assert len(opened.asked) == 1


def test_hostile_names_are_texts(opened: Any) -> None:
    assert opened.title() == "infercost: the ledger of claims"
    assert EVIL in opened.locator("#claim-1").inner_text()
    assert EVIL in opened.locator("#claim-1-figure .live svg.marks").text_content()


def test_verdict_cases_and_probability_are_told(opened: Any) -> None:
    """Of 3, 1, 4, 1.5, 5 and 40 four are 2 or more."""
    text = opened.locator("section[aria-labelledby=claim-1]").inner_text()
    assert "depends" in text
    assert "4 of 6 cases" in text
    assert "probability of" in text
    assert "kind: holds at plain" in text
    assert "Untested here" in opened.locator("section[aria-labelledby=claim-3]").inner_text()


def test_the_ledger_is_filtered_by_words(opened: Any) -> None:
    opened.locator("#ledger-filter").fill("depends")
    assert "1 of 3 rows" in opened.locator("#ledger-rows-count").inner_text()
    opened.locator("#ledger-filter").fill("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_assistive_technology(
    opened: Any, scheme: str
) -> None:
    opened.emulate_media(color_scheme=scheme)
    assert grave_findings(opened) == []
