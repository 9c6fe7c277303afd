"""Unlike spaces made alike: the layout that the rows of all agents have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout


def common_layout(layouts: Sequence[Layout], what: str) -> Layout:
    """The layout of rows that hold a value of any of `layouts`.

    Vectors (boxes of one axis and dtype) are as long as the longest, zeros behind; boxes of one shape and dtype have
    the widest bounds; choices are as many as the most.

    Args:
        layouts: one a group of agents, at least one.
        what: what they are of, for the message.

    Raises:
        UnsupportedError: nothing of this makes them alike.

    Example:
        >>> common_layout([Layout.of(Discrete(3)), Layout.of(Discrete(5))], "actions").space
        Discrete(5)
        >>> common_layout([Layout.of(Box(-1, 1, (2,))), Layout.of(Box(0, 1, (3,)))], "observations").space
        Box([-1. -1.  0.], 1.0, (3,), float32)
    """
    first = layouts[0]
    if all(layout == first for layout in layouts):
        return first
    kinds = {None if layout.is_nested else layout.kind for layout in layouts}
    if kinds == {"discrete"}:
        return _most_choices(layouts)
    if kinds == {"box"} and _are_vectors_or_alike(layouts):
        return _widest_box(layouts)
    described = "; ".join(dict.fromkeys(str(layout) for layout in layouts))
    raise UnsupportedError(
        f"the agents' {what} cannot be rows of one array: {described}. Agents may differ in the length of vectors, in "
        "the bounds of boxes of one shape, and in the number of choices",
        remedy="make them alike in a wrapper of your own",
    )


def _are_vectors_or_alike(layouts: Sequence[Layout]) -> bool:
    shapes, dtypes = {layout.shape for layout in layouts}, {layout.dtype for layout in layouts}
    return len(dtypes) == 1 and (len(shapes) == 1 or all(len(shape) == 1 for shape in shapes))


def _most_choices(layouts: Sequence[Layout]) -> Layout:
    leaves = [layout.leaves[0] for layout in layouts]
    starts = {leaf.start[0] for leaf in leaves}
    return Layout.of(Discrete(max(leaf.sizes[0] for leaf in leaves), start=starts.pop() if len(starts) == 1 else 0))


def _widest_box(layouts: Sequence[Layout]) -> Layout:
    shape = max(layout.shape for layout in layouts)
    dtype = layouts[0].dtype
    low, high = ([_padded(getattr(layout.leaves[0], name), shape) for layout in layouts] for name in ("low", "high"))
    return Layout.of(Box(np.minimum.reduce(low), np.maximum.reduce(high), dtype=dtype.type))


def _padded(bound: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Behind a shorter vector, bounds of 0: there are zeros."""
    return bound if bound.shape == shape else np.pad(bound, (0, shape[0] - bound.shape[0]))
