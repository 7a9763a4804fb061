"""Between which numbers the values of an array lie, followed through operations.

Interval arithmetic: rounding keeps order, so that what an operation makes of the ends of its inputs
bounds all that it makes of what lies between. Powers and logarithms may be off by a last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np


class Bounds(NamedTuple):
    """Least and most of finite numbers, and whether none of them is a negative zero."""

    low: float
    high: float
    plus: bool = True


NOTHING = Bounds(0.0, 0.0)
"""Of what is zero everywhere, and not a negative one."""
Maybe = Bounds | None
"""None where nothing is known."""


def bounds_of(values: Any) -> Maybe:
    """The bounds of numbers that are there."""
    if isinstance(values, bool):
        return Bounds(float(values), float(values))
    if isinstance(values, float | int):
        low = high = float(values)
        plus = math.copysign(1.0, low) > 0 or low != 0
    else:
        if values.dtype == bool:
            return Bounds(0.0, 1.0)
        low, high = float(values.min()), float(values.max())
        plus = low > 0 or high < 0 or not np.any((values == 0) & np.signbit(values))
    return _finite(low, high, plus)


def _finite(low: float, high: float, plus: bool) -> Maybe:
    return Bounds(low, high, plus) if math.isfinite(low) and math.isfinite(high) else None


def bounds_after(ufunc: Any, inputs: tuple[Maybe, ...]) -> Maybe:
    """The bounds of what an operation makes of arrays within bounds."""
    rule = _RULES.get(ufunc)
    if rule is None:
        return None
    known = [each for each in inputs if each is not None]
    if len(known) < len(inputs):
        return None
    try:
        found: Maybe = rule(*known)
    except OverflowError:
        return None
    return None if found is None else _finite(*found)


def joined(one: Maybe, other: Maybe) -> Maybe:
    """The bounds of values of which each is of one or of the other array."""
    if one is None or other is None:
        return None
    return Bounds(min(one.low, other.low), max(one.high, other.high), one.plus and other.plus)


def summed(each: Maybe, count: int) -> Maybe:
    """The bounds of a sum of so many values."""
    if each is None:
        return None
    ends = (each.low, each.high, count * each.low, count * each.high)
    return Bounds(min(ends), max(ends), each.plus)


def _add(a: Bounds, b: Bounds) -> Maybe:
    return Bounds(a.low + b.low, a.high + b.high, a.plus or b.plus)


def _subtract(a: Bounds, b: Bounds) -> Maybe:
    return Bounds(a.low - b.high, a.high - b.low, a.plus)


def _multiply(a: Bounds, b: Bounds) -> Maybe:
    ends = [x * y for x, y in product(a[:2], b[:2])]
    plus = a.plus and b.plus and a.low >= 0 and b.low >= 0
    return Bounds(min(ends), max(ends), plus)


def _divide(a: Bounds, b: Bounds) -> Maybe:
    if b.low <= 0:
        return None
    ends = [x / y for x, y in product(a[:2], b[:2])]
    return Bounds(min(ends), max(ends), a.plus and a.low >= 0)


def _power(a: Bounds, b: Bounds) -> Maybe:
    if a.low < 0 or (a.low == 0 and b.low < 0):
        return None
    ends = [x**y for x, y in product(a[:2], b[:2])]
    if a.high > 0 and max(ends) == 0:
        return None
    return Bounds(min(ends), max(ends))


def _maximum(a: Bounds, b: Bounds) -> Maybe:
    return Bounds(max(a.low, b.low), max(a.high, b.high), a.plus and b.plus)


def _minimum(a: Bounds, b: Bounds) -> Maybe:
    return Bounds(min(a.low, b.low), min(a.high, b.high), a.plus and b.plus)


def _truth(*inputs: Bounds) -> Maybe:
    return Bounds(0.0, 1.0)


def _growing(function: Callable[[float], float], above: float = -math.inf) -> Callable[..., Maybe]:
    """The rule of a function that grows with its one argument, above a number."""

    def rule(a: Bounds) -> Maybe:
        if a.low <= above:
            return None
        return Bounds(function(a.low), function(a.high), a.plus and a.low >= 0)

    return rule


_RULES: dict[Any, Callable[..., Maybe]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.maximum: _maximum,
    np.minimum: _minimum,
    np.ceil: _growing(math.ceil),
    np.floor: _growing(math.floor),
    np.sqrt: _growing(math.sqrt, above=-5e-324),
    np.log2: _growing(math.log2, above=0.0),
    np.log1p: _growing(math.log1p, above=-1.0),
    np.exp: _growing(math.exp),
    np.expm1: _growing(math.expm1),
    **dict.fromkeys((np.greater, np.greater_equal, np.less, np.less_equal, np.equal), _truth),
}


def settled(ufunc: Any, one: Maybe, other: Maybe) -> bool | None:
    """What a comparison gives everywhere, if the bounds say so."""
    if one is None or other is None:
        return None
    if ufunc in (np.less, np.less_equal):
        ufunc, one, other = _MIRRORED[ufunc], other, one
    if ufunc is np.greater:
        return True if one.low > other.high else False if one.high <= other.low else None
    if ufunc is np.greater_equal:
        return True if one.low >= other.high else False if one.high < other.low else None
    return None


_MIRRORED = {np.less: np.greater, np.less_equal: np.greater_equal}
