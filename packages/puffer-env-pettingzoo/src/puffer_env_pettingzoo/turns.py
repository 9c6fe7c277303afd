"""AEC envs, whose agents move one after another, as envs in which all but one agent wait."""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv

from puffer_env_pettingzoo.errors import BrokenEnvError


class Turns:
    """A parallel env over an AEC env: a step is one agent's move, and the others' actions are ignored.

    What the env gives an agent while it waits stands in that step. Agents that are over are stepped with None at
    once, as PettingZoo wants it, and `agents` are those that live on.

    Args:
        env: the AEC env.
    """

    def __init__(self, env: AECEnv[Any, Any, Any]) -> None:
        self.env = env
        self.possible_agents: Any = getattr(env, "possible_agents", None)
        self.agents: list[Any] = []
        self.turn: Any = None
        """The agent that moves next; None when none is left."""

    @property
    def unwrapped(self) -> Any:
        return self.env.unwrapped

    def observation_space(self, agent: Any) -> Any:
        return self.env.observation_space(agent)

    def action_space(self, agent: Any) -> Any:
        return self.env.action_space(agent)

    def state(self) -> Any:
        return self.env.state()

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    def reset(self, seed: int | None = None) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Start anew; observations and infos of every agent, also of those that wait."""
        self.env.reset(seed=seed)
        self._next_turn({}, {})
        return {agent: self.env.observe(agent) for agent in self.agents}, dict(self.env.infos)

    def step(self, actions: dict[Any, Any]) -> tuple[dict[Any, Any], ...]:
        """Observations, rewards, terminations, truncations and infos after the move of `turn`."""
        env = self.env
        env.step(actions[self.turn])
        observations = {agent: env.observe(agent) for agent in env.agents}
        rewards, infos = dict(env.rewards), dict(env.infos)
        terminated, truncated = dict(env.terminations), dict(env.truncations)
        self._next_turn(terminated, truncated)
        return observations, rewards, terminated, truncated, infos

    def _next_turn(self, terminated: dict[Any, bool], truncated: dict[Any, bool]) -> None:
        """Step past agents that are over; some may end only then, which `terminated` and `truncated` are told."""
        env = self.env
        while env.agents and self._is_over(env.agent_selection):
            agent, before = env.agent_selection, len(env.agents)
            terminated[agent], truncated[agent] = env.terminations[agent], env.truncations[agent]
            env.step(None)
            if len(env.agents) >= before:
                raise BrokenEnvError("step(None) left it in `agents`, expected that it removes the agent", agent)
        self.follow()
        if self.agents and self.turn not in self.agents:
            raise BrokenEnvError(f"agent_selection is {self.turn!r}, expected one of {self.agents}")

    def follow(self) -> None:
        """See who plays on and whose turn it is, as the env stands now."""
        self.agents = [agent for agent in self.env.agents if not self._is_over(agent)]
        self.turn = self.env.agent_selection if self.agents else None

    def _is_over(self, agent: Any) -> bool:
        env = self.env
        return bool(env.terminations.get(agent) or env.truncations.get(agent))
