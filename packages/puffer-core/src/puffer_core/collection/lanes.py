"""A lane: one batch of environments with the policy that acts in it."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from puffer_core.arrays import Array, Params, Tree, map_tree
from puffer_core.collection.acting import Acted, Actor, call_actor, make_actor
from puffer_core.collection.batches import Batch
from puffer_core.collection.policy_inputs import assign
from puffer_core.collection.storage import Storage
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.env import CountingEnv
from puffer_core.contracts.policy import Policy


class Actors:
    """A policy that acts on one engine, by sampling or by its mode.

    Args:
        policy: who acts.
        backend: the engine.
        rng: noise for sampling.
    """

    def __init__(self, policy: Policy, backend: Backend, rng: np.random.Generator) -> None:
        self.policy, self.backend, self.rng = policy, backend, rng
        self.sample = make_actor(policy, backend)
        self.evaluate = make_actor(policy, backend, deterministic=True)

    def call(self, actor: Actor, params: Params, inputs: Any, carry: Tree, reset: Array) -> Acted:
        """`call_actor` with what is always the same."""
        return call_actor(actor, self.backend, self.policy, params, inputs, carry, reset, self.rng)


class Lane:
    """Steps one batch: `act` at slot `t` sends the step, `receive` waits for what it wrote in `t + 1`.

    Args:
        batch: the env, and which rows are its.
        storage: of all rows.
        actors: of the policy.
    """

    def __init__(self, batch: Batch, storage: Storage, actors: Actors) -> None:
        self.env, self.rows, self._first = batch.env, batch.rows, batch.envs.start
        self._storage, self._actors = storage, actors
        self._inputs = storage.inputs.part(batch.env.spec, batch.rows, batch.envs)
        self._slots = self._inputs.slots
        self._actions = [map_tree(lambda x, t=t: x[t, batch.rows], storage.action) for t in range(storage.horizon)]
        self._log_prob = storage.log_prob[:, batch.rows]
        self._no_reset = np.zeros(batch.env.spec.rows, np.bool_)
        self.carry: Tree = actors.backend.to_device(actors.policy.initial_carry(batch.env.spec.rows))
        self.counts = batch.env if isinstance(batch.env, CountingEnv) else None
        self.env_seconds = 0.0
        batch.env.bind(self._slots)

    def reset(self, seed: int) -> None:
        """Start every environment anew, numbered on from those of the lanes before."""
        self.env.reset(seed, self._first)

    def act(self, params: Params, t: int) -> None:
        """Choose the actions of slot `t` and send them."""
        inputs, actors = self._inputs, self._actors
        acted = actors.call(actors.sample, params, inputs.at(t), self.carry, inputs.reset[t])
        self.carry = acted["carry"]
        assign(self._actions[t], acted["action"])
        self._log_prob[t] = acted["log_prob"]
        self._storage.keep_outputs(t, self.rows, acted["outputs"])
        start = perf_counter()
        self.env.send(acted["env_action"], t + 1)
        self.env_seconds += perf_counter() - start

    def receive(self, params: Params, slot: int) -> None:
        """Wait until `slot` is written, and work out what follows from it."""
        start = perf_counter()
        self.env.recv()
        self.env_seconds += perf_counter() - start
        self._inputs.follow(slot, self._actions[slot - 1])
        if self._storage.final_outputs and self._slots.truncated[slot].any():
            self._keep_final_outputs(params, slot)

    def _keep_final_outputs(self, params: Params, slot: int) -> None:
        """What the policy puts out where episodes were truncated in `slot`, to bootstrap from."""
        actors, truncated = self._actors, np.flatnonzero(self._slots.truncated[slot])
        # NumPy evaluates the rows that were truncated; other engines compile for a number of rows, and take them all.
        alone = actors.backend.name == "numpy"
        rows = truncated if alone else slice(None)
        inputs = self._inputs.at_end(slot, rows, self._actions[slot - 1])
        carry = map_tree(lambda x: x[rows], self.carry) if alone else self.carry
        final = actors.call(actors.evaluate, params, inputs, carry, self._no_reset[rows])["outputs"]
        for name, value in final.items():
            kept = self._storage.final_outputs[name][slot - 1, self.rows]
            kept[truncated] = value if alone else value[truncated]

    def last_outputs(self, params: Params) -> dict[str, Array]:
        """What the policy puts out at the last slot, to bootstrap from."""
        inputs, actors = self._inputs, self._actors
        acted = actors.call(actors.evaluate, params, inputs.at(-1), self.carry, inputs.reset[-1])
        outputs: dict[str, Array] = acted["outputs"]
        return outputs
