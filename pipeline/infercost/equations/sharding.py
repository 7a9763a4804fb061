"""What partitions of one layer over a torus send, in the partitions of Pope et al. 2022.

T tokens (batch times length), width E, feed-forward width F = 4 E, n chips; bytes that a chip
sends for one layer whose attention and feed-forward blocks run in parallel, after the terms that
grow with n have been balanced. Source: Pope et al. 2022, section 3.2 and appendix A. They leave
out the attention's own exchange and every latency.
"""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, Count


def weight_stationary_1d_bytes(rows: Bytes) -> Bytes:
    """Weights stay, cut along F: an all-gather and a reduce-scatter of `rows`, T E elements.

    2 T E, whatever n
    """
    return 2.0 * rows


def weight_stationary_2d_bytes(rows: Bytes, n: Count) -> Bytes:
    """Weights stay, cut along E into √n / 2 parts and along F into 2 √n.

    8 T E / √n
    """
    return 8.0 * rows / np.sqrt(n)


def weight_gathered_bytes(rows: Bytes, weights: Bytes, n: Count) -> Bytes:
    """Weights of a layer are gathered over as many chips as balances them with activations.

        4 √(T E · E F / n)

    `rows` are T E elements, `weights` E F of one matrix; both move once for each of two matrices.
    """
    return 4.0 * np.sqrt(rows * weights / n)
