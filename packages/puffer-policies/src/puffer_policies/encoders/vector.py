"""From observations, as they lie in a row, to one vector of float features: scaled, flat, one-hot; nothing to learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.ops import Dtype, Ops
from puffer_core.spaces.layout import Layout, Leaf

Scaling: TypeAlias = tuple[Any, Any]
"""What values are shifted by and multiplied with: Python floats where all elements have the same, else arrays."""

WIDEST = 65_535
"""Distance of an integer's bounds up to which they are taken for the range of its values: that of 16 bits."""

_CHOICES = ("discrete", "multi_discrete")


def feature_count(observation: Layout) -> int:
    """Length of the vector that `encode` gives.

    Example:
        >>> from gymnasium.spaces import Box, Dict, Discrete
        >>> feature_count(Layout.of(Dict(speed=Box(-1, 1, (2,)), gear=Discrete(3))))
        5
    """
    return leaf_features(observation.leaves)


def leaf_features(leaves: Sequence[Leaf]) -> int:
    """Length of the vector that `encode_leaves` gives."""
    return sum(sum(leaf.sizes) if leaf.kind in _CHOICES else math.prod(leaf.shape) for leaf in leaves)


def encode(ops: Ops, observation: Layout, x: Tree, dtype: Dtype) -> Array:
    """Observations as features, the leaves of a nested space one after another.

    Boxes become flat: floats as they are, integers scaled from their bounds to [0, 1], so that pixels do not saturate
    the first layer. Integers whose bounds are more than 65,535 apart stay as they are: such bounds say little of the
    values. Choices become one-hot, bits 0 and 1.

    Args:
        ops: the engine.
        observation: how a row lies.
        x: `[time, rows, *observation.shape]`; of a nested space a dict by leaf name.
        dtype: of the parameters that the features meet, whatever the observation's is.

    Returns:
        `[time, rows, features]` of `dtype`.
    """
    return encode_leaves(ops, observation.leaves, parts_of(observation, x), dtype)


def parts_of(observation: Layout, x: Tree) -> Mapping[str, Array]:
    """Leaf name to array; a space that is one leaf has one part, without a name."""
    return x if observation.is_nested else {"": x}


def encode_leaves(ops: Ops, leaves: Sequence[Leaf], parts: Mapping[str, Array], dtype: Dtype) -> Array:
    """`encode` for some leaves of an observation, at least one."""
    features = [_encode_leaf(ops, leaf, parts[leaf.name], dtype) for leaf in leaves]
    return features[0] if len(features) == 1 else ops.concat(features, axis=2)


def scaled(ops: Ops, leaf: Leaf, x: Array, dtype: Dtype) -> Array:
    """Values of a box or bits as numbers of `dtype`: integers with close bounds scaled to [0, 1], others as they are.

    Args:
        ops: the engine.
        leaf: whose values they are.
        x: `[time, rows, *leaf.shape]`.
        dtype: of the result.
    """
    if x.dtype != dtype:
        x = ops.astype(x, dtype)
    scaling = _scaling(leaf)
    if scaling is None:
        return x
    low, scale = (part if isinstance(part, float) else ops.asarray(part, dtype=dtype) for part in scaling)
    return (x * scale) if isinstance(low, float) and low == 0.0 else (x - low) * scale


def _encode_leaf(ops: Ops, leaf: Leaf, x: Array, dtype: Dtype) -> Array:
    if leaf.kind == "discrete":
        return ops.one_hot(x, leaf.sizes[0], dtype=dtype)
    if leaf.kind == "multi_discrete":
        flat = x if len(leaf.shape) == 1 else ops.reshape(x, (x.shape[0], -1, len(leaf.sizes)))
        parts = [ops.one_hot(flat[:, :, i], size, dtype=dtype) for i, size in enumerate(leaf.sizes)]
        return ops.concat(parts, axis=2)
    x = scaled(ops, leaf, x, dtype)
    return x if len(leaf.shape) == 1 else ops.reshape(x, (x.shape[0], -1, math.prod(leaf.shape)))


@lru_cache(maxsize=64)
def _scaling(leaf: Leaf) -> Scaling | None:
    """Of an integer box; None for what stays as it is."""
    if leaf.kind != "box" or leaf.dtype.kind not in "iu":
        return None
    assert leaf.low is not None
    assert leaf.high is not None
    low, high = leaf.low.astype(np.float64), leaf.high.astype(np.float64)
    bounded = high - low <= WIDEST
    scale = np.where(bounded, 1.0 / np.maximum(high - low, 1.0), 1.0).astype(np.float32)
    shift = np.where(bounded, low, 0.0).astype(np.float32)
    return _simplest(shift), _simplest(scale)


def _simplest(constants: np.ndarray[Any, Any]) -> Any:
    """One Python float for many equal ones: an image needs no array of its size, nor does its ONNX graph."""
    values = np.unique(constants)
    return float(values[0]) if values.size == 1 else constants
