"""Values of a space as people hand them in: one, a list of them, or stacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from puffer_core.errors import ShapeError
from puffer_core.spaces.layout import Layout


def one_or_many(layout: Layout, given: Any) -> tuple[list[Any], bool]:
    """The values in `given`, and whether it is a single one.

    Args:
        layout: of the values.
        given: a value; a list of values; or stacked values, `[rows, ...]`. A nested space is stacked in its leaves, as
            Gymnasium's vector envs do it.

    Raises:
        ShapeError: it is none of these.

    Example:
        >>> from gymnasium.spaces import Box, Dict
        >>> layout = Layout.of(Dict(x=Box(0, 1, (2,))))
        >>> one_or_many(layout, {"x": [0.5, 0.5]})[1], len(one_or_many(layout, {"x": np.ones((3, 2))})[0])
        (True, 3)
    """
    if not layout.is_nested:
        single = _is_single(np.shape(given), layout.shape, "an observation")
        return ([given], True) if single else (list(given), False)
    if isinstance(given, list):
        return given, False
    leaf = layout.leaves[0]
    first = given
    for key in leaf.path:
        first = _part(first, key)
    shape = np.shape(first)
    if _is_single(shape, leaf.shape, f"{leaf.name} of an observation"):
        return [given], True
    return [_row(given, row) for row in range(shape[0])], False


def encoded(layout: Layout, values: Sequence[Any]) -> Shaped[np.ndarray, "rows *row"]:
    """The values as rows.

    Raises:
        ShapeError: one does not fit the space.

    Example:
        >>> from gymnasium.spaces import Discrete
        >>> encoded(Layout.of(Discrete(3, start=5)), [5, 7])
        array([0, 2])
    """
    rows = np.zeros((len(values), *layout.shape), layout.dtype)
    for row, value in enumerate(values):
        layout.encode(value, rows[row, ...])
    return rows


def _is_single(shape: tuple[int, ...], expected: tuple[int, ...], what: str) -> bool:
    if shape[len(shape) - len(expected) :] != expected or len(shape) > len(expected) + 1:
        raise ShapeError(f"{what} has shape {shape}, expected {expected} or (rows, *{expected})")
    return len(shape) == len(expected)


def _part(value: Any, key: str) -> Any:
    try:
        if isinstance(value, Mapping):
            return next(part for name, part in value.items() if str(name) == key)
        if isinstance(value, tuple):
            return value[int(key)]
    except (StopIteration, IndexError):
        pass
    raise ShapeError(f"an observation has no part {key!r}: {value!r}")


def _row(value: Any, row: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _row(part, row) for name, part in value.items()}
    return tuple(_row(part, row) for part in value) if isinstance(value, tuple) else value[row]
