"""Memory tiers: what latency, pages and placement make of a data sheet's bandwidth."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, BytesPerSecond, Count, Ratio, Seconds, as_array


def reachable_bandwidth(
    bandwidth: BytesPerSecond, latency: Seconds, buffer: Bytes
) -> BytesPerSecond:
    """Read rate of a tier of `latency` whose data land in a buffer.

        W' = W / max(1, 2 W t / b)

    Little's law keeps W t bytes in flight. While one half of the buffer is filled the other is
    consumed, so that 2 W t sustain W, and a smaller buffer b sustains b / (2 t).

    Source: H3 (IEEE CAL 2026, DOI 10.1109/LCA.2026.3660969), 40 MB for 1 TB/s and 20 us. Leaves
    out queueing at the tier; requests are taken as known ahead.
    """
    return bandwidth / np.maximum(1.0, 2.0 * bandwidth * latency / buffer)


def page_amplification(run: Bytes, page: Bytes) -> Ratio:
    """Bytes read per useful byte where `run` useful bytes lie together: ceil(u / P) P / u.

    Runs are taken as aligned to pages. Source: the arithmetic of page-based reads, Ma and
    Patterson 2026, section on High Bandwidth Flash.
    """
    return np.ceil(run / page) * (page / run)


def overlap(start: Bytes, size: Bytes, low: Bytes, high: Bytes) -> Bytes:
    """Bytes of a tensor class, laid on a line from `start`, that fall between `low` and `high`.

        max(0, min(s + Q, h) - max(s, l))

    Classes lie on the line by falling traffic per byte and tiers by falling speed, so that this
    is the greedy fill: the hottest bytes get the fastest tier. Summed over tiers that cover the
    line it is `size`.
    """
    within: Bytes = np.minimum(start + size, high) - np.maximum(start, low)
    return np.maximum(within, 0.0 * size)


def is_hotter(traffic: Bytes, size: Bytes, other_traffic: Bytes, other_size: Bytes) -> Ratio:
    """1 where a class moves more bytes per byte kept than another, else 0: Q/C > Q'/C'."""
    return as_array(traffic * other_size > other_traffic * size, dtype=np.float64)


def missed_prefetch_latency(latency: Seconds, accuracy: Ratio, items: Count) -> Seconds:
    """Latency that a step shows where it must fetch `items` whose names it learns only then.

        t (1 - a^n)

    Each is predicted, and on its way in time, with probability a; all misses are fetched at once,
    so that one latency is paid unless none is missed. Leaves out that hits transfer meanwhile.
    """
    return latency * (1.0 - accuracy**items)


def prefetch_traffic(accuracy: Ratio) -> Ratio:
    """Bytes read per useful byte under prefetch: 2 - a, the wrong guesses on top; 1 without any.

    As many items are guessed as are needed, and each wrong guess is read in vain.
    """
    return np.where(as_array(accuracy) > 0, 2.0 - accuracy, 1.0)


def write_excess_time(
    written: Bytes, write_bandwidth: BytesPerSecond, read_bandwidth: BytesPerSecond
) -> Seconds:
    """Time that written bytes take on top of what reading as many would: Q (1 / W_w - 1 / W_r)."""
    return written / write_bandwidth - written / read_bandwidth
