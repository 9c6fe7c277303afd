"""Writing what single envs return into the rows of a slot: one pass a leaf over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.layout import Layout
from puffer_core.nesting import NestingError
from puffer_core.vector.columns import ColumnWriter, RowError, Target
from puffer_core.vector.masks import KEY, MaskWriter, Shown

__all__ = ["RowError", "RowWriter", "Slot", "slots_of"]


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
            self._leaves[0].write(slot.observation[0], observations)
        else:
            self._nested(slot, observations)
        if self._masks_in_info and slot.action_mask is not None:
            self._masks.write(slot.action_mask, [info.get(KEY) for info in infos], "info")
        try:
            slot.reward[:] = rewards
            if not math.isnan(sum(rewards)):
                return
        except (TypeError, ValueError):
            pass
        self._find_bad_reward(slot, rewards)

    def _nested(self, slot: Slot, values: Sequence[Any]) -> None:
        columns, mask = self._columns(values)
        for leaf, target, column in zip(self._leaves, slot.observation, columns, strict=True):
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
        for leaf, target, column in zip(self._leaves, slot.final_observation, columns, strict=True):
            leaf.write_one(target, row, column[0])

    def _columns(self, values: Sequence[Any], first: int = 0) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        try:
            return self._shown.columns(values)
        except NestingError as error:
            message = f"the observation does not fit its space: {error.message}"
            raise RowError(first + error.row, message) from None

    def _find_bad_reward(self, slot: Slot, values: Sequence[Any]) -> None:
        for i, value in enumerate(values):
            if not isinstance(value, int | float | np.number | np.bool_ | np.ndarray) or np.shape(value) != ():
                raise RowError(i, f"the reward is {value!r}, expected a number")
            slot.reward[i] = value
            if np.isnan(value):
                raise RowError(i, "the reward is NaN, expected a number")
