"""Writing what single envs return into the rows of a slot: checked, and cheap beside a step of CartPole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import ShapeError
from puffer_core.layout import Layout

_FORM = attrgetter("dtype", "shape")
_INTEGERS = frozenset((int, np.int64))


class RowError(ShapeError):
    """What an env returned does not fit; `row` says which env."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


class Slot(NamedTuple):
    """Views of one slot, made once: a step creates none. `raw` are the observations as bytes."""

    observation: np.ndarray[Any, Any]
    final_observation: np.ndarray[Any, Any]
    reward: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]
    truncated: np.ndarray[Any, Any]
    action_mask: np.ndarray[Any, Any] | None
    raw: memoryview | None
    flat: np.ndarray[Any, Any]


def slots_of(buffers: EnvBuffers) -> list[Slot]:
    """The views of every slot of `buffers`."""
    slots = []
    for t in range(buffers.slots):
        observation = buffers.observation[t]
        flat = observation.reshape(-1)
        raw = flat.view(np.uint8).data if observation.flags.c_contiguous and flat.size else None
        mask = None if buffers.action_mask is None else buffers.action_mask[t]
        final, reward = buffers.final_observation[t], buffers.reward[t]
        slots.append(Slot(observation, final, reward, buffers.terminated[t], buffers.truncated[t], mask, raw, flat))
    return slots


class RowWriter:
    """Writes observations, rewards and masks of single envs.

    Args:
        observation: layout of the observations.
        mask_size: entries of an action mask.
    """

    def __init__(self, observation: Layout, mask_size: int) -> None:
        self._layout = observation
        self._mask_size = mask_size
        self._is_box = observation.kind == "box"
        self._form = (observation.dtype, observation.shape)
        self._may_be_nan = observation.dtype.kind == "f"

    def observations(self, slot: Slot, values: Sequence[Any]) -> None:
        """One observation a row.

        Raises:
            RowError: one has another shape or kind of number, is no choice of the space, or holds NaN.
        """
        if not (self._copy_bytes(slot, values) if self._is_box else self._copy_choices(slot, values)):
            for i, value in enumerate(values):
                self._encode(i, value, slot.observation[i, ...])
        if self._may_be_nan and _suspicious(slot.flat):
            for i, row in enumerate(slot.observation):
                _refuse_nan(i, row)

    def _copy_bytes(self, slot: Slot, values: Sequence[Any]) -> bool:
        """Copy all at once (5 times faster than a row at a time), if all have exactly the layout's dtype and shape."""
        try:
            if slot.raw is None or list(map(_FORM, values)).count(self._form) != len(values):
                return False
            slot.raw[:] = b"".join(values)
        except (AttributeError, TypeError, BufferError):  # not arrays, or not contiguous
            return False
        return True

    def _copy_choices(self, slot: Slot, values: Sequence[Any]) -> bool:
        """The same for one choice a row, given as integers in range."""
        if self._layout.kind != "discrete" or not _INTEGERS.issuperset(map(type, values)):
            return False
        (start,), (size,) = self._layout.leaves[0].start, self._layout.leaves[0].sizes
        if min(values) < start or max(values) >= start + size:
            return False
        slot.observation[:] = [value - start for value in values] if start else values
        return True

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

    def final_observation(self, slot: Slot, row: int, value: Any) -> None:
        """The last observation of an episode that ended.

        Raises:
            RowError: as `observations`.
        """
        target = slot.final_observation[row, ...]
        self._encode(row, value, target)
        if self._may_be_nan and _suspicious(target.reshape(-1)):
            _refuse_nan(row, target)

    def masks(self, slot: Slot, infos: Sequence[Mapping[str, Any]]) -> None:
        """Action masks from `info["action_mask"]`: an array, or as MultiDiscrete has it a tuple of arrays.

        Raises:
            RowError: one is missing or has another size.
        """
        if slot.action_mask is None:
            return
        for row, info in enumerate(infos):
            mask = info.get("action_mask")
            parts = mask if isinstance(mask, tuple) else (mask,)
            flat = np.concatenate([np.ravel(part) for part in parts])
            if mask is None or flat.size != self._mask_size:
                got = "no action_mask" if mask is None else f"an action_mask of {flat.size} entries"
                raise RowError(row, f"got {got} in the info, expected {self._mask_size} entries")
            slot.action_mask[row] = flat.astype(np.bool_)

    def _encode(self, row: int, value: Any, target: np.ndarray[Any, Any]) -> None:
        try:
            self._layout.encode(value, target)
        except ShapeError as error:
            raise RowError(row, f"the observation does not fit its space: {error.message}") from None


def _suspicious(flat: np.ndarray[Any, Any]) -> bool:
    """Whether there may be a NaN: there is one, or infinities of both signs.

    By a sum, because what `isnan`, `max` and `dot` compile to on x86 (AVX-512) slows the scalar arithmetic of the
    envs after it: 15 to 50 % of a CartPole step, measured on a Xeon. Python adds few numbers faster than NumPy.
    """
    if flat.size <= 256:
        return math.isnan(sum(flat.tolist()))
    with np.errstate(all="ignore"):
        return math.isnan(np.add.reduce(flat))


def _refuse_nan(row: int, observation: np.ndarray[Any, Any]) -> None:
    if np.isnan(observation).any():
        raise RowError(row, f"the observation holds NaN: {observation.tolist()}, expected numbers")
