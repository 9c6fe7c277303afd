"""Zeroed memory on the heap that every engine can take over as it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes. JAX on the CPU takes over memory that begins on a multiple of this, and copies what does not."""


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any] | type) -> np.ndarray[Any, Any]:
    """Like `np.zeros`, beginning on a multiple of 64 bytes.

    `np.zeros` promises 16, and large arrays never begin on 64: they lie behind the C library's own header.

    Example:
        >>> aligned_zeros((3, 5), np.dtype(np.float32)).ctypes.data % 64
        0
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    room = np.zeros(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)
