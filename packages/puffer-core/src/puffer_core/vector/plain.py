"""Making JSON values of what environments put into their infos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_DEEPEST = 16
_LONGEST_TEXT = 1000


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON values: arrays as lists, keys as texts, anything else as its `repr`.

    Example:
        >>> plain({"position": np.arange(2), 3: {"done": np.True_}, "env": object})
        {'position': [0, 1], '3': {'done': True}, 'env': "<class 'object'>"}
    """
    if value is None or value.__class__ in (bool, int, float, str):
        return value
    if depth > _DEEPEST:
        return text(value)
    if isinstance(value, Mapping):
        return {key if key.__class__ is str else text(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "?biufU":
        return value.tolist()
    return text(value)


def text(value: Any) -> str:
    """The `repr` of anything, shortened, also where `repr` raises."""
    try:
        written = repr(value)
    except Exception as error:  # noqa: BLE001  what is said about an env must not depend on its manners
        written = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return written if len(written) <= _LONGEST_TEXT else f"{written[: _LONGEST_TEXT - 3]}..."


def described(error: BaseException) -> str:
    """Type and message of an error, also where its `__str__` raises.

    Example:
        >>> described(ValueError("too long"))
        'ValueError: too long'
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  likewise
        message = "its message cannot be shown"
    return f"{type(error).__name__}: {message}"
