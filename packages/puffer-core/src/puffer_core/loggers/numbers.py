"""Metrics as plain numbers, whatever a trainer hands in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_PLAIN = frozenset({float, int})
_NAMES = frozenset({str})


def plain_numbers(metrics: Mapping[Any, Any], refused: dict[str, str]) -> dict[str, float]:
    """A copy with names as strings and values as floats and ints: nothing of it keeps an array or a graph alive.

    Args:
        metrics: values are numbers, or arrays and tensors of one element on any device; None is NaN.
        refused: takes the name of each value that is none of these, with its type; such a value is left out.

    Example:
        >>> import numpy as np
        >>> plain_numbers({"loss": np.float32(0.5), 3: np.array([2]), "none": None}, {})
        {'loss': 0.5, '3': 2, 'none': nan}
        >>> refused = {}
        >>> plain_numbers({"name": "x"}, refused), refused
        ({}, {'name': 'str'})
    """
    if _PLAIN.issuperset(map(type, metrics.values())) and _NAMES.issuperset(map(type, metrics)):
        return dict(metrics)
    numbers: dict[str, float] = {}
    for key, value in metrics.items():
        number = _number(value)
        if number is None:
            refused[str(key)] = type(value).__name__
        else:
            numbers[str(key)] = number
    return numbers


def _number(value: Any) -> float | None:
    """None where it is no number."""
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if value is None:
        return math.nan
    if isinstance(value, (str, bytes)):  # "3" would make a float
        return None
    try:
        number = value.item() if hasattr(value, "item") else float(value)
        return number if type(number) in _PLAIN else float(number)
    except Exception:  # noqa: BLE001  whatever an odd value does: it is no number
        return None
