"""The table of ops: JAX's own functions where their meaning agrees, thin wrappers elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from puffer_backend_jax import convolution, gradients, networks, sequences
from puffer_backend_jax.devices import spread_over

_FEW_ENTRIES = 64
_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)


class JaxOps:
    """Every op of the contract, computed by JAX where its arguments live.

    Args:
        parallel: recurrences go in few wide passes, as accelerators want them, and not step by step; convolutions have
            JAX's own gradients, and not those that are fast on a CPU.
        mesh: the devices that `spread` shares arrays out over, in one row.

    Example:
        >>> ops = JaxOps()
        >>> ops.sum(ops.ones((2, 3)), axis=-1).tolist()
        [3.0, 3.0]

    """

    name = "jax"
    uint8 = np.dtype(np.uint8)
    int32 = np.dtype(np.int32)
    int64 = _INT64
    float32 = _FLOAT32
    float64 = np.dtype(np.float64)

    def __init__(self, *, parallel: Any = False, mesh: jax.sharding.Mesh | None = None) -> None:
        self._mesh = mesh
        self.linear_recurrence = sequences.parallel_linear_recurrence if parallel else sequences.linear_recurrence
        self.conv2d = convolution.conv2d if parallel else convolution.conv2d_on_host

    zeros_like = staticmethod(jnp.zeros_like)
    ones_like = staticmethod(jnp.ones_like)
    astype = staticmethod(jnp.astype)

    abs = staticmethod(jnp.abs)
    exp = staticmethod(jnp.exp)
    expm1 = staticmethod(jnp.expm1)
    log = staticmethod(jnp.log)
    log1p = staticmethod(jnp.log1p)
    sqrt = staticmethod(jnp.sqrt)
    square = staticmethod(jnp.square)
    sin = staticmethod(jnp.sin)
    cos = staticmethod(jnp.cos)
    tanh = staticmethod(jnp.tanh)
    floor = staticmethod(jnp.floor)
    sign = staticmethod(jnp.sign)
    isfinite = staticmethod(jnp.isfinite)
    logical_and = staticmethod(jnp.logical_and)
    logical_or = staticmethod(jnp.logical_or)
    logical_not = staticmethod(jnp.logical_not)
    maximum = staticmethod(jnp.maximum)
    minimum = staticmethod(jnp.minimum)
    clip = staticmethod(jnp.clip)
    where = staticmethod(jnp.where)

    sum = staticmethod(jnp.sum)
    mean = staticmethod(jnp.mean)
    max = staticmethod(jnp.max)
    min = staticmethod(jnp.min)
    any = staticmethod(jnp.any)
    all = staticmethod(jnp.all)
    argmax = staticmethod(jnp.argmax)
    cumulative_sum = staticmethod(jnp.cumsum)

    reshape = staticmethod(jnp.reshape)
    permute_dims = staticmethod(jnp.permute_dims)
    expand_dims = staticmethod(jnp.expand_dims)
    squeeze = staticmethod(jnp.squeeze)
    broadcast_to = staticmethod(jnp.broadcast_to)
    concat = staticmethod(jnp.concat)
    stack = staticmethod(jnp.stack)
    flip = staticmethod(jnp.flip)
    take = staticmethod(partial(jnp.take, mode="clip"))
    matmul = staticmethod(jnp.matmul)

    relu = staticmethod(jax.nn.relu)
    sigmoid = staticmethod(jax.nn.sigmoid)
    silu = staticmethod(jax.nn.silu)
    gelu = staticmethod(partial(jax.nn.gelu, approximate=False))
    softplus = staticmethod(jax.nn.softplus)
    softmax = staticmethod(jax.nn.softmax)
    log_softmax = staticmethod(jax.nn.log_softmax)
    linear = staticmethod(networks.linear)
    layer_norm = staticmethod(networks.layer_norm)
    embedding = staticmethod(networks.embedding)
    attention = staticmethod(networks.attention)
    lstm = staticmethod(networks.lstm)
    gru = staticmethod(networks.gru)

    scan = staticmethod(sequences.scan)
    while_loop = staticmethod(sequences.while_loop)

    stop_gradient = staticmethod(jax.lax.stop_gradient)
    value_and_grad = staticmethod(gradients.value_and_grad)
    clip_by_global_norm = staticmethod(gradients.clip_by_global_norm)

    permutation = staticmethod(jax.random.permutation)

    def spread(self, x: jax.Array, /, *, axis: int) -> jax.Array:
        """XLA then computes what follows where the parts are, and joins them where they meet: an all-reduce."""
        if self._mesh is None or self._mesh.size == 1:
            return x
        return spread_over(self._mesh, x, axis)

    @staticmethod
    def take_along_axis(x: jax.Array, indices: jax.Array, /, *, axis: int) -> jax.Array:
        """One of few entries is selected, not looked up: XLA's gradient of a lookup writes one number after another."""
        count = x.shape[axis]
        if indices.shape[axis] != 1 or count > _FEW_ENTRIES:
            return jnp.take_along_axis(x, indices, axis, mode="clip")
        place = jax.lax.broadcasted_iota(indices.dtype, x.shape, axis % x.ndim)
        return jnp.sum(jnp.where(place == jnp.clip(indices, 0, count - 1), x, 0), axis, x.dtype, keepdims=True)

    @staticmethod
    def asarray(x: Any, /, *, dtype: Any = None) -> jax.Array:
        return jnp.asarray(x, _default_dtype(x) if dtype is None else dtype)

    @staticmethod
    def zeros(shape: tuple[int, ...], *, dtype: Any = None) -> jax.Array:
        return jnp.zeros(shape, dtype or _FLOAT32)

    @staticmethod
    def ones(shape: tuple[int, ...], *, dtype: Any = None) -> jax.Array:
        return jnp.ones(shape, dtype or _FLOAT32)

    @staticmethod
    def full(shape: tuple[int, ...], value: float, *, dtype: Any = None) -> jax.Array:
        return jnp.full(shape, value, dtype or _default_dtype(value))

    @staticmethod
    def arange(stop: int, *, dtype: Any = None) -> jax.Array:
        return jnp.arange(stop, dtype=dtype or jnp.int_)

    @staticmethod
    def one_hot(indices: jax.Array, count: int, /, *, dtype: Any = None) -> jax.Array:
        return jax.nn.one_hot(indices, count, dtype=dtype or _FLOAT32)

    @staticmethod
    def split(rng: jax.Array, count: int, /) -> tuple[jax.Array, ...]:
        return tuple(jax.random.split(rng, count))

    @staticmethod
    def uniform(rng: jax.Array, shape: tuple[int, ...], /) -> jax.Array:
        return jax.random.uniform(rng, shape, _FLOAT32)

    @staticmethod
    def normal(rng: jax.Array, shape: tuple[int, ...], /) -> jax.Array:
        return jax.random.normal(rng, shape, _FLOAT32)

    bool = np.dtype(np.bool_)  # last: it hides the builtin from the rest of this body


def _default_dtype(x: Any) -> Any:
    """Python floats become float32, as on every engine; arrays and NumPy scalars keep their dtype."""
    if hasattr(x, "dtype"):
        return None
    return _FLOAT32 if np.asarray(x).dtype.kind == "f" else None
