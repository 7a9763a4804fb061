"""Ids inside SVG files."""

from __future__ import annotations

import re

_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'\bid="([^"]+)"|url\(#([^)"]+)\)|href="#([^"]+)"')


def stable_ids(svg: str, prefix: str = "") -> str:
    """Ids counted afresh from `prefix`: Vega counts them on from one chart to the next."""
    order = {old: f"{prefix}i{n}" for n, old in enumerate(dict.fromkeys(_ID.findall(svg)))}

    def renamed(match: re.Match[str]) -> str:
        old = next(group for group in match.groups() if group is not None)
        return match.group(0).replace(old, order.get(old, old))

    return _REFERENCE.sub(renamed, svg)
