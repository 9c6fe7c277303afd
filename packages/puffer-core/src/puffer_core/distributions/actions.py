"""From an action space to its distribution."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Bool

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Outputs
from puffer_core.distributions.families import (
    ABSENT_LOGIT,
    FIXED_LOGIT,
    INVALID_LOGIT,
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
)
from puffer_core.distributions.joint import Joint
from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.spaces.layout import Layout, Leaf

PARAMETERS = frozenset({"logits", "mean", "log_std"})
"""Policy outputs that are parameters of the action distribution; of a nested space each leaf has its own, such as
`logits.gear`. `is_parameter` knows both."""


def is_parameter(output: str) -> bool:
    """Whether a policy output of this name is a parameter of the action distribution.

    Example:
        >>> is_parameter("logits"), is_parameter("mean.arm.speed"), is_parameter("value")
        (True, True, False)
    """
    return output in PARAMETERS or output.partition(".")[0] in PARAMETERS


def head_sizes(action: Layout) -> dict[str, int]:
    """What a policy puts out for an action space: the name of each output and its length.

    A policy for a Box gives `log_std` as well (`log_std.NAME` beside `mean.NAME`), of the length of `mean`.

    Example:
        >>> from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
        >>> head_sizes(Layout.of(MultiDiscrete([2, 3])))
        {'logits': 5}
        >>> head_sizes(Layout.of(Dict(gear=Discrete(4), speed=Box(0, 1, (2,)))))
        {'logits.gear': 4, 'mean.speed': 2}
    """
    return dict(_head(leaf, _suffix(action, leaf)) for leaf in action.leaves)


def _head(leaf: Leaf, suffix: str) -> tuple[str, int]:
    if leaf.kind == "box":
        return f"mean{suffix}", math.prod(leaf.shape)
    return f"logits{suffix}", math.prod(leaf.shape) if leaf.kind == "multi_binary" else sum(leaf.sizes)


def _suffix(action: Layout, leaf: Leaf) -> str:
    return f".{leaf.name}" if action.is_nested else ""


def action_distribution(
    ops: Ops, action: Layout, outputs: Outputs, action_mask: Bool[Array, "*lead actions"] | None = None
) -> Distribution:
    """The distribution over `action` that a policy's outputs describe.

    Args:
        ops: the engine.
        action: the action space; decides the kind of distribution. A nested one gives a `Joint`.
        outputs: `logits`, or `mean` and `log_std`, `[*lead, size]`; of a nested space each leaf's (`logits.gear`).
        action_mask: True for valid choices; the choices of all elements in a row, for a bit 0 then 1, leaf after leaf.
            A row or element without any valid choice is treated as if all were valid: it does not act.

    Raises:
        ShapeError: outputs or mask that do not fit the space.
        UnsupportedError: a mask for continuous actions alone.

    Example:
        >>> import gymnasium
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> layout = Layout.of(gymnasium.spaces.Discrete(3))
        >>> mask = np.array([[True, False, True]])
        >>> action_distribution(numpy_ops, layout, {"logits": np.zeros((1, 3))}, mask).entropy().round(4)
        array([0.6931])
    """
    if action_mask is not None:
        _check_mask(action, action_mask)
    if not action.is_nested:
        return _leaf_distribution(ops, action.leaves[0], outputs, "", action_mask)
    parts: dict[str, Distribution] = {}
    begin = 0
    for leaf in action.leaves:
        end = begin + sum(leaf.sizes)
        mask = None if action_mask is None or end == begin else action_mask[..., begin:end]
        parts[leaf.name] = _leaf_distribution(ops, leaf, outputs, f".{leaf.name}", mask)
        begin = end
    return Joint(ops, parts)


def _check_mask(action: Layout, mask: Array) -> None:
    if not action.mask_size:
        raise UnsupportedError("an action mask came with a Box action space; masks are for choices and bits")
    if mask.shape[-1] != action.mask_size:
        raise ShapeError(
            f"the action mask has {mask.shape[-1]} entries a row; {action.space} has {action.mask_size} choices"
        )


def _leaf_distribution(ops: Ops, leaf: Leaf, outputs: Outputs, suffix: str, mask: Array | None) -> Distribution:
    name, size = _head(leaf, suffix)
    parameter = _sized(outputs, name, size)
    if leaf.kind == "box":
        return DiagonalGaussian(ops, parameter, outputs[f"log_std{suffix}"], leaf.shape)
    if leaf.kind == "multi_binary":
        return Bernoulli(ops, _mask_bits(ops, parameter, mask), leaf.shape)
    logits = parameter if mask is None else ops.where(mask, parameter, INVALID_LOGIT)
    if leaf.kind == "discrete":
        return Categorical(ops, logits)
    return MultiCategorical(Categorical(ops, _side_by_side(ops, logits, leaf.sizes)), leaf.shape)


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
        logits = ops.where(ops.asarray(present), ops.take(logits, ops.asarray(places), axis=-1), ABSENT_LOGIT)
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
