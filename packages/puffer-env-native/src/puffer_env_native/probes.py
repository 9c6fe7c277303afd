"""Probe envs: each has one thing to learn and a known answer, so that a wrong learner shows what is wrong.

| env | reward | the value must become | else, look at |
|---|---|---|---|
| `probe-constant-reward` | 1 | 1 | the value loss, the optimizer |
| `probe-observation-reward` | the observation, -1 or 1 | the observation | how the observation reaches the value |
| `probe-action-reward` | 1 for action 1, -1 for action 0 | 1, and the mean return 1 | the policy loss, the advantages |

Every episode is one step long and terminates, so that nothing is bootstrapped and the discount has no part in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_env_native.env import NativeEnv
from puffer_env_native.fields import Float32


class _Probe(NativeEnv):
    observation_space = Box(-1.0, 1.0, (1,))
    action_space = Discrete(2)

    seen: Float32

    def reset(self) -> None:
        self.seen = 0.0

    def observe(self) -> float:
        return self.seen

    def render(self) -> np.ndarray[Any, Any]:
        """Green where the observation is 1, red where it is -1."""
        from puffer_env_native.pictures import GREEN, PALE, RED, plain

        return plain(GREEN if self.seen > 0 else RED if self.seen < 0 else PALE)


class ConstantReward(_Probe):
    """Reward 1, observation 0: the value must become 1."""

    def step(self, _action: int) -> tuple[float, bool]:
        return 1.0, True


class ObservationReward(_Probe):
    """The reward is the observation, -1 or 1 with equal chance: the value must become the observation."""

    def reset(self) -> None:
        self.seen = 1.0 if self.uniform(0.0, 1.0) < 0.5 else -1.0

    def step(self, _action: int) -> tuple[float, bool]:
        return self.seen, True


class ActionReward(_Probe):
    """Reward 1 for action 1 and -1 for action 0, observation 0: the policy must take action 1, of value 1."""

    def step(self, action: int) -> tuple[float, bool]:
        return 1.0 if action == 1 else -1.0, True
