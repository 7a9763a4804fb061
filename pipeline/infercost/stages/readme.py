"""The README's answer and figure, written from the published study."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

from infercost.calibrate.examine import SHARE


def run(results: Path, readme: Path, picture: Path, report: Path) -> None:
    """Put answer and accuracy between their marks, and the stress map beside."""
    _, *sentences = (results / "answer.txt").read_text().splitlines()
    told = "\n".join(
        "\n".join(textwrap.wrap(f"- {s}", 130, subsequent_indent="  ")) for s in sentences
    )
    text = _filled(readme.read_text(), "answer", told)
    text = _filled(text, "accuracy", accuracy(json.loads(report.read_text())))
    readme.write_text(text)
    picture.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results / "figures" / "stress-map.png", picture)


def _filled(text: str, mark: str, content: str) -> str:
    """The text with `content` between the marks of that name."""
    place = re.compile(rf"(<!-- {mark}: .*? -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    filled, count = place.subn(lambda match: f"{match[1]}{content}\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"the README has {count} places for '{mark}', not one")
    return filled


def accuracy(report: dict[str, Any]) -> str:
    """Median and p90 of absolute errors by what was left out, as a table."""
    seen = {
        "`ideal`": report["ideal"],
        "`typical`": report["typical"],
        "fitted, in sample": report["in_sample"],
        **{
            f"{what.replace('_but_', ' but ')} left out": rows
            for what, rows in report["leave_out"].items()
        },
    }
    kinds = [(row["tier"], row["phase"]) for row in report["in_sample"]]
    lines = [
        "| median / 90th percentile | " + " | ".join([*seen, "interval covers"]) + " |",
        "|---|" + "---:|" * (len(seen) + 1),
    ]
    for place, (tier, phase) in enumerate(kinds):
        name = "all" if tier == "all" else f"{tier}, {phase}"
        count = report["in_sample"][place]["rows"]
        cells = [_error(rows[place]) for rows in seen.values()]
        cells.append(f"{report['leave_out']['block'][place]['covered_percent']:.0f} %")
        lines.append(f"| {name} ({count}) | " + " | ".join(cells) + " |")
    told = f"Last column: rows, their block left out, inside their {SHARE:.0%} interval."
    return "\n".join([*lines, "", told.replace("%", " %")])


def _error(row: dict[str, Any]) -> str:
    return f"{row['median_percent']} / {row['p90_percent']} %" if row["rows"] else "–"
