"""State space models and linear attention: weights, states, and FLOPs of their scan.

A layer keeps a state of fixed size per sequence. Decode updates it once per token. A prefill cuts
the prompt into chunks of C tokens and works inside a chunk with matrix products, as attention
does, and between chunks through the state. Products inside a chunk are counted in full, as kernels
compute them, and not only below the diagonal. FLOPs are per token and layer.
"""

from __future__ import annotations

from infercost.arrays import Count, Flops
from infercost.equations.transformer import FLOPS_PER_MAC


def convolution_state(channels: Count, width: Count) -> Count:
    """Elements of the past that a causal convolution keeps: c (w - 1)."""
    return channels * (width - 1.0)


def matrix_state(n_heads: Count, d_key: Count, d_value: Count) -> Count:
    """Elements of the state of all heads, one matrix of keys by values each: H k v."""
    return n_heads * d_key * d_value


# --- Mamba


def mamba1_elements(
    d_model: Count, d_inner: Count, d_state: Count, dt_rank: Count, d_conv: Count
) -> Count:
    """Entries of a Mamba-1 layer but for its output projection.

        2 D E + E w + E (r + 2 N) + r E + E N

    Input and gate, convolution, maps to step, B and C, the step's own projection, and A.
    Source: Gu and Dao 2023, arXiv:2312.00752, section 3.4. Leaves out biases and the skip D.
    """
    maps = d_inner * (dt_rank + 2.0 * d_state) + dt_rank * d_inner + d_inner * d_state
    return 2.0 * d_model * d_inner + d_inner * d_conv + maps


def mamba1_scan_flops(d_inner: Count, d_state: Count) -> Flops:
    """FLOPs of the selective scan, decode and prefill alike: 7 E N per token.

    Per entry of the state: step times A and its exponential (2), step times B times x (1),
    decay and addition (2), product with C and sum (2). Source: arXiv:2312.00752, algorithm 2.
    These are element by element: a matrix unit does not help, so that the roofline is a floor.
    """
    return 7.0 * d_inner * d_state


def mamba2_elements(
    d_model: Count, n_heads: Count, d_head: Count, d_state: Count, n_groups: Count, d_conv: Count
) -> Count:
    """Entries of a Mamba-2 layer but for its output projection.

        D (2 H P + 2 G N + H) + w (H P + 2 G N)

    Source: Dao and Gu 2024, arXiv:2405.21060, section 7; state-spaces/mamba, mamba2.py.
    Leaves out A, D, biases and the norm before the output (H and H P entries).
    """
    inner, maps = n_heads * d_head, 2.0 * n_groups * d_state
    return d_model * (2.0 * inner + maps + n_heads) + d_conv * (inner + maps)


def mamba2_scan_flops(
    n_heads: Count, d_head: Count, d_state: Count, n_groups: Count, chunk: Count
) -> Flops:
    """FLOPs of the chunked scan of Mamba-2 (SSD).

        2 C (G N + H P)  +  4 H P N

    Scores C Bᵀ per group and their product with x inside a chunk; the chunk's state and what
    earlier states contribute. Source: arXiv:2405.21060, section 6.
    """
    inside = chunk * (n_groups * d_state + n_heads * d_head)
    return FLOPS_PER_MAC * (inside + 2.0 * n_heads * d_head * d_state)


def mamba2_update_flops(n_heads: Count, d_head: Count, d_state: Count) -> Flops:
    """FLOPs of one step of the recurrence of Mamba-2: 5 H P N.

    Per entry of the state: decay, step times x times B, addition (3), product with C and sum (2).
    """
    return 5.0 * n_heads * d_head * d_state


# --- Linear attention


def gated_delta_elements(
    d_model: Count,
    n_k_heads: Count,
    n_v_heads: Count,
    d_key: Count,
    d_value: Count,
    d_conv: Count,
) -> Count:
    """Entries of a Gated DeltaNet layer but for its output projection.

        D (2 K k + 2 V v + 2 V) + w (2 K k + V v)

    Queries, keys, values, output gate, decay and rate; convolution of the first three.
    Source: Yang et al. 2024, arXiv:2412.06464; Qwen3-Next configuration.
    """
    mixed = 2.0 * n_k_heads * d_key + n_v_heads * d_value
    return d_model * (mixed + n_v_heads * d_value + 2.0 * n_v_heads) + d_conv * mixed


def kimi_delta_elements(
    d_model: Count, n_heads: Count, d_head: Count, gate_rank: Count, d_conv: Count
) -> Count:
    """Entries of a Kimi Delta Attention layer but for its output's gate and projection.

        D (3 H d + H) + r (D + H d) + 3 w H d

    Queries, keys, values and rate; decay through r; convolution.
    Source: Kimi Linear, arXiv:2510.26692, section 4.
    """
    inner = n_heads * d_head
    decay = low_rank_elements(d_model, gate_rank, inner)
    return d_model * (3.0 * inner + n_heads) + decay + 3.0 * d_conv * inner


def low_rank_elements(d_in: Count, rank: Count, d_out: Count) -> Count:
    """Entries of a projection through a narrow width: r (D + d)."""
    return rank * (d_in + d_out)


def delta_scan_flops(n_heads: Count, d_key: Count, d_value: Count, chunk: Count) -> Flops:
    """FLOPs of the chunked delta rule.

        H [2 C (3 k + 2 v) + 6 k v + 2 C² / 3]

    Inside a chunk K Kᵀ, Q Kᵀ, W = T K, U = T V and the output; between chunks W S, Q S and the new
    state; T is the inverse of a triangular C × C matrix. Source: Yang et al. 2024,
    arXiv:2406.06484, section 3.2; the same with gates, arXiv:2412.06464.
    """
    inside = FLOPS_PER_MAC * chunk * (3.0 * d_key + 2.0 * d_value)
    between = 3.0 * FLOPS_PER_MAC * d_key * d_value
    return n_heads * (inside + between + FLOPS_PER_MAC * chunk * chunk / 3.0)


def delta_update_flops(n_heads: Count, d_key: Count, d_value: Count) -> Flops:
    """FLOPs of one step of the gated delta rule: 7 H k v.

    Per entry of the state: decay (1), what the key recalls (2), the correction's outer product (2),
    the query's answer (2). Source: arXiv:2412.06464, equation 10.
    """
    return 7.0 * n_heads * d_key * d_value


def lightning_elements(d_model: Count, n_heads: Count, d_head: Count) -> Count:
    """Entries of a lightning attention layer but for its output projection: 4 D H d.

    Queries, keys, values, and the output gate. Source: MiniMax-01, arXiv:2501.08313, section 2.2.
    """
    return 4.0 * d_model * n_heads * d_head


def linear_scan_flops(n_heads: Count, d_key: Count, d_value: Count, chunk: Count) -> Flops:
    """FLOPs of chunked linear attention.

        H [2 C (k + v) + 4 k v]

    Scores and weighted sums inside a chunk; what the state answers, and its growth.
    Source: Qin et al. 2024, Lightning Attention-2, arXiv:2401.04658, algorithm 1.
    """
    inside = FLOPS_PER_MAC * chunk * (d_key + d_value)
    return n_heads * (inside + 2.0 * FLOPS_PER_MAC * d_key * d_value)


def linear_update_flops(n_heads: Count, d_key: Count, d_value: Count) -> Flops:
    """FLOPs of one step of linear attention with decay: 5 H k v.

    Per entry of the state: decay (1), the outer product (2), the query's answer (2).
    """
    return 5.0 * n_heads * d_key * d_value


def rwkv7_elements(
    d_model: Count,
    n_heads: Count,
    d_head: Count,
    decay_rank: Count,
    rate_rank: Count,
    value_rank: Count,
    gate_rank: Count,
) -> Count:
    """Entries of RWKV-7's time mixing but for its output projection.

        3 D H d + (D + H d) (r_w + r_a + r_v + r_g)

    Receptance, keys and values; decay, in-context rate, value residual and gate at low rank.
    Source: Peng et al. 2025, RWKV-7 Goose, arXiv:2503.14456, section 4; BlinkDL/RWKV-LM README.
    Leaves out the token shift's mixing vectors.
    """
    inner = n_heads * d_head
    ranks = decay_rank + rate_rank + value_rank + gate_rank
    return 3.0 * d_model * inner + (d_model + inner) * ranks


def rwkv7_scan_flops(n_heads: Count, d_head: Count, chunk: Count) -> Flops:
    """FLOPs of RWKV-7's chunked scan.

        H [2 C · 8 d + 8 d² + 2 C² / 3]

    Removal and insertion have keys of their own: four score matrices, W and U through the
    triangular inverse, two sums of values; between chunks two reads of the state and two updates.
    Source: the delta rule's chunk form (arXiv:2406.06484) with a = -k, b = k * rate and k apart.
    """
    inside = FLOPS_PER_MAC * chunk * 8.0 * d_head
    between = 4.0 * FLOPS_PER_MAC * d_head * d_head
    return n_heads * (inside + between + FLOPS_PER_MAC * chunk * chunk / 3.0)


def rwkv7_update_flops(n_heads: Count, d_head: Count) -> Flops:
    """FLOPs of one step of RWKV-7's recurrence: 9 H d².

    Per entry of the state: decay (1), what the removal key recalls (2), its removal (2), the
    insertion (2), the answer (2). Source: arXiv:2503.14456, equation 17.
    """
    return 9.0 * n_heads * d_head * d_head
