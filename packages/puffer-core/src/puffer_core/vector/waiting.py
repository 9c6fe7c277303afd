"""Waiting for another process: through shared memory, spinning for as long as it pays, then for its news over a socket.

An answer that comes within 100 microseconds, as those of fast environments do, is seen at once: blocking and being
woken costs 50 to 100 microseconds, spinning one. Then it is time to block, and not to yield: where others want the
cores, Linux (since 6.6) lets a process that yields wait for a whole slice, milliseconds, and one that was woken go
first. Measured with a busy loop on each of two cores, an env that costs 100 microseconds keeps 48 % of its rate when it
blocks after spinning, 21 to 45 % when it yields in between.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

from puffer_core.vector.channel import Channel, readable

SPIN_SECONDS = 100e-6
CROWDED_SPIN_SECONDS = 30e-6
"""Where there are more processes than cores: who is waited for may need this one."""
SLICE_SECONDS = 0.05
"""To wait for news at a time: for so long at most is a lost wake-up missed."""


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
    """Wait a moment until a word is `value`; whether it is.

    Args:
        words: of shared memory, cast to integers.
        index: of the word.
        value: to wait for.
        spin: seconds to wait at most.

    Example:
        >>> words = memoryview(bytearray(8)).cast("Q")
        >>> reaches(words, 0, 0), reaches(words, 0, 1)
        (True, False)
    """
    if words[index] == value:
        return True
    end = perf_counter() + spin
    while perf_counter() < end:
        if words[index] == value or words[index] == value or words[index] == value or words[index] == value:
            return True
    return False


@dataclass
class Patience:
    """What is left of the time that workers may take. Counts only while this process really waits: if it was
    stopped itself, no worker is to blame.
    """

    seconds: float
    waited: float = 0.0

    def wait(self, channels: Sequence[Channel]) -> None:
        """Wait for news, at most a slice."""
        begin = monotonic()
        readable(channels, min(SLICE_SECONDS, self.seconds - self.waited))
        self.waited += min(monotonic() - begin, 2 * SLICE_SECONDS)

    @property
    def over(self) -> bool:
        """Whether there is none left."""
        return self.waited >= self.seconds
