"""Metrics by name: one decorated function each, found by importing the package of metrics."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from infercost.arrays import Array

if TYPE_CHECKING:
    from infercost.cost import Evaluation

SUFFIXES = {
    "s": "s",
    "B": "b",
    "B/s": "b_per_s",
    "FLOP": "flop",
    "J": "j",
    "W": "w",
    "USD": "usd",
    "kgCO2e": "kgco2e",
    "token/s": "per_s",
    "request/s": "per_s",
    "1": "",
}
"""Unit of a column -> suffix of its name."""


@dataclass(frozen=True)
class Metric:
    """A column of every result: its name with the unit's suffix, symbol, unit and meaning."""

    column: str
    symbol: str
    unit: str
    meaning: str
    evaluate: Callable[[Evaluation], Array]
    always: bool
    """Known for infeasible points too: what the plan takes, not what it gives."""


_METRICS: dict[str, Metric] = {}


def metric(
    unit: str, symbol: str, *, always: bool = False
) -> Callable[[Callable[[Evaluation], Array]], Callable[[Evaluation], Array]]:
    """Register a function as a metric; its docstring's first paragraph is the meaning.

    The column is the function's name with the suffix of `unit` (`tpot` in s becomes `tpot_s`).
    """

    def register(function: Callable[[Evaluation], Array]) -> Callable[[Evaluation], Array]:
        name: str = function.__name__
        meaning = " ".join((function.__doc__ or "").strip().partition("\n\n")[0].split())
        if not meaning:
            raise ValueError(
                f"metric '{name}' has no docstring. Its first paragraph is the meaning"
            )
        add(name, unit, symbol, meaning, function, always=always)
        return function

    return register


def add(
    name: str,
    unit: str,
    symbol: str,
    meaning: str,
    evaluate: Callable[[Evaluation], Array],
    *,
    always: bool = False,
) -> None:
    """Register a metric that a family of metrics makes, such as one per resource."""
    if unit not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"metric '{name}' has the unit '{unit}'. Known: {known}")
    suffix = SUFFIXES[unit]
    column = f"{name}_{suffix}" if suffix else name
    if column in _METRICS:
        raise ValueError(f"two metrics are named {column}")
    _METRICS[column] = Metric(column, symbol, unit, meaning, evaluate, always)


@cache
def metrics() -> dict[str, Metric]:
    """All metrics by column, in the order in which the modules of `infercost.metrics` name them."""
    package: Any = importlib.import_module("infercost.metrics")
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"infercost.metrics.{module}")
    return dict(_METRICS)
