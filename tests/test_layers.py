"""Imports point down only: equations know no specs, specs no physics, nothing goes in circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import infercost

PACKAGE = Path(infercost.__file__).parent
README = PACKAGE.parent / "README.md"
BASES = (PACKAGE, PACKAGE.parent, PACKAGE.parents[1])

LEVELS = {
    0: "__init__ units arrays tape allocation errors terms paths",
    1: "equations specs",
    2: "options compose directions grid workloads trends mitigations",
    3: "network operators tiers placement bill passes cost",
    4: "registry metrics quantities table evaluation uncertainty",
}
HIGHER = 5
"""Whatever the table does not name: optimisation, studies, stages, plots, the command line."""
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names.split()}


def module_name(file: Path) -> str:
    """Dotted name below the package; the package itself is `__init__`."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from run_time_nodes(child)


def imported(file: Path) -> set[str]:
    """Modules of the package that a file imports at run time, inside functions too."""
    found: set[str] = set()
    for node in run_time_nodes(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides what is imported"
            # `from infercost.equations import money` imports a module, `... import Terms` a name.
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            inner = name.removeprefix("infercost.")
            if inner != name and inner in FILES:
                found.add(inner)
    return found


IMPORTS = {name: imported(file) for name, file in FILES.items()}


def level(name: str) -> int:
    return LEVEL_OF.get(name.partition(".")[0], HIGHER)


def below(package: str) -> dict[str, set[str]]:
    return {name: found for name, found in IMPORTS.items() if f"{name}.".startswith(f"{package}.")}


def test_the_table_of_levels_names_modules_that_exist() -> None:
    assert set(LEVEL_OF) <= {name.partition(".")[0] for name in FILES}


def test_the_readme_names_every_module_at_its_level() -> None:
    """Its table tells a newcomer where things are; no import of it points up either."""
    rows = re.findall(r"^\| (\d) \| (.*?) \|", README.read_text(), re.MULTILINE)
    told = {name: int(n) for n, names in rows for name in re.findall(r"`(\w+)/?`", names)}
    assert set(told) == {name.partition(".")[0] for name in FILES} - {"__init__"}
    assert {name: n for name, n in told.items() if LEVEL_OF.get(name, n) != n} == {}
    for name, found in IMPORTS.items():
        if name != "__init__":
            own = told[name.partition(".")[0]]
            assert {other for other in found if told[other.partition(".")[0]] > own} == set(), name


def test_files_that_the_readme_names_exist() -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", README.read_text())
    assert named
    assert [file for file in named if not any((b / file).is_file() for b in BASES)] == []


def test_the_graph_sees_imports() -> None:
    """A graph without edges would pass every other test here."""
    assert {"units", "errors"} <= IMPORTS["specs.fields"] | IMPORTS["options.faults"]
    assert "equations.money" in IMPORTS["cost"]
    assert sum(map(len, IMPORTS.values())) > 100


def test_imports_point_down_or_sideways() -> None:
    upward = [
        f"{name} (level {level(name)}) imports {other} (level {level(other)})"
        for name, found in IMPORTS.items()
        for other in found - {name}
        if level(other) > level(name) and name != "__init__"  # which imports lazily, for users
    ]
    assert upward == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: found - {name} for name, found in IMPORTS.items() if name != "__init__"}
    packages = {name.rpartition(".")[0] for name in graph}
    # Importing equations.money runs equations/__init__.py too, which imports nothing.
    assert all(not IMPORTS[name] for name in ("equations", "specs", "metrics", "operators"))
    TopologicalSorter({n: found - packages for n, found in graph.items()}).prepare()


def test_equations_import_nothing_of_the_package_but_level_0_and_each_other() -> None:
    wrong = {
        name: sorted(other for other in found if level(other) > 0 and "equations" not in other)
        for name, found in below("equations").items()
    }
    assert {name: others for name, others in wrong.items() if others} == {}


def test_equations_know_no_specs() -> None:
    for name, found in below("equations").items():
        assert not [other for other in found if other.startswith("specs")], name


def test_specs_know_no_equations() -> None:
    for name, found in below("specs").items():
        assert not [other for other in found if level(other) > 0 and "specs" not in other], name


def test_importing_the_package_loads_none_of_its_modules() -> None:
    """`import infercost` costs nothing: its public names are imported on first use."""
    at_top = [
        node
        for node in ast.parse(FILES["__init__"].read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    modules = {getattr(node, "module", None) for node in at_top}
    assert modules <= {"__future__", "typing"}


def test_heavy_libraries_stay_out_of_the_lower_levels() -> None:
    """Below level 4 pyarrow is imported inside functions only, pandas and duckdb not at all."""
    for name, file in FILES.items():
        if level(name) > 3:
            continue
        top = ast.parse(file.read_text()).body
        heavy = {"pandas", "pyarrow", "duckdb", "altair", "hydra", "scipy", "pint"}
        found = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
            for node in top
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert not {module.partition(".")[0] for module in found} & heavy, name


def test_files_are_short() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in FILES.items()}
    assert {name: n for name, n in lengths.items() if n >= 500} == {}
