"""Layout: how values of a space lie in a row of an array, and what an engine needs to know of them.

A layout is made once from a `gymnasium.spaces.Space`. A space that is one leaf keeps its shape and dtype, so that an
image stays `[height, width, channels]` uint8. A Dict or Tuple, nested at will, is one row of bytes: its leaves lie one
behind the other in the order of the space's own keys, each where its dtype may lie, the row padded to 8 bytes.

Choices count from 0 inside Puffer: `encode` takes a value in the space's own numbering and writes it counted from
0, `decode` adds the space's `start` again. Observations lie in the slots as `encode` writes them. Actions given to
`VectorEnv.step` are already in the space's own numbering (`distributions.to_env` adds `start`): envs pass them on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import gymnasium
import numpy as np

from puffer_core.errors import ShapeError, UnsupportedError
from puffer_core.spaces.json_form import from_json, to_json
from puffer_core.spaces.leaves import Kind, Leaf, leaf_of
from puffer_core.spaces.nesting import Opening, assembled, is_nested, walk

__all__ = ["Kind", "Layout", "Leaf"]

Rows: TypeAlias = np.ndarray[Any, Any]
"""`[*lead, *layout.shape]`, or a leaf's `[*lead, *leaf.shape]`; a single row may be a NumPy scalar."""

_ROW_ALIGNMENT = 8


@dataclass(frozen=True, eq=False)
class Layout:
    """A space as rows of an array. `[rows, *shape]` of `dtype` holds one value a row.

    Two layouts are equal if their spaces are: same keys in the same order, kind, shape, dtype, choices, and bounds to
    the last bit.

    Args:
        space: what the rows hold values of.
        leaves: its elementary spaces, in the order of its own keys.
        shape: of one row; `(row_bytes,)` for a nested space.
        dtype: of the rows; uint8 for a nested space.

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
            UnsupportedError: a space that has none (Text, Graph, Sequence, OneOf, an empty Dict), or parts whose names
                collide; the message names the part and says which spaces have.

        Example:
            >>> Layout.of(gymnasium.spaces.Dict(speed=gymnasium.spaces.Box(0, 1, (3,)))).shape
            (16,)
        """
        if not is_nested(space):
            leaf = leaf_of(space)
            return cls(space, (leaf,), leaf.shape, leaf.dtype)
        leaves, row_bytes = _placed(leaf_of(part, path) for path, part in walk(space))
        names = [leaf.name for leaf in leaves]
        for name in names:
            if not name or names.count(name) > 1:
                raise UnsupportedError(
                    f"{names.count(name)} parts of {space} have the name {name!r}, which joins their keys by dots",
                    remedy="rename a key in a wrapper of your own",
                )
        return cls(space, leaves, (row_bytes,), np.dtype(np.uint8))

    @cached_property
    def is_nested(self) -> bool:
        """Whether the space is a Dict or Tuple, even one of a single leaf."""
        return is_nested(self.space)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One a leaf: empty for a space that is one, the path joined by dots (`pos.x`, `0`) in a nested one."""
        return tuple(leaf.name for leaf in self.leaves)

    @cached_property
    def kind(self) -> Kind:
        """The kind of the only leaf.

        Raises:
            UnsupportedError: the space is nested.
        """
        if self.is_nested:
            raise UnsupportedError(f"expected a space of one part, got {type(self.space).__name__} of {self}")
        return self.leaves[0].kind

    @cached_property
    def size(self) -> int:
        """Number of elements of a row."""
        return math.prod(self.shape)

    @cached_property
    def mask_size(self) -> int:
        """Entries of an action mask: the choices of all elements of all leaves together; 0 for boxes."""
        return sum(sum(leaf.sizes) for leaf in self.leaves)

    def split(self, rows: Rows) -> Rows | dict[str, Rows]:
        """The leaves of rows `[*lead, *shape]`, as they lie there: views, nothing is copied.

        Returns:
            The rows themselves, or for a nested space name to `[*lead, *leaf.shape]` of the leaf's dtype.

        Raises:
            ShapeError: the rows have another shape or dtype.

        Example:
            >>> space = gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(3), b=gymnasium.spaces.Box(0, 1, (2,)))
            >>> layout = Layout.of(space)
            >>> parts = layout.split(np.zeros((5, *layout.shape), layout.dtype))
            >>> parts["a"].shape, parts["b"].shape, parts["b"].dtype
            ((5,), (5, 2), dtype('float32'))
        """
        if not self.is_nested:
            return rows
        if rows.shape[-1:] != self.shape or rows.dtype != self.dtype:
            raise ShapeError(f"got rows {rows.dtype} {rows.shape}, expected uint8 (..., {self.shape[0]})")
        return {leaf.name: leaf.view(rows) for leaf in self.leaves}

    def join(self, parts: Rows | Mapping[str, Rows]) -> Rows:
        """The reverse of `split`: new rows, every part cast to its leaf's dtype; the array itself where not nested.

        Raises:
            ShapeError: a part is missing, unknown or of another shape.

        Example:
            >>> layout = Layout.of(gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(3)]))
            >>> layout.split(layout.join({"0": np.array([2, 1])}))
            {'0': array([2, 1])}
        """
        if not self.is_nested:
            return parts if isinstance(parts, np.ndarray) else np.asarray(parts)
        if not isinstance(parts, Mapping) or set(parts) != set(self.names):
            got = sorted(parts) if isinstance(parts, Mapping) else f"an array of shape {np.shape(parts)}"
            raise ShapeError(f"got parts {got}, expected {list(self.names)}")
        first = self.leaves[0]
        shape = np.shape(parts[first.name])
        lead = shape[: len(shape) - len(first.shape)]
        rows = np.zeros((*lead, *self.shape), self.dtype)
        for leaf in self.leaves:
            part = parts[leaf.name]
            if np.shape(part) != (*lead, *leaf.shape):
                raise ShapeError(f"{leaf.name}: got shape {np.shape(part)}, expected {(*lead, *leaf.shape)}")
            leaf.view(rows)[...] = part
        return rows

    def encode(self, value: Any, row: Rows) -> None:
        """Write a value of the space into `row`, a view of `shape` and `dtype` (`rows[i, ...]` for a scalar).

        Raises:
            ShapeError: the value has other keys, another shape or kind of number, or is none of the space's choices;
                names the leaf. The bounds of a box are not checked.
        """
        if not self.is_nested:
            self.leaves[0].encode(value, row)
            return
        for leaf, (part,) in zip(self.leaves, self._opening.columns([value]), strict=True):
            leaf.encode(part, leaf.view(row))

    def decode(self, row: Rows) -> Any:
        """The value of the space that `encode` wrote into `row`: a copy; a NumPy scalar for discrete.

        Raises:
            ShapeError: the row has another shape.
        """
        if np.shape(row) != self.shape:
            raise ShapeError(f"got a row of shape {np.shape(row)}, expected {self.shape}")
        if not self.is_nested:
            return self.leaves[0].decode(row)
        return assembled(self.space, ([leaf.decode(leaf.view(row))] for leaf in self.leaves))[0]

    def structures(self, rows: Rows) -> list[Any]:
        """The values of several rows as they lie there, not renumbered: what envs are given as their actions.

        Args:
            rows: `[rows, *shape]`; the arrays within the values are views of it.

        Returns:
            dict for Dict, tuple for Tuple, an array for a box and a NumPy integer for a discrete leaf.

        Example:
            >>> layout = Layout.of(gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(3, start=5)]))
            >>> layout.structures(layout.join({"0": np.array([7, 5])}))
            [(np.int64(7),), (np.int64(5),)]
        """
        if not self.is_nested:
            return _values(self.leaves[0], rows)
        return list(assembled(self.space, (_values(leaf, leaf.view(rows)) for leaf in self.leaves)))

    def structure(self, row: Rows) -> Any:
        """`structures` of one row."""
        return self.structures(np.asarray(row)[None])[0]

    def to_json(self) -> dict[str, Any]:
        """The space as JSON values, bounds exact to the bit (see `json_form`)."""
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
    def _opening(self) -> Opening:
        return Opening(self.space)

    @cached_property
    def _identity(self) -> str:
        return json.dumps(self.to_json(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __str__(self) -> str:
        return "; ".join(f"{leaf.name}: {leaf}" if leaf.path else str(leaf) for leaf in self.leaves)

    def difference(self, other: Layout) -> str:
        """In what `other` differs from this layout, in words; empty where they are equal.

        Example:
            >>> box = gymnasium.spaces.Box(-1, 1, (3,))
            >>> Layout.of(box).difference(Layout.of(gymnasium.spaces.Box(-1, 1, (4,))))
            'shape (3,) against (4,)'
        """
        if self == other:
            return ""
        if self.names != other.names:
            return f"{_parts(self)} against {_parts(other)}"
        for mine, theirs in zip(self.leaves, other.leaves, strict=True):
            words = _difference(mine, theirs)
            if words:
                return f"{mine.name}: {words}" if mine.path else words
        return f"{self._identity} against {other._identity}"


def _placed(leaves: Iterable[Leaf]) -> tuple[tuple[Leaf, ...], int]:
    """The leaves, each at the next place where its dtype may lie, and the bytes of a row."""
    placed: list[Leaf] = []
    end = 0
    for leaf in leaves:
        offset = _up(end, leaf.dtype.itemsize)
        placed.append(replace(leaf, offset=offset))
        end = offset + leaf.nbytes
    return tuple(placed), _up(end, _ROW_ALIGNMENT)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _values(leaf: Leaf, rows: Rows) -> list[Any]:
    """One value a row: views, or NumPy integers for choices."""
    scalars = leaf.kind == "box" and not leaf.shape  # which must be arrays all the same
    return [rows[i, ...] for i in range(len(rows))] if scalars else list(rows)


def _parts(layout: Layout) -> str:
    return f"parts {', '.join(layout.names)}" if layout.is_nested else f"one {layout.kind}"


def _difference(mine: Leaf, theirs: Leaf) -> str:
    for name in ("kind", "shape", "dtype", "sizes", "start"):
        here, there = getattr(mine, name), getattr(theirs, name)
        if here != there:
            return f"{name} {here} against {there}"
    for name in ("low", "high"):
        here, there = (np.ravel(getattr(leaf, name)) for leaf in (mine, theirs))
        for element in np.flatnonzero(here != there)[:1]:
            return f"{name} of element {element}: {here[element]} against {there[element]}"
    return ""
