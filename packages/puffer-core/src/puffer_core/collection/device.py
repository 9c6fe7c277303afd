"""Collection on the device: acting and stepping in one compiled program, whose rollout never visits the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from puffer_core.arrays import Params, Tree, named_leaves, replace_leaves
from puffer_core.checkpoints.form import check_form
from puffer_core.collection.device_rollout import collect, start
from puffer_core.collection.episodes import EpisodeStatistics
from puffer_core.collection.policy_inputs import input_names
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import DeviceEnv
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Metrics, Rollout
from puffer_core.errors import CheckpointError

_PARTS = ("env", "inputs", "carry", "live")


class DeviceCollector:
    """Acts in a `DeviceEnv`, `horizon` steps a call of one compiled program; implements `Collector`.

    A rollout has the keys, shapes and meaning of a `HostCollector`'s. Its arrays are the engine's own, new ones from
    every call: nothing writes them again. Rewards and flags alone are read on the host, for the episode statistics.

    Args:
        env: two pure functions over the engine's ops.
        policy: acts; its outputs beside the distribution's parameters are kept in the rollout.
        backend: the trainer's engine.
        horizon: steps a rollout, >= 1.
        seed: of the env's first reset.
        rng: seeds the noise of each rollout; its owner saves its state.

    Raises:
        UnsupportedError: the policy reads what the env does not give.
    """

    STATE_VERSION = 1

    def __init__(
        self,
        env: DeviceEnv,
        policy: Policy,
        *,
        backend: Backend,
        horizon: int,
        seed: int,
        rng: np.random.Generator,
    ) -> None:
        self.spec = replace(env.spec, snapshot=True)
        self._backend, self._horizon, self._seed, self._rng = backend, horizon, seed, rng
        names = tuple(input_names(policy.inputs, env.spec))
        self._start = backend.compile(partial(start, env=env, policy=policy, names=names))
        self._collect = backend.compile(partial(collect, env=env, policy=policy, horizon=horizon), rows=env.spec.rows)
        self._state: Tree = None
        self._version = 0
        self._seconds = 0.0
        self.episodes = EpisodeStatistics(env.spec.rows)
        self.env_steps = 0

    def collect(self, params: Params) -> Rollout:
        """The next rollout."""
        began = perf_counter()
        if self._state is None:
            self._state = self._begun()
        self._version += 1
        version = self._backend.to_device(np.asarray(self._version, np.int64))
        noise = self._backend.rng(int(self._rng.integers(2**63)))
        rollout: Rollout
        rollout, self._state = self._collect(params, self._state, version, noise)
        self._count(rollout)
        self._seconds += perf_counter() - began
        return rollout

    def _begun(self) -> Tree:
        return self._start(self._backend.rng(self._seed))

    def _count(self, rollout: Rollout) -> None:
        seen = {"reward": rollout["reward"], "reset": rollout["reset"], "active": rollout["active"]}
        seen = self._backend.to_numpy(seen)
        self.episodes.add_steps(seen["reward"], seen["reset"][1:], seen["active"])
        self.env_steps += self._horizon * self.spec.num_envs

    def metrics(self) -> Metrics:
        """Episode statistics, and seconds of collection since the last call: those of env and policy are one."""
        seconds, self._seconds = self._seconds, 0.0
        return self.episodes.metrics() | {"time/env": 0.0, "time/policy": seconds}

    def state_dict(self) -> State:
        """The env's state, what the next rollout's first step sees, carry, episode statistics."""
        return {
            **self._named(self._state),
            "episodes": self.episodes.state_dict(),
            "env_steps": self.env_steps,
            "version": self._version,
            "started": self._state is not None,
        }

    def load_state_dict(self, state: State, *, instead: Callable[[str], object] | None = None) -> None:
        """Go on from `state`.

        Args:
            state: what `state_dict` gave.
            instead: told why, where the env's state has another form; new episodes start then. None: that is an error.

        Raises:
            CheckpointError: the state is of an env with other rows, inputs or state, or malformed; nothing was changed.
        """
        started = bool(state.get("started"))
        template = self._begun() if started else None
        own = self.state_dict() | self._named(template)
        check_form(state, own, free=("env", "episodes/recent_returns"))
        try:
            check_form(state["env"], own["env"])
        except CheckpointError as error:
            if instead is None:
                raise CheckpointError(f"the state of the env {self.spec.id}: {error.message}") from error
            instead(f"{self.spec.id}: {error.message}; new episodes start")
            started = False
        if started:
            self.episodes.load_state_dict(state["episodes"])
            template = _replaced(template, state)
            self._state = self._backend.copy(self._backend.to_device(template))
        else:
            self._state = None
            self._seed += int(state["env_steps"])
        self.env_steps, self._version = int(state["env_steps"]), int(state["version"])

    def _named(self, state: Tree) -> dict[str, dict[str, Any]]:
        """What goes from one rollout into the next, each part's arrays by their paths; none before the first."""
        if state is None:
            return {part: {} for part in _PARTS}
        return {part: dict(named_leaves(self._backend.to_numpy(state[part]))) for part in _PARTS}


def _replaced(template: Tree, state: State) -> Tree:
    return {part: replace_leaves(template[part], state[part]) for part in _PARTS}
