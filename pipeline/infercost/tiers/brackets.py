"""The least value of a convex function on a line, for many at once, by values alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from infercost.arrays import Array, BoolArray, FloatArray, Ratio, as_array

Point = tuple[Array, Array]
"""A place and the value there."""


class Bracket(NamedTuple):
    """Five points of a convex function in order; `low` is the least. Several may be one."""

    outer_left: Point
    left: Point
    low: Point
    right: Point
    outer_right: Point

    @classmethod
    def from_ends(cls, start: Point, middle: Point, end: Point) -> Bracket:
        """What is known after three looks, of which the start is no higher than the end."""
        inside = as_array(middle[1]) < as_array(start[1])
        low = _either(inside, middle, start)
        return cls(start, start, low, _either(inside, end, middle), end)

    def next(self, slack: Ratio) -> tuple[Array, BoolArray]:
        """Where to look next, and whether it may be lower by more than a share of the value.

        A line through two points lies below a convex function beyond them: between `left` and `low`
        it lies above the lines through (outer_left, left) and through (low, right), which cross
        where it may be least; and so on the other side. Where a line is missing, half way.
        """
        lefts = _crossing(self.outer_left, self.left, self.low, self.right, True)
        rights = _crossing(self.left, self.low, self.right, self.outer_right, False)
        on_left = as_array(lefts[1]) < as_array(rights[1])
        place, bound = _either(on_left, lefts, rights)
        return place, as_array(bound) < as_array(self.low[1]) * (1.0 - slack)

    def with_point(self, new: Point, counts: BoolArray) -> Bracket:
        """With one more look, where it counts."""
        left, lower = as_array(new[0]) < as_array(self.low[0]), as_array(new[1]) < self.low[1]
        a, b, c, d, e = self
        options = (
            (left & lower, (a, b, new, c, d)),
            (left & ~lower, (b, new, c, d, e)),
            (~left & lower, (b, c, new, d, e)),
            (~left & ~lower, (a, b, c, new, d)),
        )
        found = list(self)
        for applies, points in options:
            here = counts & applies
            found = [_either(here, p, q) for p, q in zip(points, found, strict=True)]
        return Bracket(*found)


def _either(which: BoolArray, one: Point, other: Point) -> Point:
    return np.where(which, one[0], other[0]), np.where(which, one[1], other[1])


def _slope(one: Point, other: Point) -> tuple[FloatArray, BoolArray]:
    """Slope of the line through two points, and whether they are two."""
    width = as_array(other[0] - one[0])
    there = width > 0
    return as_array(other[1] - one[1]) / np.where(there, width, 1.0), as_array(there)


def _crossing(first: Point, second: Point, third: Point, fourth: Point, left: bool) -> Point:
    """Least value that may lie between `second` and `third`, and where to look for it."""
    (down, has_down), (up, has_up) = _slope(first, second), _slope(third, fourth)
    width = as_array(third[0] - second[0])
    both = has_down & has_up & (up > down)
    gap = second[1] - third[1] + up * width
    step = np.where(both, gap / np.where(both, up - down, 1.0), 0.5 * width)
    inside = both & (step > 0) & (step < width)
    step = np.where(inside, step, 0.5 * width)
    at_second = np.minimum(third[1] - up * width, third[1])
    at_third = np.minimum(second[1] + down * width, second[1])
    alone = np.where(has_up, at_second, np.where(has_down, at_third, -np.inf))
    crossed = second[1] + down * step
    floor = third[1] if left else second[1]
    bound = np.where(inside, crossed, np.where(both, floor, alone))
    return second[0] + step, np.where(width > 0, bound, np.inf)
