"""How much of the machine is ours."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that this process may run on, >= 1: fewer than the machine has under `taskset` or in a container.

    Example:
        >>> usable_cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
