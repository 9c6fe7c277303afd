"""Layout: how values of a space lie in a row of an array, and what an engine needs to know of them.

A layout is made once from a `gymnasium.spaces.Space`. Leaves are in the order of the space's own keys; a space that
is one leaf keeps its shape and dtype, so that an image stays `[height, width, channels]` uint8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import gymnasium
import numpy as np

from puffer_core.errors import UnsupportedError

Kind: TypeAlias = Literal["box", "discrete", "multi_discrete", "multi_binary"]


@dataclass(frozen=True)
class Leaf:
    """One elementary space within a layout.

    Args:
        path: keys that lead to it from the root; empty for a space that is one leaf.
        kind: the elementary space.
        shape: of one value.
        dtype: of one value.
        sizes: number of choices of each element, flat: `(n,)` for discrete, one an element for multi_discrete,
            2 for each element of multi_binary, empty for box.
        start: lowest value of each element, flat; empty for box. Inside Puffer choices count from 0.
        low: bounds of a box, `shape`; None otherwise.
        high: likewise.
    """

    path: tuple[str, ...]
    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sizes: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    low: np.ndarray[Any, Any] | None = None
    high: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Layout:
    """A space as rows of an array. `[rows, *shape]` of `dtype` holds one value a row."""

    space: gymnasium.Space[Any]
    leaves: tuple[Leaf, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, space: gymnasium.Space[Any]) -> Layout:
        """The layout of a space.

        Raises:
            UnsupportedError: a space that has none (Text, Graph, Sequence, OneOf); the message says which spaces have.
        """
        leaf = _leaf(space)
        return cls(space, (leaf,), leaf.shape, leaf.dtype)
