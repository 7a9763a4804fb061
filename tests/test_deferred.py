"""Arrays that are computed later have the bits of arrays that are computed at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from infercost.arrays import as_array, cuts, surely
from infercost.compose import ComposedCase, Options
from infercost.cost import Evaluation
from infercost.evaluation import evaluated, evaluated_blocks, typed_axis
from infercost.grid import Grid, GridAxis
from infercost.optimise import Search, least, search
from infercost.options.question import ask
from infercost.tape import program
from infercost.tape import sliced as taped
from infercost.tape.actions import FUSED
from infercost.tape.bounds import Bounds, bounds_after, bounds_of, settled
from infercost.tape.deferred import Deferred, Tape
from infercost.tape.program import Program
from infercost.tape.sliced import Sliced, tape_over

ODD = np.array([0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 1e308, -1e308, 1e-320, np.inf, -np.inf, np.nan])
"""Numbers for which sloppy arithmetic gives other bits."""
NUMBERS = np.concatenate([ODD, np.random.default_rng(0).normal(size=38)])


def tape(count: int, small: int = 0) -> Tape:
    return Tape((count,), small, computed)


def computed(wanted: Deferred) -> Any:
    """All values of an array, in two blocks of unlike size."""
    run = Program(wanted.tape, [wanted])
    size = wanted.tape.shape[0]
    blocks = [(slice(0, size // 3),), (slice(size // 3, size),)]
    return np.concatenate([run.over(block)[wanted.number] for block in blocks])


def bits(values: Any) -> Any:
    """Values with one NaN for all, whose bits mean nothing."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


TWO: list[Callable[[Any, Any], Any]] = [
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
    np.equal,
    np.not_equal,
    lambda x, y: np.where((x > y).astype(np.int64), x, y),
    lambda x, y: np.where(x > y, x, y),
    lambda x, y: np.where((x > 0) & ~(y > 0), x + y, y),
    lambda x, y: np.where((x > 0) | (y > 0), 2.0, y),
    lambda x, y: x * y + x,
    lambda x, y: x / y + x,
    lambda x, y: x + y + y,
    lambda x, y: (x + y) * x,
    lambda x, y: x * y * y,
    lambda x, y: x * 3.0 + y,
    lambda x, y: x * 3.0 * y,
    lambda x, y: x + y + x + y,
    lambda x, y: np.where(y > x + x, x, y),
    lambda x, y: x * 3.0 + y + x,
    lambda x, y: (x * 3.0 + y) + x + y,
    lambda x, y: x * 3.0 + (y * 5.0 + x),
    lambda x, y: x * y * 3.0,
    lambda x, y: x * y * 3.0 + x,
    lambda x, y: x * y / 3.0,
    lambda x, y: x * 3.0 * 0.1 + y,
    lambda x, y: x / 3.0 * 0.1 + y,
    lambda x, y: (x + y) * 3.0 + x,
    lambda x, y: (x + 0.1) + y,
    lambda x, y: x / 3.0 + y,
    lambda x, y: 3.0 / x + y,
    lambda x, y: np.where(x > y, x * 0.1 * 3.0, y * 0.1 / 3.0),
    lambda x, y: np.where(x > y, x * 0.1 + 3.0, y * 0.1 - 3.0),
    lambda x, y: np.where(x > y, np.maximum(x - 0.5, 0.3), 2.0 / (y + 1.5)),
    lambda x, y: (1.0 - x) / (y - 2.0) + 1.0 / (y + 2.0) - (x / 7.0),
    lambda x, y: np.ceil(x) + np.floor(y),
    lambda x, y: np.log2(np.abs(x) + 1.0) * y + np.sqrt(np.abs(y)),
    lambda x, y: np.clip(x, -1.0, 1.0) * as_array(y > 0, dtype=np.float64),
    lambda x, y: x + np.power(np.abs(y), 0.3) * x,
]


@pytest.mark.parametrize("number", range(len(TWO)))
def test_each_step_has_the_bits_of_numpy(number: int) -> None:
    """Every pair of odd and usual numbers: 50 x 50."""
    x, y = (grid.reshape(-1, 1) for grid in np.meshgrid(NUMBERS, NUMBERS))
    on = tape(x.size)
    with np.errstate(all="ignore"):
        plain = TWO[number](x, y)
        later = TWO[number](on.known(x), on.known(y))
        assert isinstance(later, Deferred)
        assert later.value is None
        assert np.array_equal(bits(computed(later)), bits(plain))


def test_every_fused_step_is_among_those_compared_with_numpy() -> None:
    found: set[str] = set()
    for each in TWO:
        on = tape(4)
        x, y = (on.known(np.arange(4.0).reshape(4, 1) + k) for k in (0.5, -1.5))
        stages = Program(on, [each(x, y)]).stages
        found |= {name for stage in stages for name, _, _ in stage.steps}
    assert set(FUSED.values()) <= found


@pytest.mark.parametrize("function", [np.maximum, np.minimum])
def test_the_larger_of_two_is_that_of_numpy(function: Any) -> None:
    """But for the sign of a zero, on which NumPy's own loops do not agree."""
    x, y = (grid.reshape(-1, 1) for grid in np.meshgrid(NUMBERS, NUMBERS))
    on = tape(x.size)
    for other in (y, 0.5):
        later = function(on.known(x), on.known(other) if other is y else other)
        assert np.array_equal(computed(later), function(x, other), equal_nan=True)


@pytest.mark.parametrize("requests", [1, 3, 16, 19])
def test_sums_over_requests_add_in_the_order_of_numpy(requests: int) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(300, 1)), rng.normal(size=(300, requests))
    weight = rng.normal(size=requests)

    def mean(x: Any, y: Any) -> Any:
        return ((x * y + y) * weight).sum(axis=-1, keepdims=True) * x

    def most(x: Any, y: Any) -> Any:
        return np.max(x + y, axis=-1, keepdims=True) - (x * y)[..., -1:]

    for function in (mean, most):
        on = tape(300)
        later = function(on.known(x), on.known(y))
        assert np.array_equal(computed(later), function(x, y))


def test_a_step_is_taken_once() -> None:
    on = tape(10)
    x = on.known(np.arange(10.0).reshape(-1, 1))
    assert (x + x) * 2.0 is (x + x) * 2.0
    assert x + 1.0 is not x + True
    assert x * 0.5 is not x * -0.5


def test_what_leaves_an_array_as_it_is_takes_no_step() -> None:
    on = tape(4)
    x = on.known(np.array([0.0, 1.0, 2.0, 3.0]).reshape(-1, 1))
    assert x * 1.0 is x
    assert x + 0.0 is x
    assert x - 0.0 is x
    assert x / 1.0 is x
    assert np.minimum(x, np.inf) is x
    assert np.minimum(x, 3.5) is x
    assert x * 0.0 == 0.0


def test_what_a_number_settles_takes_no_step() -> None:
    """Neither what is no number, nor nothing over what is more, nor what bounds leave one way."""
    on = tape(4)
    x = on.known(np.array([0.5, 1.0, 2.0, 3.0]).reshape(-1, 1))
    assert np.isnan(x * np.nan)
    assert np.isnan(np.nan - x)
    assert 0.0 / x == 0.0
    assert isinstance(-0.0 / x, Deferred)
    assert isinstance(0.0 / (x - 0.5), Deferred)
    assert np.maximum(x, 4.0) == 4.0
    assert np.minimum(x, 0.25) == 0.25
    assert isinstance(np.maximum(x, 3.0), Deferred)
    ones = on.known(np.ones((4, 1)))
    assert (ones - 1.0) * x == 0.0


def test_the_mean_over_requests_of_nothing_is_nothing() -> None:
    """What can be nothing but zero is a number, of which a mean is taken as of an array."""
    composed = next(Options(ask(["workload=azure-2023-code"])).cases())
    on = tape(4)
    nothing = on.known(np.zeros((4, 1)))
    assert Evaluation(composed.case).lengths.mean(nothing) == 0.0
    assert Evaluation(composed.case).lengths.mean(nothing * nothing) == 0.0


def test_a_negative_zero_plus_zero_takes_its_step() -> None:
    """-0.0 + 0.0 is 0.0, and -0.0 * 0.0 is -0.0."""
    on = tape(2)
    x = on.known(np.array([-0.0, 1.0]).reshape(-1, 1))
    assert x + 0.0 is not x
    assert np.array_equal(bits(computed(x + 0.0)), bits([[0.0], [1.0]]))
    assert np.array_equal(bits(computed(x * 0.0)), bits([[-0.0], [0.0]]))


def test_zero_times_what_may_be_infinite_takes_its_step() -> None:
    x = tape(2).known(np.array([np.inf, 1.0]).reshape(-1, 1))
    assert np.isnan(computed(x * 0.0)[0, 0])


def test_comparisons_are_settled_by_bounds() -> None:
    on = tape(3)
    x = on.known(np.array([1.0, 2.0, 3.0]).reshape(-1, 1))
    assert (x * 2.0 > 1.0) is True
    assert (x + x < 2.0) is False
    assert isinstance(x > 2.0, Deferred)
    assert surely(x > 0.5)
    assert not surely(x > 2.0)


def test_bounds_follow_arithmetic() -> None:
    """[1, 2] - [1, 3] lies in [-2, 1]; its product with [-1, 2] in [-4, 2]; 1 / [1, 2] in [.5, 1];
    0.5^[1, 3] in [0.125, 0.5]."""
    a, b, c = Bounds(1.0, 2.0), Bounds(1.0, 3.0), Bounds(-1.0, 2.0)
    difference = bounds_after(np.subtract, (a, b))
    assert difference == Bounds(-2.0, 1.0)
    assert bounds_after(np.multiply, (difference, c)) == Bounds(-4.0, 2.0, False)
    assert bounds_after(np.divide, (Bounds(1.0, 1.0), a)) == Bounds(0.5, 1.0)
    assert bounds_after(np.power, (Bounds(0.5, 0.5), b)) == Bounds(0.125, 0.5)
    assert bounds_after(np.divide, (a, c)) is None
    assert bounds_of(np.array([1.0, np.nan])) is None
    assert bounds_of(-0.0) == Bounds(0.0, 0.0, False)
    assert settled(np.less, a, Bounds(2.5, 3.0)) is True
    assert settled(np.less, b, a) is None


def test_a_grid_is_cut_into_stretches_of_rows() -> None:
    """3 x 4 points by at most 8: two of the three rows, then one; by at most 3: within a row."""
    assert list(cuts((3, 4), 8)) == [(slice(0, 2), slice(0, 4)), (slice(2, 3), slice(0, 4))]
    assert list(cuts((3, 4), 12)) == [(slice(0, 3), slice(0, 4))]
    assert len(list(cuts((3, 4), 3))) == 6
    assert list(cuts((), 1)) == [()]


@pytest.mark.parametrize("piece", [1, 6, 24, 48, 4096])
def test_arrays_along_any_axes_are_laid_out_over_any_block(
    monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    """All sixteen choices of four axes, over whole blocks and over cuts through every axis."""
    monkeypatch.setattr(program, "PIECE", piece)
    monkeypatch.setattr(program, "WIDTHS", (4, 4))
    shape = (5, 4, 3, 2)
    rng, on = np.random.default_rng(2), Tape(shape, 0, computed)
    arrays = [
        rng.normal(size=(*(n if kept else 1 for n, kept in zip(shape, chosen, strict=True)), 1))
        for chosen in product((False, True), repeat=4)
    ]
    plain = sum(value * (k + 1.5) for k, value in enumerate(arrays))
    later = sum(on.known(value) * (k + 1.5) for k, value in enumerate(arrays))
    run = Program(on, [later])
    blocks = [*cuts(shape, 24), *cuts(shape, 6), *product((slice(0, 2), slice(1, 2)), repeat=4)]
    for block in blocks:
        assert np.array_equal(run.over(block)[later.number], plain[block])


def test_small_arrays_are_computed_at_once() -> None:
    on = tape_over((8, 8))
    row = on.known(np.arange(8.0).reshape(8, 1, 1))
    column = on.known(np.arange(8.0).reshape(1, 8, 1))
    assert (row * 2.0).value is not None
    whole = row * 2.0 + column
    assert whole.value is None
    arrays = Sliced(on, {"whole": whole, "row": row, "number": 3.0})
    found = arrays.over((slice(2, 4), slice(0, 8)))
    assert found["number"] == 3.0
    assert found["row"].shape == (2, 1, 1)
    assert np.array_equal(found["whole"][:, :, 0], [np.arange(8.0) + 4, np.arange(8.0) + 6])


CASES = {
    "a mixture of experts": ["model=deepseek-v3", "plan.ep=8", "workload=azure-2023-code"],
    "doses": ["model=deepseek-v3", "trend=reasoning", "trend.dose=0,0.5,1"],
    "mixes of maps": ["direction=lpddr", "direction.lpddr.stacks=0,1,2"],
    "stacks of memory": ["direction=hbf", "direction.hbf.stacks=0,2,4"],
    "units near memory": ["model=deepseek-v3", "direction=pnm"],
    "drafts": ["mitigation=speculation-eagle"],
    "narrow formats and caps": ["mitigation=w4+kv8", "hardware.tdp=300 W,500 W"],
    "states": ["model=qwen3-next-80b-a3b", "economics.utilisation=0.3,0.6"],
    "blocks": ["model=llada-8b", "economics.pue=1.1,1.2"],
    "no calibration": ["calibration=ideal", "hardware.memory.hbm.bandwidth=2 TB/s,5 TB/s"],
    "own windows and chunks": ["model=evabyte-6.5b", "economics.utilisation=0.3,0.6"],
    "heads of bytes": ["model=evabyte-6.5b", "mitigation=speculation-bytes"],
    "activations left out": ["mitigation=activation-sparsity"],
    "a host that launches layers": ["calibration=eager-pytorch", "economics.pue=1.1,1.2"],
    "bytes in patches": ["model=blt-8b", "economics.utilisation=0.3,0.6"],
    "thoughts without tokens": ["trend=reasoning", "mitigation=latent-reasoning"],
    "tokens merged on their way": ["model=deepseek-v3", "plan.dp=2,4", "plan.exchange=merged"],
    "tokens gathered": ["model=deepseek-v3", "plan.dp=2,4", "plan.exchange=gather"],
    "caches that wear": ["direction=hbf", "plan.min_memory_life=1 year,20 year"],
    "a cache of prefixes": ["workload=agent-mini-swe", "plan=prefix-cache-dram"],
    "a pool for prompts": ["mitigation=disaggregation", "hardware.tdp=300 W,500 W"],
    "two models": ["mitigation=routing", "economics.pue=1.1,1.2"],
    "a snapshot": ["workload=snapshot", "workload.context=1000,50000,200000"],
}
AXES = ["batch=1,7,64,300", "plan.tp=1,8,16", "hardware.scale_up.alpha=1 us,4 us"]


def composed_over(overrides: list[str], sampled: bool) -> tuple[ComposedCase, Grid]:
    options = Options(ask(overrides))
    composed = next(options.cases())
    axes = tuple(typed_axis(options, composed, axis) for axis in options.question.axes)
    if not sampled:
        return composed, Grid(axes)
    rng = np.random.default_rng(0)
    values = {p: rng.choice(v, 100) for axis in axes for p, v in axis.values.items()}
    return composed, Grid((GridAxis("sample", values),))


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_an_evaluation_on_a_tape_has_the_bits_of_one_at_once(
    monkeypatch: pytest.MonkeyPatch, case: str, sampled: bool
) -> None:
    """In pieces so small that every table of places and every remainder comes into play."""
    monkeypatch.setattr(taped, "WORTH_A_TAPE", dict.fromkeys(taped.WORTH_A_TAPE, 1))
    monkeypatch.setattr(taped, "TAPE_BLOCK", 10)
    monkeypatch.setattr(program, "PIECE", 24)
    monkeypatch.setattr(program, "WIDTHS", (4, 4))
    composed, grid = composed_over([*CASES[case], *AXES], sampled)
    plain, blocks = evaluated(composed, grid), list(evaluated_blocks(composed, grid))
    assert len(blocks) > 1
    for name in plain.values:
        later = np.concatenate([block.flat(name) for block in blocks])
        assert np.array_equal(later, plain.flat(name), equal_nan=True), name
    for name in ("limit", "bound"):
        later = np.concatenate([block.grid.flat(getattr(block, name)) for block in blocks])
        assert np.array_equal(later, grid.flat(getattr(plain, name))), name


def searched(composed: ComposedCase, grid: Grid, within_slo: bool, keep: str) -> list[Any]:
    """What a search keeps, over a grid's first axis for each point of the others."""
    objectives = ("cost_per_mtoken_usd", "energy_per_answer_j")
    how = Search(objectives, grid.axes[:1], within_slo, keep)
    (found,) = search(composed, grid.axes[1:], how)
    best = least(composed, grid.axes[1:], how)
    return [found.index, found.best, found.limit, found.capacity_share, found.objective, best]


@pytest.mark.parametrize("keep", ["best", "pareto"])
@pytest.mark.parametrize("within_slo", [False, True])
def test_a_search_on_a_tape_keeps_the_same_points(
    monkeypatch: pytest.MonkeyPatch, within_slo: bool, keep: str
) -> None:
    """With service objectives on an axis, and blocks of few cases each."""
    slo = ["workload.slo.tpot=20 ms,60 ms"] if within_slo else []
    composed, grid = composed_over(["workload=azure-2023-code", *slo, *AXES], False)
    grid = Grid((grid.axes[-3], *grid.axes[:-3], *grid.axes[-2:]))
    plain = searched(composed, grid, within_slo, keep)
    monkeypatch.setattr(taped, "WORTH_A_TAPE", dict.fromkeys(taped.WORTH_A_TAPE, 1))
    monkeypatch.setattr(taped, "TAPE_BLOCK", 10)
    monkeypatch.setattr(program, "PIECE", 24)
    for one, other in zip(plain, searched(composed, grid, within_slo, keep), strict=True):
        assert np.array_equal(one, other)


def test_a_tape_is_worth_it_sooner_where_nothing_factorises() -> None:
    assert not taped.worth_a_tape((2**8, 2**9), requests=False)
    assert taped.worth_a_tape((2**17,), requests=False)
    assert taped.worth_a_tape((2**8, 2**8), requests=True)
    assert not taped.worth_a_tape((), requests=True)
