"""Speculative decoding: what a verification pass settles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from infercost.arrays import Array, Count, Ratio, as_array


def expected_tokens(drafted: Count, acceptance: Ratio, decay: Ratio = 1.0) -> Count:
    """Tokens that one verification pass over k drafted ones settles in the mean, its own included.

        1 + sum over i = 1..k of prod over j = 1..i of a d^(j - 1)

    The j-th draft is accepted with probability a d^(j-1), if all before it were. With d = 1 it is
    (1 - a^(k+1)) / (1 - a): Leviathan et al. 2023, arXiv:2211.17192, equation 1. Leaves out that
    acceptance varies between texts: at one mean, long runs are more frequent then.
    """
    k = as_array(drafted, dtype=np.float64)
    total: Array = np.ones_like(k)
    run: Array = 1.0
    for i in range(1, int(np.max(k)) + 1):
        run = run * acceptance * as_array(decay) ** (i - 1)
        total = total + np.where(k >= i, run, 0.0)
    return total


def measured_tokens(drafted: Count, curve: Sequence[float]) -> Count:
    """The same from a measured curve: its i-th entry is the mean at i drafted tokens; 1 at none."""
    steps = np.asarray((1.0, *curve))
    tokens: Count = np.interp(as_array(drafted, dtype=np.float64), np.arange(steps.size), steps)
    return tokens
