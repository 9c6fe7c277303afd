"""The trainer `ppo`: collects a rollout, learns from it, once an update."""

from __future__ import annotations

from functools import partial

import numpy as np

from puffer_core.arrays import Params, named_leaves
from puffer_core.checkpoints.form import check_form
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.policy import Agent
from puffer_core.contracts.trainer import Metrics, TrainerContext, Unit
from puffer_core.errors import UsageError
from puffer_core.nonfinite import UpdateGuard
from puffer_core.normalisers import moments_init
from puffer_core.schedules import schedule
from puffer_ppo.config import PpoConfig
from puffer_ppo.update import REWARD_STATS, update


class Ppo:
    """Proximal Policy Optimization (Schulman et al. 2017) with generalised advantages; implements `Trainer`.

    Args:
        config: the options.
        context: the run's env, policy, backend and random streams.

    Raises:
        UsageError: the rollout cannot be cut into that many minibatches.
    """

    STATE_VERSION = 1
    unit: Unit = "env_steps"

    def __init__(self, config: PpoConfig, context: TrainerContext) -> None:
        backend, rows = context.backend, context.env.rows
        self.config = config
        self._backend = backend
        self._total_steps = context.total_steps
        self._policy = context.policy(outputs=frozenset({"value"}))
        self._collector = context.collector(self._policy, horizon=config.horizon)
        self._order = context.generator("minibatches")
        remembers = any(named_leaves(self._policy.initial_carry(1)))
        sequences = rows if remembers else rows * config.horizon
        if sequences < config.minibatches:
            raise UsageError(
                f"--minibatches: got {config.minibatches}, but a rollout has {sequences} "
                f"{'rows, which a memory keeps whole,' if remembers else 'steps'} to share out",
                remedy=f"use fewer minibatches or more environments{'' if remembers else ', or a longer horizon'}",
            )
        self._shape = (config.minibatches, sequences // config.minibatches)
        self._sequences = sequences
        optimizer = backend.optimizer(OptimizerConfig(name="adam", epsilon=1e-5))
        self._params: Params = backend.to_device(self._initial_params(context))
        self._optimizer_state = optimizer.init(self._params)
        self._running_return = backend.to_device(np.zeros(rows, np.float32))
        fn = partial(update, policy=self._policy, config=config, optimizer=optimizer)
        pass_rows = rows * config.horizon // config.minibatches
        self._guard = UpdateGuard(backend)
        self._update = backend.compile(fn, consumes=(0, 1, 2), rows=pass_rows)

    def _initial_params(self, context: TrainerContext) -> Params:
        params = self._policy.init(context.generator("parameters"))
        if self.config.normalize_reward:
            params |= {REWARD_STATS + name: value for name, value in moments_init(()).items()}
        return params

    def update(self) -> Metrics:
        """Collect `horizon` steps of every row and learn from them for `epochs` passes.

        What was learned is undone where something of it is not finite.

        Raises:
            NotFiniteError: for the third time in a row.
        """
        config = self.config
        fraction = min(1.0, self.progress / self._total_steps)
        learning_rate = config.learning_rate * schedule(config.learning_rate_schedule, fraction)
        rollout = self._collector.collect(self._params)
        state = self._params, self._optimizer_state, self._running_return
        state, metrics = self._guard.attempt(self._update, state, rollout, self._draw_order(), learning_rate)
        self._params, self._optimizer_state, self._running_return = state
        self._guard.check(rollout, self._params)
        return metrics | {"learning_rate": learning_rate}

    def _draw_order(self) -> object:
        """Which sequences each minibatch of each epoch takes, `[epochs, minibatches, size]`."""
        minibatches, size = self._shape
        order = np.empty((self.config.epochs, minibatches, size), np.int64)
        for epoch in order:
            epoch[...] = self._order.permutation(self._sequences)[: minibatches * size].reshape(self._shape)
        return self._backend.to_device(order)

    @property
    def progress(self) -> int:
        """Environment steps taken."""
        return self._collector.env_steps

    @property
    def agent(self) -> Agent:
        """The policy with its current parameters."""
        return Agent(self._policy, self._params)

    def state_dict(self) -> State:
        """Parameters, optimizer state, the running returns that scale rewards, and how many updates were undone."""
        to_numpy = self._backend.to_numpy
        return {
            "params": to_numpy(self._params),
            "optimizer": to_numpy(self._optimizer_state),
            "running_return": to_numpy(self._running_return),
            "guard": self._guard.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave.

        Raises:
            CheckpointError: parameters or optimizer state have other names or shapes.
        """
        check_form(state, self.state_dict())
        to_device, copy = self._backend.to_device, self._backend.copy
        self._params = copy(to_device(dict(state["params"])))
        self._optimizer_state = copy(to_device(dict(state["optimizer"])))
        self._running_return = copy(to_device(state["running_return"]))
        self._guard.load_state_dict(state["guard"])
