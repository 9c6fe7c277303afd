"""Environments that worker processes import: what they are told is a module's name."""

from __future__ import annotations

import os
import threading
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.spaces.layout import Layout


class Walk(gymnasium.Env[Any, Any]):
    """A random walk; spaces, infos and masks are the subclasses' matter."""

    observation_space: Any = Box(-100, 100, (2,))
    action_space: Any = Discrete(3, start=-1)
    length = 7

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.at, self.count = self.np_random.normal(size=2).astype(np.float32), 0
        return self.seen(), self.info()

    def step(self, action: Any) -> Any:
        self.count += 1
        self.at = self.at + self.np_random.normal(size=2).astype(np.float32) + self.push(action)
        over = bool(self.np_random.random() < 0.1)
        return self.seen(), float(self.at[0]), over, self.count >= self.length, self.info()

    def push(self, action: Any) -> float:
        return float(np.sum(np.asarray(action, np.float32)))

    def seen(self) -> Any:
        return self.at

    def info(self) -> dict[str, Any]:
        return {}


class Nested(Walk):
    observation_space = Dict(at=Box(-100, 100, (2,)), view=Tuple([Box(0, 255, (3, 3), np.uint8), Discrete(8)]))
    action_space = Dict(push=Box(-1, 1, (2,)), turn=Discrete(4))

    def push(self, action: Any) -> float:
        return float(action["push"].sum() + action["turn"])

    def seen(self) -> Any:
        return {"at": self.at, "view": (np.full((3, 3), self.count, np.uint8), self.count)}


class Masked(Walk):
    action_space = Discrete(5)

    def info(self) -> dict[str, Any]:
        mask = self.np_random.random(5) < 0.5
        mask[self.count % 5] = True
        return {"action_mask": mask}


class Several(Walk):
    action_space = MultiDiscrete([3, 2, 4])


class Telling(Walk):
    """Says something now and then, some of it odd."""

    def info(self) -> dict[str, Any]:
        if self.count == 3:
            return {"array": np.arange(3), "lock": threading.Lock(), 5: float("nan"), "pid": os.getpid()}
        return {"much": "x" * 300_000} if self.count == 5 else {}


class Global(Walk):
    """Draws from the global generator."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.random.random(2).astype(np.float32), {}  # noqa: NPY002


class Different(Walk):
    """Another space in every process."""

    def __init__(self) -> None:
        self.observation_space = Box(0, os.getpid(), (2,))


class Pictured(Walk):
    def render(self) -> Any:
        return np.full((2, 3, 3), self.count, np.uint8)


class Remembering:
    """A batch of its own that can give its state: two agents, a global state, a cost."""

    def __init__(self, num_envs: int, start: int = 0) -> None:
        rows = 2 * num_envs
        self.spec = VectorEnvSpec(
            id="remembering",
            num_envs=num_envs,
            observation=Layout.of(Box(0, 1e6, (1,))),
            action=Layout.of(Discrete(2)),
            row_env=np.repeat(np.arange(num_envs, dtype=np.int64), 2),
            row_group=np.tile(np.array([0, 1], np.int64), num_envs),
            agents=("cat", "dog"),
            groups=("cats", "dogs"),
            global_state=Layout.of(Box(0, 1e6, (2,), np.float64)),
            cost=True,
            snapshot=True,
            max_episode_steps=9,
        )
        self.count = np.full(rows, start, np.int64)

    def bind(self, buffers: Any) -> None:
        self.buffers = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        self.count[:] = seed % 1000 + 10 * (first + self.spec.row_env)
        self.buffers.active[0] = True
        self._write(0, 0.0)

    def step(self, action: Any, slot: int) -> Any:
        if (action > 1).any():
            raise {7: SystemExit, 8: KeyboardInterrupt}.get(action.max(), ValueError)("an action is greater than 1")
        self.count += 1 + action
        self._write(slot, 1.0)
        self.buffers.active[slot] = self.count % 3 > 0
        return ()

    def _write(self, slot: int, paid: float) -> None:
        buffers = self.buffers
        buffers.observation[slot, :, 0] = self.count
        buffers.reward[slot], buffers.cost[slot] = paid * self.count, paid
        buffers.terminated[slot] = buffers.truncated[slot] = False
        buffers.global_state[slot] = self.count.reshape(-1, 2)

    def send(self, action: Any, slot: int) -> None:
        self.step(action, slot)

    def recv(self) -> Any:
        return ()

    def snapshot(self) -> Any:
        return {"count": self.count.copy(), "name": "it"}

    def restore(self, state: Any) -> None:
        self.count[:] = state["count"]

    def close(self) -> None:
        pass


class Kept(Walk):
    """A walk that can say where it is; its generator is Gymnasium's, which is kept without its help."""

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at, "count": self.count}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at, self.count = state["at"], state["count"]


def limited_walk() -> gymnasium.Env[Any, Any]:
    """A kept walk in wrappers with and without state."""
    env = gymnasium.wrappers.OrderEnforcing(gymnasium.wrappers.TimeLimit(Kept(), 5))
    return gymnasium.wrappers.TimeAwareObservation(env, normalize_time=False)


class Stubborn(Kept):
    """Takes nothing back."""

    def set_state(self, state: dict[str, Any]) -> None:
        raise ValueError("the walk has moved on")


class KeptPicture(Kept):
    """A kept walk that can be seen."""

    def render(self) -> Any:
        return np.full((2, 3, 3), self.count, np.uint8)
