"""Leaves: the elementary spaces that a layout consists of, and how one value of each is written and read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any, Literal, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.quoting import value_text

Kind: TypeAlias = Literal["box", "discrete", "multi_discrete", "multi_binary"]

_DTYPES = frozenset(map(np.dtype, "?bhilqBHILQefd"))


@dataclass(frozen=True, eq=False)
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
        offset: bytes before it in a row of a nested space, a multiple of the dtype's size.
    """

    path: tuple[str, ...]
    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sizes: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    low: np.ndarray[Any, Any] | None = None
    high: np.ndarray[Any, Any] | None = None
    offset: int = 0

    @property
    def name(self) -> str:
        """Its path joined by dots; empty for a space that is one leaf."""
        return ".".join(self.path)

    @property
    def nbytes(self) -> int:
        """Bytes of one value."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        """In words: `float32 box of shape (4,)`."""
        if self.kind == "discrete":
            return f"one of {self.sizes[0]} choices" + (f" from {self.start[0]}" if self.start[0] else "")
        return f"{self.dtype} {self.kind} of shape {self.shape}"

    def view(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Its values in rows of bytes, `[*lead, row_bytes]`, as `[*lead, *shape]` without copying."""
        own = rows[..., self.offset : self.offset + self.nbytes]
        return own.view(self.dtype).reshape((*rows.shape[:-1], *self.shape))

    def encode(self, value: Any, row: np.ndarray[Any, Any]) -> None:
        """Write a value into `row`, a view of `shape` and `dtype`; choices are then counted from 0.

        Raises:
            ShapeError: the value has another shape or kind of number, or is none of the space's choices. The bounds
                of a box are not checked.
        """
        if self.kind == "box":
            # An exact fit is the rule and is written without further thought: this runs once an env and step.
            exact = value.__class__ is np.ndarray and value.dtype == self.dtype and value.shape == self.shape
            row[...] = value if exact else self._fit(value)
        elif self.kind == "discrete":
            row[...] = self._choice(value)
        else:
            array = self._fit(value)
            counted = self.counted(array)
            if counted is None:
                raise self._misfit(array.tolist(), f" with {_listed(self.sizes)} choices")
            row[...] = counted

    def counted(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Choices `[*lead, *shape]` counted from 0; None where one of them is none of the space's."""
        counted = array - self._start
        beyond = (counted.astype(np.uint64) >= self._sizes) | (array < self._start)
        return None if beyond.any() else counted

    def decode(self, row: np.ndarray[Any, Any]) -> Any:
        """The value that `encode` wrote into `row`: a copy; a NumPy scalar for discrete."""
        if self.kind == "discrete":
            return self.dtype.type(int(row) + self.start[0])
        array = np.array(row, self.dtype)
        return array if self.kind == "box" else array + self._start

    def _choice(self, value: Any) -> int:
        try:
            counted = index(value) - self.start[0]
        except TypeError:
            raise self._misfit(described(value)) from None
        if not 0 <= counted < self.sizes[0]:
            raise self._misfit(value)
        return counted

    def _fit(self, value: Any) -> np.ndarray[Any, Any]:
        """The value as an array of this leaf's dtype, if that loses no more than float precision."""
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.shape != self.shape or array.dtype.kind not in "biuf":
            raise self._misfit(described(value))
        cast = array.astype(self.dtype)
        loses = array.dtype.kind == "f" or not np.array_equal(cast, array)
        if self.dtype.kind != "f" and array.dtype != self.dtype and loses:
            raise self._misfit(described(value))
        return cast

    def _misfit(self, got: Any, more: str = "") -> ShapeError:
        where = f"{self.name}: " if self.path else ""
        return ShapeError(f"{where}got {got}, expected {self}{more}")

    @cached_property
    def _start(self) -> np.ndarray[Any, Any]:
        return np.array(self.start, self.dtype).reshape(self.shape)

    @cached_property
    def _sizes(self) -> np.ndarray[Any, Any]:
        return np.array(self.sizes, np.uint64).reshape(self.shape)


def leaf_of(space: gymnasium.Space[Any], path: tuple[str, ...] = ()) -> Leaf:
    """The leaf that an elementary space is, its offset 0.

    Raises:
        UnsupportedError: another space; names its path and what helps.

    Example:
        >>> print(leaf_of(spaces.Discrete(3, start=1)))
        one of 3 choices from 1
    """
    if isinstance(space, spaces.Box) and space.dtype in _DTYPES:
        return Leaf(path, "box", space.shape, space.dtype, low=space.low, high=space.high)
    if isinstance(space, spaces.Discrete):
        return Leaf(path, "discrete", (), space.dtype, (int(space.n),), (int(space.start),))
    if isinstance(space, spaces.MultiDiscrete):
        sizes, start = (tuple(map(int, array.ravel())) for array in (space.nvec, space.start))
        return Leaf(path, "multi_discrete", space.nvec.shape, space.dtype, sizes, start)
    if isinstance(space, spaces.MultiBinary):
        count = math.prod(space.shape)
        return Leaf(path, "multi_binary", space.shape, np.dtype(np.int8), (2,) * count, (0,) * count)
    where = f"{'.'.join(path)}: " if path else ""
    what = f"{space}" if isinstance(space, spaces.Box) else f"{type(space).__name__} spaces"
    raise UnsupportedError(
        f"{where}{what} cannot be laid out. Supported: Box of bool, integers or float16 to float64, Discrete, "
        "MultiDiscrete, MultiBinary, and Dict and Tuple of them",
        remedy=_remedy(path),
    )


def described(value: Any) -> str:
    """A value in words, for messages: its dtype and shape, or itself where it is no array.

    Example:
        >>> described(np.zeros(3)), described(None)
        ('float64 array of shape (3,)', 'None')
    """
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    text = value_text(value, longest=80)
    return f"{text} ({type(value).__name__})" if text.endswith("...") else text


def _remedy(path: tuple[str, ...]) -> str:
    convert = "convert it to a Box or choices in a wrapper of your own"
    return f"leave it out of the observation (--env.without {path[0]}), or {convert}" if path else convert


def _listed(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes[:8])) + (", ..." if len(sizes) > 8 else "")
