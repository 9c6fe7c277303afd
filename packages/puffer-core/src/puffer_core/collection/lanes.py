"""A lane: one batch of environments with the policy that acts in it."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from puffer_core.arrays import Array, Params, Tree, map_tree
from puffer_core.collection.acting import Actor
from puffer_core.collection.batches import Batch
from puffer_core.collection.policy_inputs import assign
from puffer_core.collection.storage import Storage
from puffer_core.contracts.env import CountingEnv


class Lane:
    """Steps one batch: `act` at slot `t` sends the step, `receive` waits for what it wrote in `t + 1`.

    Args:
        batch: the env, and which rows are its.
        storage: of all rows.
        sample: of the policy that acts in it.
        evaluate: likewise, by its mode, where only its other outputs matter.
        rng: noise.
    """

    def __init__(
        self, batch: Batch, storage: Storage, sample: Actor, evaluate: Actor, rng: np.random.Generator
    ) -> None:
        self.env, self.rows, self._first = batch.env, batch.rows, batch.envs.start
        self._storage, self._sample, self._evaluate, self._rng = storage, sample, evaluate, rng
        self._inputs = storage.inputs.part(batch.env.spec, batch.rows, batch.envs)
        self._slots = self._inputs.slots
        self._actions = [map_tree(lambda x, t=t: x[t, batch.rows], storage.action) for t in range(storage.horizon)]
        self._log_prob = storage.log_prob[:, batch.rows]
        self._no_reset = np.zeros(batch.env.spec.rows, np.bool_)
        self.carry: Tree = sample.backend.to_device(sample.policy.initial_carry(batch.env.spec.rows))
        self.counts = batch.env if isinstance(batch.env, CountingEnv) else None
        self.env_seconds = 0.0
        batch.env.bind(self._slots)

    def reset(self, seed: int) -> None:
        """Start every environment anew, numbered on from those of the lanes before."""
        self.env.reset(seed, self._first)

    def act(self, params: Params, t: int) -> None:
        """Choose the actions of slot `t` and send them."""
        acted = self._sample(params, self._inputs.at(t), self.carry, self._inputs.reset[t], self._rng)
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
        truncated = np.flatnonzero(self._slots.truncated[slot])
        # NumPy evaluates the rows that were truncated; other engines compile for a number of rows, and take them all.
        alone = self._evaluate.backend.name == "numpy"
        rows = truncated if alone else slice(None)
        inputs = self._inputs.at_end(slot, rows, self._actions[slot - 1])
        carry = map_tree(lambda x: x[rows], self.carry) if alone else self.carry
        final = self._evaluate(params, inputs, carry, self._no_reset[rows], self._rng)["outputs"]
        for name, value in final.items():
            kept = self._storage.final_outputs[name][slot - 1, self.rows]
            kept[truncated] = value if alone else value[truncated]

    def last_outputs(self, params: Params) -> dict[str, Array]:
        """What the policy puts out at the last slot, to bootstrap from."""
        acted = self._evaluate(params, self._inputs.at(-1), self.carry, self._inputs.reset[-1], self._rng)
        outputs: dict[str, Array] = acted["outputs"]
        return outputs
