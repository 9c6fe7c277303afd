"""Layers and activations in NumPy, forward only."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Integer

from puffer_core.arrays import Array
from puffer_core.errors import ShapeError

_MASKED = -1e38


def linear(x: Array, weight: Array, bias: Array | None = None, /) -> Array:
    """`x @ weight + bias`, as one product of matrices whatever the leading axes."""
    shape = x.shape
    one_step = len(shape) == 3 and shape[0] == 1  # as when acting, where two views cost half of what reshapes do
    y = np.dot(x[0] if one_step else x.reshape(-1, shape[-1]), weight)
    if bias is not None:
        np.add(y, bias, y)
    return y[None] if one_step else y.reshape((*shape[:-1], weight.shape[-1]))


def relu(x: Array, /) -> Array:
    """`max(x, 0)`."""
    return np.maximum(x, 0)


def sigmoid(x: Array, /) -> Array:
    """`1 / (1 + exp(-x))`; x is bounded below where float32 would overflow, the result is under 2e-38 there."""
    return 1 / (1 + np.exp(-np.maximum(x, -87.0)))


def silu(x: Array, /) -> Array:
    """`x * sigmoid(x)` (Elfwing et al. 2018)."""
    return x * sigmoid(x)


def gelu(x: Array, /) -> Array:
    """`x * Phi(x)` (Hendrycks and Gimpel 2016). NumPy has no erf: one Python call an element, about 60 ns each."""
    scaled = (x * math.sqrt(0.5)).ravel().tolist()
    erf = np.fromiter(map(math.erf, scaled), np.float64, len(scaled)).astype(x.dtype).reshape(x.shape)
    return 0.5 * x * (1 + erf)


def softplus(x: Array, /) -> Array:
    """`log(1 + exp(x))` without overflow."""
    return np.logaddexp(x, 0.0)


def softmax(x: Array, /, *, axis: int) -> Array:
    """`exp(x) / sum(exp(x))`."""
    powers = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    powers /= np.add.reduce(powers, axis=axis, keepdims=True)
    return powers


def log_softmax(x: Array, /, *, axis: int) -> Array:
    """`x - log(sum(exp(x)))`."""
    shifted = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    shifted -= np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))
    return shifted


def layer_norm(
    x: Float[Array, "*lead features"],
    weight: Float[Array, " features"],
    bias: Float[Array, " features"],
    /,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "*lead features"]:
    """Zero mean and unit variance over the last axis, then scale and shift (Ba et al. 2016)."""
    size = x.shape[-1]
    centred = x - np.add.reduce(x, axis=-1, keepdims=True) / size
    variance = np.add.reduce(np.square(centred), axis=-1, keepdims=True) / size
    return centred / np.sqrt(variance + epsilon) * weight + bias


def embedding(
    indices: Integer[Array, "*lead"], table: Float[Array, "count features"], /
) -> Float[Array, "*lead features"]:
    """Rows of `table`."""
    return table.take(indices, 0)


def conv2d(
    x: Float[Array, "batch height width channels"],
    weight: Float[Array, "kernel_height kernel_width channels filters"],
    bias: Float[Array, " filters"],
    /,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Array, "batch out_height out_width filters"]:
    """Cross-correlation as one product of every window with the kernel."""
    height, width = weight.shape[:2]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0))) if padding else x
    if padded.shape[1] < height or padded.shape[2] < width:
        raise ShapeError(f"conv2d: the kernel is {height} x {width}, the padded image {padded.shape[1:3]} is smaller")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    return np.tensordot(windows[:, ::stride, ::stride], weight, axes=((4, 5, 3), (0, 1, 2))) + bias


def attention(
    query: Float[Array, "*lead queries features"],
    key: Float[Array, "*lead keys features"],
    value: Float[Array, "*lead keys values"],
    /,
    *,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*lead queries values"]:
    """`softmax(query key' / sqrt(features)) value` (Vaswani et al. 2017, eq. 1)."""
    scores = np.matmul(query, np.swapaxes(key, -1, -2)) * (1 / math.sqrt(query.shape[-1]))
    if mask is not None:
        scores = np.where(mask, scores, _MASKED)
    return np.matmul(softmax(scores, axis=-1), value)
