"""The digest of the code moves with what code does, not with how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from infercost import provenance

ENTRY = '''"""About this module."""

from infercost.step import factor


def cost(x):
    """Doubles, in effect."""
    return factor * x  # a comment
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of three modules: `entry` reaches `step`, and nobody reaches `apart`."""
    (tmp_path / "entry.py").write_text(ENTRY)
    (tmp_path / "step.py").write_text("factor = 2\n")
    (tmp_path / "apart.py").write_text("factor = 3\n")
    monkeypatch.setattr(provenance, "_PACKAGE", tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget() -> None:
    """As in a new process."""
    for cached in (provenance.code_digest, provenance._read, provenance._file, provenance._known):
        cached.cache_clear()


def digest() -> str:
    forget()
    return provenance.code_digest("infercost.entry")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # a comment", ""),
        ("Doubles, in effect.", "Twice x."),
        ("factor * x", "factor  *  (x)"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package: Path, old: str, new: str) -> None:
    before = digest()
    (package / "entry.py").write_text(ENTRY.replace(old, new))
    assert digest() == before


@pytest.mark.parametrize(
    ("module", "text"),
    [("entry", ENTRY.replace("factor * x", "factor + x")), ("step", "factor = 4\n")],
)
def test_what_the_code_does_counts_and_so_does_what_it_imports(
    package: Path, module: str, text: str
) -> None:
    before = digest()
    (package / f"{module}.py").write_text(text)
    assert digest() != before


def test_a_module_that_is_not_reached_does_not_count(package: Path) -> None:
    before = digest()
    (package / "apart.py").write_text("factor = 5\n")
    assert digest() == before


def test_docstrings_of_metrics_count_for_they_land_in_results(package: Path) -> None:
    (package / "metrics").mkdir()
    metric = package / "metrics" / "price.py"
    (package / "entry.py").write_text("import infercost.metrics.price\n")
    metric.write_text('"""One."""\n')
    before = digest()
    metric.write_text('"""Two."""\n')
    assert digest() != before


def test_templates_beside_a_package_count(package: Path) -> None:
    (package / "page").mkdir()
    (package / "page" / "__init__.py").write_text("")
    (package / "page" / "page.j2").write_text("one")
    (package / "entry.py").write_text("import infercost.page\n")
    before = digest()
    (package / "page" / "page.j2").write_text("two")
    assert digest() != before


def test_what_is_kept_between_processes_changes_nothing(package: Path) -> None:
    """Whole, broken or absent, the kept file gives the digest of a fresh look."""
    before = digest()
    kept = Path(cache_from_source(str(package / "provenance.py"))).with_suffix(".json")
    provenance._keep(kept, provenance._known(), set())
    for content in (kept.read_text(), "{", "[]"):
        kept.write_text(content)
        assert digest() == before
