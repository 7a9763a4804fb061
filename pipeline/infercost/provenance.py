"""Digests: of plain data, and of the code that computes a result.

Snakemake sees neither an edit in an imported module nor the meaning of a YAML edit, so results are
addressed by these digests. Comments, docstrings and layout of the code do not count.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

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
    sources = {name: _meaning(name) for name in sorted(_closure(entry))}
    return digest(*(text for pair in sources.items() for text in pair))


def package_versions() -> dict[str, str]:
    """Versions of the packages that a result may depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


DISCOVERED = {
    "infercost.registry": "metrics",
    "infercost.plots.base": "plots",
    "infercost.specs.mitigation_kinds": "mitigations",
}
"""Modules that import all modules of a folder."""


def _closure(entry: str) -> set[str]:
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found or not name.startswith("infercost"):
            continue
        file = _file(name)
        if file is None:
            continue
        found.add(name)
        waiting.extend(_imports(file))
        if name in DISCOVERED:
            folder = DISCOVERED[name]
            modules = (_PACKAGE / folder).glob("[!_]*.py")
            waiting.extend(f"infercost.{folder}.{module.stem}" for module in modules)
    return found


def _file(name: str) -> Path | None:
    relative = Path(*name.split(".")[1:]) if "." in name else Path()
    for file in ((_PACKAGE / relative).with_suffix(".py"), _PACKAGE / relative / "__init__.py"):
        if file.is_file():
            return file
    return None


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _meaning(name: str) -> str:
    """Source without comments, layout and docstrings, and the templates that lie beside it.

    A metric's docstring counts: it lands in the results.
    """
    file = _file(name)
    if file is None:
        return ""
    templates = sorted(file.parent.glob("*.j2")) if file.name == "__init__.py" else []
    tree = ast.parse(file.read_text())
    if not name.startswith("infercost.metrics"):
        _drop_docstrings(tree)
    return "\0".join([ast.unparse(tree), *(template.read_text() for template in templates)])


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
