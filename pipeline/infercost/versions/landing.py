"""Files that appear whole or not at all, whoever else writes them at the same time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def landing(target: Path) -> Iterator[Path]:
    """A file to write beside `target`; it takes that name at the end, or goes if anything fails.

    Its name is its own on every node of a cluster, where process numbers repeat.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        scratch.touch()
    except OSError as error:  # told of the file that was asked for
        error.filename = str(target)
        raise
    try:
        yield scratch
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def land_text(target: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with landing(target) as scratch:
        scratch.write_text(text, encoding="utf-8")
