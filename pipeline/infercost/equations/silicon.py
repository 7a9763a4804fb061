"""Money and carbon of silicon: yield, dies of a wafer, price of a good die, carbon of making it."""

from __future__ import annotations

import numpy as np

from infercost.arrays import (
    Bytes,
    Count,
    JoulesPerSquareMetre,
    KgCO2e,
    KgCO2ePerByte,
    KgCO2ePerJoule,
    KgCO2ePerSquareMetre,
    Metres,
    PerSquareMetre,
    Ratio,
    SquareMetres,
    Usd,
    as_array,
)


def poisson_yield(area: SquareMetres, defects: PerSquareMetre) -> Ratio:
    """Share of good dies where defects fall independently: exp(-A D). A pessimistic bound."""
    return np.exp(-area * defects)


def murphy_yield(area: SquareMetres, defects: PerSquareMetre) -> Ratio:
    """Share of good dies where defect density spreads as a triangle: ((1 - exp(-A D)) / (A D))².

    Source: Murphy 1964. Tends to 1 for small dies.
    """
    expected = np.maximum(area * defects, 1e-12)
    return (-np.expm1(-expected) / expected) ** 2


def clustered_yield(area: SquareMetres, defects: PerSquareMetre, cluster: Ratio) -> Ratio:
    """Share of good dies where defects cluster: (1 + A D / α)^-α, the negative binomial model.

    α → ∞ gives Poisson's, α = 1 Seeds'. Source: Stapper; `cent` takes α = 3.
    """
    return (1.0 + area * defects / cluster) ** -cluster


def dies_per_wafer(area: SquareMetres, diameter: Metres) -> Count:
    """Whole dies on a wafer: π (d / 2)² / A - π d / √(2 A).

    The second term are dies cut by the edge. Source: hennessy-patterson-4. Leaves out scribe
    lines, edge exclusion and the die's aspect.
    """
    return np.pi * (diameter / 2.0) ** 2 / area - np.pi * diameter / np.sqrt(2.0 * area)


def good_die_price(wafer: Usd, dies: Count, good: Ratio) -> Usd:
    """Price of one good die: P_wafer / (N Y)."""
    return wafer / (dies * good)


def price_at_margin(cost: Usd, margin: Ratio) -> Usd:
    """Selling price at a gross margin: cost / (1 - m)."""
    return cost / (1.0 - margin)


def die_carbon(
    area: SquareMetres,
    fab_energy: JoulesPerSquareMetre,
    fab_grid: KgCO2ePerJoule,
    gas: KgCO2ePerSquareMetre,
    materials: KgCO2ePerSquareMetre,
    good: Ratio,
) -> KgCO2e:
    """Carbon of making one good die: A (CI_fab EPA + GPA + MPA) / Y.

    Energy and direct gases of the fab and raw materials, each per area. Source: act, equations 3
    to 5. Leaves out wafer area that no die uses.
    """
    return area * (fab_grid * fab_energy + gas + materials) / good


def stacked_carbon(capacity: Bytes, per_byte: KgCO2ePerByte, stack_yield: Ratio) -> KgCO2e:
    """Carbon of memory dies of which stacking spoils some: C CPB / Y_stack. Source: act, eq. 6."""
    return capacity * per_byte / stack_yield


def price_after(growth: Ratio, years: Count) -> Ratio:
    """Price over today's after some years at a yearly factor: g^y."""
    return growth**years


def surge(height: Ratio, since: Count, duration: Count) -> Ratio:
    """Price over trend `since` years after a shortage began that fades in a straight line.

    1 + (h - 1) (1 - t / T) for 0 <= t <= T, else 1.
    """
    left = np.clip(1.0 - since / duration, 0.0, 1.0) * as_array(np.greater_equal(since, 0.0))
    price: Ratio = 1.0 + (height - 1.0) * left
    return price
