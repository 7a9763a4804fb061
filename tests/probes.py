"""Points and numbers of the cost model, and nodes of traced figures, as many tests ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from infercost.compose import Options
from infercost.cost import Evaluation
from infercost.evaluation import typed_axis
from infercost.grid import Grid
from infercost.options.question import ask
from infercost.tracing.nodes import Node


def point(*overrides: str, dirs: Sequence[str] = ()) -> Evaluation:
    """The first case that overrides name, over the axes that they span."""
    options = Options(ask(list(overrides), tuple(dirs)))
    composed = next(iter(options.cases()))
    grid = Grid(tuple(typed_axis(options, composed, axis) for axis in options.question.axes))
    return Evaluation(grid.bind(composed.case))


def examples(count: int) -> int:
    """So many random examples of a law that is dear to check; twenty times as many for `fuzz`."""
    return count * 20 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else count


def number(value: Any) -> float:
    """The first of an array's numbers."""
    return float(np.asarray(value).reshape(-1)[0])


def nodes(node: Node) -> Iterator[Node]:
    """A node of a tree and all below it."""
    yield node
    for term in node.terms:
        yield from nodes(term)
