"""Layers and activations in NumPy, forward only."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from puffer_core.arrays import Array
from puffer_core.errors import ShapeError

_CACHED = 65_536
"""Elements of windows that are laid out at once: those of 64 images of 84 x 84 take 17 ms as a whole, 10 in parts."""


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


def gelu(x: Array, /) -> Array:
    """`x * Phi(x)` (Hendrycks and Gimpel 2016). NumPy has no erf: one Python call an element, about 60 ns each."""
    scaled = (x * math.sqrt(0.5)).ravel().tolist()
    erf = np.fromiter(map(math.erf, scaled), np.float64, len(scaled)).astype(x.dtype).reshape(x.shape)
    return 0.5 * x * (1 + erf)


def conv2d(
    x: Float[Array, "batch height width channels"],
    weight: Float[Array, "kernel_height kernel_width channels filters"],
    bias: Float[Array, " filters"],
    /,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Array, "batch out_height out_width filters"]:
    """Cross-correlation as products of windows with the kernel, for as many images at once as fit the CPU's cache."""
    height, width, channels, filters = weight.shape
    x = _with_border(x, padding) if padding else np.ascontiguousarray(x)
    images, rows, columns = x.shape[:3]
    if rows < height or columns < width:
        raise ShapeError(f"conv2d: the kernel is {height} x {width}, the padded image {(rows, columns)} is smaller")
    out = (rows - height) // stride + 1, (columns - width) // stride + 1
    steps = x.strides
    windows = np.lib.stride_tricks.as_strided(  # a row of a window is one piece of memory, channels and all
        x,
        (images, *out, height, width * channels),
        (steps[0], steps[1] * stride, steps[2] * stride, steps[1], steps[3]),
        writeable=False,
    )
    length = height * width * channels
    kernel, y = weight.reshape(length, filters), np.empty((images, *out, filters), np.result_type(x, weight))
    some = max(1, _CACHED // (out[0] * out[1] * length))
    for start in range(0, images, some):
        part = slice(start, start + some)
        np.dot(windows[part].reshape(-1, length), kernel, y[part].reshape(-1, filters))
    y += bias
    return y


def _with_border(x: Array, width: int) -> Array:
    """Images with zeros around them."""
    images, rows, columns, channels = x.shape
    padded = np.zeros((images, rows + 2 * width, columns + 2 * width, channels), x.dtype)
    padded[:, width : width + rows, width : width + columns] = x
    return padded
