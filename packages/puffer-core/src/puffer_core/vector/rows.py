"""Writing what single envs return into the rows of a slot: one pass a leaf over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.layout import Layout
from puffer_core.nesting import NestingError
from puffer_core.vector.columns import ColumnWriter, RowError, Target
from puffer_core.vector.columns import suspicious as _suspicious
from puffer_core.vector.masks import KEY, MaskWriter, Shown

__all__ = ["RowError", "RowWriter", "Slot", "_suspicious", "slots_of"]


class Slot(NamedTuple):
    """Views of one slot, made once: a step creates none."""

    observation: tuple[Target, ...]
    final_observation: tuple[Target, ...]
    reward: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]
    truncated: np.ndarray[Any, Any]
    action_mask: np.ndarray[Any, Any] | None


def slots_of(buffers: EnvBuffers, layout: Layout) -> list[Slot]:
    """The views of every slot of `buffers`, whose observations lie as `layout` says."""
    return [
        Slot(
            observation=_targets(layout, buffers.observation[t]),
            final_observation=_targets(layout, buffers.final_observation[t]),
            reward=buffers.reward[t],
            terminated=buffers.terminated[t],
            truncated=buffers.truncated[t],
            action_mask=None if buffers.action_mask is None else buffers.action_mask[t],
        )
        for t in range(buffers.slots)
    ]


def _targets(layout: Layout, rows: np.ndarray[Any, Any]) -> tuple[Target, ...]:
    parts = layout.split(rows)
    return tuple(map(Target.of, parts.values() if isinstance(parts, dict) else [parts]))


class RowWriter:
    """Writes observations, rewards and masks of single envs.

    Args:
        shown: what the observations consist of.
        layout: of what is seen of them.
        action: layout of the actions.
    """

    def __init__(self, shown: Shown, layout: Layout, action: Layout) -> None:
        self._shown = shown
        self._plain = not layout.is_nested and not shown.mask
        self._leaves = [ColumnWriter(leaf) for leaf in layout.leaves]
        self._masks = MaskWriter(action)

    def observations(self, slot: Slot, values: Sequence[Any]) -> None:
        """One observation a row, with its mask where that is in it.

        Raises:
            RowError: one has other keys, another shape or kind of number, is no choice of the space, or holds NaN.
        """
        if self._plain:
            self._leaves[0].write(slot.observation[0], values)
            return
        columns, mask = self._columns(values)
        for leaf, target, column in zip(self._leaves, slot.observation, columns, strict=True):
            leaf.write(target, column)
        if mask and slot.action_mask is not None:
            masks = mask[0] if len(mask) == 1 else list(zip(*mask, strict=True))
            self._masks.write(slot.action_mask, masks, "observation")

    def final_observation(self, slot: Slot, row: int, value: Any) -> None:
        """The last observation of an episode that ended.

        Raises:
            RowError: as `observations`.
        """
        columns = [[value]] if self._plain else self._columns([value], row)[0]
        for leaf, target, column in zip(self._leaves, slot.final_observation, columns, strict=True):
            leaf.write_one(target, row, column[0])

    def _columns(self, values: Sequence[Any], first: int = 0) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        try:
            return self._shown.columns(values)
        except NestingError as error:
            message = f"the observation does not fit its space: {error.message}"
            raise RowError(first + error.row, message) from None

    def rewards(self, slot: Slot, values: Sequence[Any]) -> None:
        """One reward a row.

        Raises:
            RowError: one is no number, or NaN.
        """
        try:
            slot.reward[:] = values
            if not math.isnan(sum(values)):
                return
        except (TypeError, ValueError):
            pass
        for i, value in enumerate(values):
            if not isinstance(value, int | float | np.number | np.bool_ | np.ndarray) or np.shape(value) != ():
                raise RowError(i, f"the reward is {value!r}, expected a number")
            slot.reward[i] = value
            if np.isnan(value):
                raise RowError(i, "the reward is NaN, expected a number")

    def masks(self, slot: Slot, infos: Sequence[Mapping[str, Any]]) -> None:
        """Action masks from `info["action_mask"]`, where the observations have none.

        Raises:
            RowError: one is missing, has another size, or allows nothing.
        """
        if slot.action_mask is not None and not self._shown.mask:
            self._masks.write(slot.action_mask, [info.get(KEY) for info in infos], "info")
