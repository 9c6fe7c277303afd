"""Nested values, Dict and Tuple at will, taken apart into columns of leaves and put together again.

A column holds one leaf's values, one an environment: the work grows with the number of leaves, not with leaves times
environments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import gymnasium
from gymnasium import spaces

from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.spaces.leaves import described

Path: TypeAlias = tuple[str, ...]


def is_nested(space: gymnasium.Space[Any]) -> bool:
    """Whether a space is a Dict or Tuple.

    Example:
        >>> is_nested(spaces.Tuple([spaces.Discrete(2)]))
        True
    """
    return isinstance(space, spaces.Dict | spaces.Tuple)


def walk(space: gymnasium.Space[Any], path: Path = ()) -> Iterator[tuple[Path, gymnasium.Space[Any]]]:
    """Every elementary space with its path, in the order of the space's own keys.

    Raises:
        UnsupportedError: a Dict or Tuple without parts, or a key that is neither text nor an integer.

    Example:
        >>> [path for path, _ in walk(spaces.Dict(a=spaces.Tuple([spaces.Discrete(2)]), b=spaces.Discrete(3)))]
        [('a', '0'), ('b',)]
    """
    if not is_nested(space):
        yield path, space
        return
    if not space.spaces:  # type: ignore[attr-defined]
        raise UnsupportedError(f"{'.'.join(path) or 'the space'} is an empty {type(space).__name__}, expected parts")
    for key, part in _parts(space):
        if not isinstance(key, str | int):
            raise UnsupportedError(f"a Dict space has the key {key!r}, expected text or an integer")
        yield from walk(part, (*path, str(key)))


class Opening:
    """How values of a space are taken apart, worked out once: taking many apart costs little then.

    Args:
        space: what each value belongs to.
        path: of the space within the root, for messages.

    Example:
        >>> Opening(spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)])).columns([(0, 1), (1, 1)])
        [(0, 1), (1, 1)]
    """

    def __init__(self, space: gymnasium.Space[Any], path: Path = ()) -> None:
        self._space, self._path = space, path
        parts = _parts(space) if is_nested(space) else []
        self._keys = [key for key, _ in parts]
        self._take = itemgetter(*self._keys) if len(parts) > 1 else None
        self._inner = [Opening(part, (*path, str(key))) if is_nested(part) else None for key, part in parts]

    def columns(self, values: Sequence[Any]) -> list[Sequence[Any]]:
        """For every leaf, its values from each of `values`.

        Args:
            values: nested values, one an environment.

        Raises:
            NestingError: one is not nested like the space; says which, with missing and surplus keys.
        """
        if not self._keys:
            return [values]
        try:
            taken = self._taken(values)
        except (TypeError, KeyError):
            taken = None
        if taken is None:
            raise _misnested(self._space, values, self._path)
        if not any(self._inner):
            return taken
        inner = zip(self._inner, taken, strict=True)
        return [own for part, column in inner for own in (part.columns(column) if part else [column])]

    def _taken(self, values: Sequence[Any]) -> list[Sequence[Any]] | None:
        """What each of `values` has under every key; None where one has more or fewer."""
        if list(map(len, values)).count(len(self._keys)) != len(values):
            return None
        if isinstance(self._space, spaces.Tuple):
            fits = all(isinstance(value, tuple | list) for value in values)
            return list(zip(*values, strict=True)) if fits else None
        if self._take is None:
            return [[value[self._keys[0]] for value in values]]
        return list(zip(*map(self._take, values), strict=True))


def assembled(space: gymnasium.Space[Any], leaves: Iterator[Sequence[Any]]) -> Sequence[Any]:
    """What an `Opening` took apart, put together: dict for Dict, tuple for Tuple.

    Example:
        >>> assembled(spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]), iter([[0, 1], [2, 2]]))
        [(0, 2), (1, 2)]
    """
    if not is_nested(space):
        return next(leaves)
    parts = _parts(space)
    values = zip(*[assembled(part, leaves) for _, part in parts], strict=True)
    if isinstance(space, spaces.Tuple):
        return list(values)
    keys = [key for key, _ in parts]
    return [dict(zip(keys, value, strict=True)) for value in values]


class NestingError(ShapeError):
    """A value that is not nested like its space; `row` says which of several."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def _parts(space: Any) -> list[tuple[Any, gymnasium.Space[Any]]]:
    return list(space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces))


def _misnested(space: gymnasium.Space[Any], values: Sequence[Any], path: Path) -> NestingError:
    for row, value in enumerate(values):
        wrong = _complaint(space, value)
        if wrong:
            return NestingError(row, f"{'.'.join(path)}{': ' if path else ''}{wrong}")
    raise AssertionError("every value is nested like its space")


def _complaint(space: Any, value: Any) -> str:
    keys = [key for key, _ in _parts(space)]
    if isinstance(space, spaces.Tuple):
        if isinstance(value, tuple | list):
            return "" if len(value) == len(keys) else f"got {len(value)} parts, expected a tuple of {len(keys)}"
        return f"got {described(value)}, expected a tuple of {len(keys)}"
    if not isinstance(value, Mapping):
        return f"got {described(value)}, expected a dict of {', '.join(map(str, keys))}"
    missing, surplus = [key for key in keys if key not in value], [key for key in value if key not in keys]
    said = [
        f"{what} {', '.join(map(str, which))}" for what, which in (("no", missing), ("an unknown", surplus)) if which
    ]
    return f"got {' and '.join(said)}, expected the keys {', '.join(map(str, keys))}" if said else ""
