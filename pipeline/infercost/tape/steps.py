"""The order in which steps of a tape (`tape.deferred`) are taken; pieces of its arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from infercost.tape.deferred import Deferred

Where = tuple[slice, ...]

TOGETHER = 16
"""Arrays that lie in one: a piece of all of them is cut out at once."""


def alike(arrays: list[Deferred]) -> Iterator[list[Deferred]]:
    """Arrays of one shape and type, some at a time."""
    groups: dict[Any, list[Deferred]] = defaultdict(list)
    for each in arrays:
        groups[each.shape, each.dtype].append(each)
    for group in groups.values():
        for start in range(0, len(group), TOGETHER):
            yield group[start : start + TOGETHER]


def ordered(wanted: list[Deferred]) -> list[Deferred]:
    """The steps that lead to the wanted arrays: each when it is needed, or as soon as it is the
    last to need one of its inputs, whose buffer it sets free."""
    users: dict[int, list[Deferred]] = defaultdict(list)
    missing: dict[int, int] = {}
    waiting = [each for each in wanted if each.value is None]
    while waiting:
        each = waiting.pop()
        if each.number in missing:
            continue
        inputs = _unknown(each)
        missing[each.number] = len(inputs)
        for i in inputs:
            users[i.number].append(each)
        waiting += inputs
    left = {number: len(found) for number, found in users.items()}
    order: list[Deferred] = []
    done: set[int] = set()

    def take(first: Deferred) -> None:
        ready = [first]
        while ready:
            each = ready.pop()
            if each.number in done:
                continue
            done.add(each.number)
            order.append(each)
            for i in _unknown(each):
                left[i.number] -= 1
            for user in users[each.number]:
                missing[user.number] -= 1
            around = [each, *_unknown(each)]
            ready += [
                user
                for near in around
                for user in users[near.number]
                if user.number not in done
                and not missing[user.number]
                and any(left[i.number] == 1 for i in _unknown(user))
            ]

    for each in sorted(wanted, key=lambda one: one.number):
        stack = [each] if each.value is None else []
        while stack:
            top = stack[-1]
            if top.number in done:
                stack.pop()
            elif missing[top.number]:
                stack += [i for i in _unknown(top) if i.number not in done][::-1]
            else:
                stack.pop()
                take(top)
    return order


def inputs_of(each: Deferred) -> list[Deferred]:
    """The inputs of a step that are arrays, each once."""
    return list({i.number: i for i in each.inputs if isinstance(i, Deferred)}.values())


def _unknown(each: Deferred) -> list[Deferred]:
    """Those that are steps themselves."""
    return [i for i in inputs_of(each) if i.value is None]


def sizes_of(where: Where) -> tuple[int, ...]:
    """Points along each axis of a piece of the grid."""
    return tuple(cut.stop - cut.start for cut in where)


_EVERY = slice(None)


def cut_of(each: Deferred, where: Where) -> Where:
    """Where an array has its values over a piece of the grid."""
    return tuple(_EVERY if size == 1 else cut for size, cut in zip(each.shape, where, strict=False))
