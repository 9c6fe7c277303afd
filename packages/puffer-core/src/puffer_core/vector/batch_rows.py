"""Batches as Gymnasium's vector envs have them (a Dict space's batch is a dict of arrays) against rows of slots.

Nothing here loops over rows, except where an episode ended or something is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from puffer_core.errors import ShapeError
from puffer_core.spaces.layout import Layout, Leaf
from puffer_core.spaces.nesting import NestingError, assembled
from puffer_core.vector.columns import ColumnWriter, RowError, Target, misfit, suspicious
from puffer_core.vector.masks import KEY, MaskWriter, Shown
from puffer_core.vector.slots import leaf_views

Rows: TypeAlias = "Sequence[int] | np.ndarray[Any, Any]"
"""Numbers of some rows."""


def batched(layout: Layout, rows: np.ndarray[Any, Any]) -> Any:
    """Rows as a batch of the space: the array itself, or dicts and tuples of arrays `[rows, *leaf.shape]`.

    Example:
        >>> import gymnasium
        >>> layout = Layout.of(gymnasium.spaces.Dict(push=gymnasium.spaces.Discrete(3)))
        >>> batched(layout, layout.join({"push": np.array([2, 0])}))
        {'push': array([2, 0])}
    """
    return assembled(layout.space, iter([[view] for view in leaf_views(layout, rows)]))[0]


class BatchWriter:
    """Writes batches of observations, rewards and action masks, with the checks and messages of serial mode.

    Args:
        shown: what the observations consist of.
        layout: of what is seen of them.
        action: layout of the actions.
        num_envs: rows of the batch.
    """

    def __init__(self, shown: Shown, layout: Layout, action: Layout, num_envs: int) -> None:
        self._shown = shown
        self._plain = not layout.is_nested and not shown.mask
        self._columns = [ColumnWriter(leaf) for leaf in layout.leaves]
        self._whole = tuple(_repeated(leaf, num_envs) for leaf in layout.leaves)
        self._masks = MaskWriter(action)
        self._num_envs = num_envs

    def observations(self, targets: Sequence[Target], batch: Any) -> None:
        """A whole batch.

        Raises:
            RowError: one row has another shape or kind of number, is no choice of the space, or holds NaN.
            ShapeError: the batch itself is not what the space's batches are.
        """
        for column, whole, target, part in zip(self._columns, self._whole, targets, self._seen(batch), strict=True):
            part = np.asarray(part)
            try:
                whole.encode(part, target.rows)
            except ShapeError as error:
                raise _row_error(column, part, target.rows, error) from None
            column.refuse_nan(target.rows, target.flat, range(self._num_envs))

    def rows(self, targets: Sequence[Target], batch: Any, rows: Rows) -> None:
        """Some rows of a batch; what the others hold is not looked at. Raises as `observations` does."""
        for column, target, part in zip(self._columns, targets, self._seen(batch), strict=True):
            if np.shape(part)[:1] != (self._num_envs,):
                raise ShapeError(misfit(f"got a batch of shape {np.shape(part)}, expected {self._num_envs} rows"))
            for row in rows:
                column.write_one(target, int(row), part[row])

    def row(self, targets: Sequence[Target], row: int, value: Any) -> None:
        """One row, from a value of the space itself. Raises as `observations` does."""
        try:
            parts = self._seen(value)
        except ShapeError as error:
            raise RowError(row, error.message) from None
        for column, target, part in zip(self._columns, targets, parts, strict=True):
            column.write_one(target, row, part)

    def rewards(self, target: np.ndarray[Any, Any], values: Any) -> None:
        """One reward a row.

        Raises:
            RowError: one is NaN.
            ShapeError: not one number a row.
        """
        array = np.asarray(values)
        if array.shape != target.shape or array.dtype.kind not in "biuf":
            got = f"{array.dtype} array of shape {array.shape}"
            raise ShapeError(f"the rewards are a {got}, expected {self._num_envs} numbers")
        target[:] = array
        if suspicious(target):
            for row in np.flatnonzero(np.isnan(target)):
                raise RowError(int(row), "the reward is NaN, expected a number")

    def masks(
        self, target: np.ndarray[Any, Any] | None, batch: Any, infos: Mapping[str, Any], rows: Rows | None = None
    ) -> None:
        """Action masks, of all rows or of some: from the observations, or from `infos["action_mask"]`.

        Raises:
            RowError: one is missing, has another size, or allows nothing.
        """
        if target is None or (rows is not None and not len(rows)):
            return
        masks, where = self._given_masks(batch, infos)
        if rows is None:
            self._masks.write(target, masks, where)
            return
        some = np.zeros((len(rows), target.shape[1]), np.bool_)
        try:
            self._masks.write(some, [masks[row] for row in rows], where)
        except RowError as error:
            raise RowError(int(rows[error.row]), error.message) from None
        target[rows] = some

    def _given_masks(self, batch: Any, infos: Mapping[str, Any]) -> tuple[Any, str]:
        """One a row, and where they stood."""
        if self._shown.mask:
            parts = self._shown.columns([batch])[1]
            return np.concatenate([np.reshape(part, (self._num_envs, -1)) for (part,) in parts], axis=1), "observation"
        given, has = infos.get(KEY), infos.get(f"_{KEY}")
        if isinstance(given, np.ndarray) and len(given) == self._num_envs and (has is None or np.all(has)):
            return given, "info"
        rows = [None] * self._num_envs if given is None else given
        if isinstance(rows, tuple):
            rows = list(zip(*rows, strict=True))
        return [mask if has is None or has[row] else None for row, mask in enumerate(rows)], "info"

    def _seen(self, batch: Any) -> list[Any]:
        if self._plain:
            return [batch]
        try:
            return [part for (part,) in self._shown.columns([batch])[0]]
        except NestingError as error:
            raise ShapeError(misfit(error.message)) from None


def sparse(infos: Any, num_envs: int) -> list[tuple[int, Mapping[str, Any]]]:
    """The infos of a vector env as (row, dict) of the rows that have any.

    `infos[key]` counts for the rows where `infos["_" + key]` is True; for all where there is no such mask. What is no
    array of one entry a row is about the batch as a whole, and stands with row 0.

    Example:
        >>> sparse({"score": np.array([0, 7]), "_score": np.array([False, True])}, 2)
        [(1, {'score': np.int64(7)})]
    """
    if not infos:
        return []
    rows: dict[int, dict[str, Any]] = {}
    for key, value in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        for row, own in _entries(value, infos.get(f"_{key}"), num_envs):
            rows.setdefault(row, {})[key] = own
    return [(row, rows[row]) for row in sorted(rows)]


def _entries(value: Any, mask: Any, num_envs: int) -> Iterable[tuple[int, Any]]:
    if isinstance(value, Mapping):
        own = dict(sparse(value, num_envs))
        return [(int(row), own.get(int(row), {})) for row in (own if mask is None else np.flatnonzero(mask))]
    if np.shape(value)[:1] != (num_envs,):
        return [(0, value)]
    return [(int(row), value[row]) for row in (range(num_envs) if mask is None else np.flatnonzero(mask))]


def _repeated(leaf: Leaf, count: int) -> Leaf:
    """A batch of a leaf as one leaf, which is checked and copied at once."""
    kind = "multi_discrete" if leaf.kind == "discrete" else leaf.kind
    return replace(leaf, kind=kind, shape=(count, *leaf.shape), sizes=leaf.sizes * count, start=leaf.start * count)


def _row_error(
    column: ColumnWriter, part: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], error: ShapeError
) -> ShapeError:
    """The same error of the first row that has it, in the words of one env."""
    if len(part.shape) and len(part) == len(rows):
        try:
            for row, value in enumerate(part):
                column.encode(row, value, rows[row, ...])
        except RowError as own:
            return own
    return ShapeError(misfit(error.message))
