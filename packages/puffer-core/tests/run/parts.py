"""A tiny env, policy and trainer, real in every respect that a run looks at. Tests load this module by its path."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from gymnasium import spaces
from pydantic import BaseModel, ConfigDict

from puffer_core.contracts.env import EnvBuffers, Infos, VectorEnvSpec
from puffer_core.contracts.policy import Agent, PolicyInterface
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.spaces.layout import Layout


class Walk:
    """Rows that walk left or right, and rest after a number of steps drawn anew for each episode.

    The return of an episode is its steps to the right; an episode of `length` L lasts 1..L steps.
    """

    def __init__(self, num_envs: int, length: int = 5, snapshot: bool = True, fails: bool = False) -> None:
        observation = Layout.of(spaces.Box(-np.inf, np.inf, (2,), np.float32))
        action = Layout.of(spaces.Discrete(2))
        self.spec = VectorEnvSpec.single_agent(
            id="walk", num_envs=num_envs, observation=observation, action=action, snapshot=snapshot
        )
        self.length, self.fails, self.closed = length, fails, False

    def bind(self, buffers: EnvBuffers) -> None:
        self.slots = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        rows = self.spec.rows
        self.generators = [np.random.Generator(np.random.PCG64([seed, row])) for row in range(rows)]
        self.left = np.zeros(rows, np.int64)
        self.where = np.zeros(rows, np.float32)
        self._begin(np.ones(rows, np.bool_))
        self._observe(0)

    def _begin(self, ended: np.ndarray) -> None:
        for row in np.flatnonzero(ended):
            self.left[row] = 1 + int(self.length * self.generators[row].random())
            self.where[row] = 0.0

    def _observe(self, slot: int) -> None:
        self.slots.observation[slot, :, 0] = self.where
        self.slots.observation[slot, :, 1] = self.left

    def step(self, action: np.ndarray, slot: int) -> Infos:
        if self.fails:
            raise RuntimeError("the env broke")
        self.where += 2.0 * action - 1.0
        self.left -= 1
        ended = self.left == 0
        slots = self.slots
        slots.reward[slot] = action
        slots.terminated[slot] = ended & (self.where > 0)
        slots.truncated[slot] = ended & (self.where <= 0)
        slots.final_observation[slot, :, 0] = self.where
        slots.final_observation[slot, :, 1] = self.left
        self._begin(ended)
        self._observe(slot)
        return []

    def send(self, action: np.ndarray, slot: int) -> None:
        self.step(action, slot)

    def recv(self) -> Infos:
        return []

    def snapshot(self) -> dict[str, Any]:
        states = [generator.bit_generator.state["state"] for generator in self.generators]
        return {
            "left": self.left,
            "where": self.where,
            "rng": [[str(state["state"]), str(state["inc"])] for state in states],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.left, self.where = np.array(state["left"]), np.array(state["where"])
        self.generators = []
        for number, increment in state["rng"]:
            generator = np.random.Generator(np.random.PCG64(0))
            words = {"state": int(number), "inc": int(increment)}
            generator.bit_generator.state = {"bit_generator": "PCG64", "state": words, "has_uint32": 0, "uinteger": 0}
            self.generators.append(generator)

    def close(self) -> None:
        self.closed = True


class WideWalk(Walk):
    """`walk` as a later version might have it: it observes one number more."""

    def __init__(self, num_envs: int, length: int = 5, snapshot: bool = True, fails: bool = False) -> None:
        super().__init__(num_envs, length, snapshot, fails)
        observation = Layout.of(spaces.Box(-np.inf, np.inf, (3,), np.float32))
        action = Layout.of(spaces.Discrete(2))
        self.spec = VectorEnvSpec.single_agent(
            id="walk", num_envs=num_envs, observation=observation, action=action, snapshot=snapshot
        )


class ForgetfulWalk(Walk):
    """`walk` stepped in a way in which its state cannot be taken back."""

    def restore(self, state: dict[str, Any]) -> None:
        raise UnsupportedError("walk: cannot be put back where it was")


class LinearConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = 0.1
    memory: bool = False


class Linear:
    """Logits linear in the observation; with `memory`, also in the sum of this episode's observations so far."""

    inputs = frozenset({"observation"})

    def __init__(self, config: LinearConfig, interface: PolicyInterface) -> None:
        self.config, self.interface = config, interface

    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        weight = self.config.scale * rng.standard_normal((2, 2))
        return {"weight": weight.astype(np.float32), "bias": np.zeros(2, np.float32)}

    def initial_carry(self, rows: int) -> Any:
        return (np.zeros((rows, 2), np.float32),) if self.config.memory else ()

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        observation = inputs["observation"]
        if self.config.memory:
            (total,) = carry
            total = ops.where(ops.expand_dims(reset[0], axis=-1), ops.zeros_like(total), total) + observation[0]
            observation, carry = observation + 0.01 * total[None], (total,)
        logits = ops.linear(observation, params["weight"], params["bias"])
        return {"logits": logits, "value": ops.sum(logits, axis=-1)}, carry

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params


class SearchConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    horizon: int = 4
    noise: float = 0.01
    nan_at: int = 0
    signal_at: int = 0
    signal: int = 15
    signals: int = 1
    raise_at: int = 0


class Search:
    """Moves its parameters by noise, more where the reward was low: every random stream matters to the result."""

    STATE_VERSION = 1
    unit = "env_steps"

    def __init__(self, config: SearchConfig, context: Any) -> None:
        self.config, self.context, self.updates = config, context, 0
        self.policy = context.policy()
        self.collector = context.collector(self.policy, horizon=config.horizon)
        self.noise = context.generator("noise")
        self.params = context.backend.to_device(self.policy.init(context.generator("parameters")))

    def update(self) -> dict[str, float]:
        self.updates += 1
        config, rollout = self.config, self.collector.collect(self.params)
        reward = float(np.mean(np.asarray(rollout["reward"], np.float64)))
        for name in sorted(self.params):
            noise = self.noise.standard_normal(self.params[name].shape, np.float32)
            self.params[name] = self.params[name] + np.float32(config.noise * (2 - reward)) * noise
        if self.updates == config.signal_at:
            for _ in range(config.signals):
                os.kill(os.getpid(), config.signal)
        if self.updates == config.raise_at:
            raise RuntimeError("the trainer broke")
        loss = float("nan") if self.updates == config.nan_at else -reward
        return {"loss/policy": loss, "policy/weight": float(self.params["weight"][0, 0])}

    @property
    def progress(self) -> int:
        return int(self.collector.env_steps)

    @property
    def agent(self) -> Agent:
        return Agent(self.policy, self.params)

    def state_dict(self) -> dict[str, Any]:
        return {"params": self.params, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.params, self.updates = dict(state["params"]), state["updates"]


class LazySearch(Search):
    """Asks for its collector at its first update only."""

    def __init__(self, config: SearchConfig, context: Any) -> None:
        self.config, self.context, self.updates, self.collector = config, context, 0, None
        self.policy = context.policy()
        self.noise = context.generator("noise")
        self.params = context.backend.to_device(self.policy.init(context.generator("parameters")))

    def update(self) -> dict[str, float]:
        self.collector = self.collector or self.context.collector(self.policy, horizon=self.config.horizon)
        return super().update()

    @property
    def progress(self) -> int:
        return self.updates * self.config.horizon * self.context.env.num_envs


class Counter:
    """A component that a plugin adds to every run."""

    STATE_VERSION = 2

    def __init__(self, config: Any, context: Any) -> None:
        self.count = 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]

    def migrate(self, state: dict[str, Any], version: int) -> dict[str, Any]:
        return {"count": state["old_count"]}


class Memory:
    """A metric logger that keeps what it is given."""

    made: list[Memory] = []

    def __init__(self, config: Any) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.config, self.closed = config, False
        Memory.made.append(self)

    def open(self, run: Any, last_step: int | None) -> None:
        self.run = run

    def log(self, step: int, metrics: Any) -> None:
        if self.config.get("fails"):
            raise SystemExit(1)
        self.lines.append((step, dict(metrics)))

    def artifact(self, step: int, name: str, kind: Any, value: Any) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class OwnPolicy(Search):
    """Makes its policy itself, so that no plan says how to make it again."""

    def __init__(self, config: SearchConfig, context: Any) -> None:
        super().__init__(config, context)
        self.policy = Linear(self.policy.config, self.policy.interface)


class Device(NumpyBackend):
    """Stands for an engine whose arrays are out of NumPy's reach."""

    name = "device"
    on_host = False
    device = "device:0"

    def describe(self) -> dict[str, Any]:
        return {"deterministic": False}
