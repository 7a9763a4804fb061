"""Stragglers and spares: closed forms against sums by hand and drawn samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercost.equations import availability as eq


@pytest.mark.parametrize(("n", "expected"), [(1, 1.0), (2, 1.5), (4, 25 / 12), (8, 761 / 280)])
def test_the_slowest_of_n_takes_a_harmonic_number(n: float, expected: float) -> None:
    """1 + 1/2 + ... + 1/n; of 8, 761 / 280 = 2.718."""
    assert eq.expected_slowest(n, math.inf) == pytest.approx(expected)


def test_drawn_delays_agree() -> None:
    """200,000 draws of the slowest of 16 ranks, waited for no longer than 2 mean delays."""
    slowest = np.random.default_rng(1).exponential(size=(200_000, 16)).max(axis=1)
    assert eq.expected_slowest(16.0, math.inf) == pytest.approx(slowest.mean(), rel=0.01)
    assert eq.expected_slowest(16.0, 2.0) == pytest.approx(np.minimum(slowest, 2).mean(), rel=0.01)


@given(st.integers(1, 500), st.floats(0, 50))
def test_a_time_out_caps_the_wait(n: int, timeout: float) -> None:
    waited = eq.expected_slowest(float(n), timeout)
    assert waited <= min(timeout, float(eq.expected_slowest(float(n), math.inf))) * (1 + 1e-9)


def test_late_messages_by_hand() -> None:
    """One in e² comes later than twice the mean delay: 13.5 %."""
    assert eq.stale_share(2.0) == pytest.approx(0.1353, rel=1e-3)


def test_straggling_by_hand() -> None:
    """Mean delay a tenth of the latency, 8 ranks: 1 + 0.1 · 761 / 280. One rank waits for none."""
    factor = eq.straggling_factor(np.array([1.0, 8.0]), 0.1, math.inf)
    assert factor == pytest.approx([1.0, 1.2718], rel=1e-4)
    assert eq.straggling_factor(64.0, 0.0, math.inf) == 1
    assert eq.straggling_factor(2.0, 0.1, math.inf) == pytest.approx(1.15)


def by_states(n: int, spares: int, down: float) -> float:
    """Sum of the probabilities of all states in which n of n + s devices work."""
    total = n + spares
    return sum(
        down ** states.count(0) * (1 - down) ** states.count(1)
        for states in itertools.product((0, 1), repeat=total)
        if sum(states) >= n
    )


@pytest.mark.parametrize(("n", "spares"), [(1, 0), (4, 0), (4, 1), (6, 2), (8, 3)])
@pytest.mark.parametrize("down", [0.01, 0.3])
def test_availability_by_counting_states(n: int, spares: int, down: float) -> None:
    found = eq.standby_availability(float(n), float(spares), down)
    assert found == pytest.approx(by_states(n, spares, down))


def test_availability_along_axes() -> None:
    """Two systems by three numbers of spares, each as if alone."""
    n, spares = np.array([[4.0], [8.0]]), np.array([0.0, 1.0, 3.0])
    found = eq.standby_availability(n, spares, 0.05)
    alone = [[by_states(int(a), int(b), 0.05) for b in spares] for a in n[:, 0]]
    assert found == pytest.approx(np.array(alone))


def test_a_rack_by_hand() -> None:
    """A device out for a day in 1000: q = 1 / 1001. 72 of them all work 0.999^72 of the time.

    With a spare: (1 - q)^73 + 73 q (1 - q)^72.
    """
    down = eq.downtime_share(1000.0, 1.0)
    assert down == 1 / 1001
    none, one = (eq.standby_availability(72.0, s, down) for s in (0.0, 1.0))
    assert none == pytest.approx((1000 / 1001) ** 72)
    assert one == pytest.approx((1000 / 1001) ** 73 + 73 / 1001 * (1000 / 1001) ** 72)
    assert (none, one) == pytest.approx((0.931, 0.997), abs=1e-3)


def test_failovers_by_hand() -> None:
    """64 devices of 50,000 h fail every 781 h; an hour each costs 1 / 782."""
    assert eq.failover_availability(64.0, 50_000.0, 1.0) == pytest.approx(781.25 / 782.25)
    # In a quarter of the time: 64 · 0.25 hours in each 50,000.
    assert eq.failover_availability(64.0, 50_000.0, 0.25) == pytest.approx(50_000 / 50_016)


def test_provision_by_hand() -> None:
    """Nine devices paid for eight that work 90 % of the time: 9 / 7.2."""
    assert eq.provision_factor(8.0, 1.0, 0.9) == pytest.approx(1.25)
    assert eq.provision_factor(8.0, 0.0, 1.0) == 1


@given(st.integers(1, 200), st.integers(0, 5), st.floats(0.0, 0.5))
def test_a_spare_never_makes_a_system_less_available(n: int, spares: int, down: float) -> None:
    less, more = (eq.standby_availability(float(n), s, down) for s in (spares, spares + 1.0))
    assert less <= more * (1 + 1e-9)
    assert more <= 1 + 1e-9
