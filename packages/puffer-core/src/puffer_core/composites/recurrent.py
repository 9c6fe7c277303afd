"""Gated cells over `scan`; a single step, as when acting, is taken without it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.ops import Ops


def lstm(
    ops: Ops,
    x: Array,
    carry: tuple[Array, Array],
    reset: Array,
    weight: Array,
    recurrent: Array,
    bias: Array,
    /,
) -> tuple[Array, tuple[Array, Array]]:
    """One product for the inputs of all steps, then step by step; gates in the order i, f, g, o."""
    return _unrolled(ops, partial(_lstm_step, ops, recurrent), carry, ops.linear(x, weight, bias), reset)


def gru(
    ops: Ops,
    x: Array,
    carry: Array,
    reset: Array,
    weight: Array,
    recurrent: Array,
    bias: Array,
    recurrent_bias: Array,
    /,
) -> tuple[Array, Array]:
    """Like `lstm`; gates in the order r, z, n."""
    step = partial(_gru_step, ops, recurrent, recurrent_bias)
    return _unrolled(ops, step, carry, ops.linear(x, weight, bias), reset)


def _unrolled(
    ops: Ops, step: Callable[..., tuple[Any, Array]], carry: Tree, from_input: Array, reset: Array
) -> tuple[Array, Any]:
    """`step(carry, (the input's part of the gates, 0 where the memory is emptied, else 1))` over time."""
    keep = ops.astype(ops.logical_not(reset), from_input.dtype)[..., None]
    if from_input.shape[0] == 1:
        carry, hidden = step(carry, (from_input[0], keep[0]))
        return hidden[None], carry
    carry, hidden = ops.scan(step, carry, (from_input, keep))
    return hidden, carry


def _lstm_step(
    ops: Ops, recurrent: Array, carry: tuple[Array, Array], given: tuple[Array, Array]
) -> tuple[tuple[Array, Array], Array]:
    (h, c), (from_input, keep) = carry, given
    size = recurrent.shape[0]
    gates = from_input + ops.matmul(h * keep, recurrent)
    both, o = ops.sigmoid(gates[:, : 2 * size]), ops.sigmoid(gates[:, 3 * size :])
    i, f = both[:, :size], both[:, size:]
    c = f * (c * keep) + i * ops.tanh(gates[:, 2 * size : 3 * size])
    h = o * ops.tanh(c)
    return (h, c), h


def _gru_step(ops: Ops, recurrent: Array, bias: Array, h: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
    from_input, keep = given
    size = recurrent.shape[0]
    h = h * keep
    from_state = ops.matmul(h, recurrent) + bias
    both = ops.sigmoid(from_input[:, : 2 * size] + from_state[:, : 2 * size])
    r, z = both[:, :size], both[:, size:]
    n = ops.tanh(from_input[:, 2 * size :] + r * from_state[:, 2 * size :])
    h = (1 - z) * n + z * h
    return h, h
