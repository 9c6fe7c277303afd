"""A native env whose numbers go bad for a while. Tests load this module by its path."""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import Box, Discrete

from puffer_env_native import NativeEnv
from puffer_env_native.fields import Float32, Int32


class Sick(NativeEnv):
    """Reward 1 for action 1; from step `begin` of its life until before step `end`, one number is not finite.

    `where` 0: no number; 1: the observation is NaN; 2: the reward is NaN; 3: the reward is infinite.
    """

    observation_space = Box(-1.0, 1.0, (1,))
    action_space = Discrete(2)
    max_episode_steps: int = 5

    where: Int32 = 0
    begin: Int32 = 0
    end: Int32 = 0
    life: Int32
    seen: Float32

    def reset(self) -> None:
        self.seen = self.uniform(-1.0, 1.0)

    def step(self, action: int) -> tuple[float, bool]:
        self.life += 1
        sick = self.begin <= self.life < self.end
        self.seen = float("nan") if sick and self.where == 1 else self.uniform(-1.0, 1.0)
        if sick and self.where == 2:
            return float("nan"), False
        if sick and self.where == 3:
            return float("inf"), False
        return (1.0 if action == 1 else 0.0), False

    def observe(self) -> float:
        return self.seen


def batch(num_envs: int, **options: Any) -> Any:
    """The env as a vector env, as plain Python: to compile it would take longer than to run it."""
    return Sick.batch(num_envs, compiled=False, **options)
