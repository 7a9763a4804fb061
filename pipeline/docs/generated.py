"""Pages that follow from the code, the options and the data: pure functions to Markdown.

Nothing is written here; the hook of MkDocs takes the texts. Quick: no cost model runs.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import json
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import yaml

import infercost.equations
from infercost.arrays import Unit
from infercost.claim_options import load_claim
from infercost.lookup import entries
from infercost.options.question import option_names
from infercost.paths import option_groups
from infercost.plots.base import figures
from infercost.quantities import quantities
from infercost.specs.case import GROUPS
from infercost.stages.readme import accuracy

Equation = Callable[..., Any]
OWN_PAGES = ("study", "claim")
"""Groups whose options have pages of their own."""
TITLES = {"moe": "Mixture of experts", "near_memory": "Near-memory processing"}
"""Titles of pages of equations, where the module's name does not do."""
ANSWER = "<!-- answer -->"


def pages(root: Path) -> dict[str, str]:
    """All generated pages by path below the documentation's root."""
    return {
        "equations/index.md": equations_index(),
        **{path: equation_page(path) for path in equation_pages()},
        "validation.md": validation_page(root),
        "options.md": options_page(root),
        "columns.md": columns_page(),
        "figures.md": figures_page(),
        "studies.md": studies_page(root),
        "claims.md": claims_page(root),
    }


def with_answer(markdown: str, root: Path) -> str:
    """The page with the README's answer where it asks for it, so that both say the same."""
    told = re.search(
        r"<!-- answer: .*? -->\n(.*?)<!-- /answer -->", (root / "README.md").read_text(), re.DOTALL
    )
    return markdown.replace(ANSWER, told[1].strip() if told else "")


# --- Equations ------------------------------------------------------------------------------------


def equation_modules() -> list[ModuleType]:
    """Modules of the physics, by name."""
    package = infercost.equations
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def equations_of(module: ModuleType) -> list[Equation]:
    """Public functions of a module, in the order in which they stand."""
    return [
        member
        for name, member in vars(module).items()
        if inspect.isfunction(member)
        and member.__module__ == module.__name__
        and not name.startswith("_")
    ]


def equation_pages() -> dict[str, str]:
    """Path of each module's page -> its title."""
    names = [module.__name__.rpartition(".")[2] for module in equation_modules()]
    titles = {name: name.replace("_", " ").capitalize() for name in names} | TITLES
    return {f"equations/{name}.md": titles[name] for name in names}


def equations_index() -> str:
    """What each module is about, and how many equations it has."""
    rows = [
        (
            f"[{title}]({path.partition('/')[2]})",
            escaped(first_line(module)),
            str(len(equations_of(module))),
        )
        for (path, title), module in zip(equation_pages().items(), equation_modules(), strict=True)
    ]
    return "\n".join(
        [
            "# Equations",
            "",
            "Every formula of the cost model, as its docstring states it. Arguments are floats or "
            "arrays that broadcast; a test calls each equation with units and compares the "
            "dimension of its answer. Sources are named where a formula has one; what has none is "
            "algebra or a choice of this project, and says so.",
            "",
            *table(("module", "about", "equations"), rows),
        ]
    )


def equation_page(path: str) -> str:
    """One module: its preamble, then each equation with formula, units and source."""
    module = importlib.import_module(f"infercost.equations.{Path(path).stem}")
    lines = [f"# {equation_pages()[path]}", "", prose(inspect.getdoc(module) or ""), ""]
    for equation in equations_of(module):
        lines += [*equation_section(equation), ""]
    return "\n".join(lines)


def equation_section(equation: Equation) -> list[str]:
    """Heading, docstring, and units of arguments and answer."""
    hints = get_type_hints(equation, include_extras=True)
    answer = unit_of(hints.pop("return"))
    rows = [(f"`{name}`", unit_of(hint)) for name, hint in hints.items()]
    return [
        f"## {equation.__name__.replace('_', ' ')}",
        "",
        prose(inspect.getdoc(equation) or ""),
        "",
        *table((f"`{equation.__name__}`", "unit"), [*rows, ("*answer*", answer)]),
    ]


def unit_of(annotation: object) -> str:
    """The unit that an annotation carries; a bare array has that of what it is called with."""
    marks = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Unit)]
    return marks[0].symbol if marks else "any"


# --- What was found -------------------------------------------------------------------------------


def validation_page(root: Path) -> str:
    """Errors of predicted time, by what the fit had not seen."""
    report = json.loads((root / "data" / "reference" / "calibration_report.json").read_text())
    return "\n".join(
        [
            "# Validation",
            "",
            "Errors of predicted time against published measurements: |predicted / stated - 1|, "
            "median and 90th percentile. `ideal` is the floor that datasheets allow, `typical` "
            "what studies assume unless they say otherwise. The other columns fit a calibration "
            "per stack; *left out* ones predict rows whose block of measurements, system, model or "
            "stack the fit never saw, and tell how far a prediction of something new may be off.",
            "",
            "Rows of tier A state their whole configuration; those of tier B lack the batch, or "
            "are second-hand.",
            "",
            accuracy(report),
            "",
            "Each row's errors are in `data/reference/examination.csv`; the study `validation` "
            "publishes them as a dataset.",
        ]
    )


def studies_page(root: Path) -> str:
    """Every study's question, and its answer where it has been computed here."""
    lines = [
        "# Studies",
        "",
        "A study is a question, the points that answer it, and sentences filled from its rows. "
        "Answers stand here where this checkout has computed them: `make study STUDY=name`, then "
        "`make docs`.",
        "",
    ]
    for name in option_names((root / "conf",), "study"):
        lines += [*study_section(root, name), ""]
    return "\n".join(lines)


def study_section(root: Path, name: str) -> list[str]:
    """Question and answer of one study."""
    content = yaml.safe_load((root / "conf" / "study" / f"{name}.yaml").read_text())
    heading = [f"## {name}", "", f"**{escaped(' '.join(content['question'].split()))}**", ""]
    answer = root / "data" / "results" / name / "latest" / "answer.txt"
    if not answer.is_file():
        return [*heading, f"Not computed here: `make study STUDY={name}`."]
    version, *sentences = answer.read_text().splitlines()
    told = [f"- {escaped(sentence)}" for sentence in sentences if sentence]
    return [*heading, *told, "", f"Dataset `{version}`."]


def claims_page(root: Path) -> str:
    """The ledger as it is recorded: sentence, source, verdict, cases."""
    with (root / "data" / "reference" / "claims.csv").open(newline="") as file:
        record = {row["claim"]: row for row in csv.DictReader(file)}
    lines = [
        "# Claims",
        "",
        "Sentences of the literature and of this project that published rows can refute. The "
        "verdicts are those on record (`data/reference/claims.csv`); `make claims` computes them "
        "again and fails where one has changed. [How to judge one of your own](how-to/claim.md).",
        "",
    ]
    rows = []
    for name in option_names((root / "conf",), "claim"):
        claim = load_claim(name)
        found = record.get(name, {"verdict": "untested", "why": "not on record"})
        said = f"{cell(claim.claim)}<br>`{name}`, by {cell(claim.by)}"
        rows.append((said, claim.study, found["verdict"], cell(found["why"])))
    return "\n".join([*lines, *table(("claim", "study", "verdict", "cases"), rows)])


# --- What there is --------------------------------------------------------------------------------


def options_page(root: Path) -> str:
    """Options of every group: name and what it is."""
    conf = (root / "conf",)
    lines = [
        "# Options",
        "",
        "One YAML file each, in `conf/` or in a folder of your own. `infercost catalogue WORD` "
        "searches them, `infercost catalogue GROUP/OPTION` shows every value with its source.",
    ]
    for group in (*GROUPS, *(g for g in option_groups() if g not in (*GROUPS, *OWN_PAGES))):
        found = list(entries(conf, (group,)))
        rows = [(f"`{e.name}`", cell(e.title), cell(e.about)) for e in found]
        lines += ["", f"## {group}", "", *table(("option", "name", "about"), rows)]
    return "\n".join(lines)


def columns_page() -> str:
    """Columns of every dataset, with unit and meaning."""
    rows = [(f"`{q.column}`", cell(q.unit), cell(q.symbol), cell(q.meaning)) for q in quantities()]
    told = "What the rows of a dataset say; `infercost metrics` prints the same."
    return "\n".join(
        ["# Columns", "", told, "", *table(("column", "unit", "symbol", "meaning"), rows)]
    )


def figures_page() -> str:
    """Every figure that a study may name, what it shows, and the options that it takes."""
    told = "A study names figures below `figures`; [how to add one](how-to/figure.md)."
    lines = ["# Figures", "", told, ""]
    for name, draw in figures().items():
        options = list(inspect.signature(draw).parameters.values())[1:]
        needed = [f"`{o.name}`" for o in options if o.default is o.empty]
        free = [f"`{o.name}`" for o in options if o.default is not o.empty]
        lines += [f"## {name}", "", prose(inspect.getdoc(draw) or ""), ""]
        lines += [f"Needs {', '.join(needed)}.", ""] if needed else []
        lines += [f"Takes {', '.join(free)}.", ""] if free else []
    return "\n".join(lines)


# --- Markdown -------------------------------------------------------------------------------------


def first_line(documented: object) -> str:
    """The sentence that a docstring starts with."""
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def prose(docstring: str) -> str:
    """A docstring as Markdown: indented lines are formulas, kept as they stand."""
    blocks = re.split(r"\n\s*\n", docstring.strip("\n"))
    return "\n\n".join(
        f"```text\n{textwrap.dedent(block)}\n```" if is_formula(block) else escaped(block)
        for block in blocks
    )


def is_formula(block: str) -> bool:
    """Whether every line of a paragraph is indented."""
    return all(line.startswith("    ") for line in block.splitlines())


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, with code between backticks."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if part.startswith("`") and part.endswith("`") and len(part) > 1 else _plain(part)
        for part in parts
    )


def _plain(text: str) -> str:
    shown = re.sub(r"([\\*_\[\]#|`])", r"\\\1", text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cell(text: str) -> str:
    """Text for a cell of a table, on one line."""
    return escaped(" ".join(text.split()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, as lines."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
