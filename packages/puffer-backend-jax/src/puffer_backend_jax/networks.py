"""Layers in JAX, over the shapes of the contract."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Integer

_MASKED = -1e30
"""A score that no softmax sees; finite, so that a row without any allowed key has a gradient."""

_FEW_COLUMNS = 8
"""Of a head, at most: turning them over costs nothing yet."""


def linear(
    x: Float[Array, "*lead in"], weight: Float[Array, "in out"], bias: Float[Array, " out"] | None = None, /
) -> Float[Array, "*lead out"]:
    """`x @ weight + bias`, as a product of two matrices.

    XLA's gradient of the weight over several leading axes takes 2.5 times as long on a CPU.
    """
    y = _product(x.reshape(-1, x.shape[-1]), weight)
    return (y if bias is None else y + bias).reshape(*x.shape[:-1], weight.shape[-1])


@jax.custom_vjp
def _product(x: Array, weight: Array) -> Array:
    return x @ weight


def _product_and_inputs(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ weight, (x, weight)


def _product_gradient(inputs: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """A head has few columns: turned over first, they multiply ten times as fast on a CPU."""
    x, weight = inputs
    turned = gradient.T
    if weight.shape[1] <= _FEW_COLUMNS:
        turned = lax.optimization_barrier(turned)  # type: ignore[no-untyped-call]
    return gradient @ weight.T, (turned @ x).T


_product.defvjp(_product_and_inputs, _product_gradient)


def layer_norm(
    x: Float[Array, "*lead features"],
    weight: Float[Array, " features"],
    bias: Float[Array, " features"],
    /,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "*lead features"]:
    """Zero mean and unit variance over the last axis, then scale and shift (Ba et al. 2016)."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * lax.rsqrt(variance + epsilon) * weight + bias


def embedding(
    indices: Integer[Array, "*lead"], table: Float[Array, "count features"], /
) -> Float[Array, "*lead features"]:
    """Rows of `table`."""
    return jnp.take(table, indices, axis=0, mode="clip")


def attention(
    query: Float[Array, "*lead queries features"],
    key: Float[Array, "*lead keys features"],
    value: Float[Array, "*lead keys values"],
    /,
    *,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*lead queries values"]:
    """`softmax(query key' / sqrt(features)) value` (Vaswani et al. 2017, eq. 1)."""
    scores = query @ jnp.swapaxes(key, -1, -2) * (1 / math.sqrt(query.shape[-1]))
    if mask is not None:
        scores = jnp.where(mask, scores, _MASKED)
    return jax.nn.softmax(scores, axis=-1) @ value


def lstm(
    x: Float[Array, "T N in"],
    carry: tuple[Float[Array, "N hidden"], Float[Array, "N hidden"]],
    reset: Bool[Array, "T N"],
    weight: Float[Array, "in gates"],
    recurrent: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    /,
) -> tuple[Float[Array, "T N hidden"], tuple[Float[Array, "N hidden"], Float[Array, "N hidden"]]]:
    """One product for the inputs of all steps, then a scan; gates in the order i, f, g, o."""
    last, hidden = _unroll(partial(_lstm_step, recurrent), carry, linear(x, weight, bias), reset)
    return hidden, last


def gru(
    x: Float[Array, "T N in"],
    carry: Float[Array, "N hidden"],
    reset: Bool[Array, "T N"],
    weight: Float[Array, "in gates"],
    recurrent: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    recurrent_bias: Float[Array, " gates"],
    /,
) -> tuple[Float[Array, "T N hidden"], Float[Array, "N hidden"]]:
    """Like `lstm`; gates in the order r, z, n."""
    last, hidden = _unroll(partial(_gru_step, recurrent, recurrent_bias), carry, linear(x, weight, bias), reset)
    return hidden, last


def _unroll(step: Any, carry: Any, from_input: Array, reset: Array) -> tuple[Any, Array]:
    keep = jnp.logical_not(reset)[..., None].astype(from_input.dtype)
    last, hidden = lax.scan(step, carry, (from_input, keep))
    return last, hidden


def _lstm_step(recurrent: Array, carry: Any, given: tuple[Array, Array]) -> tuple[Any, Array]:
    (h, c), (from_input, keep) = carry, given
    i, f, g, o = jnp.split(from_input + (h * keep) @ recurrent, 4, axis=-1)
    c = jax.nn.sigmoid(f) * (c * keep) + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru_step(recurrent: Array, bias: Array, h: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
    from_input, keep = given
    h = h * keep
    input_r, input_z, input_n = jnp.split(from_input, 3, axis=-1)
    state_r, state_z, state_n = jnp.split(h @ recurrent + bias, 3, axis=-1)
    r, z = jax.nn.sigmoid(input_r + state_r), jax.nn.sigmoid(input_z + state_z)
    h = (1 - z) * jnp.tanh(input_n + r * state_n) + z * h
    return h, h
