"""Two checkouts in folders of their own, other cores and other sizes of parts: one dataset."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from disturbed import ROOT, Runs

pytestmark = pytest.mark.workflow
LANDED = ("--until", "publish")


def checkout(folder: Path) -> Path:
    """The files of this repository as they are tracked, in another place."""
    command = ["git", "checkout-index", "--all", f"--prefix={folder}/"]
    if subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("this is no git checkout")
    return folder


def manifest_of(runs: Runs) -> dict[str, Any]:
    (file,) = (runs.folder / "data" / "datasets" / runs.study).glob("[!l]*/manifest.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_two_checkouts_give_one_dataset(tmp_path: Path) -> None:
    manifests = []
    for name, cores, rows in (("here", "1", 2_000_000), ("over-there", "2", 1)):
        root = checkout(tmp_path / name)
        runs = Runs(root, 3, root=root).prepare()
        study = root / "mine" / "study" / f"{runs.study}.yaml"
        # Prices are cut where a part would be too large, so they stay together here.
        text = study.read_text().replace("split: hardware.price", "split: hardware")
        study.write_text(f"{text}part: {{rows: {rows}}}\n")
        runs.complete("--cores", cores, *LANDED)
        manifests.append(manifest_of(runs))
    one, other = manifests
    assert one["logical_digest"] == other["logical_digest"]
    assert one["rows"] == other["rows"] > 0
    assert len(one["files"]) < len(other["files"]), "the parts are of other sizes"
