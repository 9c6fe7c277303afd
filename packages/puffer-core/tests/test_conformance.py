"""What the core itself provides, against the suites of the contracts."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from puffer_core.collection.episodes import EpisodeStatistics
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnvSpec
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout
from puffer_core.streams import Streams
from puffer_testing import CheckpointableConformance, LoggerConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "puffer-core"


class TestJsonl(LoggerConformance):
    name = "jsonl"


class TestEpisodeStatistics(CheckpointableConformance):
    free = ("recent_returns",)

    def make(self) -> EpisodeStatistics:
        return EpisodeStatistics(rows=3)

    def advance(self, component: EpisodeStatistics) -> None:
        component.add(np.array([1.0, 2.0, 0.1], np.float32), np.array([False, True, False]), np.ones(3, bool))


class TestStreams(CheckpointableConformance):
    def make(self) -> Streams:
        return Streams(7)

    def advance(self, component: Streams) -> None:
        component.generator("noise").random(3)


class Clock:
    """Rows count the steps of their episodes, which last three. A `VectorEnv` that can give its state."""

    def __init__(self, rows: int) -> None:
        observation, action = Layout.of(Box(0, 3, (1,))), Layout.of(Discrete(2))
        self.spec = VectorEnvSpec.single_agent(
            id="clock", num_envs=rows, observation=observation, action=action, snapshot=True
        )
        self.count = np.zeros(rows, np.int64)

    def bind(self, buffers: EnvBuffers) -> None:
        self.buffers = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        self.count[:] = np.arange(self.spec.rows) % 3
        self.buffers.observation[0, :, 0] = self.count

    def step(self, action: np.ndarray, slot: int) -> Infos:
        self.count += 1
        self.buffers.reward[slot] = self.count
        self.buffers.truncated[slot] = self.count == 3
        self.buffers.final_observation[slot, :, 0] = self.count
        self.count[self.count == 3] = 0
        self.buffers.observation[slot, :, 0] = self.count
        return ()

    def send(self, action: np.ndarray, slot: int) -> None:
        self.step(action, slot)

    def recv(self) -> Infos:
        return ()

    def snapshot(self) -> State:
        return {"count": self.count}

    def restore(self, state: State) -> None:
        self.count[:] = state["count"]


class Fair:
    """Chooses one of two actions, whatever it sees."""

    inputs = frozenset({"observation"})

    def __init__(self, interface: PolicyInterface) -> None:
        self.interface = interface

    def initial_carry(self, rows: int) -> Any:
        return (np.zeros(rows, np.float32),)

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        observation = inputs["observation"]
        logits = ops.concat([observation * 0.0, observation * 0.0], axis=-1)
        return {"logits": logits}, (carry[0] + ops.sum(observation, axis=(0, 2)),)


class TestHostCollector(CheckpointableConformance):
    def make(self) -> HostCollector:
        env: Any = Clock(rows=4)
        policy: Any = Fair(PolicyInterface(observation=env.spec.observation, action=env.spec.action))
        rng = np.random.default_rng(0)
        return HostCollector([env], policy, backend=NumpyBackend(), horizon=4, seed=1, rng=rng)

    def advance(self, component: HostCollector) -> None:
        component.collect({})
