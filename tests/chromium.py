"""A real browser for tests of pages, with the network off.

Needs Playwright (in the development extra) and Chromium (Debian's package, or CHROMIUM=path); tests
that ask for it are skipped, saying why, where one is missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def _found() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def offline_page() -> Iterator[Any]:
    """A page; `said` is what its console says and its scripts throw, `asked` what it requests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = _found()
    if chromium is None:
        pytest.skip("Chromium is not here: apt-get install chromium, or set CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: page.said.append(("error", str(error))))
        page.on("request", lambda request: page.asked.append(request.url))
        yield page
        browser.close()


@contextmanager
def drawn_page(html: str, folder: Path, name: str) -> Iterator[Any]:
    """A page opened from disk, offline, once all its figures are drawn."""
    file = folder / f"{name}.html"
    file.write_text(html, encoding="utf-8")
    with offline_page() as page:
        page.goto(file.as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('[data-chart]')].every(card => card.dataset.drawn)"
        )
        keep_picture(page, name)
        yield page


def keep_picture(page: Any, name: str) -> None:
    """A screenshot where CI collects them, if it says where."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def grave_findings(page: Any) -> list[tuple[str, str]]:
    """Serious and critical rules of axe that the page breaks, each with an element that does."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not here")
    found = axe.Axe().run(page).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in grave]
