"""A tape put together for the compiled loop of `infercost.tape.machine`.

The loop takes a stretch of points at a time through all steps, so that what lies between them
stays in the nearest cache. Steps that it does not know (logarithms, powers) are NumPy's, between
two of its stages, so that their bits are NumPy's too.

Arrays that are known before are laid out for a piece of the grid, point by point, some without
that being done for each point: a piece runs along one axis of the grid and takes all of those
inside it whole. What does not vary along that axis starts again with each period of those inside,
and stays there until an axis outside moves on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infercost.tape import machine
from infercost.tape.actions import Action, actions_of, fuse
from infercost.tape.deferred import Deferred, Tape
from infercost.tape.steps import Where, alike, cut_of, inputs_of, ordered, sizes_of

PIECE = 2**12
"""Points that NumPy's steps take at a time, and for which known arrays are laid out."""
CACHE = 2**17
"""Numbers that the loop keeps near: a megabyte."""
WIDTHS = (64, 512)
"""Fewest and most points that the loop takes at a time."""
LINE = 8
"""Numbers in a line of the cache."""


@dataclass(frozen=True)
class Place:
    """Where numbers lie: a kind of `machine.KINDS`, or a constant; which of those."""

    kind: str
    index: int
    each: int
    """Numbers per point: one, or one for each request."""


@dataclass
class Stage:
    """Steps of the loop, after NumPy's that they need."""

    numpy: list[Deferred] = field(default_factory=list)
    steps: list[tuple[str, list[Place], tuple[float, ...]]] = field(default_factory=list)
    """What to do, the place of its result and of its operands, and its numbers."""
    codes: Any = None
    places: Any = None
    numbers: Any = None


@dataclass(frozen=True)
class Layout:
    """How a grid is gone through: along one axis, with all axes inside it in one period."""

    axis: int
    """The axis that pieces run along; those before have one value in a piece."""

    def pieces(self, sizes: tuple[int, ...]) -> Iterator[Where]:
        """The pieces of a block, in order."""
        if not sizes:
            yield ()
            return
        rest = tuple(slice(0, size) for size in sizes[self.axis + 1 :])
        rows = max(PIECE // self.row(sizes), 1)
        for index in np.ndindex(*sizes[: self.axis]):
            fixed = tuple(slice(i, i + 1) for i in index)
            for start in range(0, sizes[self.axis], rows):
                yield (*fixed, slice(start, min(start + rows, sizes[self.axis])), *rest)

    def stays(self, each: Deferred) -> bool:
        """Whether an array starts again with every period."""
        return len(each.shape) == 1 or each.shape[self.axis] == 1

    def row(self, sizes: tuple[int, ...]) -> int:
        """Points of the axes inside."""
        return math.prod(sizes[self.axis + 1 :])

    def rows(self, sizes: tuple[int, ...], width: int) -> int:
        """Rows after which arrays that stay start again: what is taken at a time, one at least."""
        return max(width // self.row(sizes), 1)


def layout(shape: tuple[int, ...]) -> Layout:
    """As many axes inside as a quarter of a piece holds."""
    axis = max(len(shape) - 1, 0)
    while axis and math.prod(shape[axis:]) * 4 <= PIECE:
        axis -= 1
    return Layout(axis)


class Program:
    """Deferred arrays with all steps that lead to them, for the compiled loop."""

    def __init__(self, tape: Tape, wanted: Sequence[Deferred]) -> None:
        """Raises nothing: what the loop does not know is left to NumPy."""
        self.wanted = {each.number: each for each in wanted}
        self.layout, self.shape = layout(tape.shape), tape.shape
        order = ordered(list(self.wanted.values()))
        actions = actions_of(order, self.wanted)
        self._order = [each for each in order if each.number in actions]
        self._actions = actions
        self._stage_of = self._staged()
        self._kept = self._crossing()
        sizes = {each.number: each.shape[-1] for each in self._order}
        self._actions = fuse(actions, sizes, self._kept | set(self.wanted))
        self.places: dict[int, Place] = {}
        self._count: dict[tuple[str, int], int] = defaultdict(int)
        self._constants: dict[tuple[str, int], Place] = {}
        self.loads: list[_Load] = []
        self.stages = [Stage() for _ in range(max(self._stage_of.values(), default=0) + 1)]
        self._load()
        for number, stage in enumerate(self.stages):
            self._fill(number, stage)
        self._lay_out()

    def _inputs(self, each: Deferred) -> list[Deferred]:
        """Arrays that a step is made of, as it is taken."""
        action = self._actions[each.number]
        if action is None:
            return inputs_of(each)
        return list({i.number: i for i in action.inputs if isinstance(i, Deferred)}.values())

    def _staged(self) -> dict[int, int]:
        """The stage in which each step is taken; those of NumPy at its beginning.

        As late as what needs it allows, so that little has to be kept from stage to stage.
        """
        early: dict[int, int] = {}
        for each in self._order:
            before = [early[i.number] for i in self._inputs(each) if i.value is None]
            early[each.number] = max(before, default=0) + (self._actions[each.number] is None)
        last = max(early.values(), default=0)
        late: dict[int, int] = defaultdict(lambda: last)
        for each in reversed(self._order):
            mine, by_numpy = late[each.number], self._actions[each.number] is None
            if by_numpy:
                mine = late[each.number] = early[each.number]
            for i in self._inputs(each):
                late[i.number] = min(late[i.number], mine - by_numpy)
        return {each.number: late[each.number] for each in self._order}

    def _crossing(self) -> set[int]:
        """Steps whose values a later stage needs, or NumPy."""
        return {
            i.number
            for each in self._order
            for i in self._inputs(each)
            if i.value is None
            and (
                self._actions[each.number] is None
                or self._stage_of[each.number] > self._stage_of[i.number]
            )
        }

    def _new(self, kind: str, each: int) -> Place:
        place = Place(kind, self._count[kind, each], each)
        self._count[kind, each] += 1
        return place

    def _load(self) -> None:
        """Places for the arrays that are known before."""
        steps = [each for each in self._order if each.number in self._actions]
        known = {i.number: i for each in steps for i in self._inputs(each) if i.value is not None}
        for_numpy = {
            i.number
            for each in steps
            if self._actions[each.number] is None
            for i in self._inputs(each)
        }
        stay = {n: self.layout.stays(each) and n not in for_numpy for n, each in known.items()}
        for kind, stays in (("piece", False), ("still", True)):
            for group in alike([each for n, each in known.items() if stay[n] is stays]):
                places = [self._new(kind, each.shape[-1]) for each in group]
                self.places.update(zip([each.number for each in group], places, strict=True))
                outside = max(group[0].shape[: self.layout.axis], default=1) > 1
                values = np.stack([each.value for each in group])
                self.loads.append(_Load(group[0], values, places[0], outside))

    def _fill(self, number: int, stage: Stage) -> None:
        """Give every step of a stage its place, and take places back that are read no more."""
        mine = [each for each in self._order if self._stage_of[each.number] == number]
        mine = [each for each in mine if each.number in self._actions]
        stage.numpy = [each for each in mine if self._actions[each.number] is None]
        for each in stage.numpy:
            self.places[each.number] = self._lasting(each)
        actions = [(each, action) for each in mine if (action := self._actions[each.number])]
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
                stage.steps.append(("repeat", [register, self.places[i.number]], ()))
                operands.append(register)
                spent.append(register)
        stage.steps.append((action.name, [place, *operands], action.numbers))
        return spent

    def _constant(self, value: float, each: int) -> Place:
        key = (value.hex(), each)
        if key not in self._constants:
            self._constants[key] = self._new("constant", each)
        return self._constants[key]

    def _lay_out(self) -> None:
        """Sizes of registers, offsets of all places, and the steps as arrays."""
        kept = sum(n * each for (kind, each), n in self._count.items() if kind in _NEAR)
        fewest, most = WIDTHS
        self.width = int(np.clip(2 ** int(math.log2(CACHE / max(kept, 1))), fewest, most))
        self.room = {
            "piece": PIECE,
            "still": max(self.width, self.layout.row(self.shape)),
            "register": self.width,
            "constant": self.width,
            "result": 1,
        }
        self.room = {k: -(-n // LINE) * LINE if k != "result" else n for k, n in self.room.items()}
        self._starts: dict[tuple[str, int], int] = {}
        self.size = self.results_each = 0
        self.results: dict[int, tuple[int, int]] = {}
        for (kind, each), count in self._count.items():
            if kind == "result":
                self._starts[kind, each] = self.results_each
                self.results[each] = (self.results_each, count)
                self.results_each += count * each
            else:
                self._starts[kind, each] = self.size
                self.size += count * each * self.room[kind]
        self.constants = [(float.fromhex(v), place) for (v, _), place in self._constants.items()]
        for stage in self.stages:
            stage.codes = np.array([machine.OPS[name] for name, _, _ in stage.steps], np.int64)
            stage.numbers = np.zeros((len(stage.steps), machine.NUMBERS))
            stage.places = np.zeros((len(stage.steps), 1 + machine.OPERANDS, 3), np.uint64)
            for k, (_, places, numbers) in enumerate(stage.steps):
                stage.numbers[k, : len(numbers)] = numbers
                stage.places[k, : len(places)] = [self._row(place) for place in places]

    def offset(self, place: Place) -> int:
        """Where a place starts; a result in numbers per point of its block."""
        return self._starts[place.kind, place.each] + (
            place.index * place.each * self.room[place.kind]
        )

    def _row(self, place: Place) -> tuple[int, int, int]:
        kind = "register" if place.kind == "constant" else place.kind
        return self.offset(place), machine.KINDS.index(kind), place.each

    def over(self, block: Where) -> dict[int, Any]:
        """The wanted arrays over a block of the grid, by number."""
        run = _Run(self, block)
        with np.errstate(all="ignore"):
            for piece in self.layout.pieces(run.sizes):
                run.take(piece)
        return run.results()


_NEAR = ("register", "constant", "still")


@dataclass(frozen=True)
class _Load:
    """Known arrays of one shape, and where they are laid out."""

    like: Deferred
    values: Any
    place: Place
    """That of the first; the others follow."""
    outside: bool
    """Whether they vary along an axis outside of that which pieces run along."""


class _Run:
    """A program over one block: all numbers in one array, results behind the rest."""

    def __init__(self, program: Program, block: Where) -> None:
        """Nothing is computed yet but constants."""
        self.program, self.block, self.sizes = program, block, sizes_of(block)
        self.points, self.shift = math.prod(self.sizes), 0
        self.numbers = _aligned(program.size + program.results_each * self.points)
        for value, place in program.constants:
            start = program.offset(place)
            self.numbers[start : start + program.width * place.each] = value
        self.rows = program.layout.rows(self.sizes, program.width)
        self.period = self.rows * program.layout.row(self.sizes)
        self.tables = [self._of_block(stage.places) for stage in program.stages]
        self._outside: Where | None = None

    def _of_block(self, places: Any) -> Any:
        """Places of steps: results lie one array after the other, each for all of the block."""
        table = places.copy()
        result = table[:, :, machine.KIND] == machine.KINDS.index("result")
        offsets = table[:, :, machine.OFFSET]
        offsets[result] = offsets[result] * np.uint64(self.points) + np.uint64(self.program.size)
        return table

    def take(self, piece: Where) -> None:
        """All stages over the next piece."""
        shape = sizes_of(piece)
        points = math.prod(shape)
        self._cut_out(piece, shape)
        bounds = (np.uint64(points), np.uint64(self.shift))
        steps = (np.uint64(self.program.width), np.uint64(self.period))
        for stage, table in zip(self.program.stages, self.tables, strict=True):
            for each in stage.numpy:
                self._by_numpy(each, points)
            if len(stage.steps):
                machine.run(stage.codes, table, stage.numbers, self.numbers, *bounds, *steps)
        self.shift += points

    def _cut_out(self, piece: Where, shape: tuple[int, ...]) -> None:
        """Known arrays over a piece, point by point, those that are not there already."""
        where = tuple(
            slice(cut.start + part.start, cut.start + part.stop)
            for cut, part in zip(self.block, piece, strict=True)
        )
        axis = self.program.layout.axis
        period = (*shape[:axis], self.rows, *shape[axis + 1 :]) if shape else shape
        first, moved = self._outside is None, self._outside != where[:axis]
        self._outside = where[:axis]
        for load in self.program.loads:
            if load.place.kind == "piece":
                self._spread(load, where, shape)
            elif first or (moved and load.outside):
                self._spread(load, where, period)

    def _spread(self, load: _Load, where: Where, shape: tuple[int, ...]) -> None:
        """Values to a shape that is laid out."""
        program, count, n = self.program, len(load.values), load.place.each
        start, step = program.offset(load.place), n * program.room[load.place.kind]
        room = self.numbers[start : start + count * step].reshape(count, step)
        room = room[:, : math.prod(shape) * n].reshape(count, *shape, n)
        np.copyto(room, load.values[:, *cut_of(load.like, where)])

    def _view(self, place: Place, piece: int) -> Any:
        """The numbers of a place over the piece."""
        start = self.program.offset(place)
        if place.kind == "result":
            start = self.program.size + start * self.points + self.shift * place.each
        return self.numbers[start : start + piece * place.each].reshape(piece, place.each)

    def _by_numpy(self, each: Deferred, piece: int) -> None:
        places = self.program.places
        given = [
            self._view(places[i.number], piece).astype(i.dtype, copy=False)
            if isinstance(i, Deferred)
            else i
            for i in each.inputs
        ]
        target = self._view(places[each.number], piece)
        assert each.step is not None
        if each.dtype == np.float64:
            each.step(*given, target)
        else:
            found = np.empty(target.shape, each.dtype)
            each.step(*given, found)
            np.copyto(target, found)

    def results(self) -> dict[int, Any]:
        """The wanted arrays, by number."""
        program = self.program
        tables: dict[int, list[Any]] = {}
        for each, (start, count) in program.results.items():
            first = program.size + start * self.points
            table = self.numbers[first : first + count * each * self.points]
            tables[each] = list(table.reshape(count, *self.sizes, each))
        found = {}
        for number, wanted in program.wanted.items():
            if wanted.value is not None:
                found[number] = wanted.value[cut_of(wanted, self.block)]
                continue
            values = tables[wanted.shape[-1]][program.places[number].index]
            if wanted.shape[:-1] != program.shape:
                # The loop gives every point its number: one of those that are alike is enough.
                values = values[
                    tuple([_FIRST if size == 1 else _ALL for size in wanted.shape[:-1]])
                ]
            found[number] = values if wanted.plain else values.astype(wanted.dtype)
        return found


def _aligned(size: int) -> Any:
    """Room for numbers, from the start of a line of the cache on."""
    room = np.empty(size + LINE)
    start = -room.ctypes.data // room.itemsize % LINE
    return room[start : start + size]


_FIRST, _ALL = slice(0, 1), slice(None)
