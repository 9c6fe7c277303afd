"""Writing what single envs return into the rows of a slot: one pass a leaf over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from puffer_core.quoting import value_text
from puffer_core.spaces.layout import Layout
from puffer_core.spaces.nesting import NestingError
from puffer_core.vector.columns import ColumnWriter, RowError, misfit
from puffer_core.vector.masks import KEY, MaskWriter, Shown
from puffer_core.vector.slots import Slot

_REAL = (int, float, np.integer, np.floating, np.bool_, np.ndarray)


class RowWriter:
    """Writes observations, rewards and masks of single envs.

    Args:
        shown: what the observations consist of.
        layout: of what is seen of them.
        action: layout of the actions.
        masked: there are action masks: in the observations, or else in the infos.
    """

    def __init__(self, shown: Shown, layout: Layout, action: Layout, masked: bool) -> None:
        self._shown = shown
        self._plain = not layout.is_nested and not shown.mask
        self._masks_in_info = masked and not shown.mask
        self._leaves = [ColumnWriter(leaf) for leaf in layout.leaves]
        self._masks = MaskWriter(action)

    def step(self, slot: Slot, observations: Sequence[Any], rewards: Sequence[Any], infos: Sequence[Any]) -> None:
        """What one step of every env gave, masks included.

        Raises:
            RowError: an observation has other keys, another shape or kind of number, is no choice of the space, or
                holds NaN; a reward is no number, or NaN; a mask is missing, has another size, or allows nothing.
        """
        if self._plain:
            self._leaves[0].write(slot.leaves[0], observations)
        else:
            self._nested(slot, observations)
        if self._masks_in_info and slot.action_mask is not None:
            self._masks.write(slot.action_mask, [info.get(KEY) for info in infos], "info")
        try:
            slot.reward[:] = rewards
            if not math.isnan(sum(rewards)):
                return
        except (TypeError, ValueError, OverflowError):
            pass
        self._find_bad_reward(slot, rewards)

    def _nested(self, slot: Slot, values: Sequence[Any]) -> None:
        columns, mask = self._columns(values)
        for leaf, target, column in zip(self._leaves, slot.leaves, columns, strict=True):
            leaf.write(target, column)
        if mask and slot.action_mask is not None:
            masks = mask[0] if len(mask) == 1 else list(zip(*mask, strict=True))
            self._masks.write(slot.action_mask, masks, "observation")

    def final_observation(self, slot: Slot, row: int, value: Any) -> None:
        """The last observation of an episode that ended.

        Raises:
            RowError: as `step`.
        """
        columns = [[value]] if self._plain else self._columns([value], row)[0]
        for leaf, target, column in zip(self._leaves, slot.final_leaves, columns, strict=True):
            leaf.write_one(target, row, column[0])

    def _columns(self, values: Sequence[Any], first: int = 0) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        try:
            return self._shown.columns(values)
        except NestingError as error:
            raise RowError(first + error.row, misfit(error.message)) from None

    def _find_bad_reward(self, slot: Slot, values: Sequence[Any]) -> None:
        for i, value in enumerate(values):
            if not isinstance(value, _REAL) or np.shape(value) != () or not _fits(slot.reward[i, ...], value):
                raise RowError(i, f"the reward is {value_text(value)}, expected a number")
            if np.isnan(value):
                raise RowError(i, "the reward is NaN, expected a number")


def _fits(place: np.ndarray[Any, Any], value: Any) -> bool:
    try:
        place[...] = value
    except (TypeError, ValueError, OverflowError):
        return False
    return True
