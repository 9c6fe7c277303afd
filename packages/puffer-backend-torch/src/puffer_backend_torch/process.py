"""What the backend asks of the whole process: of OpenMP's threads, and of the C library's memory.

This module is imported before torch is, by every command that finds the plugin, and imports nothing heavy.
"""

from __future__ import annotations

import os
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_KEEP_BELOW = 1 << 28


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait for one another, unless the user has decided otherwise.

    By default they spin. Where another process wants one of the cores, a spinning thread holds it against the very
    thread that it waits for, and training with two threads falls to a thirtieth of its speed (docs/adr/0012).
    OpenMP reads the variable when it is loaded: it has no effect once torch has been imported.
    """
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@cache
def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks of up to 256 MiB for the next tensor; whether it could.

    By default glibc maps every block above a threshold anew and unmaps it when it is freed, and the kernel clears
    each page at its first touch. A loss makes and frees dozens of such tensors a step: at 4096 rows of a
    2x64 network that is half of the time (docs/adr/0011). This holds for the whole process; other C
    libraries and systems have no such switch, and nothing happens there.
    """
    import ctypes
    import platform

    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BELOW) and libc.mallopt(_M_TRIM_THRESHOLD, 2 * _KEEP_BELOW))
