"""The NumPy engine: acts and infers faster than any other at small batches, and in float64 is the reference.

Example:
    >>> import numpy as np
    >>> from puffer_core.numpy_backend import numpy_ops
    >>> numpy_ops.linear(np.ones((1, 2, 3), np.float32), np.ones((3, 4), np.float32)).shape
    (1, 2, 4)
"""

from __future__ import annotations

from puffer_core.numpy_backend.backend import NumpyBackend, NumpyConfig
from puffer_core.numpy_backend.ops import numpy_ops

__all__ = ["NumpyBackend", "NumpyConfig", "numpy_ops"]
