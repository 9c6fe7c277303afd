"""gymnax's spaces as Gymnasium's."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnax.environments import spaces

from puffer_core.errors import UnsupportedError


def to_gymnasium(id: str, role: str, space: Any) -> gymnasium.Space[Any]:
    """The space of the same values; a bound at the end of what its dtype holds is none.

    Args:
        id: of the env, for messages.
        role: `observation` or `action`, likewise.
        space: gymnax's.

    Raises:
        UnsupportedError: a Dict or Tuple, or a class of somebody's own.

    Example:
        >>> to_gymnasium("none", "action", spaces.Discrete(3))
        Discrete(3)
        >>> to_gymnasium("none", "observation", spaces.Box(-1.0, np.finfo(np.float32).max, (2,)))
        Box(-1.0, inf, (2,), float32)
    """
    if isinstance(space, spaces.Discrete):
        return gymnasium.spaces.Discrete(int(space.n))
    if not isinstance(space, spaces.Box):
        raise UnsupportedError(
            f"gymnax:{id}: the {role} space is {space!r}, expected Discrete or Box",
            remedy="Wrap the environment so that it gives one array.",
        )
    dtype = np.dtype(space.dtype)
    shape = tuple(int(size) for size in space.shape)
    low, high = (np.broadcast_to(np.asarray(bound), shape).astype(dtype) for bound in (space.low, space.high))
    if dtype.kind == "f":
        most = np.finfo(dtype).max
        low, high = np.where(low <= -most, -np.inf, low), np.where(high >= most, np.inf, high)
    return gymnasium.spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype.type)
