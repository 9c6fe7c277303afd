"""One environment of a batch: steps it, and writes what its agents see and get into their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import ShapeError
from puffer_core.layout import Layout
from puffer_core.vector.masks import KEY
from puffer_env_pettingzoo.errors import BrokenEnvError
from puffer_env_pettingzoo.team import Agent, Role, Team, TeamEnv
from puffer_env_pettingzoo.turns import Turns

_NUMBERS = (float, int, np.float64, np.float32)
_OUTCOME = ("observations", "rewards", "terminations", "truncations", "infos")


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
        self._team = team
        self._state = state
        self._living: dict[Agent, int] = {}
        self._over: set[Agent] = set()
        self._convert = [team.of_row(row).own_action for row in range(len(team.role))]

    def bind(self, buffers: EnvBuffers) -> None:
        """Take the rows of this environment, in every slot."""
        self._buffers = buffers

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
        self._check_known(rewards, terminated, truncated)
        buffers = self._buffers
        buffers.reward[slot] = 0.0
        buffers.terminated[slot] = buffers.truncated[slot] = False
        ended = False
        for agent, row in self._living.items():
            buffers.reward[slot, row] = _reward(agent, _of(rewards, agent, "reward"))
            over, cut = _of(terminated, agent, "termination"), _of(truncated, agent, "truncation")
            if over or cut:
                ended = True
                buffers.terminated[slot, row], buffers.truncated[slot, row] = over, cut
                self._observe(agent, row, observations, buffers.final_observation[slot, row, ...])
                self._over.add(agent)
        said = [(self._team.row[agent], info) for agent, info in infos.items() if info and agent in self._team.row]
        lost = self._living.keys() - self._over
        self._living = self._present()
        if lost - self._living.keys():
            gone = min(lost - self._living.keys(), key=str)
            raise BrokenEnvError("it left `agents` without a termination or truncation", gone)
        if ended and self._state:
            self._write_state(buffers.final_global_state, slot)
        if self._living:
            self._write(observations, infos, slot)
        else:
            self._begin(None, slot)
        return said

    def _begin(self, seed: int | None, slot: int) -> None:
        self.phase = "reset"
        observations, infos = checked(self.env.reset(seed=seed), 2)
        self._over.clear()
        self._living = self._present()
        if not self._living:
            raise BrokenEnvError("`agents` is empty after reset, expected at least one")
        self._write(observations, infos, slot)

    def _chosen(self, action: np.ndarray[Any, Any]) -> dict[Agent, Any]:
        convert = self._convert
        return {
            agent: action[row] if convert[row] is None else convert[row](action[row])  # type: ignore[misc]
            for agent, row in self._living.items()
        }

    def _present(self) -> dict[Agent, int]:
        """The agents that live, in the env's own order; who is over stays so until the next episode."""
        rows = self._team.row
        try:
            return {agent: rows[agent] for agent in self.env.agents if agent not in self._over}
        except KeyError as error:
            raise BrokenEnvError(f"`agents` has {error.args[0]!r}, expected some of {list(rows)}") from None

    def _write(self, observations: Mapping[Agent, Any], infos: Mapping[Agent, Any], slot: int) -> None:
        """What agents see now; nothing for those that are not there."""
        buffers, masks = self._buffers, self._buffers.action_mask
        for agent, row in self._living.items():
            mask = self._observe(agent, row, observations, buffers.observation[slot, row, ...])
            if masks is not None:
                self._write_mask(agent, self._team.of_row(row), mask, infos.get(agent) or {}, masks[slot, row])
        buffers.active[slot] = True
        if len(self._living) < len(self._team.row):
            absent = sorted(set(self._team.row.values()) - set(self._living.values()))
            buffers.active[slot, absent] = False
            buffers.observation[slot, absent] = 0
            if masks is not None:
                masks[slot, absent] = True
        if self._state:
            self._write_state(buffers.global_state, slot)

    def _observe(self, agent: Agent, row: int, observations: Mapping[Agent, Any], target: np.ndarray[Any, Any]) -> Any:
        """Write what an agent sees; gives the mask that is in it, None where there is none."""
        role = self._team.of_row(row)
        try:
            leaves, mask = role.take(_of(observations, agent, "observation"))
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

    def _check_known(self, *given: Mapping[Agent, Any]) -> None:
        rows = self._team.row
        for name, values in zip(_OUTCOME[1:4], given, strict=True):
            if not values.keys() <= rows.keys():
                unknown = [agent for agent in values if agent not in rows]
                raise BrokenEnvError(f"{name} name {unknown[0]!r}, expected some of {list(rows)}")


def checked(outcome: Any, count: int) -> tuple[Any, ...]:
    """What `reset` (2 dicts) or `step` (5) gave, if it is that.

    Raises:
        BrokenEnvError: it is something else.
    """
    expected = _OUTCOME if count == len(_OUTCOME) else ("observations", "infos")
    if not isinstance(outcome, tuple) or len(outcome) != count:
        got = f"{len(outcome)} values" if isinstance(outcome, tuple) else repr(outcome)
        raise BrokenEnvError(f"it gave {got}, expected {', '.join(expected)}")
    for name, values in zip(expected, outcome, strict=True):
        if not isinstance(values, Mapping):
            raise BrokenEnvError(f"{name} are {values!r}, expected a dict by agent")
    return outcome


def _of(values: Mapping[Agent, Any], agent: Agent, name: str) -> Any:
    try:
        return values[agent]
    except KeyError:
        raise BrokenEnvError(f"it got no {name}, expected one for every agent that acted or acts next", agent) from None


def _reward(agent: Agent, value: Any) -> float:
    if value.__class__ not in _NUMBERS and (np.shape(value) != () or np.asarray(value).dtype.kind not in "biuf"):
        raise BrokenEnvError(f"the reward is {value!r}, expected a number", agent)
    number = float(value)
    if number != number:
        raise BrokenEnvError("the reward is NaN, expected a number", agent)
    return number
