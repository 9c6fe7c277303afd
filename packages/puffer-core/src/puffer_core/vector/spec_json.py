"""The spec of a worker's share as JSON values, and the spec of the whole batch from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.spaces.layout import Layout

_AS_IT_IS = ("id", "action_mask", "cost", "snapshot", "no_snapshot", "max_episode_steps")
_LAYOUTS = ("observation", "action", "global_state")
_GROUP_LAYOUTS = ("group_observation", "group_action")
_NAMES = ("agents", "groups")


def spec_to_json(spec: VectorEnvSpec) -> dict[str, Any]:
    """Everything but the number of environments; equal for any two shares of one batch.

    Example:
        >>> from gymnasium.spaces import Box, Discrete
        >>> layouts = {"observation": Layout.of(Box(0, 1)), "action": Layout.of(Discrete(2))}
        >>> one = VectorEnvSpec.single_agent(id="one", num_envs=3, **layouts)
        >>> spec_from_json(spec_to_json(one), 5).rows
        5
    """
    form: dict[str, Any] = {name: getattr(spec, name) for name in _AS_IT_IS}
    form |= {name: list(getattr(spec, name)) for name in _NAMES}
    for name in _LAYOUTS:
        layout = getattr(spec, name)
        form[name] = None if layout is None else layout.to_json()
    form |= {name: [layout.to_json() for layout in getattr(spec, name)] for name in _GROUP_LAYOUTS}
    form["group_of_agent"] = spec.row_group[: len(spec.agents)].tolist()
    return form


def spec_from_json(form: dict[str, Any], num_envs: int) -> VectorEnvSpec:
    """The spec of `num_envs` such environments."""
    fields: dict[str, Any] = {name: form[name] for name in _AS_IT_IS}
    fields |= {name: tuple(form[name]) for name in _NAMES}
    fields |= {name: form[name] if form[name] is None else Layout.from_json(form[name]) for name in _LAYOUTS}
    fields |= {name: tuple(map(Layout.from_json, form[name])) for name in _GROUP_LAYOUTS}
    return VectorEnvSpec(
        num_envs=num_envs,
        row_env=np.repeat(np.arange(num_envs, dtype=np.int64), len(form["agents"])),
        row_group=np.tile(np.array(form["group_of_agent"], np.int64), num_envs),
        **fields,
    )
