"""Digests: of plain data, and of the code that computes a result.

Snakemake sees neither an edit in an imported module nor the meaning of a YAML edit, so results are
addressed by these digests. Comments, docstrings and layout of the code do not count.
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, NamedTuple

from infercost.versions.landing import land_text

_PACKAGE = Path(__file__).resolve().parent
PACKAGES = (
    *("hydra-core", "numpy", "omegaconf", "pandas", "pyarrow", "pydantic", "scipy", "snakemake"),
)
"""Packages whose versions a manifest states."""


def canonical(value: Any) -> str:
    """Plain data as JSON in one spelling only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*texts: str) -> str:
    """Sixteen hex digits that stand for the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


@cache
def code_digest(entry: str = "infercost.parts") -> str:
    """Digest of a module and of all modules of the package that it reaches.

    Modules are reached by imports, or by folder where they are found by folder (`DISCOVERED`).
    """
    modules = sorted(_closure(entry).items())
    return digest(*(text for name, read in modules for text in (name, read.meaning)))


def package_versions() -> dict[str, str]:
    """Versions of the packages that a result may depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


DISCOVERED = {
    "infercost.registry": "metrics",
    "infercost.plots.base": "plots",
    "infercost.specs.mitigation_kinds": "mitigations",
}
"""Modules that import all modules of a folder."""


class _Read(NamedTuple):
    """What one module says: the modules that it imports, and its digest without layout."""

    imports: tuple[str, ...]
    meaning: str


def _closure(entry: str) -> dict[str, _Read]:
    found: dict[str, _Read] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        file = _file(name)
        if file is None:
            continue
        found[name] = _read(name, file)
        waiting.extend(found[name].imports)
        if name in DISCOVERED:
            folder = DISCOVERED[name]
            modules = (_PACKAGE / folder).glob("[!_]*.py")
            waiting.extend(f"infercost.{folder}.{module.stem}" for module in modules)
    return found


@cache
def _file(name: str) -> Path | None:
    relative = Path(*name.split(".")[1:]) if "." in name else Path()
    for file in ((_PACKAGE / relative).with_suffix(".py"), _PACKAGE / relative / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _read(name: str, file: Path) -> _Read:
    """A module and the templates that lie beside it; a metric's docstring lands in the results."""
    source = file.read_text()
    docstrings = name.startswith("infercost.metrics")
    key = hashlib.sha256(f"{docstrings} {source}".encode()).hexdigest()
    known = _known()
    if key not in known:
        known[key] = _parse(source, docstrings)
    imports, meaning = known[key]
    templates = sorted(file.parent.glob("*.j2")) if file.name == "__init__.py" else []
    beside = (template.read_text() for template in templates)
    return _Read(tuple(imports), digest(meaning, *beside))


def _parse(source: str, docstrings: bool) -> tuple[list[str], str]:
    tree = ast.parse(source)
    imports = [module for module in _imports(tree) if module.startswith("infercost")]
    if not docstrings:
        _drop_docstrings(tree)
    return imports, digest(ast.unparse(tree))


@cache
def _known() -> dict[str, Any]:
    """What `_parse` gave, by digest of the source; kept where Python keeps compiled modules.

    Taking the whole package apart takes seconds, and Snakemake does it in every job.
    """
    kept = Path(cache_from_source(str(_PACKAGE / "provenance.py"))).with_suffix(".json")
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        known.update(json.loads(kept.read_text()))
    atexit.register(_keep, kept, known, set(known))
    return known


def _keep(target: Path, known: dict[str, Any], before: set[str]) -> None:
    if set(known) == before or sys.dont_write_bytecode:
        return
    with suppress(OSError):
        land_text(target, json.dumps(known))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not _is_text(n)] or [ast.Pass()]  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
