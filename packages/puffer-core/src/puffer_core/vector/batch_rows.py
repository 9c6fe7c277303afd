"""Batches as Gymnasium's vector envs have them (a Dict space's batch is a dict of arrays) against rows of slots.

Nothing here loops over rows, except where an episode ended or something is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import ShapeError
from puffer_core.layout import Layout, Leaf
from puffer_core.nesting import NestingError, assembled
from puffer_core.vector.columns import RowError, suspicious
from puffer_core.vector.masks import KEY, MaskWriter, Shown

Views: TypeAlias = "tuple[np.ndarray[Any, Any], ...]"
"""One array `[rows, *leaf.shape]` a leaf."""

Rows: TypeAlias = "Sequence[int] | np.ndarray[Any, Any]"
"""Numbers of some rows."""


class BatchSlot(NamedTuple):
    """Views of one slot, made once; `leaves` and `final_leaves` are those of the observations."""

    observation: np.ndarray[Any, Any]
    final_observation: np.ndarray[Any, Any]
    leaves: Views
    final_leaves: Views
    reward: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]
    truncated: np.ndarray[Any, Any]
    active: np.ndarray[Any, Any]
    action_mask: np.ndarray[Any, Any] | None


def batch_slots(buffers: EnvBuffers, layout: Layout) -> list[BatchSlot]:
    """The views of every slot of `buffers`, whose observations lie as `layout` says."""
    return [
        BatchSlot(
            observation=buffers.observation[t],
            final_observation=buffers.final_observation[t],
            leaves=leaf_views(layout, buffers.observation[t]),
            final_leaves=leaf_views(layout, buffers.final_observation[t]),
            reward=buffers.reward[t],
            terminated=buffers.terminated[t],
            truncated=buffers.truncated[t],
            active=buffers.active[t],
            action_mask=None if buffers.action_mask is None else buffers.action_mask[t],
        )
        for t in range(buffers.slots)
    ]


def leaf_views(layout: Layout, rows: np.ndarray[Any, Any]) -> Views:
    """The leaves of rows `[rows, *layout.shape]`, without copying.

    Example:
        >>> import gymnasium
        >>> [view.shape for view in leaf_views(Layout.of(gymnasium.spaces.Discrete(3)), np.zeros(5, np.int64))]
        [(5,)]
    """
    parts = layout.split(rows)
    return tuple(parts.values()) if isinstance(parts, dict) else (parts,)


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
        self._leaves = layout.leaves
        self._whole = tuple(_repeated(leaf, num_envs) for leaf in layout.leaves)
        self._masks = MaskWriter(action)
        self._num_envs = num_envs

    def observations(self, views: Views, batch: Any) -> None:
        """A whole batch.

        Raises:
            RowError: one row has another shape or kind of number, is no choice of the space, or holds NaN.
            ShapeError: the batch itself is not what the space's batches are.
        """
        for leaf, whole, view, part in zip(self._leaves, self._whole, views, self._seen(batch), strict=True):
            part = np.asarray(part)
            try:
                whole.encode(part, view)
            except ShapeError as error:
                raise _row_error(leaf, part, view, error) from None
            _check_nan(leaf, view, range(self._num_envs))

    def rows(self, views: Views, batch: Any, rows: Rows) -> None:
        """Some rows of a batch; what the others hold is not looked at. Raises as `observations` does."""
        for leaf, view, part in zip(self._leaves, views, self._seen(batch), strict=True):
            if np.shape(part)[:1] != (self._num_envs,):
                raise ShapeError(_misfit(f"got a batch of shape {np.shape(part)}, expected {self._num_envs} rows"))
            for row in rows:
                _encode(leaf, int(row), part[row], view)
            _check_nan(leaf, view, rows)

    def row(self, views: Views, row: int, value: Any) -> None:
        """One row, from a value of the space itself. Raises as `observations` does."""
        try:
            parts = self._seen(value)
        except ShapeError as error:
            raise RowError(row, error.message) from None
        for leaf, view, part in zip(self._leaves, views, parts, strict=True):
            _encode(leaf, row, part, view)
            _check_nan(leaf, view, [row])

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
            raise ShapeError(_misfit(error.message)) from None


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


def _row_error(leaf: Leaf, part: np.ndarray[Any, Any], view: np.ndarray[Any, Any], error: ShapeError) -> ShapeError:
    """The same error of the first row that has it, in the words of one env."""
    if len(part.shape) and len(part) == len(view):
        try:
            for row, value in enumerate(part):
                _encode(leaf, row, value, view)
        except RowError as own:
            return own
    return ShapeError(_misfit(error.message))


def _encode(leaf: Leaf, row: int, value: Any, view: np.ndarray[Any, Any]) -> None:
    try:
        leaf.encode(value, view[row, ...])
    except ShapeError as error:
        raise RowError(row, _misfit(error.message)) from None


def _check_nan(leaf: Leaf, view: np.ndarray[Any, Any], rows: Iterable[Any]) -> None:
    if leaf.dtype.kind != "f" or not suspicious(view):
        return
    where = f"{leaf.name} of the observation" if leaf.path else "the observation"
    for row in rows:
        if np.isnan(view[row]).any():
            raise RowError(int(row), f"{where} holds NaN: {view[row].tolist()}, expected numbers")


def _misfit(message: str) -> str:
    return f"the observation does not fit its space: {message}"
