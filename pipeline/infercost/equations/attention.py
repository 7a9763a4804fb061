"""Attention: projections, the core, and the cache it reads."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, Count, Flops, as_array
from infercost.equations.transformer import FLOPS_PER_MAC


def heads_per_device(n_heads: Count, tp: Count) -> Count:
    """Heads that the busiest of `tp` devices holds: whole heads, and one at least.

        max(1, ceil(n / tp))

    KV heads fewer than devices are replicated, and their cache with them.
    """
    return np.maximum(np.ceil(n_heads / as_array(tp)), 1.0)


def kv_elements_per_token(n_kv_heads: Count, d_head: Count) -> Count:
    """Cached elements per token and layer: K and V of every KV head.

    2 K H
    """
    return 2.0 * n_kv_heads * d_head


def latent_kv_elements_per_token(kv_rank: Count, d_rope: Count) -> Count:
    """Cached elements per token and layer under MLA: one latent vector and one rotary key.

    Source: DeepSeek-V2, arXiv:2405.04434, section 2.1.
    """
    return kv_rank + d_rope


def attended_pairs(tokens: Count, window: Count) -> Count:
    """Query-key pairs of causal attention over `tokens` tokens from an empty cache.

    sum_{i=1..S} min(i, w) = m (m + 1) / 2 + w (S - m),  m = min(S, w)
    """
    seen = np.minimum(tokens, window)
    return 0.5 * seen * (seen + 1.0) + np.minimum(window, tokens) * (tokens - seen)


def grouped_query_elements(
    d_model: Count, n_q_heads: Count, n_kv_heads: Count, d_head: Count
) -> Count:
    """Entries of the query, key and value projections: D H (N + 2 K)."""
    return d_model * d_head * (n_q_heads + 2.0 * n_kv_heads)


def output_elements(d_model: Count, n_q_heads: Count, d_value: Count) -> Count:
    """Entries of the output projection: N H_v D."""
    return n_q_heads * d_value * d_model


def core_flops(pairs: Count, n_q_heads: Count, d_key: Count, d_value: Count) -> Flops:
    """FLOPs of scores and weighted sums over `pairs` query-key pairs.

        F = 2 N (H_k + H_v) pairs

    Leaves out the softmax.
    """
    return FLOPS_PER_MAC * pairs * n_q_heads * (d_key + d_value)


def score_traffic(scores: Count, bytes_per_score: Bytes) -> Bytes:
    """Traffic of scores that a prefill writes out and reads back: pairs · heads · bytes.

    Fused kernels move none. Source: Dao et al. 2022 (FlashAttention), section 3.1.
    """
    return scores * bytes_per_score


def latent_query_elements(
    d_model: Count, n_q_heads: Count, q_rank: Count, d_nope: Count, d_rope: Count
) -> Count:
    """Entries of MLA's second query projection: from the compressed query, or from D directly.

    Source: DeepSeek-V2, arXiv:2405.04434, equations 6 to 8; V2-Lite has no compressed query.
    """
    width = np.where(as_array(q_rank) > 0, q_rank, d_model)
    return width * n_q_heads * (d_nope + d_rope)


def latent_down_elements(d_model: Count, q_rank: Count, kv_rank: Count, d_rope: Count) -> Count:
    """Entries of MLA's projections down to the compressed query, latent vector and rotary key."""
    return d_model * (q_rank + kv_rank + d_rope)


def latent_up_elements(n_q_heads: Count, kv_rank: Count, d_nope: Count, d_value: Count) -> Count:
    """Entries of MLA's projections from the latent vector up to keys and values."""
    return kv_rank * n_q_heads * (d_nope + d_value)


def indexer_elements(d_model: Count, d_query: Count, n_heads: Count, d_index: Count) -> Count:
    """Entries of an indexer: queries, one key for all heads, and a weight per head.

        D_q H_i d_i + D d_i + D H_i

    Source: DeepSeek-V3.2-Exp, inference/model.py; technical report, section 2.
    """
    return d_query * n_heads * d_index + d_model * (d_index + n_heads)


def index_flops(pairs: Count, n_heads: Count, d_index: Count) -> Flops:
    """FLOPs of the index scores of `pairs` query-key pairs.

        F = 2 H_i (d_i + 1) pairs

    A dot product per head, and their weighted sum. Source: DeepSeek-V3.2-Exp report, equation 1.
    """
    return FLOPS_PER_MAC * pairs * n_heads * (d_index + 1.0)


def grouped_output_elements(
    n_heads: Count, d_head: Count, groups: Count, rank: Count, d_model: Count
) -> Count:
    """Entries of an output projection in two steps: each group of heads to a rank, then together.

        N H r + g r D

    Each of g groups maps N H / g to r. Source: DeepSeek-V4 configuration (o_groups, o_lora_rank).
    """
    return n_heads * d_head * rank + groups * rank * d_model


def compressor_elements(d_model: Count, d_entry: Count, overlap: Count) -> Count:
    """Entries of the projections that compress groups of tokens: values and weights of each.

        2 o D d

    Each token counts in `overlap` groups. Source: DeepSeek-V4 configuration.
    """
    return 2.0 * overlap * d_model * d_entry


def own_window(seen: Count, full: Count, window: Count) -> Count:
    """Tokens of the queries' own windows, where windows of w tokens stand side by side.

        sum over queries of  i where i < w, else (w + 1) / 2   =   seen - (w - 1) / 2 · full

    `seen` are the tokens under a window that slides, `full` the queries of at least w tokens; at
    an unknown place in its window such a query sees 1 to w of them, (w + 1) / 2 in the mean. Any
    shapes that broadcast.

    Source: evabyte-repo, eva.py: a token attends to its window, and to chunks of those before.
    """
    return seen - 0.5 * (window - 1.0) * full
