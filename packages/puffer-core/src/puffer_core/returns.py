"""Returns and advantages, each one linear recurrence over time.

All take `discount`, gamma where the episode goes on and 0 where it ended, which `discount_and_bootstrap` makes
from flags. T steps of any number of rows; `value` has T+1 entries, the last of which bootstraps: no step is wasted.

`active` marks transitions that count. An inactive one has advantage 0 and nothing flows through it: the step before
bootstraps from the value there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Bool, Float

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Ops
from puffer_core.errors import ShapeError


class Advantages(NamedTuple):
    """What actor and critic learn from, without gradients.

    Args:
        advantage: `[T, N]`, in reward units.
        target: of the value function, `[T, N]`, in reward units.
    """

    advantage: Array
    target: Array


def discount_and_bootstrap(
    ops: Ops,
    reward: Float[Array, "T *N"],
    terminated: Bool[Array, "T *N"],
    truncated: Bool[Array, "T *N"],
    final_value: Float[Array, "T *N"],
    gamma: float,
) -> tuple[Float[Array, "T *N"], Float[Array, "T *N"]]:
    """Flags as arithmetic: rewards that hold the bootstrap of truncated episodes, and discounts.

    Pardo et al. 2018, "Time Limits in Reinforcement Learning", eq. 6: a time limit is no property of the state, so what
    lies beyond it counts.

    Args:
        ops: the engine.
        reward: of each step.
        terminated: the step ended the episode in a terminal state; wins over `truncated`.
        truncated: the step ended the episode for another reason.
        final_value: value of the episode's last observation where it was truncated; not read elsewhere.
        gamma: discount of one step, 0..1.

    Returns:
        `reward`, plus `gamma * final_value` where truncated; and `discount`: gamma, 0 where an episode ended.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> ends, reward = np.array([[False], [True]]), np.ones((2, 1))
        >>> reward, discount = discount_and_bootstrap(numpy_ops, reward, ~ends & ends, ends, 10 * reward, 0.9)
        >>> reward.tolist(), discount.tolist()
        ([[1.0], [10.0]], [[0.9], [0.0]])
    """
    goes_on = ops.logical_not(ops.logical_or(terminated, truncated))
    bootstraps = ops.logical_and(truncated, ops.logical_not(terminated))
    return reward + gamma * ops.where(bootstraps, final_value, 0.0), gamma * ops.astype(goes_on, reward.dtype)


def gae(
    ops: Ops,
    value: Float[Array, "steps_and_one *N"],
    reward: Float[Array, "T *N"],
    discount: Float[Array, "T *N"],
    *,
    lambda_: float,
    active: Bool[Array, "T *N"] | None = None,
) -> Advantages:
    r"""Generalised advantage estimates.

    `A[t] = delta[t] + discount[t] lambda A[t+1]`, `delta[t] = reward[t] + discount[t] value[t+1] - value[t]`
    (Schulman et al. 2016, eq. 16). The target is `A + value`, the lambda-return.

    Args:
        ops: the engine.
        value: estimates at steps 0..T, in reward units; the last bootstraps.
        reward: of steps 0..T-1.
        discount: gamma, 0 where the episode ended with the step.
        lambda_: 0..1. Larger: less bias from the value function, more variance.
        active: transitions that count; all by default.

    Returns:
        Advantages and targets `[T, N]`, gradients stopped.

    Raises:
        ShapeError: `value` is not one step longer than `reward`, or `discount` has another shape.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> value, ones = np.zeros((3, 1)), np.ones((2, 1))
        >>> gae(numpy_ops, value, ones, 0.5 * ones, lambda_=1.0).advantage.tolist()
        [[1.5], [1.0]]
    """
    _check(value, reward, discount)
    value, reward, discount = ops.stop_gradient(value), ops.stop_gradient(reward), ops.stop_gradient(discount)
    delta = reward + discount * value[1:] - value[:-1]
    advantage = _accumulate(ops, discount * lambda_, delta, active)
    return Advantages(advantage, advantage + value[:-1])


def vtrace(
    ops: Ops,
    value: Float[Array, "steps_and_one *N"],
    reward: Float[Array, "T *N"],
    discount: Float[Array, "T *N"],
    log_ratio: Float[Array, "T *N"],
    *,
    lambda_: float = 1.0,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
    active: Bool[Array, "T *N"] | None = None,
) -> Advantages:
    r"""V-trace targets and advantages, for actions that another policy took.

    With `rho = min(rho_clip, ratio)`, `c = lambda min(c_clip, ratio)` and `delta[t] = rho[t] (reward[t] + discount[t]
    value[t+1] - value[t])`, the target is `v[t] = value[t] + delta[t] + discount[t] c[t] (v[t+1] - value[t+1])`
    (Espeholt et al. 2018, eq. 1 and remark 1; their gamma is our `discount`). The advantage is
    `rho[t] (reward[t] + discount[t] (lambda v[t+1] + (1 - lambda) value[t+1]) - value[t])`: section 4.2 with lambda
    as in rlax, by which it equals GAE on policy. It holds the ratio already: multiply the score by it, and by no
    further ratio.

    Args:
        ops: the engine.
        value: estimates at steps 0..T, in reward units; the last bootstraps.
        reward: of steps 0..T-1.
        discount: gamma, 0 where the episode ended with the step.
        log_ratio: log pi(a|x) - log mu(a|x), nats; mu is the policy that acted.
        lambda_: 0..1. Larger: less bias from the value function, more variance.
        rho_clip: bound of the ratio in `delta`, > 0; decides which policy the value is of. Larger: less bias, more
            variance.
        c_clip: bound of the ratio along the trace, > 0, at most `rho_clip`. Larger: faster spread, more variance.
        active: transitions that count; all by default.

    Returns:
        Advantages and targets `[T, N]`, gradients stopped.

    Raises:
        ShapeError: `value` is not one step longer than `reward`, or another argument has another shape.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> value, ones = np.zeros((3, 1)), np.ones((2, 1))
        >>> vtrace(numpy_ops, value, ones, 0.5 * ones, np.log(0.5 * ones)).target.tolist()
        [[0.625], [0.5]]
    """
    _check(value, reward, discount, log_ratio)
    value, reward, discount = ops.stop_gradient(value), ops.stop_gradient(reward), ops.stop_gradient(discount)
    log_ratio = ops.stop_gradient(log_ratio)
    rho = ops.exp(ops.clip(log_ratio, -math.inf, math.log(rho_clip)))  # clipped first: a large ratio overflows
    c = rho if c_clip == rho_clip else ops.exp(ops.clip(log_ratio, -math.inf, math.log(c_clip)))
    delta = reward + discount * value[1:] - value[:-1]
    correction = _accumulate(ops, discount * (lambda_ * c), rho * delta, active)
    beyond = ops.concat([correction[1:], ops.zeros_like(correction[:1])], axis=0)
    advantage = _only_active(ops, rho * (delta + discount * (lambda_ * beyond)), active)
    return Advantages(advantage, correction + value[:-1])


def lambda_returns(
    ops: Ops,
    value: Float[Array, "steps_and_one *N"],
    reward: Float[Array, "T *N"],
    discount: Float[Array, "T *N"],
    *,
    lambda_: float,
    active: Bool[Array, "T *N"] | None = None,
) -> Float[Array, "T *N"]:
    r"""TD(lambda) returns, differentiable: what a policy inside a world model climbs.

    `G[t] = reward[t] + discount[t] ((1 - lambda) value[t+1] + lambda G[t+1])`, `G[T] = value[T]`
    (Sutton and Barto 2018, eq. 12.18; Hafner et al. 2020, eq. 6).

    Args:
        ops: the engine.
        value: estimates at steps 0..T, in reward units; the last bootstraps.
        reward: of steps 0..T-1.
        discount: gamma, 0 where the episode ended with the step.
        lambda_: 0..1; 0 gives one-step targets, 1 the discounted return with a bootstrap at its end (Monte Carlo's
            where `value` is 0).
        active: transitions that count; where False, `G[t] = value[t]`.

    Raises:
        ShapeError: `value` is not one step longer than `reward`, or `discount` has another shape.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> value, ones = np.full((3, 1), 4.0), np.ones((2, 1))
        >>> lambda_returns(numpy_ops, value, ones, 0.5 * ones, lambda_=1.0).tolist()
        [[2.5], [3.0]]
    """
    _check(value, reward, discount)
    increment = reward + discount * value[1:] * (1.0 - lambda_)
    decay = discount * lambda_
    if active is not None:
        increment, decay = ops.where(active, increment, value[:-1]), ops.where(active, decay, 0.0)
    return ops.linear_recurrence(decay, increment, value[-1], reverse=True)


def _accumulate(ops: Ops, decay: Array, increment: Array, active: Array | None) -> Array:
    decay, increment = _only_active(ops, decay, active), _only_active(ops, increment, active)
    return ops.linear_recurrence(decay, increment, ops.zeros_like(increment[0]), reverse=True)


def _only_active(ops: Ops, x: Array, active: Array | None) -> Array:
    return x if active is None else ops.where(active, x, 0.0)


def _check(value: Array, reward: Array, *others: Array) -> None:
    if value.shape[0] != reward.shape[0] + 1 or value.shape[1:] != reward.shape[1:]:
        raise ShapeError(
            f"reward is {tuple(reward.shape)}, value is {tuple(value.shape)}; value needs the same rows and one more "
            "step, to bootstrap from"
        )
    for other in others:
        if other.shape != reward.shape:
            raise ShapeError(
                f"reward is {tuple(reward.shape)}, discount or log_ratio {tuple(other.shape)}; expected equal"
            )
