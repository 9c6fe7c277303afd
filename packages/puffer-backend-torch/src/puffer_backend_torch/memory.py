"""How the C library treats memory that tensors give back."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_KEEP_BELOW = 1 << 28


@cache
def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks of up to 256 MiB for the next tensor; whether it could.

    By default glibc maps every block above a threshold anew and unmaps it when it is freed, and the kernel clears
    each page at its first touch. A loss makes and frees dozens of such tensors a step: at 4096 rows of a
    2x64 network that is half of the time (docs/adr/0011). This holds for the whole process; other C
    libraries and systems have no such switch, and nothing happens there.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BELOW) and libc.mallopt(_M_TRIM_THRESHOLD, 2 * _KEEP_BELOW))
