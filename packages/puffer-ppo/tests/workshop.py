"""An env with a nested observation, a nested action, and masks."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary


class Workshop(gymnasium.Env[Any, Any]):
    """Four steps an episode; the tool that was used last is not at hand."""

    def __init__(self) -> None:
        self.observation_space = Dict(load=Box(-1, 1, (2,)), bits=MultiBinary(2), tool=Discrete(3))
        self.action_space = Dict(tool=Discrete(3), force=Box(-1, 1, (1,)))
        self.steps, self.tool = 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps, self.tool = 0, 0
        return self._seen()

    def step(self, action: Any) -> Any:
        assert action["tool"] != self.tool, "a masked action was taken"
        self.steps, self.tool = self.steps + 1, int(action["tool"])
        observation, info = self._seen()
        return observation, float(action["force"][0]), self.steps == 4, False, info

    def _seen(self) -> Any:
        load = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        observation = {"load": load, "bits": np.array([1, 0], np.int8), "tool": self.tool}
        return observation, {"action_mask": np.arange(3) != self.tool}
