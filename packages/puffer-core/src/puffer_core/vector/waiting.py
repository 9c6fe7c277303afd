"""Waiting for another process through shared memory: spin, then yield, then leave it to the caller to block.

An answer that comes within 100 microseconds, as those of fast environments do, is seen at once: blocking and being
woken costs 50 to 100 microseconds, spinning one. But a spinning process on a core that another one needs slows both:
so it yields after that, and one that still has nothing after a millisecond sleeps until it is woken.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter

SPIN_SECONDS = 100e-6
YIELD_SECONDS = 1e-3

sched_yield = getattr(os, "sched_yield", lambda: None)


class Fence:
    """A full memory barrier, 0.1 microseconds: what was written before it is seen before what is written after it.

    Python has none, but releasing and taking a lock orders memory on every processor. On x86 it matters between a
    write and a read alone (who sets `sleeping` and then looks for news must not look first), elsewhere always.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def __call__(self) -> None:
        self._lock.release()
        self._lock.acquire()


def reaches(words: memoryview, index: int, value: int, spin: float = SPIN_SECONDS) -> bool:
    """Wait about a millisecond until a word is `value`; whether it is.

    Args:
        words: of shared memory, cast to integers.
        index: of the word.
        value: to wait for.
        spin: seconds to look without pause; 0 where there are more processes than cores.

    Example:
        >>> words = memoryview(bytearray(8)).cast("Q")
        >>> reaches(words, 0, 0), reaches(words, 0, 1)
        (True, False)
    """
    if words[index] == value:
        return True
    start = perf_counter()
    end = start + spin
    while perf_counter() < end:
        if words[index] == value or words[index] == value or words[index] == value or words[index] == value:
            return True
    end = start + YIELD_SECONDS
    while perf_counter() < end:
        sched_yield()
        if words[index] == value:
            return True
    return False
