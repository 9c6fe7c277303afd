"""The trainer `random-search`: perturbs the best parameters so far, and keeps what earns more."""

from __future__ import annotations

import math

import numpy as np

from puffer_core.checkpoints.form import check_form
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.policy import Agent
from puffer_core.contracts.trainer import Metrics, Rollout, TrainerContext, Unit
from puffer_random_search.config import RandomSearchConfig
from puffer_random_search.search import mean_return, perturbed

GROWTH, SHRINKAGE = 1.5, 1.5**-0.1
"""Of the noise, after a success and a failure: it stays where one candidate of eleven succeeds."""


class RandomSearch:
    """An evolution strategy of one parent and one child (Rechenberg 1973); implements `Trainer`."""

    STATE_VERSION = 1
    unit: Unit = "env_steps"

    def __init__(self, config: RandomSearchConfig, context: TrainerContext) -> None:
        self.config = config
        self._backend = context.backend
        self._policy = context.policy(outputs=frozenset())  # no critic: the action's distribution is all it needs
        self._collector = context.collector(self._policy, horizon=config.horizon)
        self._rng = context.generator("perturbations")
        self._best = self._policy.init(context.generator("parameters"))
        self._best_return, self._noise = -math.inf, config.noise
        self._update_stats = self._backend.compile(self._policy.update_stats)

    def update(self) -> Metrics:
        """Judge one candidate by what it earns in `horizon` steps of every environment."""
        candidate = perturbed(self._best, self._rng, self._noise)
        rollout: Rollout = self._backend.to_numpy(self._collector.collect(self._backend.to_device(candidate)))
        earned = mean_return(rollout)
        if earned > self._best_return:
            self._best, self._best_return, self._noise = candidate, earned, self._noise * GROWTH
        else:
            self._noise = max(self._noise * SHRINKAGE, self.config.noise_minimum)
        self._see(rollout)
        return {"search/return": earned, "search/best_return": self._best_return, "search/noise": self._noise}

    def _see(self, rollout: Rollout) -> None:
        """Bring the policy's own statistics (`stats.`) up to date, where it keeps any."""
        inputs = {name: value[:-1] for name, value in rollout["inputs"].items()}
        given = (self._best, inputs, rollout["active"].astype(np.float32))
        self._best = self._backend.to_numpy(self._backend.copy(self._update_stats(*self._backend.to_device(given))))

    @property
    def progress(self) -> int:
        """Environment steps taken."""
        return self._collector.env_steps

    @property
    def agent(self) -> Agent:
        """The policy with the best parameters so far."""
        return Agent(self._policy, self._backend.to_device(self._best))

    def state_dict(self) -> State:
        """What the search knows; the env and the random streams are saved by the core."""
        return {"params": self._best, "best_return": self._best_return, "noise": self._noise}

    def load_state_dict(self, state: State) -> None:
        """Take back what `state_dict` gave; nothing changes where that is not possible."""
        check_form(state, self.state_dict())
        self._best, self._best_return, self._noise = dict(state["params"]), state["best_return"], state["noise"]
