"""What a figure is, how it is found by name, drawn and saved.

A figure is one decorated function in one module of this package. It takes the study's data and, as
keyword arguments, the options that a study may set; it returns a chart with the table behind it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from altair.typing import ChartType

from infercost.errors import SpecError, nearest
from infercost.plots.frame import framed, rendered


@dataclass(frozen=True)
class FigureData:
    """A study's results, and the options of the figure to draw from them."""

    study: str
    question: str
    version: str
    """Version of the dataset."""
    rows: pd.DataFrame
    aggregates: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def fault(self, key: str, fault: str, remedy: str = "") -> SpecError:
        """An error about the study's choice of figures."""
        return SpecError(f"study '{self.study}'", f"figures.{key}" if key else "", fault, remedy)


@dataclass(frozen=True)
class Figure:
    """A chart that answers one question, and the numbers that it shows."""

    chart: ChartType
    table: pd.DataFrame
    """The CSV beside the figure: the numbers shown, names with units."""
    title: str
    """The question."""
    caption: str
    """How to read the figure, and what it leaves out."""
    subtitle: str = ""
    """Which options are shown."""


Draw = Callable[..., Figure]

_FIGURES: dict[str, Draw] = {}


def figure(function: Draw) -> Draw:
    """Register a function as a figure under its name in kebab-case."""
    name: str = function.__name__
    kebab = name.replace("_", "-")
    if kebab in _FIGURES:
        raise ValueError(f"two figures are named {kebab}")
    _FIGURES[kebab] = function
    return function


@cache
def figures() -> dict[str, Draw]:
    """All figures by name, found by importing the modules of `infercost.plots`."""
    package: Any = importlib.import_module("infercost.plots")
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"infercost.plots.{module}")
    return dict(sorted(_FIGURES.items()))


def choice_faults(name: str, options: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a chosen figure: at its `name` or `options`, the fault and the remedy."""
    known = figures()
    if name not in known:
        yield "name", f"no figure is named '{name}'", nearest(name, known)
        return
    given, taken = set(options), dict(inspect.signature(known[name]).parameters)
    taken.pop("data")
    for option in options:
        if option not in taken and option != "where":
            remedy = nearest(option, [*taken, "where"])
            yield "options", f"{name} takes no option '{option}'", remedy
    for option, parameter in taken.items():
        if parameter.default is parameter.empty and option not in given:
            yield "options", f"option '{option}' is missing", f"Add '{option}:'"


def check(name: str, data: FigureData) -> None:
    """Raise `SpecError` where there is no such figure, or its options are not those it takes."""
    for below, fault, remedy in choice_faults(name, data.options):
        raise data.fault("" if below == "name" else name, fault, remedy)


def draw(name: str, data: FigureData) -> Figure:
    """The figure `name` of a study, framed with its title and the dataset's version.

    Every figure takes the option `where`: column to the value or values to keep, in the rows and in
    those aggregates that have it. Raises
    `SpecError` for an unknown figure, option or value.
    """
    check(name, data)
    options = dict(data.options)
    where = options.pop("where", {})
    aggregates = {key: _kept(frame, where) for key, frame in data.aggregates.items()}
    kept = replace(data, rows=_checked(name, data, where), aggregates=aggregates)
    drawn = figures()[name](kept, **options)
    corner = f"infercost · {data.study} · version {data.version}"
    return replace(drawn, chart=framed(drawn.chart, drawn.title, drawn.subtitle, corner))


def _checked(name: str, data: FigureData, where: Mapping[str, Any]) -> pd.DataFrame:
    known = {str(c) for frame in (data.rows, *data.aggregates.values()) for c in frame.columns}
    for column in where:
        if column not in known:
            fault = f"no column is named '{column}'"
            raise data.fault(f"{name}.where", fault, nearest(column, known))
    rows = _kept(data.rows, where)
    if rows.empty:
        raise data.fault(f"{name}.where", "keeps no row", "Choose values that the study holds")
    return rows


def _kept(rows: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """Rows with the wanted values in those columns that they have."""
    for column, wanted in where.items():
        if column in rows:
            rows = rows[rows[column].isin(wanted if isinstance(wanted, list) else [wanted])]
    return rows


def save(figure: Figure, stem: Path) -> None:
    """Write `stem` .svg, .png (two pixels per unit), .csv and .json (Vega-Lite).

    The same figure gives the same bytes under the same packages.
    """
    images = rendered(figure.chart)
    stem.parent.mkdir(parents=True, exist_ok=True)
    _beside(stem, "svg").write_text(images.svg, encoding="utf-8", newline="\n")
    _beside(stem, "png").write_bytes(images.png)
    _beside(stem, "json").write_text(images.spec, encoding="utf-8", newline="\n")
    figure.table.to_csv(_beside(stem, "csv"), index=False, lineterminator="\n")


def _beside(stem: Path, suffix: str) -> Path:
    """The file of a stem that may hold dots (`llama-3.1-70b`)."""
    return stem.with_name(f"{stem.name}.{suffix}")
