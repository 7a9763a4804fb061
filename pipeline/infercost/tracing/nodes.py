"""A node of a trace: a figure, how it is made, and what of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Node:
    """A figure, how it is made, and what of."""

    name: str
    value: float
    unit: str
    how: str
    """`sum` or `product` of its terms, `equation` of them, `input`, or `model` of a pass."""
    formula: str = ""
    source: str = ""
    file: str = ""
    terms: tuple[Node, ...] = field(default=())

    def to_plain(self) -> dict[str, Any]:
        """As plain data, empty entries left out."""
        told: dict[str, Any] = {"name": self.name, "value": self.value, "unit": self.unit}
        told |= {"how": self.how, "formula": self.formula, "source": self.source}
        told |= {"file": self.file, "terms": [term.to_plain() for term in self.terms]}
        return {key: value for key, value in told.items() if value not in ("", [])}

    def faults(self) -> list[str]:
        """Nodes whose terms do not make them."""
        found = [fault for term in self.terms for fault in term.faults()]
        values = [term.value for term in self.terms]
        made = {"sum": sum(values), "product": prod(values)}.get(self.how, self.value)
        if not np.isclose(made, self.value, rtol=TOLERANCE, atol=0.0, equal_nan=True):
            found.append(f"{self.name}: {self.value} is not {made}, the {self.how} of its terms")
        return found


def formula_of(equation: Callable[..., Any]) -> str:
    """Name of an equation and what its docstring says first, formula included."""
    words = inspect.cleandoc(equation.__doc__ or "").split("\n\n")
    indented = [part.strip() for part in words[1:] if part.startswith("    ")]
    told = " ".join(" ".join(words[0].split()).split())
    module = equation.__module__.rpartition(".")[2]
    return f"{module}.{equation.__name__}: {told} {' '.join(indented)}".strip()


def total(name: str, unit: str, terms: Sequence[Node], how: str = "sum", formula: str = "") -> Node:
    """A sum or a product of terms."""
    values = [term.value for term in terms]
    value = sum(values) if how == "sum" else prod(values)
    return Node(name, value, unit, how, formula, terms=tuple(terms))
