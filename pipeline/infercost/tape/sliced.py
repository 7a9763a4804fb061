"""A grid's arrays on a tape: handed to the equations, then computed block by block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from infercost.tape.deferred import Deferred, Tape
from infercost.tape.steps import Where

SMALL = 8
"""What has at most one in so many of a grid's points is computed at once."""
WHOLE = 2**20
"""Points that share one tape at most: what is small among their arrays is computed once."""
TAPE_BLOCK = 2**15
"""Points of a tape whose columns lie in one array: few enough for it to come from kept memory."""
WORTH_A_TAPE = {
    ("grid", False): 2**18,
    ("sample", False): 2**17,
    ("grid", True): 2**16,
    ("sample", True): 2**13,
}
"""Points from which on a tape saves more time than it takes to write, and its loop to load: sooner
where no axis is apart from the others, and where each point has many requests."""


def worth_a_tape(shape: tuple[int, ...], requests: bool) -> bool:
    """Whether a grid is large enough, each point with strata of requests or without."""
    size = math.prod(shape)
    kind = "sample" if max(shape, default=1) == size else "grid"
    return size >= WORTH_A_TAPE[kind, requests]


def _whole(wanted: Deferred) -> Any:
    """All values of one deferred array."""
    from infercost.tape.program import Program  # which loads numba

    every = tuple(slice(0, size) for size in wanted.tape.shape)
    return Program(wanted.tape, [wanted]).over(every)[wanted.number]


def tape_over(shape: tuple[int, ...]) -> Tape:
    """A tape for a grid; what few of its axes shape is computed at once."""
    return Tape(shape, math.prod(shape) // SMALL, _whole)


class Sliced:
    """Named arrays over a grid, deferred or not, to be had block by block."""

    def __init__(self, tape: Tape, values: dict[Any, Any]) -> None:
        """Numbers stay numbers."""
        self._numbers = {name: value for name, value in values.items() if np.ndim(value) == 0}
        self._arrays = {
            name: value if isinstance(value, Deferred) else tape.known(value)
            for name, value in values.items()
            if name not in self._numbers
        }
        from infercost.tape.program import Program  # which loads numba

        self._program = Program(tape, list(self._arrays.values()))

    def over(self, block: Where) -> dict[Any, Any]:
        """Their values over a block of the grid."""
        results = self._program.over(block)
        return {
            **self._numbers,
            **{name: results[each.number] for name, each in self._arrays.items()},
        }
