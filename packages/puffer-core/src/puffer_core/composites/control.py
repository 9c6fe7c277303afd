"""Loops whose turns the host makes, recurrences over them, and what an engine without gradients answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from puffer_core.arrays import Array, Params, Tree, map_tree, named_leaves
from puffer_core.contracts.ops import Ops
from puffer_core.errors import ShapeError, UnsupportedError

S = TypeVar("S")


def linear_recurrence(ops: Ops, decay: Array, increment: Array, initial: Array, /, *, reverse: bool = False) -> Array:
    """A scan; one step, as when acting, is taken without it."""
    if increment.shape[0] == 1:
        return increment + decay * initial
    if reverse:
        decay, increment = ops.flip(decay, axis=0), ops.flip(increment, axis=0)

    def step(previous: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        y = given[1] + given[0] * previous
        return y, y

    _, ys = ops.scan(step, initial, (decay, increment))
    return ops.flip(ys, axis=0) if reverse else ys


def scan(
    ops: Ops, body: Callable[[S, Any], tuple[S, Any]], carry: S, xs: Tree, /, *, length: int | None = None
) -> tuple[S, Tree]:
    """A Python loop over axis 0 of `xs`; the ys are stacked.

    Raises:
        ShapeError: `xs` and `length` do not have one length, at least 1.
    """
    lengths = {len(leaf) for _, leaf in named_leaves(xs)} | (set() if length is None else {length})
    if len(lengths) != 1 or 0 in lengths:
        raise ShapeError(
            f"scan: the lengths of xs and `length` are {sorted(lengths)}; expected one length, at least 1, for all"
        )
    ys = []
    for t in range(lengths.pop()):
        carry, y = body(carry, map_tree(lambda x, t=t: x[t], xs))
        ys.append(y)
    return carry, map_tree(lambda *steps: ops.stack(steps, axis=0), *ys)


def while_loop(_: Ops, condition: Callable[[S], Array], body: Callable[[S], S], state: S, /) -> S:
    """A Python loop; an accelerator is waited for at each turn."""
    while condition(state):
        state = body(state)
    return state


def spread(_: Ops, x: Array, /, *, axis: int) -> Array:
    """The same array: there is one device."""
    del axis
    return x


def stop_gradient(_: Ops, x: Array, /) -> Array:
    """The same array: there are no gradients."""
    return x


def value_and_grad(ops: Ops, _: Callable[..., Any], /) -> NoReturn:
    """None of an engine that does not differentiate.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        f"the {ops.name} backend computes no gradients: value_and_grad was called on it",
        remedy=f"train on a backend that differentiates, torch or jax; {ops.name} acts and evaluates",
    )


def clip_by_global_norm(ops: Ops, gradients: Params, limit: float, /) -> tuple[Params, Array]:
    """The norm is of one flat copy of all: engines that compile have one sum to compile, and not one a parameter."""
    flat = ops.concat([ops.reshape(gradients[name], (-1,)) for name in sorted(gradients)], axis=0)
    norm = ops.sqrt(ops.sum(ops.square(flat)))
    scale = limit / ops.maximum(norm, ops.asarray(limit, dtype=norm.dtype))
    return {name: gradients[name] * scale for name in sorted(gradients)}, norm
