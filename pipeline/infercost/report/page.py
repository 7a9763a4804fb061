"""What our pages are made with: escaping templates, and data and scripts that may stand in them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> Environment:
    """Templates of a subpackage; every text is escaped, and a missing one is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("infercost", package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["coded"] = coded
    return templates


def coded(text: object) -> Markup:
    """A sentence, escaped, what stands between two backticks as code."""
    pieces = re.split(r"`([^`]+)`", str(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )


def in_script(content: Any) -> Markup:
    """JSON that may stand in a script element, whatever its texts hold."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Safe: inside JSON strings '<' is the only way out of the element, and it is escaped.
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def policy_hash(script: str) -> str:
    """The source expression by which a content security policy admits exactly this script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"
