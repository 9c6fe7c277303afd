"""Slots as env modes write them: views that are made once, the observations' leaf by leaf."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.spaces.layout import Layout
from puffer_core.vector.columns import Target


class Slot(NamedTuple):
    """Views of one slot: a step creates none. `leaves` and `final_leaves` are those of the observations."""

    observation: np.ndarray[Any, Any]
    final_observation: np.ndarray[Any, Any]
    leaves: tuple[Target, ...]
    final_leaves: tuple[Target, ...]
    reward: np.ndarray[Any, Any]
    terminated: np.ndarray[Any, Any]
    truncated: np.ndarray[Any, Any]
    active: np.ndarray[Any, Any]
    action_mask: np.ndarray[Any, Any] | None


def slots_of(buffers: EnvBuffers, layout: Layout) -> list[Slot]:
    """The views of every slot of `buffers`, whose observations lie as `layout` says."""
    return [
        Slot(
            observation=buffers.observation[t],
            final_observation=buffers.final_observation[t],
            leaves=targets_of(layout, buffers.observation[t]),
            final_leaves=targets_of(layout, buffers.final_observation[t]),
            reward=buffers.reward[t],
            terminated=buffers.terminated[t],
            truncated=buffers.truncated[t],
            active=buffers.active[t],
            action_mask=None if buffers.action_mask is None else buffers.action_mask[t],
        )
        for t in range(buffers.slots)
    ]


def leaf_views(layout: Layout, rows: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """The leaves of rows `[rows, *layout.shape]`, without copying.

    Example:
        >>> import gymnasium
        >>> [view.shape for view in leaf_views(Layout.of(gymnasium.spaces.Discrete(3)), np.zeros(5, np.int64))]
        [(5,)]
    """
    parts = layout.split(rows)
    return tuple(parts.values()) if isinstance(parts, dict) else (parts,)


def targets_of(layout: Layout, rows: np.ndarray[Any, Any]) -> tuple[Target, ...]:
    """The same as places to write to."""
    return tuple(map(Target.of, leaf_views(layout, rows)))
