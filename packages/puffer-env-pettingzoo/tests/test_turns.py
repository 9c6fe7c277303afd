"""AEC envs: who waits, who moves, and where rewards stand."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv
from pettingzoo.utils import AgentSelector

from puffer_core import EnvBuffers
from puffer_core.errors import EnvError
from puffer_env_pettingzoo import AgentsVectorEnv
from puffer_env_pettingzoo.turns import Turns


class Countdown(AECEnv):
    """Players in turn take 0 or 1 from a number. Who moves gives the player before them half a point.

    `player_0` is out after its second move; at 0 the game ends for all, and the last one to move wins 1.
    """

    metadata = {"name": "countdown", "is_parallelizable": False}

    def __init__(self, start: int = 4) -> None:
        super().__init__()
        self.start = start
        self.possible_agents = ["player_0", "player_1", "player_2"]

    def observation_space(self, agent: str) -> Box:
        return Box(0, 99, (2,), np.float32)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def observe(self, agent: str) -> np.ndarray:
        return np.array([self.left, self.possible_agents.index(agent)], np.float32)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.left, self.moves = self.start, 0
        self.agents = list(self.possible_agents)
        self.rewards: dict[str, float] = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict(self.rewards)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, Any] = {agent: {} for agent in self.agents}
        self._selector = AgentSelector(self.agents)
        self.agent_selection = self._selector.reset()

    def step(self, action: Any) -> None:
        if self.terminations[self.agent_selection] or self.truncations[self.agent_selection]:
            self._was_dead_step(action)
            return
        mover = self.agent_selection
        self.left -= int(action)
        self._clear_rewards()
        before = self.agents[self.agents.index(mover) - 1]
        self.rewards[before] = 0.5
        self.moves += mover == "player_0"
        if self.left == 0:
            self.rewards[mover] += 1.0
            self.terminations = dict.fromkeys(self.agents, True)
        elif mover == "player_0" and self.moves == 2:
            self.truncations[mover] = True
            self._selector.reinit([agent for agent in self.agents if agent != mover])
        self._accumulate_rewards()
        self.agent_selection = self._selector.next()
        self._deads_step_first()


def played(actions: list[int], start: int = 4) -> EnvBuffers:
    """Slots of one game in which whoever's turn it is does as `actions` say, and the others 1."""
    with closing(AgentsVectorEnv(lambda: Turns(Countdown(start)), 1, id="countdown")) as vector:
        assert vector.spec.action_mask
        slots = EnvBuffers.allocate(vector.spec, len(actions) + 1)
        vector.bind(slots)
        vector.reset(seed=0)
        for t, action in enumerate(actions, start=1):
            waiting = ~slots.action_mask[t - 1].all(axis=-1)
            vector.step(np.where(waiting, 1, action), t)
    return slots


WAITS, MOVES = [True, False], [True, True]


def test_who_waits_may_only_do_nothing_and_what_it_does_is_ignored() -> None:
    slots = played([0, 0, 0])
    assert slots.action_mask.tolist() == [
        [MOVES, WAITS, WAITS],
        [WAITS, MOVES, WAITS],
        [WAITS, WAITS, MOVES],
        [MOVES, WAITS, WAITS],
    ]
    assert slots.active.all()
    assert slots.observation[3].tolist() == [[4, 0], [4, 1], [4, 2]], "nobody took anything"


def test_everybody_sees_every_move() -> None:
    slots = played([1, 0, 1])
    assert slots.observation[:, :, 0].tolist() == [[4, 4, 4], [3, 3, 3], [3, 3, 3], [2, 2, 2]]


def test_rewards_stand_where_they_were_given() -> None:
    slots = played([0, 0])
    assert slots.reward.tolist() == [[0, 0, 0], [0, 0, 0.5], [0.5, 0, 0]]


def test_one_that_is_out_early_leaves_the_others_to_play() -> None:
    slots = played([1, 0, 0, 0, 0, 0])
    assert slots.truncated[:, 0].tolist() == [False, False, False, False, True, False, False]
    assert slots.final_observation[4, 0].tolist() == [3, 0]
    assert slots.active[:, 0].tolist() == [True, True, True, True, False, False, False]
    assert slots.active[:, 1:].all()
    assert slots.action_mask[4:].tolist() == [[MOVES, MOVES, WAITS], [MOVES, WAITS, MOVES], [MOVES, MOVES, WAITS]]
    assert slots.reward[5].tolist() == [0, 0, 0.5]


def test_the_end_is_everybodys_and_the_next_game_begins_at_once() -> None:
    slots = played([1, 1, 1], start=2)
    assert slots.terminated.tolist() == [[False] * 3, [False] * 3, [True] * 3, [False] * 3]
    assert slots.reward[2].tolist() == [0.5, 1, 0]
    assert slots.final_observation[2].tolist() == [[0, 0], [0, 1], [0, 2]]
    assert slots.observation[2].tolist() == [[2, 0], [2, 1], [2, 2]]
    assert slots.action_mask[2].tolist() == [MOVES, WAITS, WAITS]


class Deaf(Countdown):
    """Does not take its dead away."""

    def _was_dead_step(self, action: Any) -> None:
        pass


class Lost(Countdown):
    """Loses its place."""

    def step(self, action: Any) -> None:
        super().step(action)
        self.agent_selection = "nobody"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Deaf, r"agent 'player_\d': step\(None\) left it in `agents`"),
        (Lost, "agent_selection is 'nobody', expected one of"),
    ],
)
def test_an_env_that_breaks_the_rules_of_turns_is_named(kind: type[Countdown], message: str) -> None:
    with closing(AgentsVectorEnv(lambda: Turns(kind(1)), 1, id="countdown")) as vector:
        vector.bind(EnvBuffers.allocate(vector.spec, 2))
        vector.reset(seed=0)
        action = np.array([1, 0, 0]) if kind is Deaf else np.zeros(3, np.int64)
        with pytest.raises(EnvError, match=message):
            vector.step(action, 1)


def test_one_that_ends_while_the_dead_are_stepped_past_ends_with_that_step() -> None:
    class Chained(Countdown):
        """Who is out takes `player_2` along, but only when it is stepped past."""

        def _was_dead_step(self, action: Any) -> None:
            super()._was_dead_step(action)
            if "player_2" in self.agents:
                self.truncations["player_2"] = True
                self._deads_step_first()

    with closing(AgentsVectorEnv(lambda: Turns(Chained()), 1, id="chained")) as vector:
        slots = EnvBuffers.allocate(vector.spec, 5)
        vector.bind(slots)
        vector.reset(seed=0)
        for t in range(1, 5):
            vector.step(np.zeros(3, np.int64), t)
    assert slots.truncated[4].tolist() == [True, False, True]
    assert slots.active[4].tolist() == [False, True, False]
