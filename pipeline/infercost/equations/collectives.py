"""Collectives in the alpha-beta model: a latency part and a bandwidth part per algorithm.

`n` ranks, message size S per rank, α per step, W per device one way. One rank costs nothing, by
the algebra. A time is kept as its two parts, since they are different resources.
Sources: Thakur, Rabenseifner, Gropp 2005; Hockney 1994.
"""

from __future__ import annotations

import numpy as np

from infercost.arrays import Array, Bytes, BytesPerSecond, Count, Ratio, Seconds, as_array


def ring_steps(n: Count) -> Count:
    """Steps of a ring all-reduce: 2 (n - 1)."""
    return 2.0 * (n - 1.0)


def recursive_doubling_steps(n: Count) -> Count:
    """Steps of recursive halving and doubling: 2 ceil(log2 n)."""
    return 2.0 * np.ceil(np.log2(n))


def one_shot_steps(n: Count) -> Count:
    """Steps where every rank sends its whole message to all others at once: 1, or 0 for one."""
    return np.minimum(n - 1.0, 1.0)


def two_shot_steps(n: Count) -> Count:
    """Steps where every rank reduces its share, sent by all at once, then sends it to all: 2."""
    return 2.0 * np.minimum(n - 1.0, 1.0)


def reduce_scatter_volume(n: Count) -> Ratio:
    """Bytes a rank sends per byte of message in bandwidth-optimal all-reduce: 2 (n - 1) / n."""
    return 2.0 * (n - 1.0) / n


def one_shot_volume(n: Count) -> Ratio:
    """Bytes a rank sends per byte of message in one-shot all-reduce: n - 1."""
    return n - 1.0


def in_network_volume(n: Count) -> Ratio:
    """Bytes a rank sends per byte of message where switches add up: 1 + 1 / n, or 0 for one.

    Its whole tensor on the way up to be added, then its n-th part of the sum, which the switch
    sends on to all (NVLS; SHARP keeps the sum in the switch and saves the 1 / n).
    """
    return np.minimum(n - 1.0, 1.0) * (1.0 + 1.0 / n)


def shard_volume(n: Count) -> Ratio:
    """Bytes a rank sends per byte of the whole tensor in an all-gather: (n - 1) / n."""
    return (n - 1.0) / n


def multicast_volume(n: Count) -> Ratio:
    """Bytes a rank sends per byte of the whole tensor where the switch copies it: 1 / n, or 0."""
    return np.minimum(n - 1.0, 1.0) / n


def reduction_volume(n: Count) -> Ratio:
    """Bytes a rank sends per byte of the whole tensor where the switch adds it up: 1, or 0."""
    return np.minimum(n - 1.0, 1.0)


def neighbour_steps(n: Count) -> Count:
    """Steps of a ring all-gather or reduce-scatter, and of a pairwise exchange: n - 1."""
    return n - 1.0


def doubling_steps(n: Count) -> Count:
    """Steps of recursive doubling, of a tree one way, and of Bruck's exchange: ceil(log2 n)."""
    return np.ceil(np.log2(n))


ALL_REDUCE = {
    "ring": (ring_steps, reduce_scatter_volume),
    "tree": (recursive_doubling_steps, reduce_scatter_volume),
    "recursive_doubling": (recursive_doubling_steps, reduce_scatter_volume),
    "one_shot": (one_shot_steps, one_shot_volume),
    "two_shot": (two_shot_steps, reduce_scatter_volume),
    "in_network": (two_shot_steps, in_network_volume),
}
"""Steps and volume by algorithm. A tree is two trees of half the data each, in each of which half
of the ranks are leaves, so that no link idles (Sanders, Speck, Träff 2009)."""

ALL_GATHER = {
    "ring": (neighbour_steps, shard_volume),
    "tree": (doubling_steps, shard_volume),
    "recursive_doubling": (doubling_steps, shard_volume),
    "one_shot": (one_shot_steps, shard_volume),
    "two_shot": (one_shot_steps, shard_volume),
    "in_network": (one_shot_steps, multicast_volume),
}
"""Steps and volume by the algorithm whose second half it is."""

REDUCE_SCATTER = {**ALL_GATHER, "in_network": (one_shot_steps, reduction_volume)}
"""Steps and volume by the algorithm whose first half it is."""


def direct_volume(n: Count) -> Ratio:
    """Bytes sent per byte that leaves a rank where each block goes straight to its rank: 1."""
    return 1.0 if np.ndim(n) == 0 else np.ones(np.shape(n))


def bruck_volume(n: Count) -> Ratio:
    """Bytes sent per byte that leaves a rank in Bruck's exchange, which passes blocks on.

        ceil(log2 n) / 2 · n / (n - 1)

    Every step sends half of the n blocks; n - 1 of them leave. Source: Bruck et al. 1997.
    """
    return doubling_steps(n) / 2.0 * n / np.maximum(n - 1.0, 1.0)


def all_to_all_steps(n: Count) -> Count:
    """Steps of an all-to-all in which every rank sends to all others at once: 1, or 0 for one."""
    return np.minimum(n - 1.0, 1.0)


ALL_TO_ALL = {
    "direct": (all_to_all_steps, direct_volume),
    "pairwise": (neighbour_steps, direct_volume),
    "bruck": (doubling_steps, bruck_volume),
}
"""Steps and volume, over what leaves a rank, by algorithm."""


def latency_time(steps: Count, alpha: Seconds) -> Seconds:
    """Latency part of a collective: steps · α."""
    return steps * alpha


def step_alpha(
    alpha: Seconds,
    nic: Ratio,
    landing: Ratio,
    wire: Ratio,
    keep_software: Ratio,
    keep_nic: Ratio,
    keep_landing: Ratio,
    keep_wire: Ratio,
) -> Seconds:
    """What is left of α, of whose parts some share is saved.

        α (1 - Σ share (1 - kept)),   software taking what nic, landing and wire leave of α

    All kept leaves α as it is.
    """
    software = 1.0 - nic - landing - wire
    saved = software * (1.0 - keep_software) + nic * (1.0 - keep_nic)
    return alpha * (1.0 - saved - landing * (1.0 - keep_landing) - wire * (1.0 - keep_wire))


def bandwidth_time(sent: Bytes, bandwidth_out: BytesPerSecond, efficiency: Ratio) -> Seconds:
    """Bandwidth part of a collective: bytes sent per device / (e W)."""
    return sent / (efficiency * bandwidth_out)


def channel_time(
    sent: Bytes, size: Bytes, n: Count, message_per_rank: Bytes, bandwidth: BytesPerSecond
) -> Seconds:
    """Time of the bytes sent where the channels of a library bind, not the link.

        t = Q / (w max(1, S / (n m)))

    A message of S bytes gets a channel for each n m bytes of it, at least one, and each sends at
    most at w. Source: NCCL, which takes channels away until each thread has its least work
    (topoGetAlgoInfo). Leaves out that channels are whole, and that there is a largest number.
    """
    return sent / (bandwidth * np.maximum(1.0, size / (n * message_per_rank)))


def ring_all_reduce_time(
    size: Bytes, n: Count, alpha: Seconds, bandwidth_out: BytesPerSecond
) -> Seconds:
    """Time of one ring all-reduce.

        t = 2 (n - 1) α + 2 (n - 1) / n · S / W

    Leaves out contention and in-network reduction.
    """
    return latency_time(ring_steps(n), alpha) + bandwidth_time(
        reduce_scatter_volume(n) * size, bandwidth_out, 1.0
    )


def ring_all_gather_time(
    size: Bytes, n: Count, alpha: Seconds, bandwidth_out: BytesPerSecond
) -> Seconds:
    """Time of an all-gather of a tensor of `size` bytes in total on a two-way ring.

        t = n / 2 · max(α, S / (n W / 2)),  α the hop latency, W both ways of the ring together

    Small messages are bound by the hops: n / 2 α.
    Source: Austin et al., How to Scale Your Model, chapter 3.
    """
    return n / 2.0 * np.maximum(alpha, size / (n * bandwidth_out / 2.0))


def point_to_point_time(
    size: Bytes, hops: Count, alpha: Seconds, bandwidth_out: BytesPerSecond
) -> Seconds:
    """Time of a message over `hops` hops of a torus, cut through.

    t = S / W + hops · α
    """
    return size / bandwidth_out + hops * alpha


def ranks_inside(n: Count, domain: Count) -> Count:
    """Ranks of a group of `n` that share one scale-up domain."""
    return np.minimum(n, domain)


def domains_spanned(n: Count, domain: Count) -> Count:
    """Scale-up domains that a group of `n` spans."""
    return np.ceil(n / as_array(domain))


def remote_share(n: Count, inside: Count) -> Array:
    """Share of uniformly spread destinations that lie outside the `inside` ranks at hand."""
    return (n - inside) / n
