"""A study of a few parts in a folder of its own, to run whole and to disturb."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 900
"""Seconds for a run to end: many times what it needs, for machines that do other things too."""

STUDY = """\
name: {name}
question: What does a token cost at each price of the device?
axes:
  hardware.price: [{prices}]
  hardware: [h100-sxm]
  model: [llama-3.1-8b]
  workload: [fixed-lengths]
split: hardware.price
overrides: [plan=base]
optimise:
  minimise: cost_per_mtoken_usd
  within_slo: true
  largest_replica: 4
  over:
    layout: {{plan.tp: [1, 2, 4]}}
    batch: [1, 8, 64]
keep: pareto
answers:
  - text: "{{n}} rows, from {{least:.2f}} USD per million output tokens."
    values: SELECT count(*) AS n, min(cost_per_mtoken_usd) AS least FROM rows
"""


@dataclass(frozen=True)
class Runs:
    """Runs of one study below `folder`."""

    folder: Path
    parts: int
    profile: str = "default"
    study: str = "disturbed"
    root: Path = ROOT
    """The checkout whose code runs."""

    def prepare(self) -> Runs:
        """The study's file, where the options of the user's own are."""
        target = self.folder / "mine" / "study" / f"{self.study}.yaml"
        target.parent.mkdir(parents=True)
        prices = ", ".join(f"{20000 + 100 * i} USD" for i in range(self.parts))
        target.write_text(STUDY.format(name=self.study, prices=prices))
        return self

    def command(self, *more: str) -> list[str]:
        """The Snakemake command; it works in `folder`."""
        mine = self.folder / "mine"
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")),
            *("--workflow-profile", str(self.root / "workflow/profiles" / self.profile)),
            *more,
            *(
                "--config",
                f"study={self.study}",
                *([f"config_dir={mine}"] if mine.is_dir() else []),
            ),
        ]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """A run of its own process group, its output in `folder`."""
        log = (self.folder / "run.log").open("a")
        return subprocess.Popen(
            self.command(*more),
            cwd=self.folder,
            env=environment(self.root),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def complete(self, *more: str) -> None:
        """A run that must succeed."""
        code = self.start(*more).wait(timeout=TIMEOUT)
        assert code == 0, self.said()

    def said(self) -> str:
        """What all runs so far have printed."""
        return (self.folder / "run.log").read_text()

    def published(self) -> dict[str, str]:
        """Digest of every published file by its path."""
        root = self.folder / "data" / "datasets" / self.study
        return {
            str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(root.rglob("*"))
            if file.is_file() and "latest" not in file.relative_to(root).parts
        }

    def part_files(self) -> list[Path]:
        """Computed parts."""
        return sorted((self.folder / "data" / "work" / "parts").glob("*.parquet"))


def environment(root: Path) -> dict[str, str]:
    """As a user's shell: the rules' `python` is the one that runs the tests, on code of `root`."""
    here = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(root / "pipeline"),
    }
    # Each start would compile its imports again.
    here.pop("PYTHONDONTWRITEBYTECODE", None)
    return here
