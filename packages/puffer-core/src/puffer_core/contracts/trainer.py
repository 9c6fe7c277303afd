"""Trainer: learns, one update at a time. Everything around the update is the core's."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, TypedDict, runtime_checkable

import numpy as np

from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import Checkpointable
from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.contracts.policy import Agent, Policy

Metrics: TypeAlias = dict[str, float]
"""Name to value. Names are `area/what`: `loss/policy`, `policy/entropy`; the same keys from every update."""

Unit: TypeAlias = Literal["env_steps", "gradient_steps", "tokens"]


class Rollout(TypedDict):
    """What collection gives to learning: plain nested arrays, ready for a compiled function.

    T steps of N rows. `inputs` and `reset` have T+1 entries, for the observation after the last step is there too.

    Keys:
        inputs: name to `[T+1, N, ...]`, every input that the policy asked for; a nested observation or action is a
            dict of those, by leaf name.
        reset: bool `[T+1, N]`, True where an episode starts: after one that ended, and after a transition that did not
            count.
        carry: recurrent state before step 0, arrays `[N, ...]`.
        action: `[T, N, ...]`, as the distribution gave it (before scaling and clipping for the env); a dict by leaf
            name where the action space is nested.
        outputs: name to `[T, N, ...]`, what the behaviour policy computed when it acted, without the
            distribution's parameters: `value` and the like.
        log_prob: `[T, N]`, of `action` under the behaviour policy, nats.
        version: int64 `[T, N]`, which parameters acted: the number of the `collect` call that gave them, from 1.
        last_outputs: name to `[N, ...]`, the same outputs at step T, to bootstrap from.
        final_outputs: name to `[T, N, ...]`, the same at `final_observation` where the step was truncated, else 0.
        reward: `[T, N]`, of each step.
        terminated: bool `[T, N]`.
        truncated: bool `[T, N]`.
        active: bool `[T, N]`, False where a transition must not be learned from.
    """

    inputs: dict[str, Tree]
    reset: Array
    carry: Tree
    action: Tree
    outputs: dict[str, Array]
    log_prob: Array
    version: Array
    last_outputs: dict[str, Array]
    final_outputs: dict[str, Array]
    reward: Array
    terminated: Array
    truncated: Array
    active: Array


@runtime_checkable
class Collector(Checkpointable, Protocol):
    """Acts in the run's env and hands over rollouts. On the host it loops, in a device env it scans.

    Its state is the env's (where it can give one), the carry, the last observations, the episode statistics
    and the acting noise.
    """

    env_steps: int
    """Environment steps taken since the run began, over all environments."""

    def collect(self, params: Params) -> Rollout:
        """The next `horizon` steps, acted by these parameters, as arrays of the trainer's backend.

        The arrays are views into slots: valid until the next `collect`, which writes them again. Copy what is to last
        longer. `--vector.poison` makes a view that was kept too long show.
        """
        ...

    def metrics(self) -> Metrics:
        """Episode statistics and the time split since the last call; NaN where no episode ended."""
        ...


class TrainerContext(Protocol):
    """What a trainer is given. Nothing is built before it is asked for."""

    seed: int
    total_steps: int
    """Where `progress` ends; for schedules."""

    @property
    def backend(self) -> Backend:
        """The run's engine."""
        ...

    @property
    def env(self) -> VectorEnvSpec:
        """What the run's env looks like.

        Raises:
            EnvError: the env cannot be made.
            UsageError: the run has no env (it learns from a dataset).
        """
        ...

    def policy(self, *, outputs: frozenset[str] = frozenset({"value"})) -> Policy:
        """The run's policy, between the env's spaces and the outputs asked for."""
        ...

    def generator(self, name: str) -> np.random.Generator:
        """A random stream of this name, seeded from the run's seed; its state is saved with the run."""
        ...

    def collector(self, policy: Policy, *, horizon: int) -> Collector:
        """Collection of `horizon` steps a time from the run's env, whichever kind it is."""
        ...


@runtime_checkable
class Trainer(Checkpointable, Protocol):
    """One algorithm; built as `target(config, context)`.

    A trainer never steps an env, writes a file or reads a clock. Checkpoints fall between updates, so an
    update should last at most 2 s.

    `state_dict()["params"]` are the policy's parameters, flat by name: the checkpoint keeps them in a file of
    their own, which is all that evaluation and export read.
    """

    unit: Unit
    """What `progress` counts."""

    def update(self) -> Metrics:
        """Collect and learn once."""
        ...

    @property
    def progress(self) -> int:
        """How far it is, in `unit`; the run ends when this reaches the run's total."""
        ...

    @property
    def agent(self) -> Agent:
        """The policy and its current parameters, to act with; valid until the next update."""
        ...
