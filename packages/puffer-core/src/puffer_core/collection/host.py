"""Collection on the host: a loop that acts in vector envs and leaves a rollout in their slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter

import numpy as np

from puffer_core.alignment import aligned_zeros
from puffer_core.arrays import Params, Tree, map_tree, named_leaves, replace_leaves
from puffer_core.checkpoints.form import check_form
from puffer_core.collection.acting import Actor
from puffer_core.collection.batches import joined, placed
from puffer_core.collection.episodes import EpisodeStatistics
from puffer_core.collection.lanes import Lane
from puffer_core.collection.storage import Storage
from puffer_core.contracts.backend import Backend, LendingBackend
from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import VectorEnv
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Metrics, Rollout
from puffer_core.errors import CheckpointError, UnsupportedError


class HostCollector:
    """Acts in one or two `VectorEnv`s, `horizon` steps a time; implements `Collector`.

    With two, the policy acts in one while the other steps. They take turns in a fixed order, so what is collected never
    depends on timing. Their rows stand one after another, and environments are seeded as if there were one env.

    A rollout is a set of views. The next `collect` writes them again: from then on they are void, but for a copy.
    `poison` makes that visible.

    Args:
        envs: unbound; the collector binds them and closes them.
        policy: acts; its outputs beside the distribution's parameters are kept in the rollout.
        backend: the trainer's engine, whose arrays a rollout consists of.
        horizon: steps a rollout, >= 1.
        seed: of the envs' first reset.
        rng: noise for sampling actions; its owner saves its state.
        acting_backend: the engine that acts; the trainer's where none is named. NumPy over the trainer's own
            parameter memory is several times faster for small networks on a CPU.
        poison: fill what is about to be written again with NaN and the largest integers. Nothing else changes.

    Raises:
        UnsupportedError: the policy reads what the env does not give.
        EnvError: the envs differ.
    """

    STATE_VERSION = 1

    def __init__(
        self,
        envs: Sequence[VectorEnv],
        policy: Policy,
        *,
        backend: Backend,
        horizon: int,
        seed: int,
        rng: np.random.Generator,
        acting_backend: Backend | None = None,
        poison: bool = False,
    ) -> None:
        self.spec = joined([env.spec for env in envs])
        self._backend = backend
        self._acting = acting_backend or backend
        self._horizon, self._seed, self._poison = horizon, seed, poison
        allocate = getattr(envs[0], "allocate", aligned_zeros)
        self._storage = Storage(self.spec, policy, horizon, allocate)
        sample, evaluate = (Actor(policy, self._acting, deterministic=mode) for mode in (False, True))
        self._lanes = [Lane(batch, self._storage, sample, evaluate, rng) for batch in placed(envs)]
        self._started = False
        self._lent: Rollout | None = None
        self._version = 0
        self._policy_seconds = 0.0
        self.episodes = EpisodeStatistics(self.spec.rows)
        self.env_steps = 0

    def collect(self, params: Params) -> Rollout:
        """The next rollout; its arrays are views, valid until the next call, which waits for whoever uses them."""
        if self._acting is not self._backend:
            params = self._acting.to_device(self._backend.to_numpy(params))
        start, in_env = perf_counter(), self._env_seconds()
        self._take_back()
        self._begin()
        carry = self._carry()
        for t in range(self._horizon):
            for lane in self._lanes:
                if t:
                    lane.receive(params, t)
                lane.act(params, t)
        for lane in self._lanes:
            lane.receive(params, self._horizon)
        last_outputs = _concatenated([lane.last_outputs(params) for lane in self._lanes])
        self._count()
        self._policy_seconds += perf_counter() - start - (self._env_seconds() - in_env)
        rollout: Rollout = self._backend.to_device(self._storage.rollout(carry, last_outputs))
        self._lent = rollout
        return rollout

    def _take_back(self) -> None:
        """Wait for whoever still computes with the last rollout: its slots are about to be written."""
        lent, self._lent = self._lent, None
        if lent is not None and isinstance(self._backend, LendingBackend):
            self._backend.take_back(lent)

    def _begin(self) -> None:
        """Make slot 0 what the last rollout ended with."""
        self._version += 1
        if self._started:
            self._storage.inputs.wrap()
            if self._poison:
                self._storage.poison()
            self._storage.begin(self._version)
            return
        self._storage.begin(self._version)
        for lane in self._lanes:
            lane.reset(self._seed)
        self._storage.inputs.reset[0] = True
        self._started = True

    def _count(self) -> None:
        slots, starts = self._storage.slots, self._storage.inputs.reset
        self.episodes.add_steps(slots.reward[1:], starts[1:], slots.active[:-1])
        self.env_steps += self._horizon * self.spec.num_envs

    def _carry(self) -> Tree:
        """The memory of all rows, as NumPy arrays."""
        return _concatenated([self._acting.to_numpy(lane.carry) for lane in self._lanes])

    def _env_seconds(self) -> float:
        return sum(lane.env_seconds for lane in self._lanes)

    def metrics(self) -> Metrics:
        """Episode statistics, what the envs counted, and seconds since the last call spent in env and policy."""
        counted: Counter[str] = Counter()
        for lane in self._lanes:
            counted.update(lane.counts.metrics() if lane.counts else {})
        times = {"time/env": self._env_seconds(), "time/policy": self._policy_seconds}
        self._policy_seconds = 0.0
        for lane in self._lanes:
            lane.env_seconds = 0.0
        return self.episodes.metrics() | dict(counted) | times

    def state_dict(self) -> State:
        """Env states where they can give them, what slot 0 of the next rollout holds, carry, episode statistics."""
        snapshots = self._started and self.spec.snapshot
        return {
            "envs": {str(i): lane.env.snapshot() for i, lane in enumerate(self._lanes)} if snapshots else {},
            "last": self._storage.inputs.last(),
            "carry": dict(named_leaves(self._carry())),
            "episodes": self.episodes.state_dict(),
            "env_steps": self.env_steps,
            "version": self._version,
            "started": self._started,
        }

    def load_state_dict(self, state: State, *, instead: Callable[[str], object] | None = None) -> None:
        """Go on from `state`; where it has none of the envs, new episodes start.

        Args:
            state: what `state_dict` gave.
            instead: told why, where the envs do not take back theirs; new episodes start then. None: that is an error.

        Raises:
            CheckpointError: the state is of an env with other rows or inputs, or malformed, and nothing was changed; or
                the envs do not take back theirs.
        """
        check_form(state, self.state_dict(), free=("envs", "episodes/recent_returns"))
        self._take_back()
        restored = bool(state["started"] and state["envs"])
        try:
            if restored:
                self._restore_envs(state["envs"])
        except (CheckpointError, UnsupportedError) as error:
            if instead is None:
                raise
            instead(f"{error.message}; new episodes start")
            restored = False
        self.env_steps, self._version, self._started = int(state["env_steps"]), int(state["version"]), restored
        if not restored:
            self._seed += self.env_steps
            return
        self.episodes.load_state_dict(state["episodes"])
        self._storage.inputs.restore_last(state["last"])
        carry = replace_leaves(self._carry(), state["carry"])
        for lane in self._lanes:
            lane.carry = self._acting.to_device(map_tree(lambda x, rows=lane.rows: x[rows], carry))

    def _restore_envs(self, states: State) -> None:
        if len(states) != len(self._lanes):
            raise CheckpointError(
                f"the checkpoint has the state of {len(states)} envs, this run has {len(self._lanes)}",
                remedy="resume with the --vector.batches that the run was started with",
            )
        if not self.spec.snapshot:
            why = f" ({self.spec.no_snapshot})" if self.spec.no_snapshot else ""
            raise CheckpointError(f"the env {self.spec.id} does not take back its state{why}")
        for i, lane in enumerate(self._lanes):
            lane.env.restore(states[str(i)])

    def close(self) -> None:
        """Close the envs, each of them even where one fails. Safe to call twice."""
        with ExitStack() as stack:
            for lane in self._lanes:
                stack.callback(lane.env.close)


def _concatenated(trees: Sequence[Tree]) -> Tree:
    """The lanes' arrays as those of all rows."""
    return trees[0] if len(trees) == 1 else map_tree(lambda *parts: np.concatenate(parts), *trees)
