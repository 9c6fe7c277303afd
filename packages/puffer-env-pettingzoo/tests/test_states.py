"""Environments of several agents that give their state go on where they were."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Tuple
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper, TerminateIllegalWrapper

from puffer_core.checkpoints.statefile import decode, encode
from puffer_core.errors import CheckpointError, UnsupportedError
from puffer_env_pettingzoo import AgentsVectorEnv
from puffer_env_pettingzoo.tuples import TupleAgents
from puffer_env_pettingzoo.turns import Turns
from puffer_testing.playing import Player, difference

SPACE = Box(-1e3, 1e3, (2,), np.float64)


class Fading(ParallelEnv):
    """Three agents that go at random, one after another."""

    metadata = {"name": "fading"}
    possible_agents = ["a", "b", "c"]

    def observation_space(self, agent: str) -> Box:
        return SPACE

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self.agents, self.at = list(self.possible_agents), self.np_random.normal(size=2)
        return dict.fromkeys(self.agents, self.at), {}

    def step(self, actions: dict[str, Any]) -> Any:
        acted = self.agents
        self.at = self.at + self.np_random.normal(size=2) + sum(actions.values())
        gone = {agent: bool(self.np_random.random() < 0.2) for agent in acted}
        self.agents = [agent for agent in acted if not gone[agent]]
        rewards = {agent: float(self.at[0]) for agent in acted}
        return dict.fromkeys(acted, self.at), rewards, gone, dict.fromkeys(acted, False), {}

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at, "agents": list(self.agents)}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at, self.agents = state["at"], list(state["agents"])


class Race(AECEnv):
    """Two agents throw dice in turn, until one has 20 points."""

    metadata = {"name": "race"}
    possible_agents = ["north", "south"]
    render_mode = None

    def observation_space(self, agent: str) -> Box:
        return SPACE

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def observe(self, agent: str) -> Any:
        return np.array([self.points[agent], self.thrown], np.float64)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        if seed is not None:
            self.np_random = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.points, self.thrown = dict.fromkeys(self.agents, 0), 0
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0.0), dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos: dict[str, Any] = {agent: {} for agent in self.agents}
        self.agent_selection = "north"

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        self.thrown = int(self.np_random.integers(1, 7)) + int(action)
        self.points[agent] += self.thrown
        self.rewards[agent] = float(self.thrown)
        self.terminations = dict.fromkeys(self.agents, max(self.points.values()) >= 20)
        self.agent_selection = next(other for other in self.agents if other != agent)

    def get_state(self) -> dict[str, Any]:
        return {"points": dict(self.points), "thrown": self.thrown, "rewards": dict(self.rewards),
                "next": self.agent_selection}  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        self.points, self.thrown = dict(state["points"]), state["thrown"]
        self.rewards, self.agent_selection = dict(state["rewards"]), state["next"]


class Pair(gymnasium.Env[Any, Any]):
    """Two agents in Gymnasium's Tuple style."""

    observation_space: Any = Tuple([SPACE, SPACE])
    action_space: Any = Tuple([Discrete(2), Discrete(2)])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.at = self.np_random.normal(size=2)
        return (self.at, self.at), {}

    def step(self, action: Any) -> Any:
        self.at = self.at + self.np_random.normal(size=2) + sum(action)
        return (self.at, self.at), [0.0, float(self.at[1])], bool(self.np_random.random() < 0.1), False, {}

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


KINDS: list[Any] = [
    pytest.param(Fading, id="parallel"),
    pytest.param(lambda: Turns(Race()), id="turns"),
    pytest.param(lambda: Turns(OrderEnforcingWrapper(AssertOutOfBoundsWrapper(Race()))), id="wrapped turns"),
    pytest.param(lambda: TupleAgents(gymnasium.wrappers.TimeLimit(Pair(), 7), "pair"), id="tuple"),
]


def vector(make: Callable[[], Any], num_envs: int = 3) -> AgentsVectorEnv:
    return AgentsVectorEnv(make, num_envs, id="toy")


@pytest.mark.parametrize("steps", [0, 1, 9, 10])
@pytest.mark.parametrize("make", KINDS)
def test_it_goes_on_where_it_was(make: Callable[[], Any], steps: int) -> None:
    with closing(vector(make)) as env, closing(vector(make)) as other:
        assert env.spec.snapshot, env.spec.no_snapshot
        player, again = Player(env), Player(other)
        player.reset(3)
        player.run(steps) if steps else None
        state = decode(encode(env.snapshot()))
        for name, array in again.buffers.arrays().items():  # what the collector keeps of the last slot
            array[0] = player.buffers.arrays()[name][player._slot]
        again.rngs[:] = [np.random.default_rng() for _ in again.rngs]
        for mine, theirs in zip(again.rngs, player.rngs, strict=True):
            mine.bit_generator.state = theirs.bit_generator.state
        other.restore(state)
        assert not difference(player.run(40), again.run(40))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Turns(TerminateIllegalWrapper(Race(), 0)), "the wrapper TerminateIllegalWrapper may have a state"),
        (lambda: type("Mute", (Fading,), {"get_state": None})(), "Mute has no get_state and set_state"),
    ],
)
def test_the_spec_says_why_there_is_no_state(make: Callable[[], Any], reason: str) -> None:
    with closing(vector(make)) as env:
        assert not env.spec.snapshot
        assert reason in env.spec.no_snapshot
        with pytest.raises(UnsupportedError, match="cannot give its state"):
            env.snapshot()
        with pytest.raises(UnsupportedError, match="cannot give its state"):
            env.restore({})


def test_a_state_with_other_agents_is_refused() -> None:
    with closing(vector(Fading, 1)) as env:
        Player(env).reset(0)
        state = env.snapshot()
        state["environments"]["0"]["env"]["agents"] = ["z"]
        with pytest.raises(CheckpointError, match=r"toy: environment 0: `agents` has 'z'"):
            env.restore(state)
