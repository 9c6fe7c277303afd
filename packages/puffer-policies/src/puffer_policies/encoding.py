"""From observations, as they lie in a row, to one vector of float features."""

from __future__ import annotations

import math

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Ops
from puffer_core.layout import Layout, Leaf


def feature_count(observation: Layout) -> int:
    """Length of the vector that `encode` gives."""
    return sum(_leaf_features(leaf) for leaf in observation.leaves)


def encode(ops: Ops, observation: Layout, x: Array) -> Array:
    """Observations as features: boxes flat, choices one-hot, bits as 0 and 1.

    Args:
        ops: the engine.
        observation: how a row lies.
        x: `[time, rows, *observation.shape]`.

    Returns:
        `[time, rows, features]`, float32 (float64 where `x` is).
    """
    (leaf,) = observation.leaves
    lead = tuple(x.shape[:2])
    if leaf.kind == "discrete":
        return ops.one_hot(x, leaf.sizes[0])
    if leaf.kind == "multi_discrete":
        flat = ops.reshape(x, (*lead, len(leaf.sizes)))
        return ops.concat([ops.one_hot(flat[:, :, i], size) for i, size in enumerate(leaf.sizes)], axis=2)
    if x.dtype not in (ops.float32, ops.float64):
        x = ops.astype(x, ops.float32)
    return x if len(leaf.shape) == 1 else ops.reshape(x, (*lead, _leaf_features(leaf)))


def _leaf_features(leaf: Leaf) -> int:
    return sum(leaf.sizes) if leaf.kind in ("discrete", "multi_discrete") else math.prod(leaf.shape)
