"""The compiled loop of a replay: steps of arithmetic on stretches of numbers in the cache.

Imported by `infercost.tape.program` alone, since it needs numba. A program is one row per step:
what it does, where its result goes, where its operands are, up to two constants. All numbers lie in
one array, so that a step needs offsets alone; they are unsigned, which spares a test for negative
ones. Plain IEEE arithmetic, with neither contraction nor reordering, so that results have the bits
that NumPy gives.
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
    "add_add_add",
    "divide_add",
    "multiply_multiply",
    "add_multiply",
    "add_greater",
    "multiply_number_add",
    "multiply_number_multiply",
    "multiply_number_add_add",
    "multiply_number_add_add_add",
    "multiply_number_add_twice",
    "multiply_multiply_number",
    "multiply_multiply_number_add",
    "multiply_divide_number",
    "multiply_number_twice_add",
    "divide_number_multiply_number_add",
    "add_multiply_number_add",
    "add_number_add",
    "divide_number_add",
    "divide_into_add",
    "add_number",
    "subtract_number",
    "subtract_from",
    "multiply_number",
    "divide_number",
    "divide_into",
    "maximum_number",
    "minimum_number",
    "multiply_number_twice",
    "multiply_number_divide_number",
    "multiply_number_add_number",
    "multiply_number_subtract_number",
    "subtract_number_maximum_number",
    "add_number_divide_into",
    "copy",
    "ceil",
    "floor",
    "repeat",
    "sum",
    "most",
)
"""What a step can do. `repeat` has each point's number once per request, `sum` and `most` are over
the requests of each point. Two or three operations in one are each rounded by itself."""

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
    ADD_ADD_ADD,
    DIVIDE_ADD,
    MULTIPLY_MULTIPLY,
    ADD_MULTIPLY,
    ADD_GREATER,
    MULTIPLY_NUMBER_ADD,
    MULTIPLY_NUMBER_MULTIPLY,
    MULTIPLY_NUMBER_ADD_ADD,
    MULTIPLY_NUMBER_ADD_ADD_ADD,
    MULTIPLY_NUMBER_ADD_TWICE,
    MULTIPLY_MULTIPLY_NUMBER,
    MULTIPLY_MULTIPLY_NUMBER_ADD,
    MULTIPLY_DIVIDE_NUMBER,
    MULTIPLY_NUMBER_TWICE_ADD,
    DIVIDE_NUMBER_MULTIPLY_NUMBER_ADD,
    ADD_MULTIPLY_NUMBER_ADD,
    ADD_NUMBER_ADD,
    DIVIDE_NUMBER_ADD,
    DIVIDE_INTO_ADD,
    ADD_NUMBER,
    SUBTRACT_NUMBER,
    SUBTRACT_FROM,
    MULTIPLY_NUMBER,
    DIVIDE_NUMBER,
    DIVIDE_INTO,
    MAXIMUM_NUMBER,
    MINIMUM_NUMBER,
    MULTIPLY_NUMBER_TWICE,
    MULTIPLY_NUMBER_DIVIDE_NUMBER,
    MULTIPLY_NUMBER_ADD_NUMBER,
    MULTIPLY_NUMBER_SUBTRACT_NUMBER,
    SUBTRACT_NUMBER_MAXIMUM_NUMBER,
    ADD_NUMBER_DIVIDE_INTO,
    COPY,
    CEIL,
    FLOOR,
    REPEAT,
    SUM,
    MOST,
) = range(len(NAMES))
TRUTHS, MORE, WITH_NUMBERS = GREATER, WHERE, MULTIPLY_NUMBER_ADD
ONE_OPERAND, PLAIN_COPIES = ADD_NUMBER, COPY
"""Where in that order steps begin that give truths, have three operands or four, have arrays and
numbers, one array and numbers, one array alone."""

KINDS = ("register", "piece", "still", "result")
"""What a place may be: the same for every stretch; a number for each point of the piece; for each
point of a period, after which all starts again; for each point of the block."""
OFFSET, KIND, EACH = 0, 1, 2
"""Columns of a place: its offset, its kind, and how many numbers each point has there."""
OPERANDS = 4
"""Most of a step."""
NUMBERS = 2
"""Most of a step."""


@inlined
def _of_two(code: int, m: Any, o: int, x: int, y: int, n: int) -> None:
    if code == ADD:
        for i in range(n):
            m[o + i] = m[x + i] + m[y + i]
    elif code == MULTIPLY:
        for i in range(n):
            m[o + i] = m[x + i] * m[y + i]
    elif code == SUBTRACT:
        for i in range(n):
            m[o + i] = m[x + i] - m[y + i]
    elif code == DIVIDE:
        for i in range(n):
            m[o + i] = m[x + i] / m[y + i]
    elif code == MAXIMUM:
        for i in range(n):
            a, b = m[x + i], m[y + i]
            m[o + i] = a if a >= b or np.isnan(a) else b
    elif code == MINIMUM:
        for i in range(n):
            a, b = m[x + i], m[y + i]
            m[o + i] = a if a <= b or np.isnan(a) else b


@inlined
def _of_truth(code: int, m: Any, o: int, x: int, y: int, n: int) -> None:  # noqa: PLR0912
    if code == GREATER:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] > m[y + i] else 0.0
    elif code == GREATER_EQUAL:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] >= m[y + i] else 0.0
    elif code == LESS:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] < m[y + i] else 0.0
    elif code == LESS_EQUAL:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] <= m[y + i] else 0.0
    elif code == EQUAL:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] == m[y + i] else 0.0
    elif code == NOT_EQUAL:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] != m[y + i] else 0.0
    elif code == AND:
        for i in range(n):
            a, b = m[x + i], m[y + i]
            m[o + i] = 1.0 if (a != 0.0) & (b != 0.0) else 0.0
    elif code == OR:
        for i in range(n):
            a, b = m[x + i], m[y + i]
            m[o + i] = 1.0 if (a != 0.0) | (b != 0.0) else 0.0
    elif code == NOT:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] == 0.0 else 0.0


@inlined
def _of_more(code: int, m: Any, o: int, x: int, y: int, z: int, w: int, n: int) -> None:  # noqa: PLR0912
    if code == WHERE:
        for i in range(n):
            a, b = m[y + i], m[z + i]
            m[o + i] = a if m[x + i] != 0.0 else b
    elif code == MULTIPLY_ADD:
        for i in range(n):
            m[o + i] = m[x + i] * m[y + i] + m[z + i]
    elif code == ADD_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] + m[y + i]) + m[z + i]
    elif code == ADD_ADD_ADD:
        for i in range(n):
            m[o + i] = ((m[x + i] + m[y + i]) + m[z + i]) + m[w + i]
    elif code == DIVIDE_ADD:
        for i in range(n):
            m[o + i] = m[x + i] / m[y + i] + m[z + i]
    elif code == MULTIPLY_MULTIPLY:
        for i in range(n):
            m[o + i] = (m[x + i] * m[y + i]) * m[z + i]
    elif code == ADD_MULTIPLY:
        for i in range(n):
            m[o + i] = (m[x + i] + m[y + i]) * m[z + i]
    elif code == ADD_GREATER:
        for i in range(n):
            m[o + i] = 1.0 if m[x + i] + m[y + i] < m[z + i] else 0.0


@inlined
def _with_numbers(  # noqa: PLR0912
    code: int, m: Any, o: int, x: int, y: int, z: int, w: int, c: float, d: float, n: int
) -> None:
    if code == MULTIPLY_NUMBER_ADD:
        for i in range(n):
            m[o + i] = m[x + i] * c + m[y + i]
    elif code == MULTIPLY_NUMBER_MULTIPLY:
        for i in range(n):
            m[o + i] = (m[x + i] * c) * m[y + i]
    elif code == MULTIPLY_NUMBER_ADD_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] * c + m[y + i]) + m[z + i]
    elif code == MULTIPLY_NUMBER_ADD_ADD_ADD:
        for i in range(n):
            m[o + i] = ((m[x + i] * c + m[y + i]) + m[z + i]) + m[w + i]
    elif code == MULTIPLY_NUMBER_ADD_TWICE:
        for i in range(n):
            m[o + i] = m[z + i] * d + (m[x + i] * c + m[y + i])
    elif code == MULTIPLY_MULTIPLY_NUMBER:
        for i in range(n):
            m[o + i] = (m[x + i] * m[y + i]) * c
    elif code == MULTIPLY_MULTIPLY_NUMBER_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] * m[y + i]) * c + m[z + i]
    elif code == MULTIPLY_DIVIDE_NUMBER:
        for i in range(n):
            m[o + i] = (m[x + i] * m[y + i]) / c
    elif code == MULTIPLY_NUMBER_TWICE_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] * c) * d + m[y + i]
    elif code == DIVIDE_NUMBER_MULTIPLY_NUMBER_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] / c) * d + m[y + i]
    elif code == ADD_MULTIPLY_NUMBER_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] + m[y + i]) * c + m[z + i]
    elif code == ADD_NUMBER_ADD:
        for i in range(n):
            m[o + i] = (m[x + i] + c) + m[y + i]
    elif code == DIVIDE_NUMBER_ADD:
        for i in range(n):
            m[o + i] = m[x + i] / c + m[y + i]
    elif code == DIVIDE_INTO_ADD:
        for i in range(n):
            m[o + i] = c / m[x + i] + m[y + i]


@inlined
def _of_number(  # noqa: PLR0912
    code: int, m: Any, o: int, x: int, c: float, d: float, n: int
) -> None:
    if code == MULTIPLY_NUMBER:
        for i in range(n):
            m[o + i] = m[x + i] * c
    elif code == ADD_NUMBER:
        for i in range(n):
            m[o + i] = m[x + i] + c
    elif code == SUBTRACT_NUMBER:
        for i in range(n):
            m[o + i] = m[x + i] - c
    elif code == SUBTRACT_FROM:
        for i in range(n):
            m[o + i] = c - m[x + i]
    elif code == DIVIDE_NUMBER:
        for i in range(n):
            m[o + i] = m[x + i] / c
    elif code == DIVIDE_INTO:
        for i in range(n):
            m[o + i] = c / m[x + i]
    elif code == MAXIMUM_NUMBER:
        for i in range(n):
            a = m[x + i]
            m[o + i] = a if a >= c or np.isnan(a) else c
    elif code == MINIMUM_NUMBER:
        for i in range(n):
            a = m[x + i]
            m[o + i] = a if a <= c or np.isnan(a) else c
    elif code == MULTIPLY_NUMBER_TWICE:
        for i in range(n):
            m[o + i] = (m[x + i] * c) * d
    elif code == MULTIPLY_NUMBER_DIVIDE_NUMBER:
        for i in range(n):
            m[o + i] = (m[x + i] * c) / d
    elif code == MULTIPLY_NUMBER_ADD_NUMBER:
        for i in range(n):
            m[o + i] = m[x + i] * c + d
    elif code == MULTIPLY_NUMBER_SUBTRACT_NUMBER:
        for i in range(n):
            m[o + i] = m[x + i] * c - d
    elif code == SUBTRACT_NUMBER_MAXIMUM_NUMBER:
        for i in range(n):
            a = m[x + i] - c
            m[o + i] = a if a >= d or np.isnan(a) else d
    elif code == ADD_NUMBER_DIVIDE_INTO:
        for i in range(n):
            m[o + i] = d / (m[x + i] + c)


@inlined
def _of_one(code: int, m: Any, o: int, x: int, n: int) -> None:
    if code == COPY:
        for i in range(n):
            m[o + i] = m[x + i]
    elif code == CEIL:
        for i in range(n):
            m[o + i] = np.ceil(m[x + i])
    elif code == FLOOR:
        for i in range(n):
            m[o + i] = np.floor(m[x + i])


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


@compiled
def run(
    codes: Any,
    places: Any,
    numbers: Any,
    m: Any,
    points: Any,
    shift: Any,
    width: Any,
    period: Any,
) -> None:
    """All steps over a piece of `points` points, which is `shift` points into its block, at most
    `width` at a time and never past the end of a `period`. All of these are unsigned."""
    moved = np.zeros(len(KINDS), np.uint64)
    point = np.uint64(0)
    while point < points:
        moved[1], moved[2], moved[3] = point, point % period, point + shift
        count = min(width, period - moved[2], points - point)
        for k in range(codes.size):
            code = codes[k]
            n = places[k, 0, EACH] * count
            o = places[k, 0, OFFSET] + places[k, 0, EACH] * moved[places[k, 0, KIND]]
            x = places[k, 1, OFFSET] + places[k, 1, EACH] * moved[places[k, 1, KIND]]
            if ONE_OPERAND <= code < PLAIN_COPIES:
                _of_number(code, m, o, x, numbers[k, 0], numbers[k, 1], n)
            elif code < ONE_OPERAND:
                y = places[k, 2, OFFSET] + places[k, 2, EACH] * moved[places[k, 2, KIND]]
                if code < TRUTHS:
                    _of_two(code, m, o, x, y, n)
                elif code < MORE:
                    _of_truth(code, m, o, x, y, n)
                else:
                    z = places[k, 3, OFFSET] + places[k, 3, EACH] * moved[places[k, 3, KIND]]
                    w = places[k, 4, OFFSET] + places[k, 4, EACH] * moved[places[k, 4, KIND]]
                    if code < WITH_NUMBERS:
                        _of_more(code, m, o, x, y, z, w, n)
                    else:
                        _with_numbers(code, m, o, x, y, z, w, numbers[k, 0], numbers[k, 1], n)
            elif code < REPEAT:
                _of_one(code, m, o, x, n)
            else:
                size = places[k, 1, EACH] * count
                _over_requests(code, m[x : x + size], m[o : o + n])
        point += count
