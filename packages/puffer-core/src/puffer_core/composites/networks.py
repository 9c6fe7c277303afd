"""Layers over the ops of the array API standard."""

from __future__ import annotations

import math

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Dtype, Ops
from puffer_core.errors import ShapeError

_MASKED = -1e30
"""A score that no softmax sees; finite, so that a row without any allowed key has a gradient."""


def one_hot(ops: Ops, indices: Array, count: int, /, *, dtype: Dtype = None) -> Array:
    """By comparison: an index out of range equals none."""
    return ops.astype(indices[..., None] == ops.arange(count), ops.float32 if dtype is None else dtype)


def linear(ops: Ops, x: Array, weight: Array, bias: Array | None = None, /) -> Array:
    """`x @ weight + bias`."""
    y = ops.matmul(x, weight)
    return y if bias is None else y + bias


def layer_norm(ops: Ops, x: Array, weight: Array, bias: Array, /, *, epsilon: float = 1e-5) -> Array:
    """Zero mean and unit variance over the last axis, then scale and shift (Ba et al. 2016)."""
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return centred / ops.sqrt(variance + epsilon) * weight + bias


def embedding(ops: Ops, indices: Array, table: Array, /) -> Array:
    """Rows of `table`."""
    rows = ops.take(table, ops.reshape(indices, (-1,)), axis=0)
    return ops.reshape(rows, (*indices.shape, table.shape[1]))


def conv2d(ops: Ops, x: Array, weight: Array, bias: Array, /, *, stride: int = 1, padding: int = 0) -> Array:
    """Cross-correlation: a product of matrices for every place in the kernel. Right everywhere, fast nowhere.

    Raises:
        ShapeError: the kernel is larger than the images.
    """
    if padding:
        x = _with_border(_with_border(x, padding, 1, ops), padding, 2, ops)
    (rows, columns), (height, width) = x.shape[1:3], weight.shape[:2]
    if rows < height or columns < width:
        raise ShapeError(f"conv2d: the kernel is {height} x {width}, the padded image {(rows, columns)} is smaller")
    y = bias
    for i in range(height):
        for j in range(width):
            part = x[:, i : rows - height + i + 1 : stride, j : columns - width + j + 1 : stride]
            y = y + ops.matmul(part, weight[i, j])
    return y


def _with_border(x: Array, width: int, axis: int, ops: Ops) -> Array:
    """Images with zeros before and after, along one axis."""
    edge = ops.zeros((*x.shape[:axis], width, *x.shape[axis + 1 :]), dtype=x.dtype)
    return ops.concat([edge, x, edge], axis=axis)


def attention(ops: Ops, query: Array, key: Array, value: Array, /, *, mask: Array | None = None) -> Array:
    """`softmax(query key' / sqrt(features)) value` (Vaswani et al. 2017, eq. 1)."""
    axes = tuple(range(len(key.shape)))
    turned = ops.permute_dims(key, (*axes[:-2], axes[-1], axes[-2]))
    scores = ops.matmul(query, turned) * (1 / math.sqrt(query.shape[-1]))
    if mask is not None:
        scores = ops.where(mask, scores, _MASKED)
    return ops.matmul(ops.softmax(scores, axis=-1), value)
