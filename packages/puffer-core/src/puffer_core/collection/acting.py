"""Acting: from inputs of one step to an action, as one pure function that any engine compiles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.contracts.policy import Policy
from puffer_core.distributions import action_distribution, is_parameter, to_env

Acted: TypeAlias = dict[str, Any]
"""`action` `[rows, ...]`, or a dict by leaf name for a nested space; `env_action` `[rows, *layout.shape]`, what a
`VectorEnv` is given; `log_prob` `[rows]`; `outputs`, name to `[rows, ...]`; and the next `carry`."""


def act(
    ops: Ops,
    params: Params,
    inputs: Mapping[str, Tree],
    carry: Tree,
    reset: Array,
    rng: Rng,
    *,
    policy: Policy,
    deterministic: bool,
) -> Acted:
    """One step of a policy; `env_action` is still nested like the action.

    Args:
        ops: the engine.
        params: of the policy.
        inputs: name to `[rows, ...]`, without a time axis; a nested observation or action is a dict of those.
        carry: recurrent state, arrays `[rows, ...]`.
        reset: bool `[rows]`, True where an episode starts with this step.
        rng: noise for sampling; not drawn from when deterministic.
        policy: whose step it is.
        deterministic: take the distribution's mode.
    """
    step = {name: _with_time(value) for name, value in inputs.items()}
    outputs, carry = policy.apply(ops, params, step, carry, reset[None], None)
    layout = policy.interface.action
    distribution = action_distribution(ops, layout, outputs, step.get("action_mask"))
    action = distribution.mode() if deterministic else distribution.sample(rng)
    return {
        "action": _first(action),
        "env_action": _first(to_env(ops, layout, action)),
        "log_prob": distribution.log_prob(action)[0],
        "outputs": {name: value[0] for name, value in outputs.items() if not is_parameter(name)},
        "carry": carry,
    }


def _with_time(value: Tree) -> Tree:
    return {name: leaf[None] for name, leaf in value.items()} if isinstance(value, dict) else value[None]


def _first(value: Tree) -> Tree:
    return {name: leaf[0] for name, leaf in value.items()} if isinstance(value, dict) else value[0]


class Actor:
    """A policy that acts on one engine, asked from the host: NumPy in, NumPy out; only the carry stays the engine's.

    Args:
        policy: who acts.
        backend: the engine.
        deterministic: take the distribution's mode instead of sampling.
    """

    def __init__(self, policy: Policy, backend: Backend, *, deterministic: bool = False) -> None:
        self.policy, self.backend = policy, backend
        self._act = backend.compile(partial(act, policy=policy, deterministic=deterministic))

    def __call__(
        self, params: Params, inputs: Mapping[str, Tree], carry: Tree, reset: Array, rng: np.random.Generator
    ) -> Acted:
        """One step of every row; `env_action` is in rows of the action layout, whatever the space.

        Args:
            params: of the policy, the engine's arrays.
            inputs: NumPy arrays, name to `[rows, ...]`, or to a dict of those by leaf name.
            carry: the engine's arrays.
            reset: bool `[rows]`, NumPy.
            rng: noise; another engine is seeded from it at every call.
        """
        backend = self.backend
        if backend.name == "numpy":
            acted: Acted = self._act(params, inputs, carry, reset, rng)
        else:
            noise = backend.rng(int(rng.integers(2**63)))
            acted = self._act(params, backend.to_device(inputs), carry, backend.to_device(reset), noise)
            carry = acted.pop("carry")
            acted = {**backend.to_numpy(acted), "carry": carry}
        layout = self.policy.interface.action
        if layout.is_nested:
            acted["env_action"] = layout.join(acted["env_action"])
        return acted
