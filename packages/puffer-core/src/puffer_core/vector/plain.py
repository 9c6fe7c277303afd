"""Making JSON values of what environments put into their infos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from puffer_core.quoting import value_text

_DEEPEST = 16


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON values: arrays as lists, keys as texts, anything else as its `repr`.

    Example:
        >>> plain({"position": np.arange(2), 3: {"done": np.True_}, "env": object})
        {'position': [0, 1], '3': {'done': True}, 'env': "<class 'object'>"}
    """
    if value is None or value.__class__ in (bool, int, float, str):
        return value
    if depth > _DEEPEST:
        return value_text(value)
    if isinstance(value, Mapping):
        return {key if key.__class__ is str else value_text(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "?biufU":
        return (value.astype(np.float64) if value.dtype.char == "g" else value).tolist()
    return value_text(value)
