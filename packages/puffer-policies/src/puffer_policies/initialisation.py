"""First weights, drawn by NumPy so that every engine starts from the same."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32


def orthogonal(
    rng: np.random.Generator, inputs: int, outputs: int, gain: float
) -> Float32[np.ndarray, "inputs outputs"]:
    """A random matrix with orthonormal rows or columns, times `gain` (Saxe et al. 2014).

    Args:
        rng: the stream to draw from.
        inputs: rows of the matrix, >= 1.
        outputs: columns, >= 1.
        gain: scale; sqrt(2) keeps the variance through relu, 0.01 makes a first policy nearly uniform.

    Example:
        >>> w = orthogonal(np.random.default_rng(0), 4, 2, gain=1.0)
        >>> np.allclose(w.T @ w, np.eye(2), atol=1e-6)
        True
    """
    tall = max(inputs, outputs), min(inputs, outputs)
    q, r = np.linalg.qr(rng.standard_normal(tall))
    q = q * np.sign(np.diagonal(r))  # makes the draw uniform over orthogonal matrices (Mezzadri 2007)
    matrix = q if inputs >= outputs else q.T
    return np.ascontiguousarray(gain * matrix, dtype=np.float32)
