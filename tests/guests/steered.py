"""An env with a nested observation, and a torch module, as users write them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from torch import nn

from puffer_backend_torch import ModulePolicy


class Steered(gymnasium.Env[Any, Any]):
    """Steer back to 0, in the direction that `gear` says; far numbers, which a policy has to normalise."""

    observation_space = Dict(place=Dict(x=Box(-np.inf, np.inf, (2,), np.float32)), gear=Discrete(2))
    action_space = Discrete(3, start=-1)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.gear, self.left = self.np_random.normal(500.0, 100.0), int(self.np_random.integers(2)), 20
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x += 20.0 * int(action) * (2 * self.gear - 1) + self.np_random.normal()
        self.left -= 1
        return self._seen(), -abs(self.x) / 100.0, False, self.left == 0, {}

    def _seen(self) -> Any:
        return {"place": {"x": np.array([self.x, self.left], np.float32)}, "gear": np.int64(self.gear)}


class Net(nn.Module):
    """Two layers."""

    def __init__(self, observation_space: Any, action_space: Any, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observation_space.shape[0], hidden), nn.Tanh())
        self.actor, self.critic = nn.Linear(hidden, action_space.n), nn.Linear(hidden, 1)

    def forward(self, observation: Any) -> Any:
        x = self.body(observation)
        return self.actor(x), self.critic(x)


class Mine(ModulePolicy):
    module = Net


class Branching(Net):
    """What no graph can be made of."""

    def forward(self, observation: Any) -> Any:
        return super().forward(observation if observation.sum() < 1e6 else -observation)


class Unclear(ModulePolicy):
    module = Branching
