"""The table of ops: JAX's own functions where their meaning agrees, thin wrappers elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from puffer_backend_jax import convolution, gradients, networks, sequences
from puffer_backend_jax.devices import spread_over
from puffer_core.composites import ComposedOps, NumpyDtypes
from puffer_core.numpy_backend import numpy_ops

_FEW_ENTRIES = 64


class JaxOps(NumpyDtypes, ComposedOps):
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
    lstm = staticmethod(networks.lstm)
    gru = staticmethod(networks.gru)

    scan = staticmethod(sequences.scan)
    while_loop = staticmethod(sequences.while_loop)

    stop_gradient = staticmethod(jax.lax.stop_gradient)
    value_and_grad = staticmethod(gradients.value_and_grad)

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
        return jnp.asarray(x, numpy_ops.asarray(x).dtype if dtype is None and not hasattr(x, "dtype") else dtype)

    @staticmethod
    def full(shape: tuple[int, ...], value: float, *, dtype: Any = None) -> jax.Array:
        return jnp.full(shape, value, dtype or numpy_ops.asarray(value).dtype)

    @staticmethod
    def arange(stop: int, *, dtype: Any = None) -> jax.Array:
        return jnp.arange(stop, dtype=dtype or jnp.int_)

    @staticmethod
    def split(rng: jax.Array, count: int, /) -> tuple[jax.Array, ...]:
        return tuple(jax.random.split(rng, count))

    @staticmethod
    def uniform(rng: jax.Array, shape: tuple[int, ...], /) -> jax.Array:
        return jax.random.uniform(rng, shape, np.float32)

    @staticmethod
    def normal(rng: jax.Array, shape: tuple[int, ...], /) -> jax.Array:
        return jax.random.normal(rng, shape, np.float32)
