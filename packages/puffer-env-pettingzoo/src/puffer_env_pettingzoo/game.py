"""One environment of a batch: steps it, and writes what its agents see and get into their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import ShapeError
from puffer_core.spaces.layout import Layout
from puffer_core.vector.columns import RowError
from puffer_core.vector.masks import KEY
from puffer_env_pettingzoo.blocks import blocks_of
from puffer_env_pettingzoo.errors import BrokenEnvError
from puffer_env_pettingzoo.outcome import check_known, checked, numbers, of_agents
from puffer_env_pettingzoo.states import state_of
from puffer_env_pettingzoo.team import Agent, Role, Team, TeamEnv
from puffer_env_pettingzoo.tuples import TupleAgents
from puffer_env_pettingzoo.turns import Turns


class Game:
    """One environment and its rows, which are the only ones of the buffers that it is given.

    Args:
        env: stepped with the actions of the agents that live.
        team: of every environment of the batch.
        state: layout of `env.state()`; None where it is not asked for.
    """

    def __init__(self, env: TeamEnv, team: Team, state: Layout | None) -> None:
        self.env = env
        self.phase = "reset"
        """What the environment does or did last: `reset` or `step`; for messages."""
        self.kept = state_of(env)
        self._team = team
        self._state = state
        self._living: dict[Agent, int] = {}
        self._over: set[Agent] = set()
        self._convert = [team.of_row(row).own_action for row in range(len(team.role))]
        self._blocks = blocks_of(team)
        own_masks = isinstance(env, Turns) or any(role.mask_in for role in team.roles)
        self._masks = None if own_masks else team.padding_masks()

    def bind(self, buffers: EnvBuffers) -> None:
        """Take the rows of this environment, in every slot."""
        self._buffers = buffers
        self._targets = [[block.target(observation) for block in self._blocks] for observation in buffers.observation]

    def reset(self, seed: int, slot: int) -> None:
        """Start anew, without rewards and flags.

        Raises:
            BrokenEnvError: no agent is there, or one sees what does not fit.
        """
        buffers = self._buffers
        buffers.reward[slot] = 0.0
        buffers.terminated[slot] = buffers.truncated[slot] = False
        self._begin(seed, slot)

    def step(self, action: np.ndarray[Any, Any], slot: int) -> list[tuple[int, Mapping[str, Any]]]:
        """Act with the rows of `action` and write `slot`; if no agent is left, start the next episode.

        Returns:
            Infos that say something, by row.

        Raises:
            BrokenEnvError: the env broke its interface.
        """
        self.phase = "step"
        outcome = self.env.step(self._chosen(action))
        observations, rewards, terminated, truncated, infos = checked(outcome, 5)
        acted = self._living
        earned = numbers(self._taken(rewards, "reward"), acted)
        over, cut = self._taken(terminated, "termination"), self._taken(truncated, "truncation")
        buffers = self._buffers
        buffers.terminated[slot] = buffers.truncated[slot] = False
        if len(acted) < len(self._team.row):
            buffers.reward[slot] = 0.0
        for row, reward in zip(acted.values(), earned, strict=True):
            buffers.reward[slot, row] = reward
        ended = any(over) or any(cut)
        if ended:
            self._end(observations, over, cut, slot)
        known = self._team.row
        said = [(known[agent], info) for agent, info in infos.items() if info and agent in known]
        if ended or self.env.agents != list(acted):
            self._living = self._present(acted)
        if self._living:
            self._write(observations, infos, slot)
        else:
            self._begin(None, slot)
        return said

    def get_state(self) -> State:
        """The environment's state, and which rows are over."""
        return {**self.kept.get(), "over": sorted(self._team.row[agent] for agent in self._over)}

    def set_state(self, state: State) -> None:
        """Go back to what `get_state` gave.

        Raises:
            CheckpointError: the environment does not take it.
            BrokenEnvError: it has other agents then.
        """
        self.kept.set(state)
        if isinstance(self.env, Turns | TupleAgents):
            self.env.follow()
        agents = {row: agent for agent, row in self._team.row.items()}
        self._over = {agents[row] for row in state["over"]}
        self._living = self._present({})

    def _taken(self, values: Mapping[Agent, Any], name: str) -> list[Any]:
        """The values of the agents that acted; those of agents that are over or yet to come are not read."""
        if len(values) != len(self._living):
            check_known(name, values, self._team.row)
        return of_agents(values, self._living, name)

    def _end(self, observations: Mapping[Agent, Any], over: list[Any], cut: list[Any], slot: int) -> None:
        """Episodes of agents that end with this step."""
        buffers = self._buffers
        for (agent, row), terminated, truncated in zip(self._living.items(), over, cut, strict=True):
            if terminated or truncated:
                buffers.terminated[slot, row], buffers.truncated[slot, row] = terminated, truncated
                self._observe(agent, row, observations, buffers.final_observation[slot, row, ...])
                self._over.add(agent)
        if self._state:
            self._write_state(buffers.final_global_state, slot)

    def _begin(self, seed: int | None, slot: int) -> None:
        self.phase = "reset"
        observations, infos = checked(self.env.reset(seed=seed), 2)
        self._over.clear()
        self._living = self._present({})
        if not self._living:
            raise BrokenEnvError("`agents` is empty after reset, expected at least one")
        self._write(observations, infos, slot)

    def _chosen(self, action: np.ndarray[Any, Any]) -> dict[Agent, Any]:
        convert = self._convert
        return {
            agent: action[row] if convert[row] is None else convert[row](action[row])  # type: ignore[misc]
            for agent, row in self._living.items()
        }

    def _present(self, acted: Mapping[Agent, int]) -> dict[Agent, int]:
        """The agents that live, in the env's own order; who is over stays so until the next episode."""
        rows = self._team.row
        try:
            living = {agent: rows[agent] for agent in self.env.agents if agent not in self._over}
        except KeyError as error:
            raise BrokenEnvError(f"`agents` has {error.args[0]!r}, expected some of {list(rows)}") from None
        gone = acted.keys() - self._over - living.keys()
        if gone:
            raise BrokenEnvError("it left `agents` without a termination or truncation", min(gone, key=str))
        return living

    def _write(self, observations: Mapping[Agent, Any], infos: Mapping[Agent, Any], slot: int) -> None:
        """What agents see and may do now."""
        buffers, masks = self._buffers, self._buffers.action_mask
        everyone = len(self._living) == len(self._team.row)
        if everyone and self._blocks and (masks is None or self._masks is not None):
            self._write_blocks(observations, slot)
            if masks is not None:
                masks[slot] = self._masks
        else:
            self._write_rows(observations, infos, slot)
        buffers.active[slot] = True
        if not everyone:
            self._write_absent(slot)
        if self._state:
            self._write_state(buffers.global_state, slot)

    def _write_blocks(self, observations: Mapping[Agent, Any], slot: int) -> None:
        for block, (target, behind) in zip(self._blocks, self._targets[slot], strict=True):
            try:
                block.writer.write(target, of_agents(observations, block.agents, "observation"))
            except RowError as error:
                raise BrokenEnvError(error.message, block.agents[error.row]) from None
            if behind is not None:
                behind[...] = 0

    def _write_rows(self, observations: Mapping[Agent, Any], infos: Mapping[Agent, Any], slot: int) -> None:
        buffers, masks = self._buffers, self._buffers.action_mask
        for agent, row in self._living.items():
            mask = self._observe(agent, row, observations, buffers.observation[slot, row, ...])
            if masks is not None:
                self._write_mask(agent, self._team.of_row(row), mask, infos.get(agent) or {}, masks[slot, row])

    def _write_absent(self, slot: int) -> None:
        """Nothing for those that are not there."""
        absent = sorted(set(self._team.row.values()) - set(self._living.values()))
        self._buffers.active[slot, absent] = False
        self._buffers.observation[slot, absent] = 0
        if self._buffers.action_mask is not None:
            self._buffers.action_mask[slot, absent] = True

    def _observe(self, agent: Agent, row: int, observations: Mapping[Agent, Any], target: np.ndarray[Any, Any]) -> Any:
        """Write what an agent sees; gives the mask that is in it, None where there is none."""
        role = self._team.of_row(row)
        try:
            leaves, mask = role.take(of_agents(observations, (agent,), "observation")[0])
            role.write(leaves, target)
        except ShapeError as error:
            raise BrokenEnvError(f"the observation does not fit its space: {error.message}", agent) from None
        return mask

    def _write_mask(
        self, agent: Agent, role: Role, seen: Any, info: Mapping[str, Any], target: np.ndarray[Any, Any]
    ) -> None:
        try:
            if isinstance(self.env, Turns) and agent != self.env.turn:
                target[:] = self._team.first_choice
            else:
                role.write_mask(info.get(KEY) if role.mask_in == "info" else seen, target)
        except ShapeError as error:
            raise BrokenEnvError(error.message, agent) from None

    def _write_state(self, target: np.ndarray[Any, Any] | None, slot: int) -> None:
        assert target is not None
        assert self._state is not None
        try:
            self._state.encode(self.env.state(), target[slot, 0, ...])  # type: ignore[attr-defined]
        except ShapeError as error:
            raise BrokenEnvError(f"state() has changed its form: {error.message}") from None
