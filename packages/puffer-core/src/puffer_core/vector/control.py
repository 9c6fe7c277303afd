"""The words through which the main process and one worker tell each other of steps."""

from __future__ import annotations

from typing import Any

import numpy as np

COMMAND, SLOT, MAIN_SLEEPS = 0, 1, 2
"""Written by the main process: number of the step to do, the slot to write, whether to be woken when it is done."""

DONE, INFOS, FAILED, WORKER_SLEEPS = 8, 9, 10, 11
"""Written by the worker, in another cache line: number of the step done, bytes of infos of it, whether it failed
(a message says how), whether to be woken when there is another."""

BY_MESSAGE = 2**63
"""In place of the number of bytes: the infos are too many for the area, and come as a message."""

_WORDS = 16
INFO_BYTES = 1 << 16
ROW_BYTES = _WORDS * 8 + INFO_BYTES


def words_of(row: np.ndarray[Any, Any]) -> memoryview:
    """The words at the beginning of a row of control memory; reading one costs 30 nanoseconds."""
    return row[: _WORDS * 8].data.cast("B").cast("Q")


def info_area(row: np.ndarray[Any, Any]) -> memoryview:
    """The bytes behind them, where infos lie as JSON."""
    return row[_WORDS * 8 :].data.cast("B")
