"""Gymnasium envs that hold several agents in Tuple spaces."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Tuple

from puffer_core import EnvBuffers
from puffer_core.errors import EnvError
from puffer_env_pettingzoo import AgentsVectorEnv
from puffer_env_pettingzoo.tuples import TupleAgents


class Pair(gymnasium.Env):
    """Two agents; an action is the reward. Ends at the third step. `outcome` replaces what a step gives."""

    observation_space = Tuple([Box(0, 9, (1,)), Box(0, 9, (1,))])
    action_space = Tuple([Discrete(3), Discrete(3)])

    def __init__(self, **outcome: Any) -> None:
        self.outcome = outcome

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return self._seen(), {}

    def _seen(self) -> tuple[np.ndarray, ...]:
        return (np.array([self.t], np.float32), np.array([self.t + 1], np.float32))

    def step(self, action: Any) -> Any:
        self.t += 1
        given = {
            "seen": self._seen(),
            "rewards": [float(a) for a in action],
            "over": self.t == 3,
            "cut": False,
            "info": {"t": self.t},
        }
        return tuple((given | self.outcome).values())


def played(steps: int, **outcome: Any) -> tuple[EnvBuffers, list[Any]]:
    with closing(AgentsVectorEnv(lambda: TupleAgents(Pair(**outcome), "pair"), 1, id="pair")) as vector:
        assert vector.spec.agents == ("agent_0", "agent_1")
        slots = EnvBuffers.allocate(vector.spec, steps + 1)
        vector.bind(slots)
        vector.reset(seed=0)
        return slots, [vector.step(np.array([1, 2]), t) for t in range(1, steps + 1)]


def test_one_row_an_agent() -> None:
    slots, infos = played(3)
    assert slots.reward.tolist() == [[0, 0], [1, 2], [1, 2], [1, 2]]
    assert slots.terminated.tolist() == [[False] * 2] * 3 + [[True] * 2]
    assert slots.final_observation[3].tolist() == [[3], [4]]
    assert slots.observation[:, :, 0].tolist() == [[0, 1], [1, 2], [2, 3], [0, 1]]
    assert infos[1] == [(0, {"t": 2})], "the env's info is that of its first agent"


def test_a_truncation_is_everybodys() -> None:
    slots, _ = played(1, cut=True)
    assert slots.truncated[1].tolist() == [True, True]
    assert not slots.terminated[1].any()


def test_masks_in_the_info_have_one_part_an_agent() -> None:
    class Masked(Pair):
        def reset(self, **how: Any) -> Any:
            return super().reset(**how)[0], {"action_mask": [np.array([1, 1, 0]), np.array([0, 1, 1])]}

        def step(self, action: Any) -> Any:
            return *super().step(action)[:4], {"action_mask": [np.array([0, 1, 0]), np.array([0, 0, 1])]}

    with closing(AgentsVectorEnv(lambda: TupleAgents(Masked(), "pair"), 1, id="pair")) as vector:
        slots = EnvBuffers.allocate(vector.spec, 2)
        vector.bind(slots)
        vector.reset(seed=0)
        vector.step(np.array([1, 2]), 1)
    assert slots.action_mask.tolist() == [
        [[True, True, False], [False, True, True]],
        [[False, True, False], [False, False, True]],
    ]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"rewards": 1.0}, r"the rewards are 1.0, expected one for each of 2 agents"),
        ({"rewards": [1.0]}, r"the rewards are \[1.0\], expected one for each of 2 agents"),
        ({"over": [True, False]}, r"terminated is \[True, False\], expected one flag for all agents"),
        ({"one": 1, "more": 2}, "expected observations, rewards, terminated, truncated, info"),
    ],
)
def test_a_step_of_another_form_is_an_error(outcome: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvError, match=f"pair: environment 0 failed in step, seed .*{message}"):
        played(1, **outcome)


def test_an_env_with_one_agent_is_refused() -> None:
    with pytest.raises(EnvError, match="expected two Tuple spaces with one part an agent") as caught:
        TupleAgents(gymnasium.make("CartPole-v1"), "CartPole-v1")
    assert "gymnasium:CartPole-v1" in caught.value.remedy
