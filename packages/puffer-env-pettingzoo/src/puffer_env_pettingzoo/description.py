"""What a batch of multi-agent environments says of itself."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout
from puffer_env_pettingzoo.outcome import checked
from puffer_env_pettingzoo.team import Team, TeamEnv
from puffer_env_pettingzoo.turns import Turns


def describe(env: TeamEnv, team: Team, id: str, num_envs: int, global_state: bool | None) -> VectorEnvSpec:
    """The spec of `num_envs` environments like `env`, which is reset for this.

    Args:
        env: one of them.
        team: its agents; learns whether there are masks in infos.
        id: stands in the spec.
        num_envs: >= 1.
        global_state: as `AgentsVectorEnv` takes it.

    Raises:
        UnsupportedError: there is no state, but it is asked for.
        BrokenEnvError: `reset` gave no observations and infos by agent.
    """
    team.find_masks(checked(env.reset(seed=0), 2)[1])
    observations = tuple(role.observation for role in team.roles)
    actions = tuple(role.action for role in team.roles)
    return VectorEnvSpec(
        id=id,
        num_envs=num_envs,
        observation=team.observation,
        action=team.action,
        row_env=np.repeat(np.arange(num_envs, dtype=np.int64), len(team.role)),
        row_group=np.tile(np.array(team.role, np.int64), num_envs),
        agents=team.names,
        groups=tuple(role.name for role in team.roles),
        group_observation=observations if len(set(observations)) > 1 else (),
        group_action=actions if len(set(actions)) > 1 else (),
        global_state=_state_layout(env, id, global_state),
        action_mask=bool(team.action.mask_size) and (team.masked or isinstance(env, Turns)),
        max_episode_steps=_time_limit(env, len(team.role)),
    )


def _state_layout(env: TeamEnv, id: str, wanted: bool | None) -> Layout | None:
    """The layout of `state()`; None where there is none, where it is unwanted, or a picture that nobody asked for."""
    space = getattr(env, "state_space", None)
    if wanted is False or (wanted is None and _is_picture(space)):
        return None
    state = _state(env)
    if state is None:
        if wanted:
            raise UnsupportedError(f"{id} has no state(), so it has no global state")
        return None
    if not isinstance(space, Box) or (space.shape, space.dtype) != (state.shape, state.dtype):
        space = _unbounded(state)
    return None if wanted is None and _is_picture(space) else Layout.of(space)


def _state(env: TeamEnv) -> np.ndarray[Any, Any] | None:
    method = getattr(env, "state", None)
    try:
        state = np.asarray(method()) if callable(method) else None
    except (NotImplementedError, TypeError):  # TypeError: PettingZoo's rps keeps a dict under that name
        return None
    return state if state is not None and state.dtype.kind in "biuf" else None


def _is_picture(space: gymnasium.Space[Any] | None) -> bool:
    return isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3


def _unbounded(state: np.ndarray[Any, Any]) -> Box:
    """A space for a state whose env says nothing of it: of its form, any value."""
    low: float
    high: float
    if state.dtype.kind == "f":
        low, high = -np.inf, np.inf
    elif state.dtype.kind == "b":
        low, high = 0, 1
    else:
        low, high = np.iinfo(state.dtype).min, np.iinfo(state.dtype).max
    return Box(low, high, state.shape, state.dtype.type)


def _time_limit(env: TeamEnv, agents: int) -> int | None:
    """Steps until an episode is cut: `max_cycles` where an env has it, in turns a move of every agent each."""
    inner = getattr(env, "unwrapped", env)
    limits = [getattr(env, "max_episode_steps", None)]
    limits += [getattr(holder, "max_cycles", None) for holder in (inner, getattr(inner, "env", None))]
    limit = next((limit for limit in limits if isinstance(limit, int) and limit >= 1), None)
    return limit * agents if limit and isinstance(env, Turns) else limit
