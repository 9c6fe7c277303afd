"""Collection on the host: a loop that acts in a vector env and leaves a rollout in its slots."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from puffer_core.acting import Acted, Actor, call_actor, make_actor
from puffer_core.arrays import Array, Params, Tree, named_leaves, replace_leaves
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Metrics, Rollout
from puffer_core.episodes import EpisodeStatistics
from puffer_core.errors import UnsupportedError
from puffer_core.states import check_form

_INPUTS = frozenset({"observation", "action_mask", "global_state", "previous_action", "previous_reward"})


class HostCollector:
    """Acts in a `VectorEnv`, `horizon` steps a time; implements `Collector`.

    Args:
        env: unbound; the collector binds it and closes it.
        policy: acts; its outputs beside the distribution's parameters are kept in the rollout.
        backend: the trainer's engine, whose arrays a rollout consists of.
        horizon: steps a rollout, >= 1.
        seed: of the env's first reset.
        rng: noise for sampling actions; its owner saves its state.
        acting_backend: the engine that acts; the trainer's where none is named. NumPy over the trainer's own
            parameter memory is several times faster for small networks on a CPU.
    """

    STATE_VERSION = 1

    def __init__(
        self,
        env: VectorEnv,
        policy: Policy,
        *,
        backend: Backend,
        horizon: int,
        seed: int,
        rng: np.random.Generator,
        acting_backend: Backend | None = None,
    ) -> None:
        self._env = env
        self._policy = policy
        self._backend = backend
        self._acting = acting_backend or backend
        self._horizon = horizon
        self._seed = seed
        self._rng = rng
        self._sample = make_actor(policy, self._acting)
        self._evaluate = make_actor(policy, self._acting, deterministic=True)
        self._slots = EnvBuffers.allocate(env.spec, horizon + 1)
        env.bind(self._slots)
        rows, action = env.spec.rows, env.spec.action
        self._action = np.zeros((horizon, rows, *action.shape), _action_dtype(action.dtype))
        self._log_prob = np.zeros((horizon, rows), np.float32)
        self._outputs: dict[str, np.ndarray[Any, Any]] = {}
        self._final_outputs: dict[str, np.ndarray[Any, Any]] = {}
        self._reset = np.zeros((horizon + 1, rows), np.bool_)
        self._inputs = self._allocate_inputs()
        self._carry: Tree = self._acting.to_device(policy.initial_carry(rows))
        self._started = False
        self._env_seconds = self._policy_seconds = 0.0
        self.episodes = EpisodeStatistics(rows)
        self.env_steps = 0

    def _allocate_inputs(self) -> dict[str, np.ndarray[Any, Any]]:
        """Name to `[slots, rows, ...]`: views of the env's slots where it writes them, own arrays otherwise."""
        spec, slots = self._env.spec, self._slots
        wanted = self._policy.inputs | ({"action_mask"} if spec.action_mask else set())
        unknown = wanted - _INPUTS
        if unknown:
            raise UnsupportedError(
                f"the policy reads {sorted(unknown)}, which collection does not provide; it provides {sorted(_INPUTS)}"
            )
        lead = self._reset.shape
        inputs: dict[str, np.ndarray[Any, Any]] = {}
        for name in sorted(wanted):
            if name == "previous_action":
                inputs[name] = np.zeros((*lead, *self._action.shape[2:]), self._action.dtype)
            elif name == "previous_reward":
                inputs[name] = np.zeros(lead, np.float32)
            else:
                array = getattr(slots, name)
                if array is None:
                    raise UnsupportedError(f"the policy reads {name}, which the env {spec.id} does not give")
                inputs[name] = array
        return inputs

    def collect(self, params: Params) -> Rollout:
        """The next rollout; its arrays are views, valid until the next call."""
        if self._acting is not self._backend:
            params = self._acting.to_device(self._backend.to_numpy(params))
        start = perf_counter()
        env_seconds = self._env_seconds
        self._begin()
        carry = self._carry
        for t in range(self._horizon):
            self._step(params, t)
        last = self._run(self._evaluate, params, self._horizon)
        self.env_steps += self._horizon * self._env.spec.num_envs
        self._policy_seconds += perf_counter() - start - (self._env_seconds - env_seconds)
        return self._rollout(carry, last["outputs"])

    def _begin(self) -> None:
        """Make slot 0 what the last rollout ended with."""
        for final in self._final_outputs.values():
            final[...] = 0.0
        if not self._started:
            self._env.reset(self._seed)
            self._reset[0] = True
            self._started = True
            return
        self._slots.wrap()
        self._reset[0] = self._reset[-1]
        for name in ("previous_action", "previous_reward"):
            if name in self._inputs:
                self._inputs[name][0] = self._inputs[name][-1]

    def _step(self, params: Params, t: int) -> None:
        acted = self._run(self._sample, params, t)
        self._carry = acted["carry"]
        self._action[t] = acted["action"]
        self._log_prob[t] = acted["log_prob"]
        for name, value in acted["outputs"].items():
            self._output(name, value)[t] = value
        start = perf_counter()
        self._env.step(acted["env_action"], t + 1)
        self._env_seconds += perf_counter() - start
        self._after_step(params, t)

    def _after_step(self, params: Params, t: int) -> None:
        slots, done = self._slots, self._reset[t + 1]
        truncated = slots.truncated[t + 1]
        np.logical_or(slots.terminated[t + 1], truncated, out=done)
        self.episodes.add(slots.reward[t + 1], done)
        if "previous_action" in self._inputs:
            self._inputs["previous_action"][t + 1] = self._action[t]
            self._inputs["previous_action"][t + 1][done] = 0
        if "previous_reward" in self._inputs:
            self._inputs["previous_reward"][t + 1] = np.where(done, 0.0, slots.reward[t + 1])
        if self._outputs and truncated.any():
            final = self._run_final(params, t + 1)["outputs"]
            for name, value in final.items():
                self._final_outputs[name][t][truncated] = value[truncated]

    def _run(self, actor: Actor, params: Params, t: int) -> Acted:
        inputs = {name: array[t] for name, array in self._inputs.items()}
        return self._call(actor, params, inputs, self._reset[t])

    def _run_final(self, params: Params, slot: int) -> Acted:
        """The policy on the last observations of ended episodes, with the memory they ended with."""
        inputs = {name: array[slot] for name, array in self._inputs.items()}
        inputs["observation"] = self._slots.final_observation[slot]
        if "global_state" in inputs and self._slots.final_global_state is not None:
            inputs["global_state"] = self._slots.final_global_state[slot]
        if "previous_action" in inputs:
            inputs["previous_action"] = self._action[slot - 1]
        if "previous_reward" in inputs:
            inputs["previous_reward"] = self._slots.reward[slot]
        return self._call(self._evaluate, params, inputs, np.zeros_like(self._reset[slot]))

    def _call(self, actor: Actor, params: Params, inputs: dict[str, Any], reset: Array) -> Acted:
        if "global_state" in inputs:
            inputs["global_state"] = inputs["global_state"][self._env.spec.row_env]
        return call_actor(actor, self._acting, params, inputs, self._carry, reset, self._rng)

    def _output(self, name: str, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if name not in self._outputs:
            self._outputs[name] = np.zeros((self._horizon, *value.shape), value.dtype)
            self._final_outputs[name] = np.zeros((self._horizon, *value.shape), value.dtype)
        return self._outputs[name]

    def _rollout(self, carry: Tree, last_outputs: dict[str, Array]) -> Rollout:
        slots = self._slots
        inputs = dict(self._inputs)
        if "global_state" in inputs:
            inputs["global_state"] = inputs["global_state"][:, self._env.spec.row_env]
        host: Rollout = {
            "inputs": inputs,
            "reset": self._reset,
            "carry": self._acting.to_numpy(carry),
            "action": self._action,
            "outputs": self._outputs,
            "log_prob": self._log_prob,
            "last_outputs": last_outputs,
            "final_outputs": self._final_outputs,
            "reward": slots.reward[1:],
            "terminated": slots.terminated[1:],
            "truncated": slots.truncated[1:],
            "active": slots.active[:-1],
        }
        rollout: Rollout = self._backend.to_device(host)
        return rollout

    def metrics(self) -> Metrics:
        """Episode statistics, and seconds since the last call spent in the env and in the policy."""
        metrics = self.episodes.metrics()
        metrics |= {"time/env": self._env_seconds, "time/policy": self._policy_seconds}
        self._env_seconds = self._policy_seconds = 0.0
        return metrics

    def state_dict(self) -> State:
        """Env state where it can give one, what slot 0 of the next rollout holds, carry, episode statistics."""
        last = {name: array[-1] for name, array in self._inputs.items()}
        last["active"] = self._slots.active[-1]
        return {
            "env": self._env.snapshot() if self._started and self._env.spec.snapshot else {},
            "last": last,
            "reset": self._reset[-1],
            "carry": dict(named_leaves(self._acting.to_numpy(self._carry))),
            "episodes": self.episodes.state_dict(),
            "env_steps": self.env_steps,
            "started": self._started,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from `state`; an env that cannot be restored starts new episodes instead.

        Raises:
            CheckpointError: the state is of an env with other rows or inputs, or malformed; nothing was changed.
        """
        check_form(state, self.state_dict(), free=("env", "episodes/recent_returns"))
        self.env_steps = int(state["env_steps"])
        self._started = bool(state["started"]) and self._env.spec.snapshot
        if not self._started:
            self._seed += self.env_steps
            return
        self.episodes.load_state_dict(state["episodes"])
        self._env.restore(state["env"])
        for name, array in self._inputs.items():
            array[-1] = state["last"][name]
        self._slots.active[-1] = state["last"]["active"]
        self._reset[-1] = state["reset"]
        self._carry = self._acting.to_device(replace_leaves(self._carry, state["carry"]))

    def close(self) -> None:
        """Close the env. Safe to call twice."""
        self._env.close()


def _action_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What distributions give: float32 for continuous actions, int64 for choices."""
    return np.dtype(np.float32) if dtype.kind == "f" else np.dtype(np.int64)
