"""Recurrences and control flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from puffer_core.arrays import Tree

S = TypeVar("S")


def linear_recurrence(
    decay: Float[Array, "T *row"],
    increment: Float[Array, "T *row"],
    initial: Float[Array, "*row"],
    /,
    *,
    reverse: bool = False,
) -> Float[Array, "T *row"]:
    """`y[t] = increment[t] + decay[t] * y[t-1]`, a step at a time: what suits a CPU.

    Example:
        >>> half, one = jnp.full((3, 1), 0.5), jnp.ones((3, 1))
        >>> linear_recurrence(half, one, jnp.zeros(1)).ravel().tolist()
        [1.0, 1.5, 1.75]

    """

    def step(previous: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        y = given[1] + given[0] * previous
        return y, y

    y: Array = lax.scan(step, initial, (decay, increment), reverse=reverse)[1]
    return y


def parallel_linear_recurrence(
    decay: Float[Array, "T *row"],
    increment: Float[Array, "T *row"],
    initial: Float[Array, "*row"],
    /,
    *,
    reverse: bool = False,
) -> Float[Array, "T *row"]:
    """The same in a number of passes that grows with log T (Blelloch 1990): what suits a GPU.

    Example:
        >>> half, one = jnp.full((3, 1), 0.5), jnp.ones((3, 1))
        >>> parallel_linear_recurrence(half, one, jnp.zeros(1)).ravel().tolist()
        [1.0, 1.5, 1.75]

    """
    first = -1 if reverse else 0
    increment = increment.at[first].add(decay[first] * initial)
    joined: tuple[Array, Array] = lax.associative_scan(_join, (decay, increment), reverse=reverse)
    return joined[1]


def _join(early: tuple[Array, Array], late: tuple[Array, Array]) -> tuple[Array, Array]:
    return early[0] * late[0], late[1] + late[0] * early[1]


def scan(
    body: Callable[[S, Any], tuple[S, Any]], carry: S, xs: Tree, /, *, length: int | None = None
) -> tuple[S, Tree]:
    """One loop in the program, however many steps: `body` is traced once.

    Example:
        >>> total, before = scan(lambda total, x: (total + x, total), jnp.asarray(0), jnp.asarray([1, 2]))
        >>> total.tolist(), before.tolist()
        (3, [0, 1])

    """

    def run(carry: S) -> tuple[S, Tree]:
        result: tuple[S, Tree] = lax.scan(body, carry, xs, length=length)
        return result

    def after(carry: S) -> S:
        return body(carry, jax.tree.map(lambda x: x[0], xs))[0]

    found: tuple[S, Tree] = _widened(run, after, carry)
    return found


def while_loop(condition: Callable[[S], Any], body: Callable[[S], S], state: S, /) -> S:
    """One loop in the program.

    Example:
        >>> while_loop(lambda x: x < 100, lambda x: x * 2, jnp.asarray(7)).tolist()
        112

    """

    def run(state: S) -> S:
        result: S = lax.while_loop(condition, body, state)
        return result

    last: S = _widened(run, body, state)
    return last


def _widened(run: Callable[[S], Any], after: Callable[[S], S], state: S) -> Any:
    """`run(state)`, with arrays of the state as wide as one turn makes them.

    In a reference run float32 zeros meet float64 parameters. On other engines the loop's state then grows at the first
    turn; JAX fixes dtypes in advance, and says so with a TypeError.
    """
    try:
        return run(state)
    except TypeError:
        turned = jax.eval_shape(after, state)
        wide = jax.tree.map(_as_wide_as, state, turned)
        if all(a is b for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(state), strict=True)):
            raise
        return run(wide)


def _as_wide_as(x: Any, after: jax.ShapeDtypeStruct) -> Any:
    dtype = jnp.promote_types(jnp.result_type(x), after.dtype)
    return x if dtype == jnp.result_type(x) else jnp.asarray(x, dtype)
