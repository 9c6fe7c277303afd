"""Layers as graphs, over the shapes of the contract."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from puffer_core.arrays import Array

if TYPE_CHECKING:
    from puffer_backend_onnx.ops import OnnxOps

_MASKED = -1e38


def _layer_norm(ops: OnnxOps, x: Array, weight: Array, bias: Array, *, epsilon: float = 1e-5) -> Any:
    normed, _, _ = ops.op.layer_normalization(*(ops.var(part) for part in (x, weight, bias)), axis=-1, epsilon=epsilon)
    return normed


def _conv2d(ops: OnnxOps, x: Array, weight: Array, bias: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """ONNX wants channels first; ONNX Runtime moves the axes of weights when it loads the graph, not at every call."""
    images, kernel = ops.permute_dims(x, (0, 3, 1, 2)), ops.permute_dims(weight, (3, 2, 0, 1))
    variables = (ops.var(part) for part in (images, kernel, bias))
    y = ops.op.conv(*variables, strides=(stride, stride), pads=(padding,) * 4)
    return ops.op.transpose(y, perm=(0, 2, 3, 1))


def _attention(ops: OnnxOps, query: Array, key: Array, value: Array, *, mask: Array | None = None) -> Array:
    lead = tuple(range(len(key.shape) - 2))
    turned = ops.permute_dims(key, (*lead, len(lead) + 1, len(lead)))
    scores = ops.matmul(query, turned) * (1 / math.sqrt(query.shape[-1]))
    if mask is not None:
        scores = ops.where(mask, scores, _MASKED)
    return ops.matmul(ops.softmax(scores, axis=-1), value)


def _steps(ops: OnnxOps, from_input: Array, reset: Array) -> list[tuple[Array, Array]]:
    """What each step reads: its input's part of the gates, and 0 where the memory is emptied, else 1."""
    keep = ops.astype(ops.logical_not(reset), from_input.dtype)
    return [(from_input[t], keep[t, :, None]) for t in range(len(from_input))]


def _lstm(
    ops: OnnxOps, x: Array, carry: Any, reset: Array, weight: Array, recurrent: Array, bias: Array
) -> tuple[Array, Any]:
    """One step after another; acting has one."""
    (h, c), size = carry, recurrent.shape[0]
    hidden: list[Array] = []
    for from_input, keep in _steps(ops, ops.linear(x, weight, bias), reset):
        gates = from_input + ops.matmul(h * keep, recurrent)
        i, f, g, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
        c = ops.sigmoid(f) * (c * keep) + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        hidden.append(h)
    return ops.stack(hidden, axis=0), (h, c)


def _gru(
    ops: OnnxOps,
    x: Array,
    carry: Array,
    reset: Array,
    weight: Array,
    recurrent: Array,
    bias: Array,
    recurrent_bias: Array,
) -> tuple[Array, Array]:
    """Like `_lstm`."""
    h, size = carry, recurrent.shape[0]
    hidden: list[Array] = []
    for from_input, keep in _steps(ops, ops.linear(x, weight, bias), reset):
        h = h * keep
        from_state = ops.linear(h, recurrent, recurrent_bias)
        both = ops.sigmoid(from_input[:, : 2 * size] + from_state[:, : 2 * size])
        r, z = both[:, :size], both[:, size:]
        n = ops.tanh(from_input[:, 2 * size :] + r * from_state[:, 2 * size :])
        h = (1 - z) * n + z * h
        hidden.append(h)
    return ops.stack(hidden, axis=0), h


BUILD: dict[str, Any] = {
    "layer_norm": _layer_norm,
    "conv2d": _conv2d,
    "attention": _attention,
    "lstm": _lstm,
    "gru": _gru,
}
