"""Spaces as JSON values and back, for manifests: exact to the bit, readable by eye.

A Dict is a list of pairs, because its leaves lie in the order of its keys and JSON objects are often sorted.

Floats are written in the shortest decimal form that gives the same bits, infinities as `"inf"` and `"-inf"`;
bounds that are the same for every element are written once. Discrete choices keep the space's own numbering.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_core.errors import CheckpointError, UnsupportedError


def to_json(space: gymnasium.Space[Any]) -> dict[str, Any]:
    """A Box, Discrete, MultiDiscrete or MultiBinary space, or a Dict or Tuple of such, as JSON values.

    Raises:
        UnsupportedError: another space.

    Example:
        >>> to_json(spaces.Discrete(3, start=1))
        {'type': 'discrete', 'n': 3, 'start': 1, 'dtype': 'int64'}
    """
    if isinstance(space, spaces.Box):
        low, high = _bounds(space.low), _bounds(space.high)
        return {"type": "box", "shape": list(space.shape), "dtype": space.dtype.name, "low": low, "high": high}
    if isinstance(space, spaces.Discrete):
        return {"type": "discrete", "n": int(space.n), "start": int(space.start), "dtype": space.dtype.name}
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = space.nvec.tolist(), space.start.tolist()
        return {"type": "multi_discrete", "nvec": nvec, "start": start, "dtype": space.dtype.name}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "multi_binary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    if isinstance(space, spaces.Dict):
        return {"type": "dict", "spaces": [[key, to_json(part)] for key, part in space.spaces.items()]}
    if isinstance(space, spaces.Tuple):
        return {"type": "tuple", "spaces": [to_json(part) for part in space.spaces]}
    raise UnsupportedError(f"{type(space).__name__} spaces have no JSON form here")


def from_json(form: Mapping[str, Any]) -> gymnasium.Space[Any]:
    """The space that `to_json` described.

    Raises:
        CheckpointError: not what `to_json` gives.

    Example:
        >>> from_json({"type": "discrete", "n": 3, "start": 1, "dtype": "int64"})
        Discrete(3, start=1)
    """
    try:
        return _from_json(form)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"cannot read a space from {form!r}: {type(error).__name__}: {error}") from error


def _from_json(form: Mapping[str, Any]) -> gymnasium.Space[Any]:
    kind = form["type"]
    if kind == "multi_binary":
        return spaces.MultiBinary(form["n"])
    if kind == "dict":
        return spaces.Dict([(key, _from_json(part)) for key, part in form["spaces"]])
    if kind == "tuple":
        return spaces.Tuple([_from_json(part) for part in form["spaces"]])
    dtype = np.dtype(form["dtype"])
    if kind == "box":
        shape = tuple(form["shape"])
        low, high = (_array(form[name], shape, dtype) for name in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "discrete":
        return spaces.Discrete(form["n"], start=form["start"], dtype=dtype.type)
    if kind == "multi_discrete":
        return spaces.MultiDiscrete(np.array(form["nvec"], dtype), dtype.type, start=np.array(form["start"], dtype))
    raise ValueError(f"type is {kind!r}, expected box, discrete, multi_discrete, multi_binary, dict or tuple")


def _bounds(array: np.ndarray[Any, Any]) -> Any:
    values = [_number(value) for value in array.ravel().tolist()]
    bits = {element.tobytes() for element in array.ravel()}  # == would take -0.0 for 0.0
    return values[0] if len(bits) == 1 else values


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _array(values: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if not isinstance(values, list):
        return np.full(shape, float(values) if isinstance(values, str) else values, dtype)
    numbers = [float(value) if isinstance(value, str) else value for value in values]
    return np.array(numbers, dtype).reshape(shape)
