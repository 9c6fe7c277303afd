"""Gymnasium envs that hold several agents: Tuple spaces and a list of rewards, one part an agent."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Tuple

from puffer_core.errors import EnvError
from puffer_env_pettingzoo.errors import BrokenEnvError


class TupleAgents:
    """A parallel env over such a Gymnasium env; its agents are `agent_0`, `agent_1` and so on, and end together.

    `info` is that of the first agent; its `"action_mask"`, if there is one, has one part an agent.

    Args:
        env: the Gymnasium env.
        id: for messages.

    Raises:
        EnvError: its spaces are not two tuples of the same length.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], id: str) -> None:
        spaces = env.observation_space, env.action_space
        if not all(isinstance(space, Tuple) for space in spaces) or len(spaces[0]) != len(spaces[1]):  # type: ignore[arg-type]
            raise EnvError(
                f"{id}: spaces are {spaces[0]} and {spaces[1]}, expected two Tuple spaces with one part an agent",
                remedy=f"An env with one agent is made as gymnasium:{id}.",
            )
        self.env = env
        self.possible_agents = [f"agent_{i}" for i in range(len(spaces[0]))]  # type: ignore[arg-type]
        self.agents: list[str] = []
        self._observation_space, self._action_space = (
            dict(zip(self.possible_agents, space, strict=True))  # type: ignore[call-overload]
            for space in spaces
        )

    @property
    def unwrapped(self) -> Any:
        return self.env.unwrapped

    @property
    def max_episode_steps(self) -> int | None:
        return self.env.spec.max_episode_steps if self.env.spec else None

    def observation_space(self, agent: str) -> Any:
        return self._observation_space[agent]

    def action_space(self, agent: str) -> Any:
        return self._action_space[agent]

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start anew with every agent."""
        observations, info = self.env.reset(seed=seed)
        self.agents = list(self.possible_agents)
        return self._each("observation", observations), self._infos(info)

    def follow(self) -> None:
        """Every agent plays on: the env has been given a state, and a state is never that of an end."""
        self.agents = list(self.possible_agents)

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Observations, rewards, terminations, truncations and infos, each by agent."""
        chosen = tuple(actions[agent] for agent in self.possible_agents)
        outcome = self.env.step(chosen)
        try:
            observations, rewards, terminated, truncated, info = outcome
        except (TypeError, ValueError):
            raise BrokenEnvError(
                f"step gave {outcome!r}, expected observations, rewards, terminated, truncated, info"
            ) from None
        over, cut = self._flag("terminated", terminated), self._flag("truncated", truncated)
        if over or cut:
            self.agents = []
        return (
            self._each("observation", observations),
            self._each("reward", rewards),
            dict.fromkeys(self.possible_agents, over),
            dict.fromkeys(self.possible_agents, cut),
            self._infos(info),
        )

    def _each(self, name: str, values: Any) -> dict[str, Any]:
        try:
            return dict(zip(self.possible_agents, values, strict=True))
        except (TypeError, ValueError):
            expected = f"one for each of {len(self.possible_agents)} agents"
            raise BrokenEnvError(f"the {name}s are {values!r}, expected {expected}") from None

    def _flag(self, name: str, value: Any) -> bool:
        if np.shape(value) != ():
            raise BrokenEnvError(f"{name} is {value!r}, expected one flag for all agents")
        return bool(value)

    def _infos(self, info: dict[str, Any]) -> dict[str, Any]:
        infos: dict[str, Any] = {self.possible_agents[0]: dict(info)}
        if "action_mask" in info:
            for agent, mask in self._each("action_mask", info["action_mask"]).items():
                infos.setdefault(agent, {})["action_mask"] = mask
        return infos
