"""What the compiled loop of `infercost.tape.machine` does for the steps of a tape, some in one.

A step between others costs the loop some nanoseconds and a trip of its numbers to the cache and
back, whatever it computes. So it does two or three in one where nothing else needs what lies
between. Each is rounded by itself, as if it were alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from infercost.tape import deferred
from infercost.tape.deferred import Deferred
from infercost.tape.steps import inputs_of

_PLAIN = {
    np.add: "add",
    np.subtract: "subtract",
    np.multiply: "multiply",
    np.divide: "divide",
    np.greater: "greater",
    np.greater_equal: "greater_equal",
    np.less: "less",
    np.less_equal: "less_equal",
    np.equal: "equal",
    np.not_equal: "not_equal",
    np.ceil: "ceil",
    np.floor: "floor",
    deferred.maximum: "maximum",
    deferred.minimum: "minimum",
    deferred.where: "where",
    deferred.cast: "copy",
    deferred.sum_over_requests: "sum",
    deferred.most_of_requests: "most",
}
_OF_TRUTHS = {
    np.bitwise_and: "logical_and",
    np.bitwise_or: "logical_or",
    np.logical_and: "logical_and",
    np.logical_or: "logical_or",
    np.multiply: "logical_and",
    np.add: "logical_or",
    np.invert: "logical_not",
    np.logical_not: "logical_not",
    deferred.where: "where",
}
_COMPARING = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
_NUMBER_SECOND = {
    "add": "add_number",
    "subtract": "subtract_number",
    "multiply": "multiply_number",
    "divide": "divide_number",
    "maximum": "maximum_number",
    "minimum": "minimum_number",
}
_NUMBER_FIRST = {**_NUMBER_SECOND, "subtract": "subtract_from", "divide": "divide_into"}


@dataclass(frozen=True)
class Action:
    """What the loop does for a step: its name, arrays and constants, and its numbers."""

    name: str
    inputs: tuple[Any, ...]
    numbers: tuple[float, ...] = ()


FUSED = {
    ("multiply", "add", 0): "multiply_add",
    ("add", "add", 0): "add_add",
    ("add_add", "add", 0): "add_add_add",
    ("divide", "add", 0): "divide_add",
    ("multiply", "multiply", 0): "multiply_multiply",
    ("add", "multiply", 0): "add_multiply",
    ("add", "greater", 1): "add_greater",
    ("multiply_number", "add", 0): "multiply_number_add",
    ("multiply_number", "multiply", 0): "multiply_number_multiply",
    ("multiply_number_add", "add", 0): "multiply_number_add_add",
    ("multiply_number_add_add", "add", 0): "multiply_number_add_add_add",
    ("multiply_number_add", "multiply_number_add", 1): "multiply_number_add_twice",
    ("multiply", "multiply_number", 0): "multiply_multiply_number",
    ("multiply", "multiply_number_add", 0): "multiply_multiply_number_add",
    ("multiply_multiply_number", "add", 0): "multiply_multiply_number_add",
    ("multiply", "divide_number", 0): "multiply_divide_number",
    ("multiply_number", "multiply_number_add", 0): "multiply_number_twice_add",
    ("multiply_number_twice", "add", 0): "multiply_number_twice_add",
    ("divide_number", "multiply_number_add", 0): "divide_number_multiply_number_add",
    ("add", "multiply_number_add", 0): "add_multiply_number_add",
    ("add_number", "add", 0): "add_number_add",
    ("divide_number", "add", 0): "divide_number_add",
    ("divide_into", "add", 0): "divide_into_add",
    ("multiply_number", "multiply_number", 0): "multiply_number_twice",
    ("multiply_number", "divide_number", 0): "multiply_number_divide_number",
    ("multiply_number", "add_number", 0): "multiply_number_add_number",
    ("multiply_number", "subtract_number", 0): "multiply_number_subtract_number",
    ("subtract_number", "maximum_number", 0): "subtract_number_maximum_number",
    ("add_number", "divide_into", 0): "add_number_divide_into",
}
"""Actions that the loop takes as one: of the second, one operand is the result of the first. The
operands of the one are those of the first, then the others of the second; so are its numbers."""
_EITHER_WAY = ("add", "multiply")
_FUSABLE = {outer for _, outer, _ in FUSED}


def known_step(each: Deferred) -> str | None:
    """The name of a step in the loop; none where it is NumPy's."""
    truths = 0
    for i in each.inputs:
        if isinstance(i, Deferred):
            if i.dtype == bool:
                truths += 1
            elif i.dtype != np.float64:
                return None
        elif isinstance(i, bool):
            truths += 1
    name = _PLAIN.get(each.step)
    if each.dtype == bool:
        if name in _COMPARING:
            return name
        return _OF_TRUTHS.get(each.step) if truths == len(each.inputs) else None
    return name if each.dtype == np.float64 else None


def actions_of(order: Iterable[Deferred], wanted: Collection[int]) -> dict[int, Action | None]:
    """What the loop does for each step, by number and in order; none where a step is NumPy's.

    A truth as a number is the truth itself, unless it is wanted.
    """
    found: dict[int, Action | None] = {}
    same: dict[int, Deferred] = {}
    order = list(order)
    for_numpy = {i.number for each in order if known_step(each) is None for i in inputs_of(each)}
    for each in order:
        name = known_step(each)
        if name is None:
            found[each.number] = None
            continue
        inputs = tuple(same.get(i.number, i) if isinstance(i, Deferred) else i for i in each.inputs)
        if name == "copy" and each.number not in wanted and each.number not in for_numpy:
            same[each.number] = inputs[0]
        else:
            found[each.number] = _action(name, inputs)
    return found


def _action(name: str, inputs: tuple[Any, ...]) -> Action:
    """An action of arrays alone, or of arrays and one number."""
    if len(inputs) == 2 and name in _NUMBER_SECOND:
        if not isinstance(inputs[1], Deferred):
            return Action(_NUMBER_SECOND[name], inputs[:1], (float(inputs[1]),))
        if not isinstance(inputs[0], Deferred):
            return Action(_NUMBER_FIRST[name], inputs[1:], (float(inputs[0]),))
    return Action(name, inputs)


def fuse(
    actions: dict[int, Action | None], sizes: dict[int, int], kept: Collection[int]
) -> dict[int, Action | None]:
    """Actions of which some take along the one before, where nothing else needs what that gives.

    `sizes` are numbers per point; what is `kept` is needed elsewhere.
    """
    users: dict[int, int] = defaultdict(int)
    for action in actions.values():
        for i in action.inputs if action is not None else ():
            if isinstance(i, Deferred):
                users[i.number] += 1
    fused = dict(actions)
    for number, action in actions.items():
        while action is not None and action.name in _FUSABLE:
            found = _taking_along(action, fused, users, sizes[number], sizes, kept)
            if found is None:
                break
            action, gone = found
            fused[number] = action
            del fused[gone]
    return fused


def _taking_along(
    outer: Action,
    actions: dict[int, Action | None],
    users: dict[int, int],
    size: int,
    sizes: dict[int, int],
    kept: Collection[int],
) -> tuple[Action, int] | None:
    """One action for two, and the number of the step that it takes along: rather a product with a
    number than what it is added to, which may take along the next."""
    found: tuple[Action, int] | None = None
    for position, first in enumerate(outer.inputs):
        if not isinstance(first, Deferred) or first.number in kept or users[first.number] != 1:
            continue
        inner = actions.get(first.number)
        if inner is None or sizes[first.number] != size:
            continue
        where = 0 if outer.name in _EITHER_WAY else position
        name = FUSED.get((inner.name, outer.name, where))
        if name is not None and (found is None or inner.name == "multiply_number"):
            others = outer.inputs[:position] + outer.inputs[position + 1 :]
            numbers = inner.numbers + outer.numbers
            found = Action(name, inner.inputs + others, numbers), first.number
    return found
