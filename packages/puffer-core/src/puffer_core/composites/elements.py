"""Making arrays, activations and softmax over the ops of the array API standard."""

from __future__ import annotations

import math
from typing import Any

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Axis, Dtype, Ops


def zeros(ops: Ops, shape: tuple[int, ...], *, dtype: Dtype = None) -> Array:
    """Of float32 unless told."""
    return ops.full(shape, 0, dtype=ops.float32 if dtype is None else dtype)


def ones(ops: Ops, shape: tuple[int, ...], *, dtype: Dtype = None) -> Array:
    """Of float32 unless told."""
    return ops.full(shape, 1, dtype=ops.float32 if dtype is None else dtype)


def zeros_like(ops: Ops, x: Array, /) -> Array:
    """Of the same shape and dtype."""
    return ops.full(x.shape, 0, dtype=x.dtype)


def ones_like(ops: Ops, x: Array, /) -> Array:
    """Of the same shape and dtype."""
    return ops.full(x.shape, 1, dtype=x.dtype)


def square(_: Ops, x: Array, /) -> Array:
    """`x * x`."""
    return x * x


def clip(ops: Ops, x: Array, low: Any, high: Any, /) -> Array:
    """By comparisons, which take scalars and arrays alike."""
    bounded = ops.where(x < low, low, x)
    return ops.where(bounded > high, high, bounded)


def mean(ops: Ops, x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over the number of entries."""
    axes = range(len(x.shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return ops.sum(x, axis=axis, keepdims=keepdims) / math.prod(x.shape[a] for a in axes)


def relu(ops: Ops, x: Array, /) -> Array:
    """`max(x, 0)`, with the gradient 0 at 0, as engines have it."""
    return ops.where(x <= 0, 0.0, x)


def sigmoid(ops: Ops, x: Array, /) -> Array:
    """`1 / (1 + exp(-x))`; x is bounded below where float32 would overflow, the result is under 2e-38 there."""
    return 1 / (1 + ops.exp(-ops.where(x < -87.0, -87.0, x)))


def silu(ops: Ops, x: Array, /) -> Array:
    """`x * sigmoid(x)` (Elfwing et al. 2018)."""
    return x * ops.sigmoid(x)


def softplus(ops: Ops, x: Array, /) -> Array:
    """`log(1 + exp(x))`; no branch overflows, and gradients are finite everywhere."""
    return ops.maximum(x, ops.zeros_like(x)) + ops.log1p(ops.exp(-ops.abs(x)))


def softmax(ops: Ops, x: Array, /, *, axis: int) -> Array:
    """`exp(x) / sum(exp(x))`, from x less its greatest entry."""
    powers = ops.exp(x - ops.max(x, axis=axis, keepdims=True))
    return powers / ops.sum(powers, axis=axis, keepdims=True)


def log_softmax(ops: Ops, x: Array, /, *, axis: int) -> Array:
    """`x - log(sum(exp(x)))`, from x less its greatest entry."""
    shifted = x - ops.max(x, axis=axis, keepdims=True)
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis=axis, keepdims=True))
