"""The storage of a rollout: the env's slots, and beside them what acting adds; allocated once, written every time."""

from __future__ import annotations

from typing import Any

import numpy as np

from puffer_core.alignment import aligned_zeros
from puffer_core.arrays import Array, Tree, map_tree
from puffer_core.collection.policy_inputs import PolicyInputs, no_action
from puffer_core.contracts.env import Allocate, EnvBuffers, VectorEnvSpec
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Rollout


class Storage:
    """Arrays of `horizon` steps and one, of all rows.

    Args:
        spec: of the env.
        policy: who acts in it.
        horizon: steps of a rollout, >= 1.
        allocate: gives the memory of the env's slots.

    Raises:
        UnsupportedError: the policy reads what the env does not give.
    """

    def __init__(self, spec: VectorEnvSpec, policy: Policy, horizon: int, allocate: Allocate) -> None:
        self.spec, self.horizon = spec, horizon
        self.slots = EnvBuffers.allocate(spec, horizon + 1, allocate)
        self.inputs = PolicyInputs.of(policy.inputs, spec, self.slots)
        self.action = no_action(spec.action, horizon, spec.rows)
        self.log_prob = aligned_zeros((horizon, spec.rows), np.float32)
        self.version = aligned_zeros((horizon, spec.rows), np.int64)
        self.outputs: dict[str, np.ndarray[Any, Any]] = {}
        self.final_outputs: dict[str, np.ndarray[Any, Any]] = {}

    def keep_outputs(self, t: int, rows: slice, outputs: dict[str, Array]) -> None:
        """Keep what the policy put out for some rows at step `t`."""
        for name, value in outputs.items():
            if name not in self.outputs:
                shape = (self.horizon, self.spec.rows, *value.shape[1:])
                self.outputs[name] = aligned_zeros(shape, value.dtype)
                self.final_outputs[name] = aligned_zeros(shape, value.dtype)
            self.outputs[name][t, rows] = value

    def begin(self, version: int) -> None:
        """Make room for a rollout that parameters of this version act in."""
        self.version[...] = version
        self.slots.active[1:] = True  # faults of the last rollout are past; envs whose agents come and go write it
        for final in self.final_outputs.values():
            final[...] = 0.0

    def poison(self) -> None:
        """Fill what the next rollout will write anew: NaN in floats, the largest number in integers.

        A view kept from the last rollout then shows, and so does an env that leaves out a part of its slot. Flags and
        slot 0, which goes on from the last rollout, stay as they are.
        """
        slots, spec = self.slots, self.spec
        stale: list[Tree] = [slots.reward[1:], self.log_prob, self.action, self.outputs]
        stale += [spec.observation.split(x) for x in (slots.observation[1:], slots.final_observation)]
        if spec.global_state is not None:
            assert slots.global_state is not None
            assert slots.final_global_state is not None
            stale += [spec.global_state.split(x) for x in (slots.global_state[1:], slots.final_global_state)]
        if slots.cost is not None:
            stale.append(slots.cost[1:])
        inputs = self.inputs.arrays
        stale += [map_tree(lambda x: x[1:], inputs[name]) for name in inputs if name.startswith("previous_")]
        for tree in stale:
            map_tree(_spoil, tree)

    def rollout(self, carry: Tree, last_outputs: dict[str, Array]) -> Rollout:
        """What was collected: views of these arrays."""
        slots = self.slots
        return {
            "inputs": self.inputs.whole(),
            "reset": self.inputs.reset,
            "carry": carry,
            "action": self.action,
            "outputs": self.outputs,
            "log_prob": self.log_prob,
            "version": self.version,
            "last_outputs": last_outputs,
            "final_outputs": self.final_outputs,
            "reward": slots.reward[1:],
            "terminated": slots.terminated[1:],
            "truncated": slots.truncated[1:],
            "active": slots.active[:-1],
        }


def _spoil(array: np.ndarray[Any, Any]) -> None:
    if array.dtype.kind != "b":
        array[...] = np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max
