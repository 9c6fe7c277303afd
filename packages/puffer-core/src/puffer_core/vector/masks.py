"""Action masks: where an env says them, taken from there into `[rows, mask_size]`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from puffer_core.spaces.layout import Layout
from puffer_core.spaces.nesting import Opening, walk
from puffer_core.vector.columns import RowError, joined

KEY = "action_mask"


@dataclass(frozen=True)
class Shown:
    """An env's observation space, and what of it a policy sees.

    Args:
        whole: as the env has it.
        seen: without the action mask; what stood under `observation`, where nothing else remains.
        mask: which of the leaves of `whole` are the action mask; none of them: an empty range.
    """

    whole: gymnasium.Space[Any]
    seen: gymnasium.Space[Any]
    mask: range = range(0)

    def columns(self, values: Sequence[Any]) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        """For every leaf that is seen, and for every leaf of the mask, its values from each of `values`.

        Raises:
            NestingError: a value is not nested like the space.
        """
        parts = self._opening.columns(values)
        if not self.mask:
            return parts, []
        first, end = self.mask.start, self.mask.stop
        return parts[:first] + parts[end:], parts[first:end]

    @cached_property
    def _opening(self) -> Opening:
        return Opening(self.whole)


def shown(space: gymnasium.Space[Any], action: Layout) -> Shown:
    """Take the action mask out of a Dict observation, as PettingZoo puts it there.

    Args:
        space: of the env's observations.
        action: decides how many entries a mask has.

    Example:
        >>> box, choices = spaces.Box(0, 1, (3,)), Layout.of(spaces.Discrete(2))
        >>> shown(spaces.Dict(observation=box, action_mask=spaces.MultiBinary(2)), choices).seen
        Box(0.0, 1.0, (3,), float32)
        >>> shown(spaces.Dict(observation=box, goal=box, action_mask=spaces.MultiBinary(2)), choices).seen
        Dict('observation': Box(0.0, 1.0, (3,), float32), 'goal': Box(0.0, 1.0, (3,), float32))
    """
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {}
    keys = list(parts)
    mask = parts.pop(KEY, None)
    if mask is None or not parts or not action.mask_size or _entries(mask) != action.mask_size:
        return Shown(space, space)
    before = sum(_leaves(parts[key]) for key in keys[: keys.index(KEY)])
    seen = parts["observation"] if list(parts) == ["observation"] else spaces.Dict(list(parts.items()))
    return Shown(space, seen, range(before, before + _leaves(mask)))


def _leaves(space: gymnasium.Space[Any]) -> int:
    return sum(1 for _ in walk(space))


def _entries(space: gymnasium.Space[Any]) -> int:
    return sum(math.prod(part.shape or ()) for _, part in walk(space))


class MaskWriter:
    """Writes action masks.

    Args:
        action: layout of the actions that are masked.
    """

    def __init__(self, action: Layout) -> None:
        self._space = action.space
        self._size = action.mask_size
        sizes = [size for leaf in action.leaves for size in leaf.sizes]
        self._elements = list(accumulate(sizes[:-1], initial=0))

    def write(self, target: np.ndarray[Any, Any], masks: Sequence[Any], where: str) -> None:
        """One mask a row.

        Args:
            target: bool `[rows, mask_size]`.
            masks: an array each, 0 for what is not allowed; for MultiDiscrete also a tuple of arrays; for a nested
                action also nested like it, where None or a missing key allows everything.
            where: they stand: `info` or `observation`, for messages.

        Raises:
            RowError: one is missing, has another size, or allows nothing.
        """
        same = self._joined(masks)
        if same is not None:
            np.not_equal(same, 0, out=target)
        else:
            for row, mask in enumerate(masks):
                target[row] = self._flat(row, mask, where)
        if not np.logical_or.reduceat(target, self._elements, axis=1).all():
            self._refuse_empty(target)

    def _joined(self, masks: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """All of them at once, if they are arrays of one dtype and the right shape."""
        first = masks[0]
        if first.__class__ is not np.ndarray or first.dtype.kind not in "biu":
            return None
        together = joined(masks, (first.dtype, (self._size,)))
        return None if not together else np.frombuffer(together, first.dtype).reshape(len(masks), self._size)

    def _flat(self, row: int, mask: Any, where: str) -> np.ndarray[Any, Any]:
        if mask is None:
            raise RowError(row, f"got no {KEY} in the {where}, expected {self._size} entries")
        try:
            parts = list(_flattened(self._space, mask))
            flat = np.concatenate(parts) if parts else np.zeros(0, np.bool_)
            if flat.dtype.kind not in "biuf":
                raise TypeError(f"{flat.dtype} is no truth value")
        except (TypeError, ValueError) as error:
            raise RowError(row, f"got the {KEY} {mask!r} in the {where}, which is no mask: {error}") from None
        if flat.size != self._size:
            raise RowError(row, f"got an {KEY} of {flat.size} entries in the {where}, expected {self._size} entries")
        return np.not_equal(flat, 0)

    def _refuse_empty(self, target: np.ndarray[Any, Any]) -> None:
        allowed = np.logical_or.reduceat(target, self._elements, axis=1)
        row = int(np.flatnonzero(~allowed.all(axis=1))[0])
        element = int(np.flatnonzero(~allowed[row])[0])
        which = f" of element {element}" if len(self._elements) > 1 else ""
        raise RowError(row, f"the {KEY} allows no choice{which}, expected at least one: {target[row].tolist()}")


def _flattened(space: gymnasium.Space[Any], mask: Any) -> Iterable[np.ndarray[Any, Any]]:
    """The entries of a mask in the order of the action space's leaves."""
    if mask is None:
        yield np.ones(Layout.of(space).mask_size, np.bool_)
    elif isinstance(space, spaces.Dict) and isinstance(mask, Mapping):
        if not mask.keys() <= space.spaces.keys():
            raise ValueError(f"expected keys of {list(space.spaces)}")
        for key, part in space.spaces.items():
            yield from _flattened(part, mask.get(key))
    elif isinstance(space, spaces.Tuple) and isinstance(mask, tuple):
        for part, own in zip(space.spaces, mask, strict=True):
            yield from _flattened(part, own)
    elif isinstance(mask, tuple):
        for own in mask:
            yield from _flattened(space, own)
    else:
        yield np.ravel(mask)
