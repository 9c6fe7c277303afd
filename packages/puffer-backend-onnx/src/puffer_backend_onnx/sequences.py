"""Recurrences and loops: over time unrolled, for a policy that acts has one step; `while_loop` is a Loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from puffer_backend_onnx.node import Node
from puffer_core.arrays import Array, Tree, map_tree, named_leaves, replace_leaves

if TYPE_CHECKING:
    from puffer_backend_onnx.ops import OnnxOps


def _linear_recurrence(ops: OnnxOps, decay: Array, increment: Array, initial: Array, *, reverse: bool = False) -> Array:
    y, steps = initial, range(len(decay))
    ys = []
    for t in reversed(steps) if reverse else steps:
        y = increment[t] + decay[t] * y
        ys.append(y)
    return ops.stack(ys[::-1] if reverse else ys, axis=0)


def _scan(ops: OnnxOps, body: Callable[..., Any], carry: Tree, xs: Tree, *, length: int | None = None) -> Any:
    lengths = [len(x) for _, x in named_leaves(xs)]
    ys = []
    for t in range(length if length is not None else lengths[0]):
        carry, y = body(carry, map_tree(lambda x, t=t: x[t], xs))
        ys.append(y)
    return carry, map_tree(lambda *steps: ops.stack(steps, axis=0), *ys)


def _while_loop(ops: OnnxOps, condition: Callable[[Tree], Array], body: Callable[[Tree], Tree], state: Tree) -> Tree:
    """NumPy's loop over what is known; else a Loop, whose body is a graph of its own."""
    goes_on = condition(state)
    if not isinstance(goes_on, Node):
        while goes_on:
            state = body(state)
            goes_on = condition(state)
        return state
    names = [name for name, _ in named_leaves(state)]

    def tree(variables: Any) -> Tree:
        return replace_leaves(state, dict(zip(names, (Node(ops, var) for var in variables), strict=True)))

    def turn(_: Any, __: Any, *variables: Any) -> list[Any]:
        after = body(tree(variables))
        return [ops.var(ops.reshape(condition(after), (1,))), *(ops.var(x) for _, x in named_leaves(after))]

    initial = [ops.var(x) for _, x in named_leaves(state)]
    return tree(ops.op.loop(cond=ops.var(ops.reshape(goes_on, (1,))), v_initial=initial, body=turn))


BUILD: dict[str, Any] = {"linear_recurrence": _linear_recurrence, "scan": _scan, "while_loop": _while_loop}
