"""The documentation: what it prints can be typed, what it names exists, the tutorial answers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import infercost
from chromium import offline_page
from infercost.__main__ import COMMANDS, parser
from infercost.lookup import field_meaning
from infercost.options.question import option_names
from infercost.paths import CONF, ROOT, option_groups
from infercost.specs.case import GROUPS
from infercost.specs.claim import Claim

DOCS = ROOT / "pipeline" / "docs"
PAGES = {str(path.relative_to(DOCS / "pages")): path for path in DOCS.rglob("*.md")}
SETUP = ("make env", ". .venv/bin/activate")
"""What makes the environment that tests run in already."""

sys.path.insert(0, str(DOCS))
import generated  # noqa: E402


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        return [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]


def blocks(page: Path) -> list[Block]:
    fenced = re.compile(r'^```(\w*)(?: title="(.*?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
    return [Block(*match.groups(default="")) for match in fenced.finditer(page.read_text())]


def commands(page: Path) -> list[str]:
    return [c for block in blocks(page) if block.language == "console" for c in block.commands]


def own_names(page: Path) -> set[str]:
    """Options that the reader of a page writes: by command, or as a block with a path."""
    text = page.read_text()
    made = re.findall(r"infercost new \w+ (\S+)|--name (\S+)|mine/\w+/([\w-]+)\.yaml", text)
    return {name for names in made for name in names if name}


ALL_COMMANDS = [(name, c) for name, page in sorted(PAGES.items()) for c in commands(page)]

# --- What is printed can be typed -----------------------------------------------------------------


@pytest.mark.parametrize(("page", "command"), ALL_COMMANDS)
def test_every_command_on_a_page_is_one(page: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "infercost":
        parser().parse_args(arguments)
    elif program == "make":
        target = next(a for a in arguments if "=" not in a)
        assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "snakemake":
        assert (ROOT / arguments[arguments.index("--workflow-profile") + 1]).is_dir()
    else:
        assert command in (*SETUP, ".venv/bin/python -m pip install -e '.[slurm]'")


@pytest.mark.parametrize(("page", "command"), ALL_COMMANDS)
def test_every_option_and_field_in_a_command_exists(page: str, command: str) -> None:
    mine = own_names(PAGES[page])
    for group, name in options_named(command):
        assert name in mine or name in option_names((CONF,), group), f"no {group} '{name}'"
    for path in fields_named(command):
        field_meaning(path)


def options_named(command: str) -> Iterator[tuple[str, str]]:
    """Group and name of every option that a command chooses, and of every study."""
    _, *arguments = shlex.split(command)
    for argument in " ".join(arguments).split():
        key, equals, value = argument.lstrip("+").partition("=")
        group = {"STUDY": "study"}.get(key, key)
        if equals and group in (*GROUPS, "study"):
            yield from ((group, n.partition("@")[0]) for n in value.strip("[]").split(","))
    if arguments[0] == "answer" or arguments[:2] == ["datasets", "verify"]:
        yield "study", arguments[-1] if arguments[0] == "answer" else arguments[2]
    if arguments[0] == "claims" and len(arguments) > 1:
        yield "claim", arguments[1]


def fields_named(command: str) -> Iterator[str]:
    """Dotted paths that a command sets or asks for; those of directions are their own."""
    for argument in shlex.split(command):
        path = argument.partition("=")[0]
        if "." in path and path.partition(".")[0] in set(GROUPS) - {"direction"}:
            yield path


def test_the_tests_see_wrong_commands() -> None:
    assert ("hardware", "h100") in options_named("infercost explain hardware=h100")
    assert ("direction", "hbf") in options_named("infercost explain '+direction=[hbf,pnm]'")
    assert list(fields_named("infercost evaluate 'plan.tpp=1,2'")) == ["plan.tpp"]
    with pytest.raises(SystemExit):
        parser().parse_args(["explain", "--jsonn"])


@pytest.mark.parametrize("page", [*PAGES, "generated"])
def test_commands_and_files_in_the_text_exist(page: str) -> None:
    text = (
        "\n".join(generated.pages(ROOT).values())
        if page == "generated"
        else PAGES[page].read_text()
    )
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    known = set(parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr, arg-type]
    assert known >= {module.__name__.rpartition(".")[2] for module in COMMANDS}
    for name in re.findall(r"`infercost ([a-z]+)", text):
        assert name in known, f"no command '{name}'"
    for name in re.findall(r"`make ([a-z-]+)", text):
        assert f"\n{name}: " in (ROOT / "Makefile").read_text(), f"no target '{name}'"
    for path in re.findall(r"`((?:conf|data/reference|workflow|pipeline)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"no file '{path}'"


def test_the_claim_on_its_page_is_a_claim_about_a_known_study() -> None:
    (block,) = [b for b in blocks(PAGES["how-to/claim.md"]) if b.language == "yaml"]
    claim = Claim.model_validate(yaml.safe_load(block.text))
    assert claim.study in option_names((CONF,), "study")


# --- The tutorial ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.workflow
def test_the_tutorial_answers_its_question(tmp_path: Path) -> None:
    told = ""
    took: list[str] = []
    for block in blocks(PAGES["tutorial.md"]):
        if block.language == "console":
            told = "".join(timed(command, tmp_path, took) for command in block.commands)
        elif block.language == "yaml":
            change(tmp_path / block.title, block.text)
        elif block.language == "output":
            for line in block.text.splitlines():
                assert re.search(pattern(line), squeezed(told)), f"no '{line}' in:\n{told}"
    assert (tmp_path / "my-chip.csv").stat().st_size > 0
    print("", *took, sep="\n")
    if "TIMINGS" in os.environ:
        Path(os.environ["TIMINGS"]).write_text("\n".join(took) + "\n")


def timed(command: str, folder: Path, took: list[str]) -> str:
    """What a command prints; how long it took is kept."""
    start = time.monotonic()
    told = typed(command, folder)
    took.append(f"{time.monotonic() - start:6.1f} s  {command}")
    return told


def typed(command: str, folder: Path) -> str:
    """What a command prints in that folder; the answer behind `make study`, as there."""
    if command in SETUP:
        return ""
    program, *arguments = shlex.split(command)
    if program == "make":
        settings = dict(a.split("=") for a in arguments if "=" in a)
        done(snakemake(settings), folder)
        return done([sys.executable, "-m", "infercost", "answer", settings["STUDY"]], folder)
    assert program == "infercost", command
    return done([sys.executable, "-m", "infercost", *arguments], folder)


def snakemake(settings: dict[str, str]) -> list[str]:
    """The workflow as the Makefile starts it."""
    return [
        *(str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile")),
        *("--workflow-profile", str(ROOT / "workflow" / "profiles" / "default")),
        *("--config", f"study={settings['STUDY']}", f"config_dir={settings['CONFIG_DIR']}"),
    ]


def done(arguments: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    package = str(ROOT / "pipeline")
    ended = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": package, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{arguments}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def change(file: Path, lines: str) -> None:
    """Put each line in the place of the one with its key, as a reader does in an editor."""
    text = file.read_text()
    for line in lines.splitlines():
        key = line.partition(":")[0]
        text, count = re.subn(
            rf"^( *){key}:.*$", lambda match, new=line: match[1] + new, text, flags=re.MULTILINE
        )
        assert count == 1, f"{file.name} has {count} lines '{key}:'"
    file.write_text(text)


def pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in squeezed(line).split("…"))


def squeezed(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


# --- What stands in several files -----------------------------------------------------------------


def test_one_version_is_told_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == citation["version"] == infercost.__version__
    assert project["license"] == citation["license"]


def test_the_readme_names_every_group_of_options() -> None:
    row = next(
        t for t in (ROOT / "README.md").read_text().splitlines() if t.startswith("| `conf/`")
    )
    assert set(re.findall(r"`(\w+)`", row)) == set(option_groups())


def test_every_reference_table_is_described() -> None:
    folder = ROOT / "data/reference"
    named = set(re.findall(r"^\| (\S+\.\w+) \|", (folder / "README.md").read_text(), re.MULTILINE))
    assert named == {file.name for file in folder.iterdir()} - {"README.md"}


# --- Generated pages ------------------------------------------------------------------------------


def test_generated_pages_are_pure_and_quick() -> None:
    first = generated.pages(ROOT)
    started = time.process_time()
    assert generated.pages(ROOT) == first
    assert time.process_time() - started < 10, "documentation needs no cost model"


def test_every_equation_is_rendered_with_its_units() -> None:
    pages = generated.pages(ROOT)
    for path, module in zip(generated.equation_pages(), generated.equation_modules(), strict=True):
        for equation in generated.equations_of(module):
            assert f"| `{equation.__name__}` | unit |" in pages[path]
    buffer = pages["equations/memory.md"].partition("## latency hiding buffer")[2]
    assert "Source: H3" in buffer
    for row in ("| `bandwidth` | B/s |", "| `latency` | s |", "| *answer* | B |"):
        assert row in buffer.partition("## ")[0]


def test_formulas_stand_as_text_and_the_rest_is_escaped() -> None:
    shown = generated.prose(
        "Time of `x` over <n> ranks, a*b*c.\n\n    t = a_1 * b\n      + c\n\nEnd."
    )
    assert shown == (
        "Time of `x` over &lt;n&gt; ranks, a\\*b\\*c.\n\n```text\nt = a_1 * b\n  + c\n```\n\nEnd."
    )
    assert generated.cell("one | <script>\n two") == "one \\| &lt;script&gt; two"


def test_studies_have_their_question_and_the_answers_that_were_computed(tmp_path: Path) -> None:
    results = tmp_path / "data" / "results" / "small" / "latest"
    results.mkdir(parents=True)
    (tmp_path / "conf" / "study").mkdir(parents=True)
    for name in ("small", "other"):
        (tmp_path / "conf" / "study" / f"{name}.yaml").write_text(f"question: Is {name} <b>?\n")
    (results / "answer.txt").write_text("small/0123\nIt is.\n")
    page = generated.studies_page(tmp_path)
    small, other = page.partition("## small")[2], page.partition("## other")[2]
    assert "**Is small &lt;b&gt;?**" in small
    assert "- It is." in small
    assert "`small/0123`" in small
    assert "`make study STUDY=other`" in other.partition("## small")[0]


# --- The site -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; warnings, as of dead links, are errors."""
    pytest.importorskip("material", reason="the docs extra is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    build = ["mkdocs", "build", "--strict", "-f", str(DOCS / "mkdocs.yml"), "-d", str(folder)]
    ended = subprocess.run(
        [sys.executable, "-m", *build],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_the_site_asks_the_network_for_nothing(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"?(?:https?:)?//")
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text()), page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", style.read_text()), style.name


def test_the_site_has_every_page(site: Path) -> None:
    for path in (*PAGES, *generated.pages(ROOT)):
        assert (site / path).with_suffix(".html").is_file()
    index = (site / "index.html").read_text()
    assert generated.ANSWER not in index
    assert "decode step" in index
    assert (site / "assets" / "stress-map.png").is_file()


def test_the_site_works_from_disk_with_the_network_off(site: Path) -> None:
    """No request leaves, nothing complains, and the search finds an equation."""
    with offline_page() as page:
        for name in ("tutorial", "equations/topology", "claims", "index"):
            page.goto((site / f"{name}.html").as_uri())
        page.get_by_placeholder("Search").click()
        page.keyboard.type("bisection")
        page.locator(".md-search-result__item").first.wait_for()
        assert "Topology" in page.locator(".md-search-result__item").first.inner_text()
        assert page.said == []
        assert all(url.startswith("file:") for url in page.asked)
