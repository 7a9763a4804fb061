"""Tab completion: what a shell is offered, in a real bash too."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import argcomplete
import pytest

from infercost.__main__ import main, parser
from infercost.completions import COMPLETERS, attach, groups, overrides
from infercost.paths import CONF
from infercost.specs.case import GROUPS

NO_DIRS = argparse.Namespace(config_dir=[])


def offered(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the shell is told for a line with the cursor at its end."""
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    top = parser()
    attach(top)
    finder = argcomplete.CompletionFinder(top, always_complete_options="long")
    words = line.split(" ")
    return list(finder._get_completions(words[:-1], words[-1], "", None))


def test_every_completer_belongs_to_an_argument() -> None:
    places = set()

    def walk(node: argparse.ArgumentParser, name: str) -> None:
        for action in node._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner, below in action.choices.items():
                    walk(below, f"{name} {inner}".strip())
            else:
                places.update({f"{name} {action.dest}", action.dest})

    walk(parser(), "")
    assert set(COMPLETERS) <= places


def test_groups_that_are_offered_are_groups() -> None:
    assert {name for name in groups("") if (CONF / name).is_dir()} == set(groups(""))
    assert set(GROUPS) <= {*groups(""), "bill", "prices", "grid", "power", "reference"}


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("hard", "hardware="),
        ("hardware=h100-s", "hardware=h100-sxm"),
        ("hardware=h100-sxm,mi30", "hardware=h100-sxm,mi300x"),
        ("+direction=[hbf,low", "+direction=[hbf,low-latency"),
        ("+direction=h", "+direction=[hbf"),
        ("direction=none,hbf+pn", "direction=none,hbf+pnm"),
        ("+mitigation=[w4,kv", "+mitigation=[w4,kv8"),
        ("hardware=h100-sxm model=deepseek-v", "hardware=h100-sxm model=deepseek-v3"),
        ("plan.t", "plan.tp="),
        ("hardware.scale_", "hardware.scale_up."),
    ],
)
def test_an_override_is_completed(typed: str, wanted: str) -> None:
    assert wanted in overrides(typed, NO_DIRS)


def test_what_is_listed_already_is_not_offered_again() -> None:
    assert "+direction=[hbf,hbf" not in overrides("+direction=[hbf,h", NO_DIRS)


def test_own_options_are_offered(tmp_path: Path) -> None:
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "my-chip.yaml").write_text("name: mine\n")
    mine = argparse.Namespace(config_dir=[str(tmp_path)])
    assert overrides("hardware=my", mine) == ["hardware=my-chip"]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("infercost expl", "explain"),
        ("infercost explain --tr", "--trace"),
        ("infercost explain --trace cost_per_mt", "cost_per_mtoken_usd"),
        ("infercost study memory-w", "memory-wall"),
        ("infercost claims decode-is-mem", "decode-is-memory-bound"),
        ("infercost fleet training-c", "training-cools"),
        ("infercost catalogue hardware/h100-s", "hardware/h100-sxm"),
        ("infercost datasets ver", "verify"),
    ],
)
def test_words_of_the_command_line_are_completed(
    line: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wanted in [word.strip() for word in offered(line, monkeypatch)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_the_command_prints_what_a_shell_loads(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    assert "infercost" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_a_value_behind_its_equals_sign(tmp_path: Path) -> None:
    """bash parts words at '=': what is offered is what stands behind it."""
    script = tmp_path / "infercost"
    script.write_text(f"#!{sys.executable}\nimport sys\n{RUN}")
    script.chmod(0o755)
    line = "infercost explain hardware=h100-s"
    code = f"""
    eval "$({script} completion bash)"
    COMP_LINE={line!r}; COMP_POINT={len(line)}; COMP_TYPE=9
    COMP_WORDS=(infercost explain hardware = h100-s); COMP_CWORD=4
    _python_argcomplete {script} h100-s =
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert "h100-sxm" in [word.strip() for word in done.stdout.splitlines()], done.stderr


RUN = "from infercost.__main__ import main\nsys.exit(main())\n"
