"""Writing one leaf of what single envs return, for all rows at once: checked, and cheap beside a step of CartPole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from puffer_core.errors import ShapeError
from puffer_core.spaces.leaves import Leaf

_FORM = attrgetter("dtype", "shape")
_INTEGERS = frozenset((int, np.int64, np.int32))
_FEW = 256


class RowError(ShapeError):
    """What an env returned does not fit; `row` says which env."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def misfit(message: str) -> str:
    """How every message of a value outside its space begins."""
    return f"the observation does not fit its space: {message}"


class Target(NamedTuple):
    """Where a leaf is written: `rows` `[rows, *shape]`, and the same as bytes where they lie side by side."""

    rows: np.ndarray[Any, Any]
    flat: np.ndarray[Any, Any]
    raw: memoryview | None

    @classmethod
    def of(cls, rows: np.ndarray[Any, Any]) -> Target:
        """Views made once: a step creates none."""
        solid = rows.flags.c_contiguous and rows.size
        flat = rows.reshape(-1) if solid else rows
        return cls(rows, flat, flat.view(np.uint8).data if solid else None)


class ColumnWriter:
    """Writes the values of one leaf.

    Args:
        leaf: what every value belongs to.
    """

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._form = (leaf.dtype, leaf.shape)
        self._may_be_nan = leaf.dtype.kind == "f"
        self._is_box = leaf.kind == "box"
        self._copy = {"box": self._copy_box, "discrete": self._copy_choices}.get(leaf.kind, self._copy_several)

    def write(self, target: Target, values: Sequence[Any]) -> None:
        """One value a row.

        Raises:
            RowError: one has another shape or kind of number, is no choice of the space, or holds NaN.
        """
        written = self._copy(target, values)
        if written is None:
            written = target.rows
            for i, value in enumerate(values):
                self.encode(i, value, written[i, ...])
        self.refuse_nan(target.rows, written, range(len(target.rows)))

    def write_one(self, target: Target, row: int, value: Any) -> None:
        """The value of one row.

        Raises:
            RowError: as `write`.
        """
        if value.__class__ is np.ndarray and self._is_box and _FORM(value) == self._form:
            target.rows[row] = value
        else:
            self.encode(row, value, target.rows[row, ...])
        self.refuse_nan(target.rows, target.rows[row, ...], (row,))

    def _copy_box(self, target: Target, values: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """Copy all at once, 5 times faster than a row at a time, if all have exactly the leaf's dtype and shape."""
        together = joined(values, self._form)
        if together is None:
            return None
        if target.raw is not None:
            target.raw[:] = together
            return target.flat
        if together:
            target.rows[...] = np.frombuffer(together, self._leaf.dtype).reshape(target.rows.shape)
        return target.rows

    def _copy_choices(self, target: Target, values: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """The same for one choice a row, given as integers in range."""
        if not _INTEGERS.issuperset(map(type, values)):
            return None
        (start,), (size,) = self._leaf.start, self._leaf.sizes
        if min(values) < start or max(values) >= start + size:
            return None
        target.rows[:] = [value - start for value in values] if start else values
        return target.rows

    def _copy_several(self, target: Target, values: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """The same for several choices a row."""
        together = joined(values, self._form)
        if not together:
            return None
        counted = self._leaf.counted(np.frombuffer(together, self._leaf.dtype).reshape(target.rows.shape))
        if counted is None:
            return None
        target.rows[...] = counted
        return target.rows

    def encode(self, row: int, value: Any, place: np.ndarray[Any, Any]) -> None:
        """Check one value and write it; NaN passes.

        Raises:
            RowError: it does not fit the space.
        """
        try:
            self._leaf.encode(value, place)
        except ShapeError as error:
            raise RowError(row, misfit(error.message)) from None

    def refuse_nan(self, places: np.ndarray[Any, Any], written: np.ndarray[Any, Any], rows: Iterable[int]) -> None:
        """Look for NaN in some rows of `places`.

        Args:
            places: `[rows, *shape]`.
            written: the same numbers, or more: what shows soonest whether a look is worth while.
            rows: that were written.

        Raises:
            RowError: there is one.
        """
        if not (self._may_be_nan and suspicious(written)):
            return
        for row in rows:
            if np.isnan(places[row, ...]).any():
                where = f"{self._leaf.name} of the observation" if self._leaf.path else "the observation"
                raise RowError(int(row), f"{where} holds NaN: {_said(places[row, ...])}, expected numbers")


def joined(values: Sequence[Any], form: tuple[np.dtype[Any], tuple[int, ...]]) -> bytes | None:
    """The bytes of all values, if every one is an array of exactly this dtype and shape, side by side in memory."""
    try:
        return b"".join(values) if list(map(_FORM, values)).count(form) == len(values) else None
    except (AttributeError, TypeError, BufferError):
        return None


def suspicious(array: np.ndarray[Any, Any]) -> bool:
    """Whether there may be a NaN in it: there is one, or infinities of both signs.

    By a sum, because what `isnan`, `max` and `dot` compile to on x86 (AVX-512) slows the scalar arithmetic of the
    envs after it: 15 to 50 % of a CartPole step, measured on a Xeon. Python adds few numbers faster than NumPy.
    """
    if array.size > _FEW:
        with np.errstate(all="ignore"):
            return math.isnan(np.add.reduce(array, axis=None))
    numbers = array.tolist() if array.ndim == 1 else array.ravel().tolist()
    return math.isnan(sum(numbers))


def _said(place: np.ndarray[Any, Any]) -> str:
    return str(place.tolist()) if place.size <= 16 else f"first at {np.argwhere(np.isnan(place))[0].tolist()}"
