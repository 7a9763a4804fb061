"""A tape put together for the compiled loop of `infercost.machine`.

The loop takes a few hundred points at a time through all steps, so that what lies between them
never leaves the cache. Steps that it does not know (logarithms, powers) are NumPy's, between two of
its stages, so that their bits are NumPy's too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infercost import deferred, machine
from infercost.arrays import cuts
from infercost.deferred import Deferred, Tape
from infercost.steps import Where, alike, cut_of, inputs_of, ordered, sizes_of

PIECE = 2**12
"""Points that NumPy's steps take at a time, and for which known arrays are laid out."""
CACHE = 2**17
"""Numbers that the loop keeps in the cache: a megabyte."""
WIDTHS = (128, 2048)
"""Fewest and most points that the loop takes at a time."""

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
class Place:
    """Where numbers lie: a register of the loop, an array of the piece, a result."""

    kind: str
    index: int
    each: int
    """Numbers per point: one, or one for each request."""


@dataclass(frozen=True)
class Action:
    """What the loop does for a step: its name, arrays and constants, and its number."""

    name: str
    inputs: tuple[Any, ...]
    number: float = 0.0


def _action(each: Deferred, name: str) -> Action:
    """An action of arrays alone, or of arrays and one number."""
    inputs = each.inputs
    if len(inputs) == 2 and name in _NUMBER_SECOND:
        if not isinstance(inputs[1], Deferred):
            return Action(_NUMBER_SECOND[name], inputs[:1], float(inputs[1]))
        if not isinstance(inputs[0], Deferred):
            return Action(_NUMBER_FIRST[name], inputs[1:], float(inputs[0]))
    return Action(name, inputs)


_FUSED = {
    ("multiply", "add"): "multiply_add",
    ("add", "add"): "add_add",
    ("divide", "add"): "divide_add",
    ("multiply", "multiply"): "multiply_multiply",
    ("add", "multiply"): "add_multiply",
    ("multiply_number", "add"): "multiply_number_add",
    ("multiply_number", "multiply"): "multiply_number_multiply",
}
"""Two steps that the loop takes as one, each rounded by itself."""


@dataclass
class Stage:
    """Steps of the loop, after NumPy's that they need."""

    numpy: list[Deferred] = field(default_factory=list)
    steps: list[tuple[str, list[Place], float]] = field(default_factory=list)
    """What to do, the place of its result and of its operands, and its number."""
    codes: Any = None
    places: Any = None
    numbers: Any = None


def known_step(each: Deferred) -> str | None:
    """The name of a step in the loop; none where it is NumPy's."""
    of_truths = [
        i.dtype == bool if isinstance(i, Deferred) else isinstance(i, bool) for i in each.inputs
    ]
    if any(isinstance(i, Deferred) and i.dtype not in (np.float64, bool) for i in each.inputs):
        return None
    name = _PLAIN.get(each.step)
    if each.dtype == bool:
        return name if name in _COMPARING else _OF_TRUTHS.get(each.step) if all(of_truths) else None
    return name if each.dtype == np.float64 else None


class Program:
    """Deferred arrays with all steps that lead to them, for the compiled loop."""

    def __init__(self, tape: Tape, wanted: Sequence[Deferred]) -> None:
        """Raises nothing: what the loop does not know is left to NumPy."""
        self.wanted = {each.number: each for each in wanted}
        self.order = ordered(list(self.wanted.values()))
        self.places: dict[int, Place] = {}
        self._gone: set[int] = set()
        self._count: dict[tuple[str, int], int] = defaultdict(int)
        self._constants: dict[tuple[float, int], Place] = {}
        self._loads: list[tuple[list[Deferred], list[Place]]] = []
        self._stage_of = self._staged()
        self._actions = self._acted()
        self._kept = self._crossing()
        self._fuse()
        self.stages = [Stage() for _ in range(max(self._stage_of.values(), default=0) + 1)]
        self._load()
        for number, stage in enumerate(self.stages):
            self._fill(number, stage)
        self._lay_out()

    def _staged(self) -> dict[int, int]:
        """The stage in which each step is taken; those of NumPy at its beginning."""
        stages: dict[int, int] = {}
        for each in self.order:
            before = [stages[i.number] for i in inputs_of(each) if i.value is None]
            stages[each.number] = max(before, default=0) + (known_step(each) is None)
        return stages

    def _acted(self) -> dict[int, Action]:
        """What the loop does for each step that it knows."""
        names = ((each, known_step(each)) for each in self.order)
        return {each.number: _action(each, name) for each, name in names if name is not None}

    def _crossing(self) -> set[int]:
        """Steps whose values a later stage needs, or NumPy."""
        return {
            i.number
            for each in self.order
            for i in inputs_of(each)
            if i.value is None
            and (
                each.number not in self._actions
                or self._stage_of[each.number] > self._stage_of[i.number]
            )
        }

    def _fuse(self) -> None:
        """Let a step take along the one before, where nothing else needs what that gives."""
        users: dict[int, int] = defaultdict(int)
        for action in self._actions.values():
            for i in action.inputs:
                if isinstance(i, Deferred):
                    users[i.number] += 1
        for each in self.order:
            outer = self._actions.get(each.number)
            if outer is None or outer.name not in ("add", "multiply"):
                continue
            for first, second in (outer.inputs, outer.inputs[::-1]):
                inner = self._actions.get(first.number) if isinstance(first, Deferred) else None
                if inner is None or (inner.name, outer.name) not in _FUSED:
                    continue
                alone = users[first.number] == 1 and first.number not in self.wanted
                if alone and first.number not in self._kept and first.shape[-1] == each.shape[-1]:
                    name = _FUSED[inner.name, outer.name]
                    fused = Action(name, (*inner.inputs, second), inner.number)
                    self._actions[each.number] = fused
                    del self._actions[first.number]
                    self._gone.add(first.number)
                    break

    def _new(self, kind: str, each: int) -> Place:
        place = Place(kind, self._count[kind, each], each)
        self._count[kind, each] += 1
        return place

    def _load(self) -> None:
        """Places for the arrays that are known before."""
        known = {i.number: i for e in self.order for i in inputs_of(e) if i.value is not None}
        for group in alike(list(known.values())):
            places = [self._new("piece", each.shape[-1]) for each in group]
            self.places.update(zip([each.number for each in group], places, strict=True))
            self._loads.append((group, places))

    def _fill(self, number: int, stage: Stage) -> None:
        """Give every step of a stage its place, and take places back that are read no more."""
        mine = [each for each in self.order if self._stage_of[each.number] == number]
        mine = [each for each in mine if each.number not in self._gone]
        stage.numpy = [each for each in mine if each.number not in self._actions]
        for each in stage.numpy:
            self.places[each.number] = self._lasting(each)
        actions = [
            (each, self._actions[each.number]) for each in mine if each.number in self._actions
        ]
        last = {
            i.number: position
            for position, (_, action) in enumerate(actions)
            for i in action.inputs
            if isinstance(i, Deferred)
        }
        free: dict[int, list[Place]] = defaultdict(list)
        for position, (each, action) in enumerate(actions):
            lasting = each.number in self.wanted or each.number in self._kept
            place = self._lasting(each) if lasting else self._register(free, each.shape[-1])
            self.places[each.number] = place
            spent = self._step(stage, action, place, free)
            spent += [
                self.places[i]
                for i in {i.number for i in action.inputs if isinstance(i, Deferred)}
                if last[i] == position and self.places[i].kind == "register"
            ]
            for one in spent:
                free[one.each].append(one)

    def _lasting(self, each: Deferred) -> Place:
        return self._new("result" if each.number in self.wanted else "piece", each.shape[-1])

    def _register(self, free: dict[int, list[Place]], each: int) -> Place:
        return free[each].pop() if free[each] else self._new("register", each)

    def _step(
        self, stage: Stage, action: Action, place: Place, free: dict[int, list[Place]]
    ) -> list[Place]:
        """Add a step; returns registers that it alone needed."""
        spent: list[Place] = []
        operands: list[Place] = []
        for i in action.inputs:
            if not isinstance(i, Deferred):
                operands.append(self._constant(float(i), place.each))
            elif action.name in ("sum", "most") or self.places[i.number].each == place.each:
                operands.append(self.places[i.number])
            else:
                register = self._register(free, place.each)
                stage.steps.append(("repeat", [register, self.places[i.number]], 0.0))
                operands.append(register)
                spent.append(register)
        stage.steps.append((action.name, [place, *operands], action.number))
        return spent

    def _constant(self, value: float, each: int) -> Place:
        if (value, each) not in self._constants:
            self._constants[value, each] = self._new("constant", each)
        return self._constants[value, each]

    def _lay_out(self) -> None:
        """Sizes of registers, offsets of all places, and the steps as arrays."""
        kept = sum(
            count * each
            for (kind, each), count in self._count.items()
            if kind in ("register", "constant")
        )
        fewest, most = WIDTHS
        self.width = int(np.clip(2 ** int(math.log2(CACHE / max(kept, 1))), fewest, most))
        self._starts: dict[tuple[str, int], int] = {}
        size = 0
        for (kind, each), count in self._count.items():
            if kind == "result":
                continue
            self._starts[kind, each] = size
            size += count * each * (PIECE if kind == "piece" else self.width)
        self.work = np.empty(size)
        for (value, _), place in self._constants.items():
            start = self._offset(place)
            self.work[start : start + self.width * place.each] = value
        self._values = [np.stack([e.value for e in group]) for group, _ in self._loads]
        self.results_each = 0
        for (kind, each), count in self._count.items():
            if kind == "result":
                self._starts[kind, each] = self.results_each
                self.results_each += count * each
        for stage in self.stages:
            stage.codes = np.array([machine.OPS[name] for name, _, _ in stage.steps], np.int64)
            stage.numbers = np.array([number for _, _, number in stage.steps], np.float64)
            stage.places = np.zeros((len(stage.steps), 4, 4), np.int64)
            for k, (_, places, _) in enumerate(stage.steps):
                for position, place in enumerate(places):
                    stage.places[k, position] = self._row(place)

    def _offset(self, place: Place) -> int:
        """Where a place starts; a result in numbers per point of its block."""
        steps = {"piece": PIECE, "result": 1}.get(place.kind, self.width)
        return self._starts[place.kind, place.each] + place.index * place.each * steps

    def _row(self, place: Place) -> tuple[int, int, int, int]:
        moves = place.each if place.kind in ("piece", "result") else 0
        return self._offset(place), moves, place.each, int(place.kind == "result")

    def over(self, block: Where) -> dict[int, Any]:
        """The wanted arrays over a block of the grid, by number."""
        sizes = sizes_of(block)
        points = math.prod(sizes)
        results = np.empty(self.results_each * points)
        tables = [_of_block(stage.places, points) for stage in self.stages]
        shift = 0
        with np.errstate(all="ignore"):
            for inner in cuts(sizes, PIECE):
                shape = sizes_of(inner)
                self._cut_out(block, inner, shape)
                for stage, table in zip(self.stages, tables, strict=True):
                    for each in stage.numpy:
                        self._by_numpy(each, results, points, math.prod(shape), shift)
                    machine.run(
                        stage.codes,
                        table,
                        stage.numbers,
                        self.work,
                        results,
                        math.prod(shape),
                        shift,
                        self.width,
                    )
                shift += math.prod(shape)
        return {
            number: self._result(each, block, results, sizes)
            for number, each in self.wanted.items()
        }

    def _result(self, each: Deferred, block: Where, results: Any, sizes: tuple[int, ...]) -> Any:
        if each.value is not None:
            return each.value[cut_of(each, block)]
        points, n = math.prod(sizes), each.shape[-1]
        start = self._offset(self.places[each.number]) * points
        found = results[start : start + points * n].reshape(*sizes, n)
        # The loop gives every point its number: one of those that are alike is enough.
        found = found[
            tuple([slice(0, 1) if size == 1 else slice(None) for size in each.shape[:-1]])
        ]
        return found if each.dtype == np.float64 else found.astype(each.dtype)

    def _cut_out(self, block: Where, inner: Where, shape: tuple[int, ...]) -> None:
        """Known arrays over a piece, point by point, into the work space."""
        where = tuple(
            slice(cut.start + part.start, cut.start + part.stop)
            for cut, part in zip(block, inner, strict=True)
        )
        for (group, places), values in zip(self._loads, self._values, strict=True):
            n = group[0].shape[-1]
            start = self._offset(places[0])
            room = self.work[start : start + len(group) * n * PIECE].reshape(len(group), -1)
            # The points of the piece lie one after the other at the head of each array.
            inner_strides = np.empty((*shape, n), np.void(8).dtype).strides
            target = np.lib.stride_tricks.as_strided(
                room, (len(group), *shape, n), (room.strides[0], *inner_strides)
            )
            np.copyto(target, values[:, *cut_of(group[0], where)])

    def _by_numpy(self, each: Deferred, results: Any, points: int, piece: int, shift: int) -> None:
        def view(place: Place) -> Any:
            start = self._offset(place)
            if place.kind == "result":
                start = start * points + shift * place.each
                return results[start : start + piece * place.each].reshape(piece, place.each)
            return self.work[start : start + piece * place.each].reshape(piece, place.each)

        given = [
            view(self.places[i.number]).astype(i.dtype, copy=False)
            if isinstance(i, Deferred)
            else i
            for i in each.inputs
        ]
        target = view(self.places[each.number])
        assert each.step is not None
        if each.dtype == np.float64:
            each.step(*given, target)
        else:
            found = np.empty(target.shape, each.dtype)
            each.step(*given, found)
            np.copyto(target, found)


def _of_block(places: Any, points: int) -> Any:
    """Places of steps for a block of so many points: results lie one array after the other."""
    table = places.copy()
    result = table[:, :, machine.RESULT] == 1
    table[:, :, machine.OFFSET][result] *= points
    return table
