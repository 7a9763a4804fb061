"""`infercost stage`: the steps of the workflow. The Snakefile calls them; people need not."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

PLAN = Path(os.environ.get("INFERCOST_PLAN", "plan.json"))
WORKERS = int(os.environ.get("INFERCOST_WORKERS") or 1)
"""The workflow names its plan and its cores in the environment."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("stage", help="steps of the workflow, called by Snakemake")
    steps = parser.add_subparsers(dest="step", required=True)
    part = steps.add_parser("part")
    part.add_argument("spec", type=Path)
    part.add_argument("target", type=Path)
    part.add_argument("--plan", type=Path, default=PLAN)
    part.add_argument("--workers", type=int, default=WORKERS)
    part.set_defaults(run=_part)
    publish = steps.add_parser("publish")
    aggregate = steps.add_parser("aggregate")
    figure = steps.add_parser("figure")
    report = steps.add_parser("report")
    calibrate = steps.add_parser("calibrate")
    calibrate.add_argument("common", type=Path, help="option file; others land beside it")
    calibrate.add_argument("report", type=Path)
    calibrate.add_argument("examination", type=Path)
    calibrate.add_argument("--workers", type=int, default=1)
    calibrate.set_defaults(run=_calibrate)
    kernels = steps.add_parser("kernels")
    kernels.add_argument("tables", type=Path, help="folder systems/data of aiconfigurator-core")
    kernels.add_argument("options", type=Path)
    kernels.add_argument("report", type=Path)
    kernels.set_defaults(run=_kernels)
    silicon = steps.add_parser("silicon")
    silicon.add_argument("sample", type=Path, help="silicon_sample.csv of aiconfigurator-core")
    silicon.add_argument("work", type=Path)
    silicon.set_defaults(run=_silicon)
    replays = steps.add_parser("replays")
    replays.add_argument("target", type=Path)
    replays.add_argument("--workers", type=int, default=WORKERS)
    replays.set_defaults(run=_replays)
    readme = steps.add_parser("readme")
    readme.add_argument("target", type=Path)
    readme.add_argument("--results", type=Path, default=Path("data/results/memory-wall/latest"))
    readme.add_argument("--picture", type=Path, default=Path("workflow/report/stress-map.png"))
    readme.add_argument(
        "--report", type=Path, default=Path("data/reference/calibration_report.json")
    )
    readme.set_defaults(run=_readme)
    for step, run in (
        (publish, _publish),
        (aggregate, _aggregate),
        (figure, _figure),
        (report, _report),
    ):
        step.add_argument("target", type=Path)
        step.add_argument("--plan", type=Path, default=PLAN)
        step.add_argument("--published", type=Path)
        step.add_argument("--aggregates", type=Path)
        step.add_argument("--figures", type=Path)
        step.add_argument("--work", type=Path, default=Path("data/work"))
        step.add_argument("--datasets", type=Path, default=Path("data/datasets"))
        step.set_defaults(run=run)


def _part(a: argparse.Namespace) -> int:
    from infercost.stages.part import run

    run(a.spec, a.target, a.plan, a.workers)
    return 0


def _publish(a: argparse.Namespace) -> int:
    from infercost.stages.publish import run

    run(a.plan, a.work, a.datasets, a.target)
    return 0


def _aggregate(a: argparse.Namespace) -> int:
    from infercost.stages.aggregate import run

    run(a.plan, a.published, a.work, a.datasets, a.target)
    return 0


def _figure(a: argparse.Namespace) -> int:
    from infercost.stages.figure import run

    run(a.plan, a.published, a.datasets, a.aggregates, a.target)
    return 0


def _calibrate(a: argparse.Namespace) -> int:
    from infercost.stages.calibrate import run

    run(a.common.parent, a.report, a.examination, a.workers)
    return 0


def _kernels(a: argparse.Namespace) -> int:
    from infercost.stages.kernels import run

    run(a.tables, a.options, a.report)
    return 0


def _silicon(a: argparse.Namespace) -> int:
    from infercost.stages.silicon import run

    run(a.sample, a.work)
    return 0


def _replays(a: argparse.Namespace) -> int:
    from infercost.stages.replays import run

    run(a.target, a.workers)
    return 0


def _readme(a: argparse.Namespace) -> int:
    from infercost.stages.readme import run

    run(a.results, a.target, a.picture, a.report)
    return 0


def _report(a: argparse.Namespace) -> int:
    from infercost.stages.report import run

    run(a.plan, a.published, a.datasets, a.aggregates, a.figures, a.target)
    return 0
