"""An env that wants a right choice and a right amount at once, and hides a lock behind a mask."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary


class Levers(gymnasium.Env[Any, Any]):
    """Pull the lever that the signal names, by the right amount: four times an episode.

    The reward of a step is 1 - |amount - target| for the right lever, 0 for another: 4 an episode at best, about 0.6 at
    random. One lever is locked at every step; the mask says which, and pulling it is an error.
    """

    LEVERS = 4

    def __init__(self) -> None:
        self.observation_space = Dict(
            observation=Dict(signal=Discrete(self.LEVERS), target=Box(-1, 1, (1,))),
            action_mask=MultiBinary(self.LEVERS),
        )
        self.action_space = Dict(lever=Discrete(self.LEVERS, start=1), amount=Box(-1, 1, (1,)))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = 4
        return self._draw(), {}

    def _draw(self) -> Any:
        self.signal, locked = self.np_random.choice(self.LEVERS, 2, replace=False)
        self.target = self.np_random.uniform(-0.8, 0.8, 1).astype(np.float32)
        self.mask = (np.arange(self.LEVERS) != locked).astype(np.int8)
        return {"observation": {"signal": self.signal, "target": self.target}, "action_mask": self.mask}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), f"{action} is not in the space"
        lever = action["lever"] - 1
        assert self.mask[lever], "the lever is locked"
        reward = float(lever == self.signal) * (1.0 - abs(float(action["amount"][0] - self.target[0])))
        self.left -= 1
        return self._draw(), reward, self.left == 0, False, {}
