"""The words through which the main process and one worker tell each other of steps."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np

COMMAND, SLOT, MAIN_SLEEPS = 0, 1, 2
"""Written by the main process: number of the step to do, the slot to write, whether to be woken when it is done."""

DONE, INFOS, FAILED, WORKER_SLEEPS, AT = 8, 9, 10, 11, 12
"""Written by the worker, in another cache line: number of the step done, bytes of infos of it, number of a step that
failed (a message says how), whether to be woken when there is another, and which environment it is at (`place_of`)."""

BY_MESSAGE = 2**63
"""In place of the number of bytes: the infos are too many for the area, and come as a message."""

_WORDS = 16
INFO_BYTES = 1 << 16
ROW_BYTES = _WORDS * 8 + INFO_BYTES


_RESETTING = 2**63
DUMP = getattr(signal, "SIGRTMAX", signal.SIGUSR1)
"""Makes a worker write its Python stack to its log; a signal that environments have no use for."""


def note_place(words: memoryview, place: int) -> None:
    """Write down that environment `place` steps, or `-1 - place` is reset."""
    words[AT] = place + 1 if place >= 0 else _RESETTING - place


def place_of(words: memoryview) -> tuple[int | None, bool]:
    """The environment that was noted last, and whether it was being reset; None where there was none.

    Example:
        >>> words = memoryview(bytearray(128)).cast("Q")
        >>> note_place(words, -1 - 3)
        >>> place_of(words)
        (3, True)
    """
    noted = words[AT]
    if noted >= _RESETTING:
        return noted - _RESETTING - 1, True
    return (noted - 1 if noted else None), False


def words_of(row: np.ndarray[Any, Any]) -> memoryview:
    """The words at the beginning of a row of control memory; reading one costs 30 nanoseconds."""
    return row[: _WORDS * 8].data.cast("B").cast("Q")


def info_area(row: np.ndarray[Any, Any]) -> memoryview:
    """The bytes behind them, where infos lie as JSON."""
    return row[_WORDS * 8 :].data.cast("B")
