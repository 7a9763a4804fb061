"""What the workflow needs to know of a study when it starts, remembered between runs.

Composing every option of a study takes a second; a workflow reads its plan several times. The plan
is therefore kept under a digest of all configuration, all code and what was asked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infercost.paths import config_dirs
from infercost.provenance import canonical, code_digest, digest
from infercost.versions.landing import land_text


@dataclass(frozen=True)
class WorkPlan:
    """The parts of a study by label, each by the digest that names its files."""

    study: str
    overrides: list[str]
    dirs: list[str]
    digest: str
    parts: dict[str, str]
    points: dict[str, int]
    figures: list[str]
    files: dict[str, str]
    """Digests of the data files that the parts stand on, beside configuration and code."""
    claims: str
    """Digest of the claims that the study decides: its report shows them."""
    file: str
    """Where this plan is kept."""


def prepare(
    study: str,
    overrides: tuple[str, ...] = (),
    dirs: tuple[str, ...] = (),
    work: Path = Path("data/work"),
) -> WorkPlan:
    """The plan of a study, its part descriptions written below `work`. Raises `SpecError`."""
    key = digest(
        canonical([study, list(overrides), list(dirs)]),
        _configuration(dirs),
        code_digest("infercost.workplan"),
    )
    remembered = work / "plans" / f"{key}.json"
    if remembered.is_file():
        plan = WorkPlan(**json.loads(remembered.read_text()))
        there = all((work / "specs" / f"{name}.json").is_file() for name in plan.parts.values())
        if there and all(_digest_of(Path(file)) == found for file, found in plan.files.items()):
            return plan
    return _fresh(study, overrides, dirs, work, remembered)


def _fresh(
    study: str, overrides: tuple[str, ...], dirs: tuple[str, ...], work: Path, target: Path
) -> WorkPlan:
    from infercost.claim_options import digest_of
    from infercost.measured import files_of
    from infercost.rehearsal import rehearse
    from infercost.studies import plan_study, write_specs

    planned = plan_study(study, overrides, dirs)
    rehearse(planned)
    write_specs(planned, work / "specs")
    measurements = planned.study.measurements
    data_files = [] if measurements is None else files_of(measurements).values()
    plan = WorkPlan(
        study=study,
        overrides=list(overrides),
        dirs=list(dirs),
        digest=planned.digest,
        parts=planned.digests,
        points={label: planned.points_of(label) for label in planned.parts},
        figures=list(planned.study.drawn),
        files={str(file): _digest_of(file) for file in data_files},
        claims=digest_of(study, dirs),
        file=str(target),
    )
    land_text(target, canonical(asdict(plan)))
    return plan


def read_plan(file: Path) -> WorkPlan:
    """A plan that `prepare` kept."""
    content: dict[str, Any] = json.loads(file.read_text())
    return WorkPlan(**content)


def _digest_of(file: Path) -> str:
    """Digest of a file's content; of nothing where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _configuration(dirs: tuple[str, ...]) -> str:
    """Digest of all YAML that a study may read."""
    texts = [
        text
        for folder in config_dirs(dirs)
        for file in sorted(folder.rglob("*.yaml"))
        for text in (str(file), file.read_text())
    ]
    return digest(*texts)
