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
from puffer_core.nesting import NestingError, assembled, columns
from puffer_core.vector.rows import RowError
from puffer_core.vector.rows import _suspicious as suspicious

Views: TypeAlias = "tuple[np.ndarray[Any, Any], ...]"
"""One array `[rows, *leaf.shape]` a leaf."""


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
        observation: layout of one row.
        mask_size: entries of an action mask.
        num_envs: rows of the batch.
    """

    def __init__(self, observation: Layout, mask_size: int, num_envs: int) -> None:
        self._space = observation.space
        self._leaves = observation.leaves
        self._whole = tuple(_repeated(leaf, num_envs) for leaf in observation.leaves)
        self._mask_size = mask_size
        self._num_envs = num_envs

    def observations(self, views: Views, batch: Any) -> None:
        """A whole batch.

        Raises:
            RowError: one row has another shape or kind of number, is no choice of the space, or holds NaN.
            ShapeError: the batch itself is not what the space's batches are.
        """
        for leaf, whole, view, part in zip(self._leaves, self._whole, views, self._parts(batch), strict=True):
            try:
                whole.encode(part, view)
            except ShapeError as error:
                raise _row_error(leaf, part, view, error) from None
            _check_nan(leaf, view, range(self._num_envs))

    def rows(self, views: Views, batch: Any, rows: Sequence[int] | np.ndarray[Any, Any]) -> None:
        """Some rows of a batch; what the others hold is not looked at. Raises as `observations` does."""
        for leaf, view, part in zip(self._leaves, views, self._parts(batch), strict=True):
            if len(part) != self._num_envs:
                raise ShapeError(_misfit(f"got a batch of {len(part)}, expected {self._num_envs}"))
            for row in rows:
                _encode(leaf, int(row), part[row], view)
            _check_nan(leaf, view, rows)

    def row(self, views: Views, row: int, value: Any) -> None:
        """One row, from a value of the space itself. Raises as `observations` does."""
        try:
            parts = [part for (part,) in columns(self._space, [value])]
        except NestingError as error:
            raise RowError(row, _misfit(error.message)) from None
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

    def masks(self, target: np.ndarray[Any, Any] | None, infos: Mapping[str, Any], rows: Iterable[int] | None) -> None:
        """Action masks from `infos["action_mask"]`, of all rows or of some.

        Raises:
            RowError: one is missing or has another size.
        """
        if target is None:
            return
        given = infos.get("action_mask")
        array = np.asarray(given) if not isinstance(given, tuple) else None
        if rows is None and array is not None and array.dtype != object and array.shape == target.shape:
            target[...] = array
            return
        has = infos.get("_action_mask", np.full(self._num_envs, given is not None))
        for row in range(self._num_envs) if rows is None else rows:
            mask = _mask_of(given, row) if has[row] else np.zeros(0, np.bool_)
            if mask.size != self._mask_size:
                got = f"an action_mask of {mask.size} entries" if has[row] else "no action_mask"
                raise RowError(int(row), f"got {got} in the info, expected {self._mask_size} entries")
            target[row] = mask

    def _parts(self, batch: Any) -> list[np.ndarray[Any, Any]]:
        try:
            return [np.asarray(part) for (part,) in columns(self._space, [batch])]
        except NestingError as error:
            raise ShapeError(_misfit(error.message)) from None


def sparse(infos: Any, num_envs: int) -> list[tuple[int, dict[str, Any]]]:
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
    return sorted(rows.items())


def _entries(value: Any, mask: Any, num_envs: int) -> Iterable[tuple[int, Any]]:
    if isinstance(value, Mapping):
        own = dict(sparse(value, num_envs))
        return [(int(row), own.get(int(row), {})) for row in (own if mask is None else np.flatnonzero(mask))]
    if np.shape(value)[:1] != (num_envs,):
        return [(0, value)]
    return [(int(row), value[row]) for row in (range(num_envs) if mask is None else np.flatnonzero(mask))]


def _mask_of(given: Any, row: int) -> np.ndarray[Any, Any]:
    """One row's mask: an array, or as MultiDiscrete has it a tuple of arrays."""
    own = tuple(part[row] for part in given) if isinstance(given, tuple) else given[row]
    parts = own if isinstance(own, tuple) else (own,)
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.bool_)


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
    if leaf.dtype.kind != "f" or not suspicious(np.ravel(view)):
        return
    where = f"{leaf.name} of the observation" if leaf.path else "the observation"
    for row in rows:
        if np.isnan(view[row]).any():
            raise RowError(int(row), f"{where} holds NaN: {view[row].tolist()}, expected numbers")


def _misfit(message: str) -> str:
    return f"the observation does not fit its space: {message}"
