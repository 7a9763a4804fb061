"""A study of one's own with a mistake in it: one line with file, key, fault and remedy, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from infercost import NoEffect, SpecError
from infercost.paths import CONF
from infercost.rehearsal import rehearse
from infercost.studies import plan_study

SMOKE = (CONF / "study/smoke.yaml").read_text().replace("name: smoke", "name: mine")


def planned(folder: Path, old: str = "", new: str = "") -> None:
    assert old in SMOKE, f"{old!r} is not in the study any more: mend this test"
    file = folder / "study/mine.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(SMOKE.replace(old, new, 1))
    rehearse(plan_study("mine", (), (str(folder),)))


AXES = "axes:\n"
WRONG = {
    "a name of another file": ("name: mine", "name: other", "name: is 'other' in a file named"),
    "no unit": (AXES, "axes:\n  hardware.tdp: [300, 400]\n", "300 has no unit. Write for"),
    "twice": (AXES, "axes:\n  hardware.tdp: [300 W, 0.3 kW]\n", "is 300 W again. Name it once"),
    "a text twice": (AXES, "axes:\n  plan.formats.kv: [fp8, fp8]\n", "names fp8 twice"),
    "no key": (AXES, "axes:\n  hardware.tpd: [3 W, 4 W]\n", "unknown key 'tpd'. Did you mean"),
    "no option": ("tpu-v5e]", "tpu-v5]", "there is no hardware 'tpu-v5'. Did you mean 'tpu-v5p'"),
    "no value": ("[h100-sxm, tpu-v5e]", "[]", "axes.hardware: holds 0 entries. Expected at least"),
    "both": ("[plan=base]", "[plan=base, model=qwen3-8b]", "sets what axes.model varies"),
    "no choice": ("[1, 4, 16, 64, 256]", "[]", "optimise.over.batch: holds 0 entries"),
    "no key to choose": (
        "plan.pp: [",
        "plan.pq: [",
        "optimise.over: override 'plan.pq=1': unknown",
    ),
    "no objective": ("minimise: cost", "minimise: kost", "optimise.minimise: no metric"),
    "no figure": ("stress-map", "stress-mapp", "figures.0.name: no figure is named 'stress-mapp'"),
    "no option of a figure": ("{name: stress-map}", "{name: stress-map, options: {x: 1}}", "no op"),
    "no SQL": ("SELECT hardware", "SELCT hardware", "aggregates.by_accelerator: Parser Error"),
    "no column": ("arg_min(hardware,", "arg_min(hardwear,", "answers.0.values: Binder Error: Ref"),
    "no such value": ("{cases}", "{case}", "answers.0.text: there is no value 'case'. Did you mea"),
    "no format": (
        "{least:.2f}",
        "{least:.2q}",
        "answers.0.text: '{least:.2q}' does not fit double",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_is_one_line_with_file_key_and_fault(wrong: str, tmp_path: Path) -> None:
    old, new, said = WRONG[wrong]
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, old, new)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "study/mine.yaml"))
    assert said in message
    assert "\n" not in message


def test_what_a_study_searches_is_no_axis_of_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"optimise\.over\.batch: is an axis of the study too"):
        planned(tmp_path, AXES, "axes:\n  batch: [1, 2]\n")


def test_overrides_and_axes_that_do_nothing_are_told(tmp_path: Path) -> None:
    with pytest.warns(NoEffect, match=r"study 'mine': override 'trend\.dose=3' changes no number"):
        planned(tmp_path, "[plan=base]", "[plan=base, trend.dose=3]")


def test_an_override_of_an_axis_is_refused(tmp_path: Path) -> None:
    planned(tmp_path)
    with pytest.raises(SpecError, match="is an axis of study 'limit-study'"):
        plan_study("limit-study", ("hardware.memory.hbm.bandwidth=1 TB/s",))
