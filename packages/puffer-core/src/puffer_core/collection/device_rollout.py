"""A rollout in a device env as pure functions over `ops`: `Backend.compile` makes one program of each.

Between rollouts there is a `State`: `env`, the env's own; `inputs`, what the policy reads next, name to `[rows, ...]`;
`carry`, its memory; `live`, whether an episode starts (`reset`) and whether the row acts (`active`), bool `[rows]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Int64

from puffer_core.arrays import Array, Params, Tree, map_tree
from puffer_core.collection.acting import act
from puffer_core.collection.device_calls import call_reset, call_step
from puffer_core.collection.policy_inputs import no_action
from puffer_core.contracts.env import DeviceEnv, VectorEnvSpec
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Rollout

State: TypeAlias = dict[str, Any]
Steps: TypeAlias = dict[str, Any]


def start(ops: Ops, rng: Rng, *, env: DeviceEnv, policy: Policy, names: Sequence[str]) -> State:
    """The state before the first rollout: every row at the start of an episode.

    Args:
        ops: the engine.
        rng: noise of the env's reset.
        env: that is collected from.
        policy: who acts.
        names: of the inputs that it reads.

    Raises:
        EnvError: see `call_reset`.
    """
    spec = env.spec
    begun = call_reset(env, ops, rng)
    given = {
        "observation": begun.observation,
        "action_mask": begun.extras.get("action_mask"),
        "global_state": _by_row(ops, spec, begun.extras.get("global_state")),
        "previous_action": map_tree(ops.asarray, no_action(spec.action, spec.rows)),
        "previous_reward": ops.zeros((spec.rows,)),
    }
    everywhere = ops.ones((spec.rows,), dtype=ops.bool)
    return {
        "env": begun.state,
        "inputs": {name: given[name] for name in names},
        "carry": map_tree(ops.asarray, policy.initial_carry(spec.rows)),
        "live": {"reset": everywhere, "active": begun.extras.get("active", everywhere)},
    }


def collect(
    ops: Ops,
    params: Params,
    state: State,
    version: Int64[Array, ""],
    rng: Rng,
    *,
    env: DeviceEnv,
    policy: Policy,
    horizon: int,
) -> tuple[Rollout, State]:
    """The next `horizon` steps of every row, and the state after them; each device takes its share of the rows.

    Args:
        ops: the engine.
        params: that act.
        state: after the last rollout, or from `start`.
        version: number of the rollout.
        rng: noise of acting and of the env.
        env: that is collected from.
        policy: who acts.
        horizon: T, >= 1.
    """
    carry, rows = state["carry"], env.spec.rows
    state = map_tree(lambda x: ops.spread(x, axis=0) if x.shape[:1] == (rows,) else x, state)
    walk = partial(_step, ops, params, env=env, policy=policy)
    (state, rng), steps = ops.scan(walk, (state, rng), (), length=horizon)
    evaluate = partial(_evaluate, ops, params, policy=policy, rng=rng)
    return {
        "inputs": map_tree(partial(_append, ops), steps["inputs"], state["inputs"]),
        "reset": _append(ops, steps["live"]["reset"], state["live"]["reset"]),
        "carry": carry,
        "action": steps["action"],
        "outputs": steps["outputs"],
        "log_prob": steps["log_prob"],
        "version": ops.broadcast_to(version, (horizon, rows)),
        "last_outputs": evaluate(state["inputs"], state["carry"], state["live"]["reset"]),
        "final_outputs": _final_outputs(ops, steps, evaluate),
        "reward": steps["reward"],
        "terminated": steps["terminated"],
        "truncated": steps["truncated"],
        "active": steps["live"]["active"],
    }, state


def _step(
    ops: Ops, params: Params, before: tuple[State, Rng], _: Tree, *, env: DeviceEnv, policy: Policy
) -> tuple[tuple[State, Rng], Steps]:
    """One step of every row: the state after it, and what is kept of it."""
    state, rng = before
    rng, choice, chance = ops.split(rng, 3)
    inputs, live = state["inputs"], state["live"]
    acted = act(ops, params, inputs, state["carry"], live["reset"], choice, policy=policy, deterministic=False)
    outcome = call_step(env, ops, state["env"], acted["env_action"], chance)
    reward = ops.astype(outcome.reward, ops.float32)
    begins = ops.logical_or(ops.logical_or(outcome.terminated, outcome.truncated), ops.logical_not(live["active"]))
    extras, spec = outcome.extras, env.spec
    ends_with = {
        "observation": outcome.final_observation,
        "action_mask": extras.get("action_mask"),
        "global_state": _by_row(ops, spec, extras.get("final_global_state")),
        "previous_action": acted["action"],
        "previous_reward": reward,
    }
    goes_on_with = ends_with | {
        "observation": outcome.observation,
        "global_state": _by_row(ops, spec, extras.get("global_state")),
        "previous_action": map_tree(lambda x: ops.where(_beside(ops, begins, x), 0, x), acted["action"]),
        "previous_reward": ops.where(begins, 0.0, reward),
    }
    after = {
        "env": outcome.state,
        "inputs": {name: goes_on_with[name] for name in inputs},
        "carry": acted["carry"],
        "live": {"reset": begins, "active": extras.get("active", live["active"])},
    }
    steps = {name: acted[name] for name in ("action", "outputs", "log_prob", "carry")}
    steps |= {"inputs": inputs, "live": live, "reward": reward}
    steps |= {"terminated": outcome.terminated, "truncated": outcome.truncated}
    return (after, rng), steps | {"ends_with": {name: ends_with[name] for name in inputs}}


def _evaluate(
    ops: Ops, params: Params, inputs: dict[str, Tree], carry: Tree, reset: Array, *, policy: Policy, rng: Rng
) -> dict[str, Array]:
    """What the policy puts out beside its distribution's parameters, name to `[rows, ...]`."""
    acted = act(ops, params, inputs, carry, reset, rng, policy=policy, deterministic=True)
    outputs: dict[str, Array] = acted["outputs"]
    return outputs


def _final_outputs(ops: Ops, steps: Steps, evaluate: Any) -> dict[str, Array]:
    """The policy's outputs where episodes were truncated, 0 elsewhere, name to `[T, rows, ...]`.

    Turn `i` evaluates every row at its `i`-th truncation. Rarely does a row have two of them in one rollout, so this
    costs as much as one step where some episode was truncated, and nothing where none was.
    """
    found = {name: ops.zeros_like(x) for name, x in steps["outputs"].items()}
    if not found:
        return found
    truncated: Bool[Array, "T rows"] = steps["truncated"]
    length, rows = truncated.shape
    number = ops.cumulative_sum(ops.astype(truncated, ops.int32), axis=0)
    last_number = ops.max(number)
    ended = {"inputs": steps["ends_with"], "carry": steps["carry"]}
    nowhere = ops.zeros((rows,), dtype=ops.bool)

    def turn(state: tuple[Any, dict[str, Array]]) -> tuple[Any, dict[str, Array]]:
        count, found = state
        here = ops.logical_and(truncated, number == count + 1)
        index = ops.argmax(ops.astype(here, ops.int32), axis=0) * rows + ops.arange(rows)
        at = map_tree(lambda x: ops.take(ops.reshape(x, (length * rows, *x.shape[2:])), index, axis=0), ended)
        outputs = evaluate(at["inputs"], at["carry"], nowhere)
        return count + 1, {name: ops.where(_beside(ops, here, x), outputs[name][None], x) for name, x in found.items()}

    _, found = ops.while_loop(lambda state: state[0] < last_number, turn, (0, found))
    return found


def _append(ops: Ops, steps: Array, last: Array) -> Array:
    return ops.concat([steps, last[None]], axis=0)


def _beside(ops: Ops, flags: Array, x: Array) -> Array:
    """Flags with axes to broadcast against `x`, which begins with theirs."""
    return ops.reshape(flags, (*flags.shape, *(1,) * (len(x.shape) - len(flags.shape))))


def _by_row(ops: Ops, spec: VectorEnvSpec, state: Array | None) -> Array | None:
    """The global state of each row's environment."""
    if state is None or spec.rows == spec.num_envs:
        return state
    return ops.take(state, ops.asarray(np.asarray(spec.row_env)), axis=0)
