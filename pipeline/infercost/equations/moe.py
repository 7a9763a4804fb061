"""Mixture of experts: how many experts a batch touches, and what it sends to them."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, Count, as_array


def expected_distinct_experts(tokens: Count, n_experts: Count, n_active: Count) -> Count:
    """Experts that at least one of `tokens` tokens visits, under uniform routing.

        E (1 - (1 - k / E)^M)

    Each token draws k different experts; tokens draw independently. Real routing is more skewed
    and touches fewer, with a busier busiest one.
    """
    missed = np.log1p(-np.minimum(n_active / as_array(n_experts), 1.0 - 1e-16))
    return -n_experts * np.expm1(tokens * missed)


def exchanged_bytes(
    tokens: Count, copies: Count, d_model: Count, bytes_per_element: Bytes
) -> Bytes:
    """Bytes of `tokens` tokens on their way to, or from, `copies` experts each.

        Q = M k D b

    A copy is sent per expert, also where two experts share a device: an upper bound, which
    node-limited routing undercuts. Source: DeepSeek, arXiv:2505.09343, section 2.3.2.
    """
    return tokens * copies * d_model * bytes_per_element


def merged_share(copies: Count, domains: Count) -> Count:
    """Messages between domains over copies, where a token is sent to each domain once.

        D (1 - (1 - 1/D)^k) / k

    k copies fall evenly on D domains; a domain that gets several gets one, and hands it on inside.
    One domain or one copy: 1 and 1/k. Routing that is limited to few domains sends less.

    Source: DeepEP, kernels for prefill (github.com/deepseek-ai/DeepEP), which send a token once to
    each node and sum what returns before it leaves the node.
    """
    missed = np.log1p(-np.minimum(1.0 / np.asarray(domains, dtype=np.float64), 1.0 - 1e-16))
    return -domains * np.expm1(copies * missed) / copies


def expert_width(active_width: Count, n_active: Count) -> Count:
    """Width of one expert, where the experts that a token visits are as wide as a dense block.

    F / k: the active size stays, the total grows with the number of experts.
    """
    return active_width / n_active
