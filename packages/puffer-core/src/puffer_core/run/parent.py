"""A process that is asked to end when the one that started it has ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import MutableMapping

PARENT = "PUFFER_PARENT"
"""Variable with the process id of who is waited upon; whoever starts such a process sets it."""
_PR_SET_PDEATHSIG = 1


def end_with_parent(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have this process sent SIGTERM when the one that started it ends, be it killed; on Linux alone.

    Nothing happens where the variable is not set. It is removed: processes started from here end on their own.

    Example:
        >>> end_with_parent({})
    """
    parent = environ.pop(PARENT, "")
    if not parent or sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(parent):  # it ended before it could be noticed
        os.kill(os.getpid(), signal.SIGTERM)
