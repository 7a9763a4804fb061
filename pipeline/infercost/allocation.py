"""Memory between the arrays of an evaluation stays with the process.

By default the C library gives every array above a hundred kilobytes back to the system as soon as
it is free, and the next one costs a page fault for every page of it: more than half of the time of
an evaluation.
"""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3)."""
KEPT = 2**28
"""Most bytes of free memory that are kept."""
LARGEST = 2**25
"""Arrays up to this size take kept memory: the most that the library allows."""


@cache
def keep_memory() -> bool:
    """Keep freed memory for the next arrays, once for the process; whether the library could."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return False
    settings = {_MMAP_THRESHOLD: LARGEST, _TRIM_THRESHOLD: KEPT, _TOP_PAD: KEPT // 4}
    return bool(min(mallopt(name, value) for name, value in settings.items()) == 1)
