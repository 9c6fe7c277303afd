"""Layers as graphs, over the shapes of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puffer_core.arrays import Array

if TYPE_CHECKING:
    from puffer_backend_onnx.ops import OnnxOps


def layer_norm(ops: OnnxOps, x: Array, weight: Array, bias: Array, *, epsilon: float = 1e-5) -> Any:
    """ONNX's own node."""
    normed, _, _ = ops.op.layer_normalization(*(ops.var(part) for part in (x, weight, bias)), axis=-1, epsilon=epsilon)
    return normed


def conv2d(ops: OnnxOps, x: Array, weight: Array, bias: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """ONNX wants channels first; ONNX Runtime moves the axes of weights when it loads the graph, not at every call."""
    images, kernel = ops.permute_dims(x, (0, 3, 1, 2)), ops.permute_dims(weight, (3, 2, 0, 1))
    variables = (ops.var(part) for part in (images, kernel, bias))
    y = ops.op.conv(*variables, strides=(stride, stride), pads=(padding,) * 4)
    return ops.op.transpose(y, perm=(0, 2, 3, 1))
