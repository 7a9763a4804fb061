"""Publish the parts of a study as a dataset version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infercost.datasets import publish
from infercost.errors import SpecError
from infercost.lookup import cited, sources
from infercost.options.question import winning
from infercost.paths import config_dirs
from infercost.provenance import canonical, code_digest, digest, package_versions
from infercost.specs.study import Study
from infercost.studies import code_of, load_study
from infercost.versions.digests import DamagedPart
from infercost.versions.landing import land_text
from infercost.workplan import WorkPlan, read_plan


def run(plan_file: Path, work: Path, root: Path, target: Path) -> None:
    """Publish below `root`, and leave the version's name in `target`."""
    plan = read_plan(plan_file)
    files = {label: work / "parts" / f"{name}.parquet" for label, name in plan.parts.items()}
    try:
        version = publish(root, plan.study, files, about(plan, work))
    except DamagedPart as damage:  # gone, so that the next run computes it again
        damage.part.unlink(missing_ok=True)
        fault = "was damaged after it had been computed, and is removed"
        raise SpecError(str(damage.part), "", fault, "Run again") from None
    land_text(target, canonical({"study": plan.study, "version": version.name}) + "\n")


def about(plan: WorkPlan, work: Path) -> dict[str, Any]:
    """Provenance for the manifest: question, digests, packages, resolved options, sources."""
    study = load_study(plan.study, tuple(plan.dirs))
    parts = {
        label: json.loads((work / "specs" / f"{name}.json").read_text())
        for label, name in plan.parts.items()
    }
    options: dict[str, dict[str, Any]] = {}
    for part in parts.values():
        for group, named in part["options"].items():
            options.setdefault(group, {}).update(named)
    question = study.model_dump(
        include={
            "name",
            "question",
            "measurements",
            "axes",
            "draws",
            "break_even",
            "fleet",
            "sample",
            "optimise",
            "keep",
            "overrides",
        }
    )
    return {
        "question": study.question,
        "definition": question,
        "overrides": plan.overrides,
        "chosen": winning(study.overrides, plan.overrides),
        "parts": {
            label: {name: value for name, value in part.items() if name != "options"}
            for label, part in parts.items()
        },
        "digests": {
            "inputs": digest(*sorted(plan.parts.values())),
            "code": code_digest(code_of(study)),
        },
        "packages": package_versions(),
        "options": options,
        "sources": cited_sources({**options, "study": drawn_sources(study)}, tuple(plan.dirs)),
    }


def drawn_sources(study: Study) -> dict[str, Any]:
    """The witnesses of what a study itself draws, as an option states them."""
    if study.draws is None or not isinstance(study.draws.inputs, dict):
        return {}
    stated = study.draws.inputs.items()
    told = {path: v["source"] for path, v in stated if isinstance(v, Mapping)}
    pairs = {" and ".join(c.between): c.source for c in study.draws.correlations}
    return {"sources": told | pairs}


def cited_sources(options: Mapping[str, Any], dirs: tuple[str, ...]) -> dict[str, Any]:
    """Entries of sources.yaml, the user's own included, that some option's witness names."""
    known = sources(config_dirs(dirs))
    return {key: known[key] for key in cited(_witnesses(options), known)}


def _witnesses(node: Any) -> list[str]:
    if not isinstance(node, Mapping):
        return []
    found = (
        [str(v) for v in node["sources"].values()]
        if isinstance(node.get("sources"), Mapping)
        else []
    )
    for name, child in node.items():
        if name != "sources":
            found += _witnesses(child)
    return found
