"""Random valid actions: to measure an env, or to see how it takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from puffer_core.spaces.layout import Layout, Leaf


def random_actions(
    layout: Layout, rng: np.random.Generator, rows: int, mask: Bool[np.ndarray, "rows choices"] | None = None
) -> Shaped[np.ndarray, "rows *action"]:
    """One action a row, uniform over what is valid, in the space's own numbering, as `VectorEnv.step` takes them.

    A number without a bound is drawn from the unit interval beside the other bound, or from -1 to 1.

    Args:
        layout: of the actions.
        rng: gives the noise.
        rows: how many.
        mask: True for valid choices, those of all parts one after another, as `EnvBuffers.action_mask` has them.
            Where none is valid, the first is taken.

    Example:
        >>> import gymnasium
        >>> layout = Layout.of(gymnasium.spaces.Discrete(3, start=-1))
        >>> random_actions(layout, np.random.default_rng(0), 2, np.array([[True, False, False]] * 2))
        array([-1, -1])
    """
    parts: dict[str, Any] = {}
    before = 0
    for name, leaf in zip(layout.names, layout.leaves, strict=True):
        after = before + sum(leaf.sizes)
        valid = None if mask is None else mask[:, before:after]
        parts[name] = _numbers(leaf, rng, rows) if leaf.kind == "box" else _choices(leaf, rng, rows, valid)
        before = after
    joined: np.ndarray[Any, Any] = layout.join(parts if layout.is_nested else parts[""])
    return joined


def _choices(
    leaf: Leaf, rng: np.random.Generator, rows: int, valid: np.ndarray[Any, Any] | None
) -> np.ndarray[Any, Any]:
    """One of each element's choices; where only some are valid, that with the highest of as many random keys."""
    if valid is None:
        chosen = rng.integers(0, np.array(leaf.sizes, np.int64), (rows, len(leaf.sizes)))
    else:
        keys = np.where(valid, rng.random(valid.shape), -1.0)
        elements = np.split(keys, np.cumsum(leaf.sizes)[:-1], axis=1)
        chosen = np.stack([element.argmax(axis=1) for element in elements], axis=1)
    return (chosen + np.array(leaf.start, np.int64)).reshape(rows, *leaf.shape).astype(leaf.dtype)


def _numbers(leaf: Leaf, rng: np.random.Generator, rows: int) -> np.ndarray[Any, Any]:
    assert leaf.low is not None
    assert leaf.high is not None
    shape = (rows, *leaf.shape)
    if leaf.dtype.kind == "b":
        return np.asarray(rng.integers(leaf.low.astype(np.int8), leaf.high.astype(np.int8), shape, endpoint=True) > 0)
    if leaf.dtype.kind != "f":
        return np.asarray(rng.integers(leaf.low, leaf.high, shape, leaf.dtype.type, endpoint=True))
    low, high = leaf.low.astype(np.float64), leaf.high.astype(np.float64)
    floor = np.where(np.isfinite(low), low, np.minimum(-1.0, high - 1.0))
    ceiling = np.where(np.isfinite(high), high, np.maximum(1.0, low + 1.0))
    share = rng.random(shape)
    drawn = floor * (1.0 - share) + ceiling * share  # not floor + share * width: a width may overflow
    return np.asarray(np.clip(drawn.astype(leaf.dtype), leaf.low, leaf.high))
