"""SVG files as parts of an HTML page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from infercost.plots.ids import stable_ids

_PROLOGUE = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_NAMESPACE = re.compile(r'\s+xmlns(?::\w+)?="[^"]*"')
_ACTIVE = re.compile(
    r"<\s*(script|foreignObject|iframe)\b|\son\w+\s*=|(?:href|src)\s*=\s*[\"'](?!#|data:image/)",
    re.IGNORECASE,
)


def inline_svg(svg: str, key: str, title: str) -> Markup:
    """An SVG file's picture under ids of its own, named `title` and described by the caption.

    Raises `ValueError` where the file would run a script or load something.
    """
    body = _PROLOGUE.sub("", svg, count=1)
    found = _ACTIVE.search(body)
    if not body.startswith("<svg") or found:
        fault = f"holds {found.group(0).strip()!r}" if found else "holds no <svg>"
        raise ValueError(f"{key}: the SVG {fault} and cannot stand in a report")
    head, rest = body.split(">", 1)
    names = f' role="img" aria-label="{escape(title)}" aria-describedby="{key}-caption"'
    head = re.sub(r'\s+(?:role|aria-[\w-]+)="[^"]*"', "", _NAMESPACE.sub("", head))
    # Safe: written by Vega, which escapes texts, and checked above.
    return Markup(stable_ids(f"{head}{names}>{rest}", f"{key}-"))
