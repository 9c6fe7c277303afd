"""Recurrence and control flow in NumPy: plain loops over axis 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from puffer_core.arrays import Array, Tree, map_tree, named_leaves
from puffer_core.errors import ShapeError
from puffer_core.numpy_backend.networks import linear, sigmoid

S = TypeVar("S")


def linear_recurrence(
    decay: Float[Array, "T *rest"],
    increment: Float[Array, "T *rest"],
    initial: Float[Array, "*rest"],
    /,
    *,
    reverse: bool = False,
) -> Float[Array, "T *rest"]:
    """`y[t] = increment[t] + decay[t] * y[t-1]`, from the last step backwards when reversed."""
    out = np.empty(increment.shape, np.result_type(decay, increment, initial))
    previous = initial
    for t in reversed(range(len(out))) if reverse else range(len(out)):
        row = out[t, ...]  # a view also where `rest` is empty
        np.multiply(decay[t], previous, row)
        np.add(row, increment[t], row)
        previous = row
    return out


def scan(
    body: Callable[[S, Any], tuple[S, Any]], carry: S, xs: Tree, /, *, length: int | None = None
) -> tuple[S, Tree]:
    """`body(carry, x) -> (carry, y)` along axis 0 of `xs`; the ys are stacked."""
    lengths = {len(leaf) for _, leaf in named_leaves(xs)} | (set() if length is None else {length})
    if len(lengths) != 1 or 0 in lengths:
        raise ShapeError(
            f"scan: the lengths of xs and `length` are {sorted(lengths)}; expected one length, at least 1, for all"
        )
    ys = []
    for t in range(lengths.pop()):
        carry, y = body(carry, map_tree(lambda x, t=t: x[t], xs))
        ys.append(y)
    return carry, map_tree(lambda *steps: np.stack(steps), *ys)


def while_loop(condition: Callable[[S], Array], body: Callable[[S], S], state: S, /) -> S:
    """Repeat `body` while `condition(state)`."""
    while condition(state):
        state = body(state)
    return state


def lstm(
    x: Float[Array, "T N features"],
    carry: tuple[Float[Array, "N hidden"], Float[Array, "N hidden"]],
    reset: Bool[Array, "T N"],
    weight: Float[Array, "features gates"],
    recurrent: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    /,
) -> tuple[Float[Array, "T N hidden"], tuple[Float[Array, "N hidden"], Float[Array, "N hidden"]]]:
    """Long short-term memory, gates in the order i, f, g, o."""
    h, c = carry
    size = h.shape[-1]
    from_input = linear(x, weight, bias)
    hidden = np.empty((*x.shape[:2], size), from_input.dtype)
    for t in range(len(x)):
        keep = ~reset[t, :, None]
        gates = from_input[t] + linear(h * keep, recurrent)
        both, o = sigmoid(gates[:, : 2 * size]), sigmoid(gates[:, 3 * size :])
        i, f = both[:, :size], both[:, size:]
        c = f * (c * keep) + i * np.tanh(gates[:, 2 * size : 3 * size])
        h = o * np.tanh(c)
        hidden[t] = h
    return hidden, (h, c)


def gru(
    x: Float[Array, "T N features"],
    carry: Float[Array, "N hidden"],
    reset: Bool[Array, "T N"],
    weight: Float[Array, "features gates"],
    recurrent: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    recurrent_bias: Float[Array, " gates"],
    /,
) -> tuple[Float[Array, "T N hidden"], Float[Array, "N hidden"]]:
    """Gated recurrent unit, gates in the order r, z, n; the new state is `(1 - z) * n + z * h`."""
    h = carry
    size = h.shape[-1]
    from_input = linear(x, weight, bias)
    hidden = np.empty((*x.shape[:2], size), from_input.dtype)
    for t in range(len(x)):
        h = h * ~reset[t, :, None]
        from_state = linear(h, recurrent, recurrent_bias)
        both = sigmoid(from_input[t, :, : 2 * size] + from_state[:, : 2 * size])
        r, z = both[:, :size], both[:, size:]
        n = np.tanh(from_input[t, :, 2 * size :] + r * from_state[:, 2 * size :])
        h = (1 - z) * n + z * h
        hidden[t] = h
    return hidden, h
