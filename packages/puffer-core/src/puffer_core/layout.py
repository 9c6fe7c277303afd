"""Layout: how values of a space lie in a row of an array, and what an engine needs to know of them.

A layout is made once from a `gymnasium.spaces.Space`. Leaves are in the order of the space's own keys; a space that
is one leaf keeps its shape and dtype, so that an image stays `[height, width, channels]` uint8.

Choices count from 0 inside Puffer: `encode` takes a value in the space's own numbering and writes it counted from
0, `decode` adds the space's `start` again. Observations lie in the slots as `encode` writes them. Actions given to
`VectorEnv.step` are already in the space's own numbering (`distributions.to_env` adds `start`): envs pass them on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any, Literal, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.space_json import from_json, to_json

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
    """

    path: tuple[str, ...]
    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sizes: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    low: np.ndarray[Any, Any] | None = None
    high: np.ndarray[Any, Any] | None = None

    def __str__(self) -> str:
        """In words: `float32 box of shape (4,)`."""
        if self.kind == "discrete":
            return f"one of {self.sizes[0]} choices" + (f" from {self.start[0]}" if self.start[0] else "")
        return f"{self.dtype} {self.kind} of shape {self.shape}"


@dataclass(frozen=True, eq=False)
class Layout:
    """A space as rows of an array. `[rows, *shape]` of `dtype` holds one value a row.

    Two layouts are equal if their spaces are: same kind, shape, dtype, choices, and bounds to the last bit.

    Example:
        >>> layout = Layout.of(gymnasium.spaces.Discrete(3, start=-1))
        >>> rows = np.zeros(2, layout.dtype)
        >>> layout.encode(1, rows[0, ...])
        >>> rows[0], layout.decode(rows[0])
        (np.int64(2), np.int64(1))
    """

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

    @cached_property
    def kind(self) -> Kind:
        """The kind of the only leaf.

        Raises:
            UnsupportedError: there are several leaves.
        """
        return self._only.kind

    @cached_property
    def size(self) -> int:
        """Number of elements of a row."""
        return math.prod(self.shape)

    @cached_property
    def mask_size(self) -> int:
        """Entries of an action mask: the choices of all elements together; 0 for a box."""
        return sum(sum(leaf.sizes) for leaf in self.leaves)

    @cached_property
    def _only(self) -> Leaf:
        if len(self.leaves) != 1:
            raise UnsupportedError(f"expected a space of one part, got {len(self.leaves)} parts: {self}")
        return self.leaves[0]

    @cached_property
    def _start(self) -> np.ndarray[Any, Any]:
        return np.array(self._only.start, self.dtype).reshape(self.shape)

    @cached_property
    def _sizes(self) -> np.ndarray[Any, Any]:
        return np.array(self._only.sizes, np.uint64).reshape(self.shape)

    def encode(self, value: Any, row: np.ndarray[Any, Any]) -> None:
        """Write a value of the space into `row`, a view of `shape` and `dtype` (`rows[i, ...]` for a scalar).

        Raises:
            ShapeError: the value has another shape or kind of number, or is none of the space's choices. The bounds
                of a box are not checked.
        """
        leaf = self._only
        if leaf.kind == "box":
            # An exact fit is the rule and is written without further thought: this runs once an env and step.
            exact = value.__class__ is np.ndarray and value.dtype == self.dtype and value.shape == self.shape
            row[...] = value if exact else self._fit(value)
        elif leaf.kind == "discrete":
            row[...] = self._choice(value)
        else:
            array = self._fit(value)
            counted = array - self._start
            if ((counted.astype(np.uint64) >= self._sizes) | (array < self._start)).any():
                raise ShapeError(f"got {array.tolist()}, expected {leaf} with {_listed(leaf.sizes)} choices")
            row[...] = counted

    def decode(self, row: np.ndarray[Any, Any]) -> Any:
        """The value of the space that `encode` wrote into `row`: a copy; a NumPy scalar for discrete.

        Raises:
            ShapeError: the row has another shape.
        """
        if np.shape(row) != self.shape:
            raise ShapeError(f"got a row of shape {np.shape(row)}, expected {self.shape}")
        leaf = self._only
        if leaf.kind == "discrete":
            return self.dtype.type(int(row) + leaf.start[0])
        array = np.array(row, self.dtype)
        return array if leaf.kind == "box" else array + self._start

    def _choice(self, value: Any) -> int:
        leaf = self._only
        try:
            counted = index(value) - leaf.start[0]
        except TypeError:
            raise ShapeError(f"got {_described(value)}, expected {leaf}") from None
        if not 0 <= counted < leaf.sizes[0]:
            raise ShapeError(f"got {value}, expected {leaf}")
        return counted

    def _fit(self, value: Any) -> np.ndarray[Any, Any]:
        """The value as an array of this layout's dtype, if that loses no more than float precision."""
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.shape != self.shape or array.dtype.kind not in "biuf":
            raise ShapeError(f"got {_described(value)}, expected {self._only}")
        cast = array.astype(self.dtype)
        loses = array.dtype.kind == "f" or not np.array_equal(cast, array)
        if self.dtype.kind != "f" and array.dtype != self.dtype and loses:
            raise ShapeError(f"got {_described(value)}, expected {self._only}")
        return cast

    def to_json(self) -> dict[str, Any]:
        """The space as JSON values, bounds exact to the bit (see `space_json`)."""
        return to_json(self.space)

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Layout:
        """The layout that `to_json` described.

        Raises:
            CheckpointError: not what `to_json` gives.

        Example:
            >>> layout = Layout.of(gymnasium.spaces.Box(0, 255, (2, 2), np.uint8))
            >>> layout.to_json()
            {'type': 'box', 'shape': [2, 2], 'dtype': 'uint8', 'low': 0, 'high': 255}
            >>> Layout.from_json(layout.to_json()) == layout
            True
        """
        return cls.of(from_json(form))

    @cached_property
    def _identity(self) -> str:
        return json.dumps(self.to_json(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __str__(self) -> str:
        return "; ".join(f"{'.'.join(leaf.path)}: {leaf}" if leaf.path else str(leaf) for leaf in self.leaves)

    def difference(self, other: Layout) -> str:
        """In what `other` differs from this layout, in words; empty where they are equal.

        Example:
            >>> box = gymnasium.spaces.Box(-1, 1, (3,))
            >>> Layout.of(box).difference(Layout.of(gymnasium.spaces.Box(-1, 1, (4,))))
            'shape (3,) against (4,)'
        """
        if self == other:
            return ""
        mine, theirs = self._only, other._only
        for name in ("kind", "shape", "dtype", "sizes", "start"):
            here, there = getattr(mine, name), getattr(theirs, name)
            if here != there:
                return f"{name} {here} against {there}"
        for name in ("low", "high"):
            here, there = (np.ravel(getattr(leaf, name)) for leaf in (mine, theirs))
            for element in np.flatnonzero(here != there)[:1]:
                return f"{name} of element {element}: {here[element]} against {there[element]}"
        return f"{self._identity} against {other._identity}"


def _leaf(space: gymnasium.Space[Any]) -> Leaf:
    if isinstance(space, spaces.Box) and space.dtype in _DTYPES:
        return Leaf((), "box", space.shape, space.dtype, low=space.low, high=space.high)
    if isinstance(space, spaces.Discrete):
        return Leaf((), "discrete", (), space.dtype, (int(space.n),), (int(space.start),))
    if isinstance(space, spaces.MultiDiscrete):
        sizes, start = (tuple(map(int, array.ravel())) for array in (space.nvec, space.start))
        return Leaf((), "multi_discrete", space.nvec.shape, space.dtype, sizes, start)
    if isinstance(space, spaces.MultiBinary):
        count = math.prod(space.shape)
        return Leaf((), "multi_binary", space.shape, np.dtype(np.int8), (2,) * count, (0,) * count)
    nested = isinstance(space, spaces.Dict | spaces.Tuple)
    raise UnsupportedError(
        f"{type(space).__name__} spaces cannot be laid out: {space}. Supported: Box of bool, integers or float16 to "
        "float64, Discrete, MultiDiscrete and MultiBinary",
        remedy="flatten it with gymnasium.wrappers.FlattenObservation or a wrapper of your own" if nested else "",
    )


def _listed(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes[:8])) + (", ..." if len(sizes) > 8 else "")


def _described(value: Any) -> str:
    """A value in words, for messages: its dtype and shape, or itself where it is no array."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}... ({type(value).__name__})"
