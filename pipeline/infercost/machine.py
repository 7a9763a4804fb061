"""The compiled loop of a replay: steps of arithmetic on stretches of numbers in the cache.

Imported by `infercost.program` alone, since it needs numba. A program is one row per step: what it
does, where its result goes, where its operands are. A place is an offset in one of two arrays, the
work space and the results, and how far it moves for each point. Plain IEEE arithmetic, with neither
contraction nor reordering, so that results have the bits that NumPy gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function, compiled on first use and kept on disk."""
    jitted: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Function, jitted)


def inlined(function: Function) -> Function:
    """The function as part of those that call it."""
    jitted: Any = numba.njit(inline="always")(function)
    return cast(Function, jitted)


NAMES = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "equal",
    "not_equal",
    "logical_and",
    "logical_or",
    "logical_not",
    "where",
    "multiply_add",
    "add_add",
    "divide_add",
    "multiply_multiply",
    "add_multiply",
    "multiply_number_add",
    "multiply_number_multiply",
    "add_number",
    "subtract_number",
    "subtract_from",
    "multiply_number",
    "divide_number",
    "divide_into",
    "maximum_number",
    "minimum_number",
    "copy",
    "ceil",
    "floor",
    "repeat",
    "sum",
    "most",
)
"""What a step can do. `repeat` has each point's number once per request, `sum` and `most` are over
the requests of each point."""

OPS = {name: code for code, name in enumerate(NAMES)}
(
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    MAXIMUM,
    MINIMUM,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    EQUAL,
    NOT_EQUAL,
    AND,
    OR,
    NOT,
    WHERE,
    MULTIPLY_ADD,
    ADD_ADD,
    DIVIDE_ADD,
    MULTIPLY_MULTIPLY,
    ADD_MULTIPLY,
    MULTIPLY_NUMBER_ADD,
    MULTIPLY_NUMBER_MULTIPLY,
    ADD_NUMBER,
    SUBTRACT_NUMBER,
    SUBTRACT_FROM,
    MULTIPLY_NUMBER,
    DIVIDE_NUMBER,
    DIVIDE_INTO,
    MAXIMUM_NUMBER,
    MINIMUM_NUMBER,
    COPY,
    CEIL,
    FLOOR,
    REPEAT,
    SUM,
    MOST,
) = range(len(NAMES))
TRUTHS, ONE_OPERAND, PLAIN_COPIES = GREATER, ADD_NUMBER, COPY
"""Where in that order steps begin that give truths, have one operand, have no number either."""

OFFSET, MOVES, EACH, RESULT = 0, 1, 2, 3
"""Columns of a place: its offset, by how many numbers it moves from point to point, how many
numbers each point has there, and whether it is among the results."""


@inlined
def _of_two(code: int, x: Any, y: Any, o: Any) -> None:
    if code == ADD:
        for i in range(o.size):
            o[i] = x[i] + y[i]
    elif code == MULTIPLY:
        for i in range(o.size):
            o[i] = x[i] * y[i]
    elif code == SUBTRACT:
        for i in range(o.size):
            o[i] = x[i] - y[i]
    elif code == DIVIDE:
        for i in range(o.size):
            o[i] = x[i] / y[i]
    elif code == MAXIMUM:
        for i in range(o.size):
            o[i] = x[i] if x[i] >= y[i] or x[i] != x[i] else y[i]
    elif code == MINIMUM:
        for i in range(o.size):
            o[i] = x[i] if x[i] <= y[i] or x[i] != x[i] else y[i]


@inlined
def _of_number(code: int, x: Any, c: float, o: Any) -> None:  # noqa: PLR0912
    if code == MULTIPLY_NUMBER:
        for i in range(o.size):
            o[i] = x[i] * c
    elif code == ADD_NUMBER:
        for i in range(o.size):
            o[i] = x[i] + c
    elif code == SUBTRACT_NUMBER:
        for i in range(o.size):
            o[i] = x[i] - c
    elif code == SUBTRACT_FROM:
        for i in range(o.size):
            o[i] = c - x[i]
    elif code == DIVIDE_NUMBER:
        for i in range(o.size):
            o[i] = x[i] / c
    elif code == DIVIDE_INTO:
        for i in range(o.size):
            o[i] = c / x[i]
    elif code == MAXIMUM_NUMBER:
        for i in range(o.size):
            o[i] = x[i] if x[i] >= c or x[i] != x[i] else c
    elif code == MINIMUM_NUMBER:
        for i in range(o.size):
            o[i] = x[i] if x[i] <= c or x[i] != x[i] else c


@inlined
def _of_truth(code: int, x: Any, y: Any, o: Any) -> None:  # noqa: PLR0912
    if code == GREATER:
        for i in range(o.size):
            o[i] = 1.0 if x[i] > y[i] else 0.0
    elif code == GREATER_EQUAL:
        for i in range(o.size):
            o[i] = 1.0 if x[i] >= y[i] else 0.0
    elif code == LESS:
        for i in range(o.size):
            o[i] = 1.0 if x[i] < y[i] else 0.0
    elif code == LESS_EQUAL:
        for i in range(o.size):
            o[i] = 1.0 if x[i] <= y[i] else 0.0
    elif code == EQUAL:
        for i in range(o.size):
            o[i] = 1.0 if x[i] == y[i] else 0.0
    elif code == NOT_EQUAL:
        for i in range(o.size):
            o[i] = 1.0 if x[i] != y[i] else 0.0
    elif code == AND:
        for i in range(o.size):
            o[i] = 1.0 if x[i] != 0.0 and y[i] != 0.0 else 0.0
    elif code == OR:
        for i in range(o.size):
            o[i] = 1.0 if x[i] != 0.0 or y[i] != 0.0 else 0.0
    elif code == NOT:
        for i in range(o.size):
            o[i] = 1.0 if x[i] == 0.0 else 0.0


@inlined
def _of_one(code: int, x: Any, o: Any) -> None:
    if code == COPY:
        for i in range(o.size):
            o[i] = x[i]
    elif code == CEIL:
        for i in range(o.size):
            o[i] = np.ceil(x[i])
    elif code == FLOOR:
        for i in range(o.size):
            o[i] = np.floor(x[i])


@inlined
def _of_three(code: int, x: Any, y: Any, z: Any, o: Any) -> None:
    if code == WHERE:
        for i in range(o.size):
            o[i] = y[i] if x[i] != 0.0 else z[i]
    elif code == MULTIPLY_ADD:
        for i in range(o.size):
            o[i] = x[i] * y[i] + z[i]
    elif code == ADD_ADD:
        for i in range(o.size):
            o[i] = (x[i] + y[i]) + z[i]
    elif code == DIVIDE_ADD:
        for i in range(o.size):
            o[i] = x[i] / y[i] + z[i]
    elif code == MULTIPLY_MULTIPLY:
        for i in range(o.size):
            o[i] = (x[i] * y[i]) * z[i]
    elif code == ADD_MULTIPLY:
        for i in range(o.size):
            o[i] = (x[i] + y[i]) * z[i]


@inlined
def _of_two_and_number(code: int, x: Any, y: Any, c: float, o: Any) -> None:
    if code == MULTIPLY_NUMBER_ADD:
        for i in range(o.size):
            o[i] = x[i] * c + y[i]
    elif code == MULTIPLY_NUMBER_MULTIPLY:
        for i in range(o.size):
            o[i] = (x[i] * c) * y[i]


@compiled
def _over_requests(code: int, x: Any, o: Any) -> None:  # noqa: PLR0912
    """To each point's requests, or over them; sums in the order in which NumPy adds up to 128."""
    if code == REPEAT:
        each = o.size // x.size
        for p in range(x.size):
            for i in range(each):
                o[p * each + i] = x[p]
        return
    each = x.size // o.size
    for p in range(o.size):
        first = p * each
        if code == MOST:
            most = x[first]
            for i in range(1, each):
                if not (most >= x[first + i] or np.isnan(most)):
                    most = x[first + i]
            o[p] = most
        elif each < 8:
            total = x[first]
            for i in range(1, each):
                total += x[first + i]
            o[p] = total
        else:
            r = x[first : first + 8].copy()
            eights = each - each % 8
            for start in range(8, eights, 8):
                for i in range(8):
                    r[i] += x[first + start + i]
            total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
            for i in range(eights, each):
                total += x[first + i]
            o[p] = total


@inlined
def _at(
    places: Any, k: int, j: int, work: Any, results: Any, point: int, shift: int, count: int
) -> Any:
    """The stretch of numbers at a place, of `count` points from `point` on."""
    start = places[k, j, OFFSET] + places[k, j, MOVES] * point
    size = places[k, j, EACH] * count
    if places[k, j, RESULT]:
        start += places[k, j, MOVES] * shift
        return results[start : start + size]
    return work[start : start + size]


@compiled
def run(
    codes: Any,
    places: Any,
    numbers: Any,
    work: Any,
    results: Any,
    points: int,
    shift: int,
    width: int,
) -> None:
    """All steps over a piece of `points` points, which is `shift` points into its block."""
    for point in range(0, points, width):
        count = min(width, points - point)
        for k in range(codes.size):
            code = codes[k]
            o = _at(places, k, 0, work, results, point, shift, count)
            x = _at(places, k, 1, work, results, point, shift, count)
            if code < ONE_OPERAND:
                y = _at(places, k, 2, work, results, point, shift, count)
                if code < TRUTHS:
                    _of_two(code, x, y, o)
                elif code < WHERE:
                    _of_truth(code, x, y, o)
                elif code < MULTIPLY_NUMBER_ADD:
                    z = _at(places, k, 3, work, results, point, shift, count)
                    _of_three(code, x, y, z, o)
                else:
                    _of_two_and_number(code, x, y, numbers[k], o)
            elif code < PLAIN_COPIES:
                _of_number(code, x, numbers[k], o)
            elif code < REPEAT:
                _of_one(code, x, o)
            else:
                _over_requests(code, x, o)
