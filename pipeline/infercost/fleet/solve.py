"""Solve a fleet's program with HiGHS, and prove the optimum by its dual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from infercost.arrays import FloatArray
from infercost.errors import SpecError
from infercost.fleet.model import Key, Program


@dataclass(frozen=True)
class Solution:
    """An optimum: values by variable, shadow prices by row, and how sure it is the least."""

    cost: float
    """Millions of dollars."""
    values: Mapping[Key, float]
    shadow: Mapping[Key, float]
    """Change of the cost per unit of a row's right side: never positive for bounds from above. Of
    a program with whole numbers: those of racks that can be divided, since with whole ones held
    nothing more could be bought."""
    gap: float
    """Cost over the dual's bound, less 1: the most that any other plan could save."""
    divisible: float
    """Millions of dollars that the plan would cost if racks could be divided."""

    def total(self, *pattern: str | int | None) -> float:
        """Sum of the variables whose names fit: None fits anything, as does what is left out."""
        return sum(value for key, value in self.values.items() if fits(key, pattern))


def fits(key: Key, pattern: tuple[str | int | None, ...]) -> bool:
    """Whether a name begins as a pattern says."""
    return len(key) >= len(pattern) and all(
        p is None or p == k for p, k in zip(pattern, key, strict=False)
    )


def solve(built: Program) -> Solution:
    """The cheapest plan. Raises `SpecError` where limits leave none."""
    count = len(built.variables)
    if not built.whole:
        return _linear(built, np.zeros(count), np.full(count, np.inf))
    kinds = np.zeros(count)
    kinds[sorted(built.whole)] = 1
    rows, low, high = _rows(built)
    constraint = optimize.LinearConstraint(built.matrix(rows), low, high)
    found = optimize.milp(
        built.costs(), integrality=kinds, constraints=constraint, options={"mip_rel_gap": 1e-6}
    )
    _check(found.success, found.message)
    fixed_low, fixed_high = np.zeros(count), np.full(count, np.inf)
    for position in built.whole:
        fixed_low[position] = fixed_high[position] = round(float(found.x[position]))
    held = _linear(built, fixed_low, fixed_high)
    divided = _linear(built, np.zeros(count), np.full(count, np.inf))
    gap = float(found.mip_gap or 0.0)
    return Solution(held.cost, held.values, divided.shadow, gap, divided.cost)


def _rows(built: Program) -> tuple[list[Key], list[float], list[float]]:
    rows = [*built.equal, *built.most]
    low = [*built.equal.values(), *(-np.inf for _ in built.most)]
    high = [*built.equal.values(), *built.most.values()]
    return rows, low, high


def _linear(built: Program, low: FloatArray, high: FloatArray) -> Solution:
    equal, most = list(built.equal), list(built.most)
    found = optimize.linprog(
        built.costs(),
        A_ub=built.matrix(most),
        b_ub=list(built.most.values()),
        A_eq=built.matrix(equal),
        b_eq=list(built.equal.values()),
        bounds=np.column_stack([low, high]),
        method="highs",
    )
    _check(found.success, found.message)
    shadow = dict(zip(equal, map(float, found.eqlin.marginals), strict=True))
    shadow |= dict(zip(most, map(float, found.ineqlin.marginals), strict=True))
    cost = float(found.fun)
    reduced = reduced_costs(built, shadow)
    bound = dual_bound(built, shadow, reduced, low, high)
    values = {key: float(found.x[position]) for key, position in built.variables.items()}
    return Solution(cost, values, shadow, (cost - bound) / max(abs(cost), 1e-9), cost)


SLACK = 1e-7
"""Millions of dollars per unit by which a reduced cost may be below 0: the solver's tolerance."""


def reduced_costs(built: Program, shadow: Mapping[Key, float]) -> FloatArray:
    """c - A' y for prices y of the rows, none of them positive for bounds from above."""
    rows = [*built.equal, *built.most]
    prices = np.array(
        [shadow[row] for row in built.equal] + [min(shadow[row], 0.0) for row in built.most]
    )
    return np.asarray(built.costs() - built.matrix(rows).T @ prices, dtype=np.float64)


def dual_bound(
    built: Program,
    shadow: Mapping[Key, float],
    reduced: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> float:
    """A cost that no plan can be below, whatever the solver did, by weak duality.

    For any prices y of the rows (none positive for bounds from above) and all x in [low, high] that
    keep to the rows, c x >= b y + sum over x of the least of (c - A' y) x. Of a variable without an
    upper end a negative reduced cost makes the bound worthless, unless within `SLACK`.
    """
    reduced = np.where(np.isinf(high) & (np.abs(reduced) < SLACK), 0.0, reduced)
    with np.errstate(invalid="ignore"):
        least = np.where(reduced >= 0, reduced * low, reduced * high)
    right = sum(shadow[row] * value for row, value in built.equal.items())
    right += sum(min(shadow[row], 0.0) * value for row, value in built.most.items())
    return float(right + least.sum())


def _check(success: bool, message: str) -> None:
    if not success:
        raise SpecError("fleet", "", f"has no plan: {message}", "Widen power, racks or carbon")
