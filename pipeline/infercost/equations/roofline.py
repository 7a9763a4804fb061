"""Time of one operator on one device: the roofline."""

from __future__ import annotations

import numpy as np

from infercost.arrays import (
    Array,
    Bytes,
    BytesPerSecond,
    Count,
    Flops,
    FlopsPerSecond,
    Ratio,
    Seconds,
    as_array,
)


def compute_time(flops: Flops, peak_dense: FlopsPerSecond, efficiency: Ratio) -> Seconds:
    """Time of `flops` where arithmetic binds.

        t = F / (e P)

    Source: Williams et al. 2009 (roofline). Leaves out tile and wave quantisation.
    """
    return flops / (efficiency * peak_dense)


def transfer_time(bytes_moved: Bytes, bandwidth: BytesPerSecond, efficiency: Ratio) -> Seconds:
    """Time to move `bytes_moved` where bandwidth binds.

        t = Q / (e W)

    Source: Williams et al. 2009 (roofline). Leaves out access latency.
    """
    return bytes_moved / (efficiency * bandwidth)


def shared_read_efficiency(efficiency: Ratio, sharing: Count, rereads: Ratio) -> Ratio:
    """Efficiency of reading a KV head that `sharing` query heads use.

        e / h^g

    g = 0 reads it once for the group, g = 1 once for each query head, as kernels of 2023 did.
    """
    return efficiency / sharing**rereads


def scaled_odds(share: Ratio, factor: Ratio) -> Ratio:
    """A share between 0 and 1 whose odds are multiplied by a factor: never above 1.

    e' = k e / (1 + (k - 1) e)
    """
    return factor * share / (1.0 + (factor - 1.0) * share)


def half_rate_flops(flops: Flops, rows: Count, half_rate_tokens: Count) -> Flops:
    """FLOPs that a product of `rows` rows costs as if it were large: F (1 + M_h / M).

    At M = M_h rows a product runs at half of its large-scale rate: tiles and waves are part full.
    """
    return flops * (1.0 + half_rate_tokens / rows)


def ramped_time(ideal: Seconds, efficiency: Ratio, ramp: Seconds, half: Seconds) -> Seconds:
    """Time of a stream that reaches its rate after a while.

        t = q / e + r q / (q + h)

    `ideal` (q) is its time at peak. A short stream (q << h) runs at the efficiency
    1 / (1 / e + r / h), a long one at e, having lost `ramp` (r) in all: requests in flight, parts
    of the device or chunks of a pipeline fill up first. `half` is above zero.
    """
    return ideal / efficiency + ramp * ideal / (ideal + half)


def group_reads(sharing: Count, share: Ratio) -> Ratio:
    """Reads of a KV head whose query heads are served in groups of 1 / s: max(1, s h).

    `share` (s) = 0 serves any number of query heads (`sharing`, h) with one read.
    """
    return np.maximum(1.0, share * sharing)


def tile_padding(amount: Count, tile: Count) -> Ratio:
    """Factor on work that comes in tiles no smaller than `tile`: max(1, tile / amount).

    Less than one counts as one.
    """
    return np.maximum(1.0, tile / np.maximum(amount, 1.0))


def depth_time(depth: Count, each: Seconds) -> Seconds:
    """Time in which one block of a product walks its inner dimension: K τ, whatever its width."""
    return depth * each


def quantising_bytes(rows: Count, depth: Count, passes: Ratio) -> Bytes:
    """Traffic of quantising a product's input: 3 M K bytes a pass, 16 bits read and 8 written."""
    return 3.0 * passes * rows * depth


def roofline_time(compute: Seconds, transfer: Seconds) -> Seconds:
    """Time of an operator whose arithmetic and traffic overlap fully: the longer of the two.

        t = max(t_compute, t_transfer)

    Source: Williams et al. 2009 (roofline).
    """
    return np.maximum(compute, transfer)


def overlapped_time(work: Seconds, communication: Seconds, overlap: Ratio) -> Seconds:
    """Time of work and communication of which a share `overlap` (φ) can run side by side.

        t = (1 - φ) (work + comm) + φ max(work, comm)

    φ = 0 is the upper bound (nothing hidden), φ = 1 the lower one (the shorter is hidden).
    """
    together = np.maximum(work, communication)
    return (1.0 - overlap) * (work + communication) + overlap * together


def exposed_launches(layers: Count, launch: Seconds, busy: Seconds) -> Seconds:
    """Time of a pass that devices wait for a host which launches one layer after the other.

        max(layers · t - busy, 0)

    `launch` (t) is the host's time for a layer, `busy` what devices need for the pass. The host
    runs ahead while they work, so that only what exceeds their work shows. Leaves out that it
    starts afresh with each pass, and that layers differ. Any layers, launches and work broadcast.
    A draft is one such layer: between two of them the host sets up positions, slots of the cache
    and tables of attention by operations of its own, outside any graph.

    Source: pytorch-blog-gpt-fast, a decode step of 7 billion parameters in eager mode; of drafts
    vllm-pr-20078, whose profile shows devices idle behind launches.
    """
    return np.maximum(layers * launch - busy, 0.0)


def exposed_share(mine: Seconds, other: Seconds, overlap: Ratio) -> Ratio:
    """Share of `mine` that counts in `overlapped_time(mine, other, overlap)`.

        (1 - φ) + φ [mine >= other]

    It is the partial derivative of the total by `mine`. Where both are equal `mine` counts whole;
    the share of `other` is then 2 - φ less this one, so that the two still sum to the total.
    """
    return 1.0 - overlap + overlap * as_array(np.greater_equal(mine, other), dtype=np.float64)


def ridge(peak_dense: FlopsPerSecond, bandwidth: BytesPerSecond) -> Array:
    """Arithmetic intensity at which a device turns from bandwidth- to compute-bound, in FLOP/B.

    I* = P / W
    """
    return peak_dense / bandwidth
