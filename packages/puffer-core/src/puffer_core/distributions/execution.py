"""From the policy's action to the env's: choices in the space's numbering, continuous actions in its bounds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Shaped

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.ops import Ops
from puffer_core.spaces.layout import Layout, Leaf


def to_env(ops: Ops, action: Layout, x: Tree) -> Tree:
    """The env's action for the policy's: `[*lead, *shape]` of the space's dtype, and always within the space.

    Choices are counted from `start`. Where a box is bounded on both sides the policy acts in [-1, 1]: clipped
    to that, then stretched to the bounds. Elsewhere it acts in the env's units, clipped to the bound there is.
    Boxes of integers are rounded. A dtype that engines lack (int8, float16) becomes the next wider.

    Args:
        ops: the engine.
        action: the action space.
        x: `[*lead, *shape]`; of a nested space a dict, leaf name to `[*lead, *leaf.shape]`.

    Returns:
        Nested like `x`; on the host `Layout.join` makes rows of it.

    Example:
        >>> import gymnasium
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> layout = Layout.of(gymnasium.spaces.Box(0.0, 10.0, (3,)))
        >>> to_env(numpy_ops, layout, np.array([[-3.0, 0.0, 1.0]], np.float32))
        array([[ 0.,  5., 10.]], dtype=float32)
    """
    if action.is_nested:
        return {leaf.name: _leaf_to_env(ops, leaf, x[leaf.name]) for leaf in action.leaves}
    return _leaf_to_env(ops, action.leaves[0], x)


def _leaf_to_env(ops: Ops, leaf: Leaf, x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    if leaf.kind != "box":
        if any(leaf.start):
            x = x + (leaf.start[0] if not leaf.shape else ops.asarray(np.reshape(leaf.start, leaf.shape)))
        return ops.astype(x, _dtype(ops, leaf.dtype))
    inner_low, inner_high, scale, offset, low, high = map(ops.asarray, _box(leaf))
    y = ops.clip(x, inner_low, inner_high) * scale + offset
    if leaf.dtype.kind != "f":
        y = ops.floor(y + 0.5)
    return ops.clip(ops.astype(y, _dtype(ops, leaf.dtype)), low, high)


@lru_cache(maxsize=64)
def _box(leaf: Leaf) -> tuple[Array, ...]:
    """Constants of a box: the bounds that the policy acts in, scale, offset, and the env's bounds."""
    assert leaf.low is not None
    assert leaf.high is not None
    below, above = leaf.low.astype(np.float64), leaf.high.astype(np.float64)
    bounded = np.isfinite(below) & np.isfinite(above)
    scale, offset = np.ones(leaf.shape), np.zeros(leaf.shape)
    np.subtract(above / 2, below / 2, where=bounded, out=scale)
    np.add(above / 2, below / 2, where=bounded, out=offset)
    inner = (np.where(bounded, -1.0, below), np.where(bounded, 1.0, above))
    return (*(part.astype(np.float32) for part in (*inner, scale, offset)), leaf.low, leaf.high)


def _dtype(ops: Ops, dtype: np.dtype[Any]) -> Any:
    """The engine's dtype of this name, or the next wider that engines have."""
    return getattr(ops, _dtype_name(dtype))


@lru_cache(maxsize=64)  # the name of a NumPy dtype costs more to build than an action to sample
def _dtype_name(dtype: np.dtype[Any]) -> str:
    wider = {"int8": "int32", "int16": "int32", "uint16": "int32", "float16": "float32"}
    return wider.get(dtype.name, dtype.name)
