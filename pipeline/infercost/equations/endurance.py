"""How long a memory lasts under writes."""

from __future__ import annotations

from infercost.arrays import Bytes, BytesPerSecond, Count, Ratio, Seconds


def lifetime_writes(capacity: Bytes, cycles: Count, write_amplification: Ratio) -> Bytes:
    """Bytes that can be written before the cells wear out: N C / A, wear spread evenly.

    Source: 512 GB at 1e5 cycles is 51 PB. Leaves out read disturb and retention refresh.
    """
    return cycles * capacity / write_amplification


def life(writes: Bytes, rate: BytesPerSecond) -> Seconds:
    """Time until `writes` bytes are written at a mean `rate`; none written last for ever."""
    return writes / rate


def least_seconds(written: Bytes, writes: Bytes, busy: Seconds) -> Seconds:
    """Time that `written` bytes must take for `writes` to last all `busy` time: q T / Q.

    The mean rate Q / T is what makers of disks state as drive writes a day. Leaves out that bursts
    above the mean are no harm.
    """
    return written * (busy / writes)
