"""Options without Hydra are what Hydra makes of them; what needs Hydra is left to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infercost import compose
from infercost.compose import Options
from infercost.errors import SpecError
from infercost.options import question
from infercost.options.question import Question, ask, option_names
from infercost.options.resolve import content_of
from infercost.paths import config_dirs
from infercost.specs.case import GROUPS

EVERY = {
    group: tuple(n for n in sorted(option_names(config_dirs(), group)) if not n.startswith("_"))
    for group in GROUPS
}


@pytest.mark.slow
def test_every_option_comes_to_what_hydra_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        g: tuple(n for n in names if content_of(config_dirs(), g, n)) for g, names in EVERY.items()
    }
    for options in (EVERY, told):
        fast = Options(Question(options))
        with monkeypatch.context() as patched:
            patched.setattr(compose, "content_of", lambda *_: None)
            patched.setattr(compose, "told_options", lambda *_: None)
            slow = Options(Question(options))
        assert fast.raw == slow.raw
        assert fast.chosen == slow.chosen


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["hardware=mi300x", "model=deepseek-v3", "plan.tp=16", "plan.ep=16", "batch=64"],
        ["economics=rental", "economics.utilisation=0.5", "plan.formats.weights=fp8"],
        ["direction=hbf+low-latency", "mitigation=w4"],
        ["+mitigation=[w4,kv8]"],
        ["mitigation=[w4]", "+direction=hbf", "batch=8"],
        ["hardware=h100-sxm,mi300x", "batch=range(1,9,2)", "plan.tp=1,2,4", "trend=none"],
        ["hardware.memory.hbm.bandwidth=4 TB/s", "hardware.price='30000 USD'"],
        ["hardware.memory.hbm.bandwidth=4 TB/s,8 TB/s", "plan.formats.weights=fp8,fp4"],
        ["+mitigation=[w4,kv8]", "hardware.price={uniform: [30000 USD, 45000 USD]}"],
        ["direction=hbf", "direction.hbf.bandwidth=1 TB/s", "direction.hbf.capacity=2e12"],
        ["economics.electricity_price=0.05 USD/kWh", "++batch=7"],
        ["memory@hardware.memory.hbm=hbm3e", "hardware.memory.hbm.capacity=96 GB"],
        ["link@hardware.scale_up=nvlink-5", "hardware=b200-sxm,h200-sxm"],
        ["hardware=mi300x", "+hardware.operating_system=x", "hardware.price=-1", "plan.tp=true"],
        ["model.layers.all.count=null", "hardware.peak_dense.bf16=[1,2]"],
    ],
)
def test_plain_overrides_need_no_hydra(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    monkeypatch.setattr(Options, "_compose", lambda self: pytest.fail("composed by Hydra"))
    fast = Options(ask(overrides))
    monkeypatch.undo()
    monkeypatch.setattr(compose, "told_options", lambda *_: None)
    monkeypatch.setattr(compose, "content_of", lambda *_: None)
    monkeypatch.setattr(question, "plain_override", lambda _: None)
    slow = Options(ask(overrides))
    assert fast.raw == slow.raw
    assert fast.chosen == slow.chosen
    assert fast.question == slow.question


@pytest.mark.parametrize(
    "override",
    [
        "batch=[many]",
        "+batch=8",
        "plan.formats=8",
        "+plan.a.b=1",
        "memory@hardware.memory.hmb=hbm3e",
        "+memory@hardware.memory.hbm=hbm3e",
        "memory@hardware.memory.hbm=3",
        "memory@plan.memory=hbm3e",
    ],
)
def test_faults_are_told_alike_by_both_readers(
    monkeypatch: pytest.MonkeyPatch, override: str
) -> None:
    def told() -> str:
        with pytest.raises(SpecError) as found:
            list(Options(ask([override])).cases())
        return str(found.value)

    fast = told()
    monkeypatch.setattr(compose, "told_options", lambda *_: None)
    monkeypatch.setattr(question, "plain_override", lambda _: None)
    assert fast == told()


@pytest.mark.parametrize("override", ["plan.tensor=8", "plan.formats=8", "trend.tokens.more=1"])
def test_an_override_of_what_is_not_there_is_left_to_hydra(override: str) -> None:
    with pytest.raises(SpecError):
        list(Options(ask([override])).cases())


def test_most_options_need_no_hydra() -> None:
    told = [n for g in ("hardware", "model") for n in EVERY[g] if content_of(config_dirs(), g, n)]
    assert len(told) > 0.9 * (len(EVERY["hardware"]) + len(EVERY["model"]))


def written(folder: Path, **files: str) -> tuple[Path, ...]:
    (folder / "g").mkdir(parents=True)
    for name, text in files.items():
        (folder / "g" / f"{name}.yaml").write_text(text)
    return (folder,)


def told(dirs: tuple[Path, ...], name: str = "a") -> dict[str, Any] | None:
    return content_of(dirs, "g", name)


def test_own_keys_win_over_what_stands_before_them(tmp_path: Path) -> None:
    dirs = written(
        tmp_path,
        a="defaults:\n  - /g@x.y: b\n  - _self_\nx: {y: {p: 1}}\n",
        b="p: 2\nq: [3]\n",
    )
    assert told(dirs) == {"x": {"y": {"p": 1, "q": [3]}}}


def test_what_stands_after_own_keys_wins_over_them(tmp_path: Path) -> None:
    dirs = written(tmp_path, a="defaults:\n  - _self_\n  - /g@x: b\nx: {p: 1}\n", b="p: 2\n")
    assert told(dirs) == {"x": {"p": 2}}


def test_an_option_builds_on_another_of_its_group(tmp_path: Path) -> None:
    dirs = written(tmp_path, a="defaults:\n  - _b\n  - _self_\np: 1\nr:\n", _b="p: 2\nq: {s: 3}\n")
    assert told(dirs) == {"p": 1, "q": {"s": 3}, "r": None}


def test_numbers_are_read_as_omegaconf_reads_them(tmp_path: Path) -> None:
    """YAML 1.1 takes 1e9 for text and 2024-05-01 for a date."""
    dirs = written(tmp_path, a="n: 1e9\nd: 2024-05-01\nb: true\nt: 80 GB\n")
    assert told(dirs) == {"n": 1e9, "d": "2024-05-01", "b": True, "t": "80 GB"}


@pytest.mark.parametrize(
    "text",
    [
        "a: ${b}\n",
        "# @package _global_\na: 1\n",
        "a: ???\n",
        "1: a\n",
        "a: 1\na: 2\n",
        "a: [1\n",
        "- a\n",
        "defaults:\n  - /g@x: b\na: 1\n",
        "defaults:\n  - override /g: b\n  - _self_\n",
        "defaults:\n  - /g@_global_: b\n  - _self_\n",
        "defaults:\n  - /g@x: nowhere\n  - _self_\n",
        "defaults:\n  - /g@x: a\n  - _self_\n",
        "defaults:\n  - /g@x: b\n  - _self_\nx: 1\n",
    ],
)
def test_all_else_is_left_to_hydra(tmp_path: Path, text: str) -> None:
    assert told(written(tmp_path, a=text, b="p: 1\n")) is None


def test_an_option_that_is_not_there_is_left_to_hydra(tmp_path: Path) -> None:
    assert told(written(tmp_path), "nowhere") is None
