"""Replay every measured service with its block left out of the fit, and write what that told."""

from __future__ import annotations

from pathlib import Path

from infercost.serving.examined import examined, table, write


def run(target: Path, workers: int) -> None:
    """Write the rows, and print the table of errors."""
    rows = examined(workers=workers)
    target.parent.mkdir(parents=True, exist_ok=True)
    write(rows, target)
    print(table(rows))
