"""MkDocs hook: adds the generated pages, and the picture that the README shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import generated

from infercost.paths import ROOT

PICTURE = ROOT / "workflow" / "report" / "stress-map.png"


def on_config(config: Any) -> Any:
    """Put the pages of equations, one per module, into the navigation."""
    pages = [{title: path} for path, title in generated.equation_pages().items()]
    config.nav.append({"Equations": ["equations/index.md", *pages]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what follows from code, options and data."""
    for path, text in generated.pages(ROOT).items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, "assets/stress-map.png", abs_src_path=str(PICTURE)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the answer of the main study into the first page."""
    return generated.with_answer(markdown, ROOT) if page.file.src_uri == "index.md" else markdown
