"""One update of PPO as a pure function: from a rollout to new parameters. `Backend.compile` makes it fast."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from jaxtyping import Float, Int

from puffer_core.arrays import Array, Params, Tree, map_tree, named_leaves
from puffer_core.contracts.backend import Optimizer, OptimizerState
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Policy
from puffer_core.contracts.trainer import Rollout
from puffer_core.nonfinite import FINITE, GRADIENT, LOSS, all_finite
from puffer_core.normalisers import return_moments, scale_reward
from puffer_core.returns import discount_and_bootstrap, gae
from puffer_ppo.config import PpoConfig
from puffer_ppo.loss import Batch, diagnose, normalize, ppo_loss

REWARD_STATS = "stats.reward."

Learned: TypeAlias = tuple[Params, OptimizerState]
State: TypeAlias = tuple[Any, Learned, Array, Array]
"""Epochs done, what was learned, mean loss and gradient norm of the last epoch, the divergence after it."""


def update(
    ops: Ops,
    params: Params,
    optimizer_state: OptimizerState,
    running_return: Float[Array, " N"],
    rollout: Rollout,
    order: Int[Array, "epochs minibatches size"],
    learning_rate: Any,
    *,
    policy: Policy,
    config: PpoConfig,
    optimizer: Optimizer,
) -> tuple[Params, OptimizerState, Array, dict[str, Array]]:
    """Learn from one rollout: every epoch, every minibatch.

    Args:
        ops: the engine.
        params: of the policy; consumed.
        optimizer_state: consumed.
        running_return: discounted return of each row up to now, for reward scaling; consumed.
        rollout: what was collected.
        order: indices of sequences, drawn by the caller so that engines agree. A sequence is a transition, or a
            row's whole rollout for a policy with memory.
        learning_rate: of this update.
        policy: whose parameters they are.
        config: the options.
        optimizer: of the engine.

    Returns:
        Parameters, optimizer state, running return, and metrics. They are taken once, after learning, on the
        last minibatch: a random part of the rollout. `FINITE` is among them: whether losses, gradients and parameters
        all were.
    """
    params, running_return, reward = _scale(ops, params, running_return, rollout, config)
    batch, explained_variance = make_batch(ops, rollout, reward, config)
    watch = partial(diagnose, ops, policy=policy, config=config)
    part = partial(_part, ops, batch, rollout["carry"])
    start = params, optimizer_state
    (params, optimizer_state), watched = _learn(
        ops, start, part, watch, order, learning_rate, policy=policy, config=config, optimizer=optimizer
    )
    metrics = watch(params, *part(order[-1, -1]))
    metrics |= {LOSS: watched[0], GRADIENT: watched[1], "policy/explained_variance": explained_variance}
    inputs = map_tree(lambda x: x[:-1], rollout["inputs"])
    params = policy.update_stats(ops, params, inputs, ops.astype(rollout["active"], reward.dtype))
    metrics[FINITE] = all_finite(ops, metrics, params)
    return params, optimizer_state, running_return, metrics


def _learn(
    ops: Ops,
    start: Learned,
    part: Callable[[Array], tuple[Batch, Tree]],
    watch: Callable[..., dict[str, Array]],
    order: Int[Array, "epochs minibatches size"],
    learning_rate: Any,
    *,
    policy: Policy,
    config: PpoConfig,
    optimizer: Optimizer,
) -> tuple[Learned, Float[Array, " 2"]]:
    """Every epoch and minibatch; what was learned, and the mean loss and gradient norm of the last epoch.

    Those two are not finite where any epoch's were not.
    """
    gradient = ops.value_and_grad(partial(ppo_loss, ops, policy=policy, config=config))

    def minibatch(learned: Learned, index: Array) -> tuple[Learned, Array]:
        (loss, _), gradients = gradient(learned[0], *part(index))
        gradients, norm = ops.clip_by_global_norm(gradients, config.max_grad_norm)
        return optimizer.apply(learned[0], gradients, learned[1], learning_rate), ops.stack([loss, norm], axis=0)

    def epoch(state: State) -> State:
        number, learned, watched, kl = state
        learned, seen = ops.scan(minibatch, learned, order[number])
        if config.target_kl is not None:
            kl = watch(learned[0], *part(order[number, -1]))["policy/kl"]
        return number + 1, learned, ops.mean(seen, axis=0) + 0.0 * watched, kl

    def goes_on(state: State) -> Any:
        more = state[0] < config.epochs
        return more if config.target_kl is None else more & (state[3] <= config.target_kl)

    _, learned, watched, _ = ops.while_loop(goes_on, epoch, (0, start, ops.zeros((2,)), ops.zeros(())))
    return learned, watched


def _part(ops: Ops, batch: Batch, carry: Tree, index: Array) -> tuple[Batch, Tree]:
    """The sequences of these indices, with the memory that they begin with; each device takes its share of them."""
    index = ops.spread(index, axis=0)
    part: Batch = map_tree(lambda x: ops.take(x, index, axis=1), batch)
    return part, map_tree(lambda x: ops.take(x, index, axis=0), carry)


def make_batch(ops: Ops, rollout: Rollout, reward: Float[Array, "T N"], config: PpoConfig) -> tuple[Batch, Array]:
    """A rollout as transitions with advantages and targets, and the value's explained variance.

    Shapes are `[T, N, ...]` for a policy with memory, else `[1, T * N, ...]`: without memory every transition is a
    sequence of its own.
    """
    value = rollout["outputs"]["value"]
    reward, discount = discount_and_bootstrap(
        ops, reward, rollout["terminated"], rollout["truncated"], rollout["final_outputs"]["value"], config.gamma
    )
    values = ops.concat([value, rollout["last_outputs"]["value"][None]], axis=0)
    active = rollout["active"]
    estimate = gae(ops, values, reward, discount, lambda_=config.gae_lambda, active=active)
    advantage = normalize(ops, estimate.advantage, active) if config.normalize_advantage else estimate.advantage
    weight = ops.astype(active, value.dtype)
    batch: Batch = {
        "inputs": map_tree(lambda x: x[:-1], rollout["inputs"]),
        "reset": rollout["reset"][:-1],
        "action": rollout["action"],
        "log_prob": rollout["log_prob"],
        "value": value,
        "advantage": advantage,
        "target": estimate.target,
        "weight": weight / ops.clip(ops.mean(weight), 1e-8, 1.0),
    }
    explained = 1.0 - _variance(ops, estimate.target - value, weight) / (_variance(ops, estimate.target, weight) + 1e-8)
    if not any(named_leaves(rollout["carry"])):
        steps, rows = value.shape
        batch = map_tree(lambda x: ops.reshape(x, (1, steps * rows, *x.shape[2:])), batch)
    return batch, explained


def _scale(
    ops: Ops, params: Params, running_return: Array, rollout: Rollout, config: PpoConfig
) -> tuple[Params, Array, Array]:
    """The rollout's rewards in units of the discounted return's deviation, and what follows that deviation."""
    reward = rollout["reward"]
    if not config.normalize_reward:
        return params, running_return, reward
    moments = {name: params[REWARD_STATS + name] for name in ("mean", "variance", "count")}
    moments, running_return = return_moments(
        ops, moments, running_return, reward, rollout["reset"][1:], config.gamma, rollout["active"]
    )
    params = params | {REWARD_STATS + name: value for name, value in moments.items()}
    return params, running_return, scale_reward(ops, moments, reward)


def _variance(ops: Ops, x: Array, weight: Array) -> Array:
    count = ops.clip(ops.sum(weight), 1.0, float("inf"))
    mean = ops.sum(weight * x) / count
    return ops.sum(weight * ops.square(x - mean)) / count
