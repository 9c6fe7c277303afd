"""The table of ops in NumPy. Elementwise entries are the bare ufuncs: at eight rows a Python frame costs as much.

What is inherited is as fast here as it would be written for NumPy; softplus is three times as fast as `np.logaddexp`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from puffer_core.arrays import Array
from puffer_core.composites import ComposedOps, NumpyDtypes
from puffer_core.contracts.ops import Axis, Dtype, Ops
from puffer_core.numpy_backend import networks

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


def _default_dtype(x: Any) -> Dtype:
    """Python floats become float32, as on every engine; arrays and NumPy scalars keep their dtype."""
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype
    dtype = np.asarray(x).dtype
    return _FLOAT32 if dtype == _FLOAT64 else dtype


def _asarray(x: Any, /, *, dtype: Dtype = None) -> Array:
    return np.asarray(x, dtype=_default_dtype(x) if dtype is None else dtype)


def _zeros(shape: tuple[int, ...], *, dtype: Dtype = None) -> Array:
    return np.zeros(shape, _FLOAT32 if dtype is None else dtype)


def _full(shape: tuple[int, ...], value: float, *, dtype: Dtype = None) -> Array:
    return np.full(shape, value, _default_dtype(value) if dtype is None else dtype)


def _arange(stop: int, *, dtype: Dtype = None) -> Array:
    return np.arange(stop, dtype=np.int64 if dtype is None else dtype)


def _astype(x: Array, dtype: Dtype, /) -> Array:
    return x.astype(dtype, copy=False)


def _clip(x: Array, low: Any, high: Any, /) -> Array:
    return np.minimum(np.maximum(x, low), high)  # np.clip's Python layers cost more than both


def _reduction(ufunc: np.ufunc) -> Callable[..., Array]:
    reduce = ufunc.reduce

    def reduced(x: Array, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return reduce(x, axis=axis, keepdims=keepdims)

    return reduced


def _argmax(x: Array, /, *, axis: int) -> Array:
    return x.argmax(axis)


def _cumulative_sum(x: Array, /, *, axis: int) -> Array:
    return np.add.accumulate(x, axis)


def _reshape(x: Array, shape: tuple[int, ...], /) -> Array:
    return x.reshape(shape)


def _permute_dims(x: Array, axes: tuple[int, ...], /) -> Array:
    return x.transpose(axes)


def _expand_dims(x: Array, /, *, axis: int) -> Array:
    shape = x.shape
    at = axis if axis >= 0 else axis + len(shape) + 1
    return x.reshape((*shape[:at], 1, *shape[at:]))


def _squeeze(x: Array, /, *, axis: int) -> Array:
    return x.squeeze(axis)


def _broadcast_to(x: Array, shape: tuple[int, ...], /) -> Array:
    return np.broadcast_to(x, shape)


def _concat(arrays: Sequence[Array], /, *, axis: int) -> Array:
    return np.concatenate(arrays, axis)


def _stack(arrays: Sequence[Array], /, *, axis: int) -> Array:
    return np.stack(arrays, axis)


def _flip(x: Array, /, *, axis: int) -> Array:
    return np.flip(x, axis)


def _take(x: Array, indices: Array, /, *, axis: int) -> Array:
    return x.take(indices, axis)


def _take_along_axis(x: Array, indices: Array, /, *, axis: int) -> Array:
    last = axis in (-1, x.ndim - 1)
    if not (last and indices.shape[-1] == 1 and indices.shape[:-1] == x.shape[:-1]):
        return np.take_along_axis(x, indices, axis)
    rows = indices.size  # one entry a row, as for a log-probability: six times faster than the general way
    return x.reshape(rows, x.shape[-1])[np.arange(rows), indices.reshape(rows)].reshape(indices.shape)


def _split(rng: np.random.Generator, count: int, /) -> tuple[np.random.Generator, ...]:
    # seeds drawn from the stream, not `spawn`: its counter is no part of the state that checkpoints keep
    return tuple(np.random.default_rng(int(seed)) for seed in rng.integers(0, 2**63, count))


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], /) -> Array:
    return rng.random(shape, np.float32)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], /) -> Array:
    return rng.standard_normal(shape, np.float32)


def _permutation(rng: np.random.Generator, count: int, /) -> Array:
    return rng.permutation(count)


class NumpyOps(NumpyDtypes, ComposedOps):
    """`puffer_core.contracts.ops.Ops` in NumPy; `rng` is a `numpy.random.Generator`.

    float32 stays float32 and float64 stays float64. Reductions over all axes give NumPy scalars of the same dtype.

    Example:
        >>> import numpy as np
        >>> numpy_ops.mean(np.asarray([1.0, 3.0], np.float32))
        np.float32(2.0)
    """

    name = "numpy"

    asarray = staticmethod(_asarray)
    zeros = staticmethod(_zeros)
    full = staticmethod(_full)
    arange = staticmethod(_arange)
    zeros_like = staticmethod(np.zeros_like)
    ones_like = staticmethod(np.ones_like)
    astype = staticmethod(_astype)

    abs = np.absolute
    exp = np.exp
    expm1 = np.expm1
    log = np.log
    log1p = np.log1p
    sqrt = np.sqrt
    square = np.square
    sin = np.sin
    cos = np.cos
    tanh = np.tanh
    floor = np.floor
    sign = np.sign
    isfinite = np.isfinite
    logical_and = np.logical_and
    logical_or = np.logical_or
    logical_not = np.logical_not
    maximum = np.maximum
    minimum = np.minimum
    clip = staticmethod(_clip)
    where = staticmethod(np.where)

    sum = staticmethod(_reduction(np.add))
    max = staticmethod(_reduction(np.maximum))
    min = staticmethod(_reduction(np.minimum))
    any = staticmethod(_reduction(np.logical_or))
    all = staticmethod(_reduction(np.logical_and))
    argmax = staticmethod(_argmax)
    cumulative_sum = staticmethod(_cumulative_sum)

    reshape = staticmethod(_reshape)
    permute_dims = staticmethod(_permute_dims)
    expand_dims = staticmethod(_expand_dims)
    squeeze = staticmethod(_squeeze)
    broadcast_to = staticmethod(_broadcast_to)
    concat = staticmethod(_concat)
    stack = staticmethod(_stack)
    flip = staticmethod(_flip)
    take = staticmethod(_take)
    take_along_axis = staticmethod(_take_along_axis)
    matmul = np.matmul

    linear = staticmethod(networks.linear)
    relu = staticmethod(networks.relu)
    sigmoid = staticmethod(networks.sigmoid)
    gelu = staticmethod(networks.gelu)
    conv2d = staticmethod(networks.conv2d)

    split = staticmethod(_split)
    uniform = staticmethod(_uniform)
    normal = staticmethod(_normal)
    permutation = staticmethod(_permutation)


numpy_ops: Ops = NumpyOps()
"""The table itself."""
