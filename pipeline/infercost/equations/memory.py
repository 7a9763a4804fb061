"""Memory room: what must fit, and what buffers must hold."""

from __future__ import annotations

import numpy as np

from infercost.arrays import Bytes, BytesPerSecond, Count, Ratio, Seconds


def admitted_context(
    sequences: Count, mean: Count, deviation: Count, largest: Count, sigmas: Ratio
) -> Count:
    """Tokens of context for which a server with `sequences` requests in flight keeps room.

        min(B c_max, max(c_max, B μ + z σ √B))

    The total of B independent contexts stays within mean plus z deviations (central limit), the
    largest single request always fits, and B of the largest are never exceeded.
    """
    typical = sequences * mean + sigmas * deviation * np.sqrt(sequences)
    return np.minimum(sequences * largest, np.maximum(largest, typical))


def latency_hiding_buffer(bandwidth: BytesPerSecond, latency: Seconds) -> Bytes:
    """Buffer that keeps a tier of `latency` busy at `bandwidth`: 2 W t, double buffered.

    Source: H3, IEEE CAL 2026, DOI 10.1109/LCA.2026.3660969.
    """
    return 2.0 * bandwidth * latency


def devices_for_capacity(footprint: Bytes, room: Bytes) -> Count:
    """Devices whose memory holds `footprint`, as a real number: footprint / room."""
    return footprint / room


def smallest_system(devices: Count) -> Count:
    """Devices of the smallest system that gives at least as many: the next power of two.

        2 ^ ceil(log2 n)

    Fabrics and tensor parallelism come in powers of two, so that capacity decides over hops too.
    """
    return 2.0 ** np.ceil(np.log2(np.maximum(devices, 1.0)) - 1e-12)
