"""The README's answer and figure, written from the published study."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

MARK = re.compile(r"(<!-- answer: .*? -->\n).*?(<!-- /answer -->)", re.DOTALL)


def run(results: Path, readme: Path, picture: Path) -> None:
    """Put the sentences of `results`/answer.txt between the marks, and the stress map beside."""
    _, *sentences = (results / "answer.txt").read_text().splitlines()
    told = "\n".join(
        "\n".join(textwrap.wrap(f"- {s}", 130, subsequent_indent="  ")) for s in sentences
    )
    text, count = MARK.subn(lambda match: f"{match[1]}{told}\n{match[2]}", readme.read_text())
    if count != 1:
        raise ValueError(f"{readme} has {count} places for the answer, not one")
    readme.write_text(text)
    picture.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results / "figures" / "stress-map.png", picture)
