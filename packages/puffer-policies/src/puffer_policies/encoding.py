"""From observations, as they lie in a row, to one vector of float features."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.ops import Dtype, Ops
from puffer_core.layout import Layout, Leaf

WIDEST = 65_535
"""Distance of an integer's bounds up to which they are taken for the range of its values: that of 16 bits."""


def feature_count(observation: Layout) -> int:
    """Length of the vector that `encode` gives."""
    return sum(_leaf_features(leaf) for leaf in observation.leaves)


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
    if not observation.is_nested:
        return _encode_leaf(ops, observation.leaves[0], x, dtype)
    return ops.concat([_encode_leaf(ops, leaf, x[leaf.name], dtype) for leaf in observation.leaves], axis=2)


def _encode_leaf(ops: Ops, leaf: Leaf, x: Array, dtype: Dtype) -> Array:
    lead = tuple(x.shape[:2])
    if leaf.kind == "discrete":
        return ops.one_hot(x, leaf.sizes[0], dtype=dtype)
    if leaf.kind == "multi_discrete":
        flat = ops.reshape(x, (*lead, len(leaf.sizes)))
        parts = [ops.one_hot(flat[:, :, i], size, dtype=dtype) for i, size in enumerate(leaf.sizes)]
        return ops.concat(parts, axis=2)
    if x.dtype != dtype:
        x = ops.astype(x, dtype)
    scaling = _scaling(leaf)
    if scaling is not None:
        low, scale = (ops.asarray(constant, dtype=dtype) for constant in scaling)
        x = (x - low) * scale
    return x if len(leaf.shape) == 1 else ops.reshape(x, (*lead, _leaf_features(leaf)))


@lru_cache(maxsize=64)
def _scaling(leaf: Leaf) -> tuple[Any, Any] | None:
    """What an integer box is shifted by and multiplied with; None for what stays as it is."""
    if leaf.kind != "box" or leaf.dtype.kind not in "iu":
        return None
    assert leaf.low is not None
    assert leaf.high is not None
    low, high = leaf.low.astype(np.float64), leaf.high.astype(np.float64)
    bounded = high - low <= WIDEST
    scale = np.where(bounded, 1.0 / np.maximum(high - low, 1.0), 1.0)
    return np.where(bounded, low, 0.0).astype(np.float32), scale.astype(np.float32)


def _leaf_features(leaf: Leaf) -> int:
    return sum(leaf.sizes) if leaf.kind in ("discrete", "multi_discrete") else math.prod(leaf.shape)
