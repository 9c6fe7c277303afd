"""A policy, a trainer, a logger and a component that keep their contracts, and others that each break one promise."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from pydantic import BaseModel, ConfigDict, Field

from puffer_core.checkpoints.form import check_form
from puffer_core.contracts.env import EnvBuffers, VectorEnvSpec
from puffer_core.contracts.policy import Agent, PolicyInterface
from puffer_core.distributions import head_sizes
from puffer_core.errors import CheckpointError, UnsupportedError
from puffer_core.spaces.layout import Layout


class Recurrent:
    """Sums what it saw in the episode, and gives that to a matrix for each output."""

    def __init__(self, config: Any, interface: PolicyInterface) -> None:
        if interface.outputs - {"value"}:
            raise UnsupportedError(f"it gives value, not {sorted(interface.outputs)}")
        if interface.observation.is_nested:
            raise UnsupportedError(f"it reads one array, not the parts {interface.observation.names}")
        self.interface = interface
        self.inputs = frozenset({"observation"})
        self.sizes = dict(sorted((head_sizes(interface.action) | dict.fromkeys(interface.outputs, 1)).items()))

    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        rows = self.interface.observation.size
        weights = {name: 0.1 * rng.standard_normal((rows, size), np.float32) for name, size in self.sizes.items()}
        return dict(sorted({**weights, "stats.seen": np.zeros((), np.float32)}.items()))

    def initial_carry(self, rows: int) -> Any:
        return (np.zeros((rows, self.interface.observation.size), np.float32),)

    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        seen = inputs["observation"]
        seen = ops.astype(ops.reshape(seen, (*reset.shape, self.interface.observation.size)), ops.float32)
        decay = self.decay(ops, reset) + 0.0 * seen
        sums = ops.linear_recurrence(decay, seen, carry[0])
        outputs = {name: ops.linear(sums, params[name]) for name in self.sizes}
        if "value" in outputs:
            outputs["value"] = outputs["value"][..., 0]
        for name in [name for name in outputs if name.startswith("mean")]:
            outputs[name.replace("mean", "log_std", 1)] = 0.0 * outputs[name]
        return outputs, (sums[-1],)

    def decay(self, ops: Any, reset: Any) -> Any:
        return ops.expand_dims(0.5 * (1.0 - ops.astype(reset, ops.float32)), axis=-1)

    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return params | {"stats.seen": params["stats.seen"] + ops.sum(weight)}


class Unsorted(Recurrent):
    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        return dict(sorted(super().init(rng).items(), reverse=True))


class DoublePrecision(Recurrent):
    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        return {name: np.asarray(value, np.float64) for name, value in super().init(rng).items()}


class OwnGenerator(Recurrent):
    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        return super().init(np.random.default_rng())


class FixedWeights(Recurrent):
    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        return super().init(np.random.default_rng(0))


class NeverForgets(Recurrent):
    def decay(self, ops: Any, reset: Any) -> Any:
        return ops.expand_dims(0.5 + 0.0 * ops.astype(reset, ops.float32), axis=-1)


class ForgetsCarry(Recurrent):
    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        return super().apply(ops, params, inputs, (0.0 * carry[0],), reset, rng)


class MixesRows(Recurrent):
    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        outputs, carry = super().apply(ops, params, inputs, carry, reset, rng)
        mixed = {name: value - ops.mean(value, axis=1, keepdims=True) for name, value in outputs.items()}
        return mixed, carry


class Infinite(Recurrent):
    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        outputs, carry = super().apply(ops, params, inputs, carry, reset, rng)
        return {name: value + float("inf") for name, value in outputs.items()}, carry


class ValueWithAxis(Recurrent):
    def apply(self, ops: Any, params: Any, inputs: Any, carry: Any, reset: Any, rng: Any) -> Any:
        outputs, carry = super().apply(ops, params, inputs, carry, reset, rng)
        return outputs | {"value": outputs["value"][..., None]}, carry


class LearnsInStats(Recurrent):
    def update_stats(self, ops: Any, params: Any, inputs: Any, weight: Any) -> Any:
        return {name: value + 1.0 for name, value in params.items()}


class TakesAnyOutput(Recurrent):
    def __init__(self, config: Any, interface: PolicyInterface) -> None:
        known = PolicyInterface(observation=interface.observation, action=interface.action)
        super().__init__(config, known)


class DriftConfig(BaseModel):
    """Options of the trainers below."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: float = Field(0.1, gt=0)
    """Of a step."""


class Drift:
    """Lets the parameters drift; it learns nothing, and keeps the contract."""

    STATE_VERSION = 1
    unit = "env_steps"

    def __init__(self, config: Any, context: Any) -> None:
        self.config, self.context = config, context
        self.policy = context.policy(outputs=frozenset())
        self.collector = context.collector(self.policy, horizon=4)
        self.rng = context.generator("drift")
        self.params = self.policy.init(context.generator("parameters"))
        self.updates = 0

    def update(self) -> dict[str, float]:
        self.collector.collect(self.context.backend.to_device(self.params))
        self.updates += 1
        step = self.config.size * self.updates
        noise = {name: self.rng.standard_normal(np.shape(x), np.float32) for name, x in self.params.items()}
        self.params = {name: np.asarray(x + step * noise[name], np.float32) for name, x in self.params.items()}
        return {"drift/step": step}

    @property
    def progress(self) -> int:
        steps: int = self.collector.env_steps
        return steps

    @property
    def agent(self) -> Agent:
        return Agent(self.policy, self.params)

    def state_dict(self) -> dict[str, Any]:
        return {"params": self.params, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_form(state, self.state_dict())
        self.params, self.updates = dict(state["params"]), state["updates"]


class NoUnit(Drift):
    unit = "minutes"


class Stands(Drift):
    @property
    def progress(self) -> int:
        return 0


class NumpyMetrics(Drift):
    def update(self) -> dict[str, Any]:
        return {name: np.float32(value) for name, value in super().update().items()}


class ReadsClock(Drift):
    def update(self) -> dict[str, float]:
        return super().update() | {"time/mine": 1.0}


class ChangingMetrics(Drift):
    def update(self) -> dict[str, float]:
        return super().update() | {f"drift/{self.updates}": 1.0}


class NotFinite(Drift):
    def update(self) -> dict[str, float]:
        return super().update() | {"drift/mean": float("nan")}


class OwnPolicy(Drift):
    @property
    def agent(self) -> Agent:
        return Agent(Recurrent(None, self.policy.interface), self.params)


class LosesParameters(Drift):
    @property
    def agent(self) -> Agent:
        return Agent(self.policy, {})


class OwnNoise(Drift):
    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self.rng = np.random.default_rng()


class OwnFixedNoise(Drift):
    """A generator of its own, seeded right, that nobody saves."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self.rng = np.random.default_rng(context.seed)


class IgnoresSeed(Drift):
    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self.rng = np.random.default_rng(0)
        self.params = self.policy.init(np.random.default_rng(0))


class ForgetsCount(Drift):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.updates = 0


class NestedParameters(Drift):
    def state_dict(self) -> dict[str, Any]:
        return {"params": {"net": self.params}, "updates": self.updates}


class LoadsHalf(Drift):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state.get("updates", 0)
        super().load_state_dict(state)


class TakesAnything(Drift):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.params, self.updates = state.get("params", self.params), state.get("updates", 0)


class Lines:
    """A logger that remembers lines, and keeps the contract."""

    def __init__(self, config: Any) -> None:
        self.lines: list[str] = []

    def open(self, run: Any, last_step: int | None) -> None:
        self.name = run.id

    def log(self, step: int, metrics: Any) -> None:
        self.lines.append(f"{self.name} {step} {dict(metrics)}")

    def artifact(self, step: int, name: str, kind: str, value: Any) -> None:
        pass

    def close(self) -> None:
        pass


class OnlyNewRuns(Lines):
    def open(self, run: Any, last_step: int | None) -> None:
        assert last_step is None, "cannot go on"
        super().open(run, last_step)


class WholeNumbers(Lines):
    def log(self, step: int, metrics: Any) -> None:
        self.lines += [f"{int(value)}" for value in metrics.values()]


class TakesMetricsAway(Lines):
    def log(self, step: int, metrics: Any) -> None:
        while metrics:
            metrics.popitem()


class ImagesOnly(Lines):
    def artifact(self, step: int, name: str, kind: str, value: Any) -> None:
        assert kind == "image", f"no room for {kind}"


class ClosesOnce(Lines):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class NoArtifacts:
    def open(self, run: Any, last_step: int | None) -> None: ...
    def log(self, step: int, metrics: Any) -> None: ...
    def close(self) -> None: ...


class Total:
    """Sums vectors; keeps the contract."""

    STATE_VERSION: Any = 1

    def __init__(self) -> None:
        self.total, self.count = np.zeros(2), 0

    def add(self) -> None:
        self.count += 1
        self.total += self.count

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_form(state, self.state_dict())
        self.total, self.count = np.array(state["total"]), state["count"]


class NoVersion(Total):
    STATE_VERSION = "1"


class SavesNothing(Total):
    def state_dict(self) -> dict[str, Any]:
        return {}


class LosesCount(Total):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.count = 0


class AddsUp(Total):
    """What it is given comes on top of what it has."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_form(state, self.state_dict())
        self.total, self.count = self.total + state["total"], self.count + state["count"]


class HiddenCount(Total):
    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_form(state, self.state_dict())
        self.total = np.array(state["total"])


class StateCosts(Total):
    def state_dict(self) -> dict[str, Any]:
        state = {"total": self.total.copy(), "count": self.count}
        self.total += 1.0
        return state


class KeepsObjects(Total):
    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "count": {1, 2}}


class HalfTaken(Total):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state.get("count", self.count)
        super().load_state_dict(state)


class RaisesKeyErrors(Total):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        if set(state) - {"total", "count"}:
            raise CheckpointError("a key that nobody knows")
        self.total, self.count = np.array(state["total"]), state["count"]


class Clock:
    """A `VectorEnv` that can give its state: rows count the steps of their episodes, which last three."""

    def __init__(self, num_envs: int) -> None:
        observation, action = Layout.of(Box(0, 3, (1,))), Layout.of(Discrete(2))
        self.spec = VectorEnvSpec.single_agent(
            id="clock", num_envs=num_envs, observation=observation, action=action, snapshot=True
        )
        self.count = np.zeros(num_envs, np.int64)

    def bind(self, buffers: EnvBuffers) -> None:
        self.buffers = buffers

    def reset(self, seed: int, first: int = 0) -> None:
        self.count[:] = 0
        self.buffers.observation[0] = 0.0

    def step(self, action: np.ndarray[Any, Any], slot: int) -> Any:
        self.count += 1
        self.buffers.reward[slot] = action
        self.buffers.truncated[slot] = self.count == 3
        self.buffers.final_observation[slot, :, 0] = self.count
        self.count[self.count == 3] = 0
        self.buffers.observation[slot, :, 0] = self.count
        return ()

    def send(self, action: np.ndarray[Any, Any], slot: int) -> None:
        self.step(action, slot)

    def recv(self) -> Any:
        return ()

    def snapshot(self) -> dict[str, Any]:
        return {"count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.count[:] = state["count"]

    def close(self) -> None:
        pass
