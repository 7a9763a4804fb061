"""Arrays whose values are computed later, a cache-sized piece of the grid at a time.

The equations of the cost model take arrays and know nothing of this module. Handed `Deferred` ones,
each array operation over the whole grid becomes a step on a tape instead of an array in memory; the
same step asked for twice is kept once. Operations on arrays that few axes shape, and that are small
for it, are done at once. `infercost.tape.program` then runs the tape over one piece of the grid
after the other, in buffers that stay in the processor's cache.

The steps are NumPy's own operations in double precision, so that a value has the same bits as
without a tape. What is left out keeps them too: to multiply by one or to add zero, and comparisons
that are settled by the bounds of what they compare (`infercost.tape.bounds`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from weakref import ref

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from infercost.tape.bounds import NOTHING, Maybe, bounds_after, bounds_of, joined, settled, summed

Step = Callable[..., Any]
"""What computes a value from others into an array: step(*inputs, out), as any ufunc can."""

FLOAT = np.dtype(np.float64)
TRUTH = np.dtype(np.bool_)


def _operators(ufunc: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An operator and its mirror image, straight to the tape."""

    def forward(self: Deferred, other: Any) -> Any:
        return self.tape.apply(ufunc, self, other)

    def backward(self: Deferred, other: Any) -> Any:
        return self.tape.apply(ufunc, other, self)

    return forward, backward


class Deferred(NDArrayOperatorsMixin):
    """An array over the grid of a tape: known already, or a step on it."""

    __slots__ = (
        "__weakref__",
        "bounds",
        "checked",
        "dtype",
        "inputs",
        "key",
        "number",
        "plain",
        "shape",
        "step",
        "tape",
        "value",
    )
    __hash__ = object.__hash__
    __add__, __radd__ = _operators(np.add)
    __sub__, __rsub__ = _operators(np.subtract)
    __mul__, __rmul__ = _operators(np.multiply)
    __truediv__, __rtruediv__ = _operators(np.divide)
    __lt__, __gt__ = _operators(np.less)[0], _operators(np.greater)[0]
    __le__, __ge__ = _operators(np.less_equal)[0], _operators(np.greater_equal)[0]

    def __init__(
        self,
        tape: Tape,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        value: Any = None,
        step: Step | None = None,
        inputs: tuple[Any, ...] = (),
    ) -> None:
        """Either a value or a step."""
        self.tape, self.number = tape, next(tape.numbers)
        self.shape, self.dtype, self.plain = shape, dtype, dtype == FLOAT
        self.value, self.step, self.inputs = value, step, inputs
        self.key = object()
        self.bounds: Maybe = None
        self.checked = False

    @property
    def ndim(self) -> int:
        """Number of dimensions: that of the grid, and one of requests."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def array(self) -> Any:
        """All its values."""
        if self.value is None:
            self.value = self.tape.compute(self)
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """What NumPy takes where it cannot wait."""
        return np.array(self.array(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """An operation with this array, as a step."""
        if method == "__call__" and not options:
            return self.tape.apply(ufunc, *inputs)
        return getattr(ufunc, method)(*_known(inputs), **_known(options))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """A function of NumPy with this array: a step where there is one for it."""
        if function in _FUNCTIONS:
            done = _FUNCTIONS[function](self.tape, *args, **options)
            if done is not NotImplemented:
                return done
        return function(*_known(args), **_known(options))

    def astype(self, dtype: Any) -> Any:
        """The array in another type."""
        if self.dtype == dtype:
            return self
        return self.tape.put(cast, (self,), self.shape, np.dtype(dtype))

    def sum(self, axis: int | None = None, keepdims: bool = False) -> Any:
        """The sum, over requests as a step."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def __getitem__(self, key: Any) -> Any:
        """A part; of the dimension of requests as a step."""
        match key:
            case (last_but_one, slice() as kept) if last_but_one is Ellipsis:
                size = len(range(*kept.indices(self.shape[-1])))
                part = _Part(kept.start, kept.stop)
                return self.tape.put(part, (self,), (*self.shape[:-1], size), self.dtype)
        return self.array()[key]

    def __getattr__(self, name: str) -> Any:
        """Whatever else an array can do, it does once it is known."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.array(), name)

    def __bool__(self) -> bool:
        return bool(self.array())

    def __float__(self) -> float:
        return float(self.array().item())

    def __len__(self) -> int:
        return self.shape[0]


class Tape:
    """The steps of one evaluation over a grid, each once."""

    def __init__(
        self, shape: tuple[int, ...], small: int, compute: Callable[[Deferred], Any]
    ) -> None:
        """`shape` is that of the grid, its dimension of requests apart; operations of up to `small`
        elements are done at once. `compute` gives all values of an array that cannot wait."""
        self.shape, self.small, self.compute = shape, small, compute
        self.numbers = itertools.count()
        # What nothing holds any more is gone, so that small arrays take no room in vain.
        self._steps: dict[Any, ref[Deferred]] = {}
        self._constants: dict[int, tuple[Any, Deferred]] = {}

    def known(self, value: Any) -> Deferred:
        """An array that is there already."""
        value = np.asarray(value)
        shape = (1,) * (len(self.shape) + 1 - value.ndim) + value.shape
        return Deferred(self, shape, value.dtype, value.reshape(shape))

    def apply(self, ufunc: Any, *given: Any) -> Any:
        """An element by element operation."""
        inputs: tuple[Any, ...] = given
        for each in given:
            if each.__class__ is not Deferred and each.__class__ is not float:
                inputs = tuple([self._operand(one) for one in given])
                break
        simpler = _simplified(ufunc, inputs)
        if simpler is not None:
            return simpler
        shape: tuple[int, ...] = ()
        plain = ufunc in _PLAIN
        for each in inputs:
            if each.__class__ is Deferred:
                plain = plain and each.plain
                if each.shape != shape:
                    shape = _broadcast(shape, each.shape) if shape else each.shape
            elif each.__class__ is not float:
                plain = False
        if plain:
            dtype = _PLAIN[ufunc]
        else:
            kinds = tuple([i.dtype if isinstance(i, Deferred) else type(i) for i in inputs])
            dtype = _type_of(ufunc, kinds)
        return self.put(_STEPS.get(ufunc, ufunc), inputs, shape, dtype)

    def put(
        self, step: Step, inputs: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> Any:
        """A step, or its value at once where that is small; a step that is there is taken. What
        can be nothing but zero is a number."""
        key: list[Any] = [step]
        values: list[Any] = []
        known = True
        for each in inputs:
            if each.__class__ is Deferred:
                key.append(each.key)
                values.append(each.value)
                known = known and each.value is not None
            else:
                # 1, 1.0 and True differ, 0.0 and -0.0 too.
                differs = each.__class__ is not float or not each
                key.append((each.__class__, str(each)) if differs else each)
                values.append(each)
        steps, name = self._steps, tuple(key)
        there = steps.get(name)
        found = there() if there is not None else None
        if found is not None:
            return found
        if known and math.prod(shape) <= self.small:
            value = np.empty(shape, dtype)
            step(*values, value)
            made = Deferred(self, shape, dtype, value)
        else:
            made = Deferred(self, shape, dtype, None, step, inputs)
            if made.plain and _bounds(made) == NOTHING:
                return 0.0
        steps[name] = ref(made)
        return made

    def _operand(self, given: Any) -> Any:
        if isinstance(given, Deferred | float | bool | int):
            return given
        value = np.asarray(given)
        if value.ndim == 0:
            return value.item()
        if id(given) not in self._constants:
            # The array stays with its number, so that no other takes it.
            self._constants[id(given)] = (given, self.known(value))
        return self._constants[id(given)][1]


def _known(given: Any) -> Any:
    """Arguments with values in place of deferred arrays."""
    if isinstance(given, Deferred):
        return given.array()
    if isinstance(given, tuple | list):
        return type(given)(_known(each) for each in given)
    if isinstance(given, dict):
        return {name: _known(each) for name, each in given.items()}
    return given


@lru_cache(maxsize=4096)
def _broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return np.broadcast_shapes(one, other)


@lru_cache(maxsize=4096)
def _type_of(ufunc: Any, kinds: tuple[Any, ...]) -> np.dtype[Any]:
    """The type that an operation gives, tried on nothing."""
    nothing = (np.empty(0, k) if isinstance(k, np.dtype) else k(1) for k in kinds)
    found: np.dtype[Any] = ufunc(*nothing).dtype
    return found


_PLAIN: dict[Any, np.dtype[Any]] = {
    **dict.fromkeys((np.add, np.subtract, np.multiply, np.divide), FLOAT),
    **dict.fromkeys((np.maximum, np.minimum), FLOAT),
    **dict.fromkeys((np.greater, np.greater_equal, np.less, np.less_equal), TRUTH),
}
"""What the usual operations give of numbers."""


# Steps that are no ufunc, or do not take their output by place.


def maximum(one: Any, other: Any, out: Any) -> None:
    """The larger, number by number."""
    np.maximum(one, other, out=out)


def minimum(one: Any, other: Any, out: Any) -> None:
    """The smaller, number by number."""
    np.minimum(one, other, out=out)


def where(condition: Any, one: Any, other: Any, out: Any) -> None:
    """One or the other, as a condition says."""
    np.copyto(out, other)
    np.copyto(out, one, where=condition)


def cast(given: Any, out: Any) -> None:
    """The same numbers in another type."""
    np.copyto(out, given)


class _Part:
    """A part of the requests."""

    def __init__(self, start: int | None, stop: int | None) -> None:
        self.ends = (start, stop)

    def __hash__(self) -> int:
        return hash(self.ends)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Part) and self.ends == other.ends

    def __call__(self, given: Any, out: Any) -> None:
        np.copyto(out, given[..., slice(*self.ends)])


def sum_over_requests(given: Any, out: Any) -> None:
    """The sum over the last dimension."""
    np.add.reduce(given, axis=-1, keepdims=True, out=out)


def most_of_requests(given: Any, out: Any) -> None:
    """The largest along the last dimension."""
    np.maximum.reduce(given, axis=-1, keepdims=True, out=out)


_STEPS: dict[Any, Step] = {np.maximum: maximum, np.minimum: minimum}
_UFUNCS: dict[Any, Any] = {step: ufunc for ufunc, step in _STEPS.items()}


# Functions of NumPy as steps.


def _choose(tape: Tape, condition: Any, *choices: Any) -> Any:
    if len(choices) != 2:
        return NotImplemented
    given = [tape._operand(each) for each in (condition, *choices)]
    if isinstance(given[0], Deferred) and given[0].dtype != bool:
        given[0] = np.not_equal(given[0], 0)
    if isinstance(given[0], bool):
        return choices[0] if given[0] else choices[1]
    shape: tuple[int, ...] = ()
    for each in given:
        if isinstance(each, Deferred):
            shape = _broadcast(shape, each.shape)
    types = [c.dtype if isinstance(c, Deferred) else np.asarray(c).dtype for c in given[1:]]
    return tape.put(where, tuple(given), shape, np.result_type(*types))


def _clip(tape: Tape, given: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(given, low), high)


def _over_requests(step: Step) -> Callable[..., Any]:
    def reduced(
        tape: Tape, given: Any, axis: int | None = None, keepdims: bool = False, **rest: Any
    ) -> Any:
        if not isinstance(given, Deferred) or axis != -1 or not keepdims or rest:
            return NotImplemented
        return tape.put(step, (given,), (*given.shape[:-1], 1), given.dtype)

    return reduced


def _ones_like(tape: Tape, given: Any, dtype: Any = None) -> Any:
    return np.ones(given.shape, dtype or given.dtype)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _choose,
    np.clip: _clip,
    np.sum: _over_requests(sum_over_requests),
    np.max: _over_requests(most_of_requests),
    np.size: lambda tape, given: given.size,
    np.shape: lambda tape, given: given.shape,
    np.ndim: lambda tape, given: given.ndim,
    np.atleast_1d: lambda tape, given: given,
}


# Bounds, and what they spare.


def _bounds(given: Any) -> Maybe:
    """The bounds of a number or of an array."""
    if not isinstance(given, Deferred):
        return bounds_of(given)
    if given.checked:
        return given.bounds
    given.checked = True
    if given.value is not None:
        given.bounds = bounds_of(given.value)
    elif given.step is where:
        given.bounds = joined(*map(_bounds, given.inputs[1:]))
    elif given.step in (cast, most_of_requests):
        given.bounds = _bounds(given.inputs[0])
    elif given.step is sum_over_requests:
        given.bounds = summed(_bounds(given.inputs[0]), given.inputs[0].shape[-1])
    else:
        ufunc = _UFUNCS.get(given.step, given.step)
        given.bounds = bounds_after(ufunc, tuple(map(_bounds, given.inputs)))
    return given.bounds


_COMPARISONS = (np.greater, np.greater_equal, np.less, np.less_equal)


def _simplified(ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    """What an operation gives without a step; none where it takes one."""
    if ufunc in _COMPARISONS:
        return settled(ufunc, _bounds(inputs[0]), _bounds(inputs[1]))
    if len(inputs) != 2:
        return None
    array, number = inputs
    if ufunc in (np.multiply, np.add) and not isinstance(array, Deferred):
        array, number = number, array
    if array.__class__ is not Deferred:
        return _of_number_first(ufunc, array, number)
    rule = _WITH_NUMBERS.get(ufunc)
    if rule is None or number.__class__ is Deferred or not array.plain:
        return None
    return math.nan if math.isnan(number) and ufunc in _ARITHMETIC else rule(array, number)


def _of_number_first(ufunc: Any, number: float, array: Deferred) -> Any:
    """What a number that is none gives, and nothing over what is more than nothing."""
    if ufunc not in _ARITHMETIC or not array.plain:
        return None
    if math.isnan(number):
        return math.nan
    if ufunc is not np.divide or number != 0 or math.copysign(1.0, number) < 0:
        return None
    known = _bounds(array)
    return 0.0 if known is not None and known.low > 0 else None


def _times(array: Deferred, number: float) -> Any:
    if number == 1:
        return array
    if number == 0 and not math.copysign(1.0, number) < 0:
        known = _bounds(array)
        return 0.0 if known is not None and known.low >= 0 and known.plus else None
    return None


def _plus(array: Deferred, number: float) -> Any:
    if number != 0:
        return None
    known = _bounds(array)
    return array if known is not None and known.plus else None


def _less(array: Deferred, number: float) -> Any:
    return array if number == 0 and math.copysign(1.0, number) > 0 else None


def _over(array: Deferred, number: float) -> Any:
    return array if number == 1 else None


def _at_least(array: Deferred, number: float) -> Any:
    known = _bounds(array)
    if known is None:
        return None
    return array if known.low > number else float(number) if known.high < number else None


def _at_most(array: Deferred, number: float) -> Any:
    known = _bounds(array)
    if known is None:
        return array if number == math.inf and array.plain else None
    return array if known.high < number else float(number) if known.low > number else None


_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide)
_WITH_NUMBERS: dict[Any, Callable[[Deferred, float], Any]] = {
    np.multiply: _times,
    np.add: _plus,
    np.subtract: _less,
    np.divide: _over,
    np.power: _over,
    np.maximum: _at_least,
    np.minimum: _at_most,
}
"""Operations of an array with a number that may leave one of both, bit by bit, as it is."""
