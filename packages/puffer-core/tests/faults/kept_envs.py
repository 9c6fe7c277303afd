"""Environments that give their state. Runs in processes of their own import this module by its name."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete


class Walk(gymnasium.Env[Any, Any]):
    """A random walk that is paid for staying near 0."""

    observation_space: Any = Box(-50, 50, (3,), np.float32)
    action_space: Any = Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.at = self.np_random.normal(size=3).astype(np.float32)
        return self.seen(), self.info()

    def step(self, action: Any) -> Any:
        self.at += self.np_random.normal(size=3).astype(np.float32) + (self.push(action) - 1)
        np.clip(self.at, -40, 40, out=self.at)
        far = float(np.abs(self.at).sum())
        return self.seen(), -far, far > 20 or bool(self.np_random.random() < 0.02), False, self.info()

    def push(self, action: Any) -> float:
        return float(np.sum(action))

    def seen(self) -> Any:
        return self.at.copy()

    def info(self) -> dict[str, Any]:
        return {}

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


class Masked(Walk):
    """Some choices are forbidden, and which is drawn anew in every step."""

    action_space = MultiDiscrete([3, 2])

    def info(self) -> dict[str, Any]:
        allowed = self.np_random.random(5) < 0.5
        allowed[[0, 3]] = True
        return {"action_mask": allowed}


class Nested(Walk):
    """Dict observations and actions."""

    observation_space = Dict(at=Box(-50, 50, (3,), np.float32), view=Box(0, 255, (2, 2), np.uint8), side=Discrete(2))
    action_space = Dict(push=Discrete(3), nudge=Box(-1, 1, (1,), np.float32))

    def push(self, action: Any) -> float:
        return float(action["push"]) + 0.1 * float(np.clip(action["nudge"], -1, 1)[0])

    def seen(self) -> Any:
        view = np.abs(self.at[:1]).astype(np.uint8).repeat(4).reshape(2, 2)
        return {"at": self.at.copy(), "view": view, "side": int(self.at[0] > 0)}


def walk() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TimeLimit(Walk(), 20)


def masked() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TimeLimit(Masked(), 20)


def nested() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.OrderEnforcing(gymnasium.wrappers.TimeLimit(Nested(), 20))


def stubborn() -> gymnasium.Env[Any, Any]:
    """Takes nothing back."""
    env = Walk()

    def refuse(state: dict[str, Any]) -> None:
        raise ValueError("the walk has moved on")

    env.set_state = refuse  # type: ignore[method-assign]
    return env
