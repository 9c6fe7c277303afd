"""An env whose step costs what it is told, in rounds of a loop: the same work for every peer, on busy machines too."""

from __future__ import annotations

from time import process_time

import gymnasium
import numpy as np

STEPS = 200
_TRIED = 200_000


def work(iterations: int) -> int:
    """So many rounds of a small generator, in plain Python."""
    number = 1
    for _ in range(iterations):
        number = (number * 1664525 + 1013904223) & 0xFFFFFFFF
    return number


def iterations_for(seconds: float) -> int:
    """How many rounds take so long here and now: the quickest of five tries, by CPU time."""
    tries = []
    for _ in range(5):
        start = process_time()
        work(_TRIED)
        tries.append(process_time() - start)
    return max(1, round(_TRIED * seconds / min(tries)))


class BusyEnv(gymnasium.Env):
    """Works, then shows an 84 x 84 picture; episodes of 200 steps."""

    observation_space = gymnasium.spaces.Box(0, 255, (84, 84), np.uint8)
    action_space = gymnasium.spaces.Discrete(4)

    def __init__(self, iterations: int = 0, render_mode: str | None = None) -> None:
        self.iterations = iterations

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.picture = self.np_random.integers(0, 256, (84, 84), np.uint8)
        return self.picture.copy(), {}

    def step(self, action):
        self.steps += 1
        self.picture[self.steps % 84] = work(self.iterations) & 0xFF
        return self.picture.copy(), 1.0, False, self.steps == STEPS, {}


class DictEnv(gymnasium.Env):
    """Costs next to nothing and observes a Dict of three parts: what stepping a nested space costs shows."""

    observation_space = gymnasium.spaces.Dict(
        {
            "position": gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32),
            "picture": gymnasium.spaces.Box(0, 255, (8, 8), np.uint8),
            "goal": gymnasium.spaces.Discrete(5),
        }
    )
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, iterations: int = 0, render_mode: str | None = None) -> None:
        self.observation = {
            "position": np.zeros(3, np.float32),
            "picture": np.zeros((8, 8), np.uint8),
            "goal": np.int64(3),
        }

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self.observation, {}

    def step(self, action):
        self.steps += 1
        return self.observation, 1.0, False, self.steps == STEPS, {}


ENVS = {"busy": BusyEnv, "dict": DictEnv}


def maker(asked: dict):
    """What makes one env of the task, for peers that take a callable."""
    if asked["env"] == "cartpole":
        return lambda: gymnasium.make("CartPole-v1", disable_env_checker=True)
    kind, iterations = ENVS[asked["env"]], asked["iterations"]
    return lambda: kind(iterations)
