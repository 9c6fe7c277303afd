"""`while_loop` as a Loop, whose body is a graph of its own; `scan` is unrolled, for a policy that acts has one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from puffer_backend_onnx.node import Node
from puffer_core.arrays import Array, Tree, named_leaves, replace_leaves
from puffer_core.composites import control

if TYPE_CHECKING:
    from puffer_backend_onnx.ops import OnnxOps


def while_loop(ops: OnnxOps, condition: Callable[[Tree], Array], body: Callable[[Tree], Tree], state: Tree) -> Tree:
    """The core's loop over what is known; else a Loop."""
    goes_on = condition(state)
    if not isinstance(goes_on, Node):
        return control.while_loop(ops, condition, body, state)
    names = [name for name, _ in named_leaves(state)]

    def tree(variables: Any) -> Tree:
        return replace_leaves(state, dict(zip(names, (Node(ops, var) for var in variables), strict=True)))

    def turn(_: Any, __: Any, *variables: Any) -> list[Any]:
        after = body(tree(variables))
        return [ops.var(ops.reshape(condition(after), (1,))), *(ops.var(x) for _, x in named_leaves(after))]

    initial = [ops.var(x) for _, x in named_leaves(state)]
    return tree(ops.op.loop(cond=ops.var(ops.reshape(goes_on, (1,))), v_initial=initial, body=turn))
