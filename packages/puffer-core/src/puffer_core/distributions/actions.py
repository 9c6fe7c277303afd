"""From an action space to its distribution, and from the policy's action to the env's."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Outputs
from puffer_core.distributions.families import (
    FIXED_LOGIT,
    INVALID_LOGIT,
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
)
from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.layout import Layout, Leaf

PARAMETERS = frozenset({"logits", "mean", "log_std"})
"""Names of policy outputs that are parameters of the action distribution."""


def head_sizes(action: Layout) -> dict[str, int]:
    """What a policy puts out for an action space: the name of each output and its length.

    A policy for a Box gives `log_std` as well, of the length of `mean`.

    Raises:
        UnsupportedError: a space with several leaves.

    Example:
        >>> import gymnasium
        >>> head_sizes(Layout.of(gymnasium.spaces.MultiDiscrete([2, 3])))
        {'logits': 5}
    """
    leaf = _only_leaf(action)
    if leaf.kind == "box":
        return {"mean": math.prod(leaf.shape)}
    return {"logits": math.prod(leaf.shape) if leaf.kind == "multi_binary" else sum(leaf.sizes)}


def action_distribution(
    ops: Ops, action: Layout, outputs: Outputs, action_mask: Bool[Array, "*lead actions"] | None = None
) -> Distribution:
    """The distribution over `action` that a policy's outputs describe.

    Args:
        ops: the engine.
        action: the action space; decides the kind of distribution.
        outputs: `logits`, or `mean` and `log_std`, `[*lead, size]`.
        action_mask: True for valid choices; the choices of all elements in a row, for a bit 0 then 1. A row without
            any valid choice is treated as if all were valid: it does not act.

    Raises:
        ShapeError: outputs or mask that do not fit the space.
        UnsupportedError: a space with several leaves, or a mask for continuous actions.

    Example:
        >>> import gymnasium
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> layout = Layout.of(gymnasium.spaces.Discrete(3))
        >>> mask = np.array([[True, False, True]])
        >>> action_distribution(numpy_ops, layout, {"logits": np.zeros((1, 3))}, mask).entropy().round(4)
        array([0.6931])
    """
    leaf = _only_leaf(action)
    if leaf.kind == "box":
        if action_mask is not None:
            raise UnsupportedError("an action mask came with a Box action space; masks are for choices and bits")
        return DiagonalGaussian(ops, _sized(outputs, "mean", math.prod(leaf.shape)), outputs["log_std"], leaf.shape)
    if action_mask is not None and action_mask.shape[-1] != sum(leaf.sizes):
        raise ShapeError(
            f"the action mask has {action_mask.shape[-1]} entries a row; {action.space} has {sum(leaf.sizes)} choices"
        )
    if leaf.kind == "multi_binary":
        logits = _sized(outputs, "logits", math.prod(leaf.shape))
        return Bernoulli(ops, _mask_bits(ops, logits, action_mask), leaf.shape)
    logits = _sized(outputs, "logits", sum(leaf.sizes))
    if action_mask is not None:
        logits = ops.where(action_mask, logits, INVALID_LOGIT)
    if leaf.kind == "discrete":
        return Categorical(ops, logits)
    return MultiCategorical(Categorical(ops, _side_by_side(ops, logits, leaf.sizes)), leaf.shape)


def to_env(ops: Ops, action: Layout, x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """The env's action for the policy's: `[*lead, *shape]` of the space's dtype, and always within the space.

    Choices are counted from `start`. Where a box is bounded on both sides the policy acts in [-1, 1]: clipped
    to that, then stretched to the bounds. Elsewhere it acts in the env's units, clipped to the bound there is.
    Boxes of integers are rounded. A dtype that engines lack (int8, float16) becomes the next wider.

    Example:
        >>> import gymnasium
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> layout = Layout.of(gymnasium.spaces.Box(0.0, 10.0, (3,)))
        >>> to_env(numpy_ops, layout, np.array([[-3.0, 0.0, 1.0]], np.float32))
        array([[ 0.,  5., 10.]], dtype=float32)
    """
    leaf = _only_leaf(action)
    if leaf.kind != "box":
        if any(leaf.start):
            x = x + (leaf.start[0] if not leaf.shape else ops.asarray(np.reshape(leaf.start, leaf.shape)))
        return ops.astype(x, _dtype(ops, leaf.dtype))
    inner_low, inner_high, scale, offset, low, high = map(ops.asarray, _box(action))
    y = ops.clip(x, inner_low, inner_high) * scale + offset
    if leaf.dtype.kind != "f":
        y = ops.floor(y + 0.5)
    return ops.clip(ops.astype(y, _dtype(ops, leaf.dtype)), low, high)


@lru_cache(maxsize=64)
def _box(action: Layout) -> tuple[Array, ...]:
    """Constants of `to_env`: the bounds that the policy acts in, scale, offset, and the env's bounds."""
    leaf = action.leaves[0]
    assert leaf.low is not None
    assert leaf.high is not None
    below, above = leaf.low.astype(np.float64), leaf.high.astype(np.float64)
    bounded = np.isfinite(below) & np.isfinite(above)
    scale, offset = np.ones(leaf.shape), np.zeros(leaf.shape)
    np.subtract(above / 2, below / 2, where=bounded, out=scale)
    np.add(above / 2, below / 2, where=bounded, out=offset)
    inner = (np.where(bounded, -1.0, below), np.where(bounded, 1.0, above))
    return (*(part.astype(np.float32) for part in (*inner, scale, offset)), leaf.low, leaf.high)


def _mask_bits(ops: Ops, logits: Array, mask: Array | None) -> Array:
    if mask is None:
        return logits
    pairs = ops.reshape(mask, (*logits.shape, 2))
    zero, one = pairs[..., 0], pairs[..., 1]
    only_one = ops.logical_and(one, ops.logical_not(zero))
    only_zero = ops.logical_and(zero, ops.logical_not(one))
    return ops.where(only_one, FIXED_LOGIT, ops.where(only_zero, -FIXED_LOGIT, logits))


def _side_by_side(ops: Ops, logits: Array, sizes: tuple[int, ...]) -> Array:
    """`[*lead, sum of sizes]` as `[*lead, elements, largest size]`."""
    lead, largest = tuple(logits.shape[:-1]), max(sizes)
    if min(sizes) < largest:
        places, present = _padding(sizes)
        logits = ops.where(ops.asarray(present), ops.take(logits, ops.asarray(places), axis=-1), INVALID_LOGIT)
    return ops.reshape(logits, (*lead, len(sizes), largest))


@lru_cache(maxsize=64)
def _padding(sizes: tuple[int, ...]) -> tuple[Array, Array]:
    column = np.arange(max(sizes))
    present = column < np.asarray(sizes)[:, None]
    first = np.cumsum((0, *sizes[:-1]))
    return np.where(present, first[:, None] + column, 0).ravel(), present.ravel()


def _sized(outputs: Outputs, name: str, size: int) -> Array:
    if name not in outputs:
        raise ShapeError(f"the policy gave {sorted(outputs)}; this action space needs {name!r} of length {size}")
    if outputs[name].shape[-1] != size:
        raise ShapeError(f"{name} has {outputs[name].shape[-1]} entries a row; this action space needs {size}")
    return outputs[name]


def _dtype(ops: Ops, dtype: np.dtype[Any]) -> Any:
    """The engine's dtype of this name, or the next wider that engines have."""
    return getattr(ops, _dtype_name(dtype))


@lru_cache(maxsize=64)  # the name of a NumPy dtype costs more to build than an action to sample
def _dtype_name(dtype: np.dtype[Any]) -> str:
    wider = {"int8": "int32", "int16": "int32", "uint16": "int32", "float16": "float32"}
    return wider.get(dtype.name, dtype.name)


def _only_leaf(action: Layout) -> Leaf:
    if len(action.leaves) != 1:
        raise UnsupportedError(
            f"actions of {action.space} have {len(action.leaves)} parts; Box, Discrete, MultiDiscrete and MultiBinary "
            "are served"
        )
    return action.leaves[0]
