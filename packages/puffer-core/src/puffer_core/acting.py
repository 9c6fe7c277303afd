"""Acting: from inputs of one step to an action, as one pure function that any engine compiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.contracts.policy import Policy
from puffer_core.distributions import PARAMETERS, action_distribution, to_env

Acted: TypeAlias = dict[str, Any]
"""`action`, `env_action` `[rows, ...]`, `log_prob` `[rows]`, `outputs` name to `[rows, ...]`, and the next `carry`."""

Actor: TypeAlias = Callable[[Params, Mapping[str, Array], Tree, Array, Rng], Acted]


def act(
    ops: Ops,
    params: Params,
    inputs: Mapping[str, Array],
    carry: Tree,
    reset: Array,
    rng: Rng,
    *,
    policy: Policy,
    deterministic: bool,
) -> Acted:
    """One step of a policy.

    Args:
        ops: the engine.
        params: of the policy.
        inputs: name to `[rows, ...]`, without a time axis.
        carry: recurrent state, arrays `[rows, ...]`.
        reset: bool `[rows]`, True where an episode starts with this step.
        rng: noise for sampling; not drawn from when deterministic.
        policy: whose step it is.
        deterministic: take the distribution's mode.
    """
    step = {name: value[None] for name, value in inputs.items()}
    outputs, carry = policy.apply(ops, params, step, carry, reset[None], None)
    layout = policy.interface.action
    distribution = action_distribution(ops, layout, outputs, step.get("action_mask"))
    action = distribution.mode() if deterministic else distribution.sample(rng)
    return {
        "action": action[0],
        "env_action": to_env(ops, layout, action)[0],
        "log_prob": distribution.log_prob(action)[0],
        "outputs": {name: value[0] for name, value in outputs.items() if name not in PARAMETERS},
        "carry": carry,
    }


def call_actor(
    actor: Actor,
    backend: Backend,
    params: Params,
    inputs: Mapping[str, Array],
    carry: Tree,
    reset: Array,
    rng: np.random.Generator,
) -> Acted:
    """Call an actor from the host: NumPy inputs in, NumPy results out; only the carry stays the engine's.

    Args:
        actor: made by `make_actor` for this backend.
        backend: the engine.
        params: its arrays.
        inputs: NumPy arrays, name to `[rows, ...]`.
        carry: the engine's arrays.
        reset: bool `[rows]`, NumPy.
        rng: noise; another engine is seeded from it at every call.
    """
    if backend.name == "numpy":
        return actor(params, inputs, carry, reset, rng)
    noise = backend.rng(int(rng.integers(2**63)))
    acted = actor(params, backend.to_device(dict(inputs)), carry, backend.to_device(reset), noise)
    carry = acted.pop("carry")
    return {**backend.to_numpy(acted), "carry": carry}


def make_actor(policy: Policy, backend: Backend, *, deterministic: bool = False) -> Actor:
    """`act` for one policy, compiled by `backend`."""
    return backend.compile(partial(act, policy=policy, deterministic=deterministic))
