"""Speculative decoding: what a verification pass settles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from infercost.arrays import Array, Count, Ratio, as_array


def expected_tokens(
    drafted: Count, acceptance: Ratio, decay: Ratio = 1.0, correlation: Ratio = 0.0
) -> Count:
    """Tokens that one verification pass over k drafted ones settles in the mean, its own included.

        1 + sum over i = 1..k of prod over j = 1..i of a_j d^(j - 1)
        a_j = (a (1 - r) + (j - 1) r) / (1 - r + (j - 1) r)

    The j-th draft is accepted with probability a_j d^(j-1), if all before it were. With d = 1 and
    r = 0 it is (1 - a^(k+1)) / (1 - a): Leviathan et al. 2023, arXiv:2211.17192, equation 1. Where
    acceptance differs between texts as a beta distribution of mean a, r is the correlation of two
    drafts of one text: one that was accepted speaks for the next, and long runs are more frequent.
    """
    k = as_array(drafted, dtype=np.float64)
    total: Array = np.ones_like(k)
    run: Array = 1.0
    for i in range(1, int(np.max(k)) + 1):
        run = run * _after(i - 1, acceptance, correlation) * as_array(decay) ** (i - 1)
        total = total + np.where(k >= i, run, 0.0)
    return total


def _after(accepted: int, acceptance: Ratio, correlation: Ratio) -> Ratio:
    """Probability that a draft is accepted after so many were: the mean of a beta posterior."""
    if accepted == 0:
        return acceptance
    own = 1.0 - as_array(correlation)
    seen = accepted * as_array(correlation)
    after: Ratio = (acceptance * own + seen) / (own + seen)
    return after


def measured_tokens(drafted: Count, curve: Sequence[float]) -> Count:
    """The same from a measured curve: its i-th entry is the mean at i drafted tokens; 1 at none."""
    steps = np.asarray((1.0, *curve))
    tokens: Count = np.interp(as_array(drafted, dtype=np.float64), np.arange(steps.size), steps)
    return tokens
