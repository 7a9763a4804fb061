"""Memory tiers: what latency, pages and placement make of a data sheet's bandwidth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from infercost.arrays import BoolArray, Bytes, BytesPerSecond, Count, Ratio, Seconds, as_array


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


def stripe_widths(rates: Sequence[BytesPerSecond], rooms: Sequence[Ratio]) -> list[Ratio]:
    """Share of all bytes per tier: as its rate is of all rates, but no more than its room.

        w_i = min(r_i, l W_i),   l so that the shares sum to one

    What a full tier leaves over goes to the others in proportion to theirs, so that shares sum to
    one where there is room for all.
    """
    full: list[BoolArray] = [as_array(False)] * len(rates)
    widths: list[Ratio] = [0.0] * len(rates)
    for _ in rates:
        pairs = list(zip(rates, rooms, full, strict=True))
        open_rate = sum((np.where(f, 0.0, rate) for rate, _, f in pairs), start=as_array(0.0))
        left = 1.0 - sum((np.where(f, room, 0.0) for _, room, f in pairs), start=as_array(0.0))
        level = left / np.where(open_rate > 0, open_rate, 1.0)
        widths = [np.where(f, room, level * rate) for rate, room, f in pairs]
        full = [as_array(f | (w > room)) for w, (_, room, f) in zip(widths, pairs, strict=True)]
    return [np.minimum(width, room) for width, room in zip(widths, rooms, strict=True)]
