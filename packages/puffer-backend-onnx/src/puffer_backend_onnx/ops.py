"""The table of ops that builds a graph. What NumPy alone can answer, it answers: constants never enter the graph."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from spox import Tensor, Var, argument

from puffer_backend_onnx import networks
from puffer_backend_onnx.loop import while_loop
from puffer_backend_onnx.node import Dim, Node
from puffer_backend_onnx.noise import Noise
from puffer_core.arrays import Array
from puffer_core.composites import ComposedOps, NumpyDtypes
from puffer_core.contracts.ops import Axis, Dtype
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import numpy_ops

Build = Callable[..., Any]

_SAME = ("abs", "exp", "log", "sqrt", "sin", "cos", "tanh", "floor", "sign", "relu", "sigmoid", "softplus")
_PAIRS = {
    "_add": "add", "_sub": "sub", "_mul": "mul", "_pow": "pow", "_matmul": "matmul", "matmul": "matmul",
    "_lt": "less", "_le": "less_or_equal", "_gt": "greater", "_ge": "greater_or_equal", "_eq": "equal",
    "logical_and": "and_", "logical_or": "or_", "_and": "and_", "_or": "or_", "_xor": "xor",
}  # fmt: skip


class OnnxOps(NumpyDtypes):
    """`puffer_core.contracts.ops.Ops` over graph nodes; over NumPy's arrays it is NumPy's table.

    Args:
        opset: version of ONNX's operators, 18 to 23.

    Example:
        >>> ops = OnnxOps(18)
        >>> x = ops.input(np.float32, ("batch", 3))
        >>> ops.sum(ops.tanh(x) * 2.0, axis=-1).shape, ops.sum(np.ones(3))
        ((batch,), np.float64(3.0))
    """

    name = "onnx"

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.op: Any = importlib.import_module(f"spox.opset.ai.onnx.v{opset}")
        for name in BUILD:
            setattr(self, name, _folding(self, name))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"op {name} has no ONNX form here")

    def input(self, dtype: Any, shape: tuple[Any, ...]) -> Node:
        """An array that the graph is given; a string in its shape names an axis of any length."""
        return Node(self, argument(Tensor(np.dtype(dtype), shape)))

    def constant(self, values: Any, dtype: Any = np.int64) -> Var:
        """An array that is part of the graph."""
        constant: Var = self.op.const(np.asarray(values, dtype))
        return constant

    def var(self, x: Any, dtype: Any = None) -> Var:
        """Any array as a variable of the graph, cast where it has another dtype."""
        if not isinstance(x, Node):
            return self.constant(x, x.dtype if dtype is None else dtype)
        return x.var if dtype is None or dtype == x.dtype else self.op.cast(x.var, to=np.dtype(dtype))

    def lengths(self, shape: Sequence[Any]) -> Var:
        """A shape as a variable: constant, or with the lengths that are known only when the graph runs."""
        if not any(isinstance(n, Dim) for n in shape):
            return self.constant(shape)
        parts = [
            self.op.shape(n.var, start=n.axis, end=n.axis + 1) if isinstance(n, Dim) else self.constant([n])
            for n in shape
        ]
        return self.op.concat(parts, axis=0) if len(parts) > 1 else parts[0]


def _folding(ops: OnnxOps, name: str) -> Build:
    """The op of this name: NumPy's where it is given no node of the graph, else that of `BUILD`."""
    eager = getattr(numpy_ops, name, None)
    build = BUILD[name]

    def call(*arguments: Any, **keywords: Any) -> Any:
        if eager is not None and name not in _CONTROL and not _builds((arguments, keywords)):
            return eager(*arguments, **keywords)
        try:
            result = build(ops, *arguments, **keywords)
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(f"op {name}: {type(error).__name__}: {error}") from error
        return Node(ops, result) if isinstance(result, Var) else result

    return call


_CONTROL = ("scan", "while_loop", "value_and_grad")
"""Whose functions may close over nodes of the graph: they find out for themselves."""


def _builds(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any(map(_builds, tree.values()))
    if isinstance(tree, tuple | list):
        return any(map(_builds, tree))
    return isinstance(tree, Node | Dim | Noise)


def _dtype(*arrays: Any) -> np.dtype[Any]:
    """What NumPy would make of them; Python numbers give way to arrays."""
    return np.result_type(*(x.dtype if hasattr(x, "dtype") else x for x in arrays))


def _promoted(ops: OnnxOps, *arrays: Any) -> list[Var]:
    dtype = _dtype(*arrays)
    return [ops.var(x, dtype) for x in arrays]


def _same(function: str) -> Build:
    return lambda ops, x: getattr(ops.op, function)(x.var)


def _pair(function: str) -> Build:
    return lambda ops, a, b: getattr(ops.op, function)(*_promoted(ops, a, b))


def _divided(ops: OnnxOps, a: Any, b: Any) -> Any:
    dtype = np.result_type(_dtype(a, b), np.float32) if _dtype(a, b).kind == "f" else np.dtype(np.float64)
    return ops.op.div(ops.var(a, dtype), ops.var(b, dtype))


def _mod(ops: OnnxOps, a: Any, b: Any) -> Array:
    """With the divisor's sign, as in Python; ONNX has that for integers alone."""
    if _dtype(a, b).kind == "f":
        return a - ops.floor(a / b) * b
    return Node(ops, ops.op.mod(*_promoted(ops, a, b)))


def _where(ops: OnnxOps, condition: Any, a: Any, b: Any) -> Any:
    return ops.op.where(ops.var(condition), *_promoted(ops, a, b))


def _isfinite(ops: OnnxOps, x: Node) -> Any:
    return ops.op.not_(ops.op.or_(ops.op.isnan(x.var), ops.op.isinf(x.var)))


def _reduction(function: str, *, of: Any = None) -> Build:
    """One over axes; `of`: a dtype by which flags and small integers are reduced."""

    def reduce(ops: OnnxOps, x: Node, axis: Axis = None, keepdims: Any = False) -> Any:
        dtype = x.dtype if x.dtype.kind == "f" or of is None else np.dtype(of)
        axes = None if axis is None else ops.constant(axis if isinstance(axis, tuple) else (axis,))
        y = getattr(ops.op, function)(ops.var(x, dtype), axes, keepdims=int(keepdims))
        return ops.op.cast(y, to=np.dtype(np.bool_)) if of is np.uint8 else y

    return reduce


def _argmax(ops: OnnxOps, x: Node, *, axis: int) -> Any:
    return ops.op.arg_max(ops.var(x, x.dtype if x.dtype.kind == "f" else np.float64), axis=axis, keepdims=0)


def _reshape(ops: OnnxOps, x: Node, shape: tuple[Any, ...]) -> Any:
    unknown = sum(isinstance(n, Dim) or n == -1 for n in shape)
    if unknown == 1:
        shape = tuple(-1 if isinstance(n, Dim) else n for n in shape)
    return ops.op.reshape(x.var, ops.lengths(shape), allowzero=int(0 in shape and unknown != 1))


def _broadcast_to(ops: OnnxOps, x: Any, shape: tuple[Any, ...]) -> Node:
    return Node(ops, ops.op.expand(ops.var(x), ops.lengths(shape)), tuple(shape))


def _full(ops: OnnxOps, shape: tuple[Any, ...], value: Any, *, dtype: Dtype = None) -> Array:
    return ops.broadcast_to(numpy_ops.full((), value, dtype=dtype), shape)


def _joined(ops: OnnxOps, arrays: Sequence[Any], *, axis: int) -> Any:
    return ops.op.concat(_promoted(ops, *arrays), axis=axis)


def _stack(ops: OnnxOps, arrays: Sequence[Any], *, axis: int) -> Any:
    at = ops.constant([axis])
    return ops.op.concat([ops.op.unsqueeze(x, at) for x in _promoted(ops, *arrays)], axis=axis)


def _flip(_: OnnxOps, x: Node, *, axis: int) -> Node:
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = slice(None, None, -1)
    return x[tuple(key)]


BUILD: dict[str, Build] = {
    **{name: op for name, op in vars(ComposedOps).items() if not name.startswith("_")},
    **{name: _same(name) for name in _SAME},
    **{name: _pair(function) for name, function in _PAIRS.items()},
    "_truediv": _divided,
    "_mod": _mod,
    "_neg": _same("neg"),
    "_invert": _same("not_"),
    "_ne": lambda ops, a, b: ops.op.not_(ops.op.equal(*_promoted(ops, a, b))),
    "logical_not": _same("not_"),
    "expm1": lambda ops, x: ops.exp(x) - 1.0,
    "log1p": lambda ops, x: ops.log(x + 1.0),
    "isfinite": _isfinite,
    "maximum": lambda ops, a, b: ops.op.max(_promoted(ops, a, b)),
    "minimum": lambda ops, a, b: ops.op.min(_promoted(ops, a, b)),
    "clip": lambda ops, x, low, high: ops.minimum(ops.maximum(x, low), high),
    "where": _where,
    "astype": lambda ops, x, dtype: x if x.dtype == dtype else ops.var(x, dtype),
    "asarray": lambda ops, x, dtype=None: x if dtype is None else ops.astype(x, dtype),
    "full": _full,
    "arange": lambda _, stop, dtype=None: numpy_ops.arange(int(stop), dtype=dtype),
    "sum": _reduction("reduce_sum", of=np.int64),
    "mean": _reduction("reduce_mean", of=np.float64),
    "max": _reduction("reduce_max"),
    "min": _reduction("reduce_min"),
    "any": _reduction("reduce_max", of=np.uint8),
    "all": _reduction("reduce_min", of=np.uint8),
    "argmax": _argmax,
    "cumulative_sum": lambda ops, x, axis: ops.op.cumsum(x.var, ops.constant(axis)),
    "reshape": _reshape,
    "permute_dims": lambda ops, x, axes: ops.op.transpose(x.var, perm=axes),
    "expand_dims": lambda ops, x, axis: ops.op.unsqueeze(x.var, ops.constant([axis])),
    "squeeze": lambda ops, x, axis: ops.op.squeeze(x.var, ops.constant([axis])),
    "broadcast_to": _broadcast_to,
    "concat": _joined,
    "stack": _stack,
    "flip": _flip,
    "take": lambda ops, x, indices, axis: ops.op.gather(ops.var(x), ops.var(indices), axis=axis),
    "take_along_axis": lambda ops, x, indices, axis: ops.op.gather_elements(ops.var(x), ops.var(indices), axis=axis),
    "embedding": lambda ops, indices, table: ops.take(table, indices, axis=0),
    "gelu": lambda ops, x: x * 0.5 * ops._add(Node(ops, ops.op.erf((x * math.sqrt(0.5)).var)), 1.0),
    "softmax": lambda ops, x, axis: ops.op.softmax(x.var, axis=axis),
    "log_softmax": lambda ops, x, axis: ops.op.log_softmax(x.var, axis=axis),
    "split": lambda _, rng, count: rng.split(count),
    "uniform": lambda ops, rng, shape: rng.draw(ops, "uniform", shape, np.float32),
    "normal": lambda ops, rng, shape: rng.draw(ops, "normal", shape, np.float32),
    "permutation": lambda ops, rng, count: rng.draw(ops, "permutation", (count,), np.int64),
    "layer_norm": networks.layer_norm,
    "conv2d": networks.conv2d,
    "while_loop": while_loop,
}
"""Name to what builds it: `build(ops, *arguments)` gives a variable, a node or a tree. Those with `_` are operators."""
