"""Running mean and variance, and what is scaled by them: pure functions over `ops`.

A policy keeps the moments of its observations, a trainer those of its returns, as parameters under `stats.`:
float32, saved with the rest. The arithmetic stays exact in float32 because only differences from a mean are summed.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Ops

Moments: TypeAlias = dict[str, Array]
"""`mean` and `variance` of one shape, and `count` `()`, the summed weight of what was seen."""

EPSILON = 1e-8
"""Added to a variance before its root: below a deviation of 1e-4 a quantity counts as constant."""

RESOLUTION = 1e-6
"""A deviation below this share of the mean is rounding noise of float32, not signal."""

_TINY = 1e-30


def moments_init(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Moments of nothing yet: normalising by them changes (almost) nothing.

    Example:
        >>> moments_init((2,))["variance"]
        array([1., 1.], dtype=float32)
    """
    return {
        "mean": np.zeros(shape, np.float32),
        "variance": np.ones(shape, np.float32),
        "count": np.zeros((), np.float32),
    }


def moments_update(
    ops: Ops, moments: Moments, batch: Float[Array, "*lead_and_shape"], weight: Float[Array, "*lead"] | None = None
) -> Moments:
    r"""Merge a batch into running moments (Chan, Golub and LeVeque 1979, eq. 2.1, here with weights).

    With `w` the batch's share of the new count and `d` the difference of the means,
    `mean += w d` and `variance += w (batch variance - variance) + w (1 - w) d^2`. The batch's own moments are taken
    about the running mean and corrected once, so that a mean far from 0 costs no precision.

    Args:
        ops: the engine.
        moments: of shape `[*shape]`.
        batch: `[*lead, *shape]`, finite wherever its weight is not 0.
        weight: `[*lead]`, >= 0; 0 leaves an entry out. All 1 by default.

    Returns:
        New moments; the variance is that of the population.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> moments = moments_update(numpy_ops, moments_init(()), np.array([1, 2, 3], np.float32))
        >>> float(moments["mean"]), round(float(moments["variance"]), 4), float(moments["count"])
        (2.0, 0.6667, 3.0)
    """
    mean, variance, count = moments["mean"], moments["variance"], moments["count"]
    lead = tuple(range(len(batch.shape) - len(mean.shape)))
    off = batch - mean
    if weight is None:
        weights, added = 1.0, float(math.prod(batch.shape[: len(lead)]))
    else:
        weights = ops.reshape(weight, (*weight.shape, *(1 for _ in mean.shape)))
        off = ops.where(weights > 0, off, 0.0)
        added = ops.sum(weight)
    total = count + added
    share = added / (total + _TINY)
    per_entry = weights / (added + _TINY)
    first = ops.sum(per_entry * off, axis=lead)
    off = off - first
    rest = ops.sum(per_entry * off, axis=lead)
    spread = ops.sum(per_entry * ops.square(off), axis=lead) - ops.square(rest)
    shift = first + rest
    return {
        "mean": mean + share * shift,
        "variance": variance + share * (spread - variance) + share * (1.0 - share) * ops.square(shift),
        "count": total,
    }


def normalise(
    ops: Ops, moments: Moments, x: Float[Array, "*lead_and_shape"], *, clip: float
) -> Float[Array, "*lead_and_shape"]:
    """`(x - mean) / deviation`, each feature by its own, bounded to +-`clip`.

    A feature that never varied divides by 1e-4, or by a millionth of its mean where that is more: its rounding
    noise stays noise.

    Args:
        ops: the engine.
        moments: of shape `[*shape]`.
        x: `[*lead, *shape]`.
        clip: bound of the result, in deviations, > 0.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> moments = {"mean": np.array(5.0), "variance": np.array(4.0), "count": np.array(9.0)}
        >>> normalise(numpy_ops, moments, np.array([3.0, 5.0, 99.0]), clip=10.0).round(3)
        array([-1.,  0., 10.])
    """
    mean = moments["mean"]
    deviation = ops.sqrt(moments["variance"] + (EPSILON + RESOLUTION**2 * ops.square(mean)))
    return ops.clip((x - mean) / deviation, -clip, clip)


def return_moments(
    ops: Ops,
    moments: Moments,
    running_return: Float[Array, " N"],
    reward: Float[Array, "T N"],
    done: Bool[Array, "T N"],
    gamma: float,
    active: Bool[Array, "T N"] | None = None,
) -> tuple[Moments, Float[Array, " N"]]:
    """Moments of the return up to now, `R[t] = reward[t] + gamma R[t-1]`, begun anew with each episode.

    Engstrom et al. 2020, "Implementation Matters in Deep Policy Gradients", section 3, as in OpenAI Baselines'
    `VecNormalize`. Rewards are divided by the deviation of R, for whose scale the value function then fits.

    Args:
        ops: the engine.
        moments: of R, shape `()`.
        running_return: R of each row after the last rollout, 0 where an episode ended there.
        reward: in the env's units.
        done: R begins anew after this step: an episode ended, however it ended, or lost its transition.
        gamma: discount of the trainer, 0..1.
        active: steps that count; others leave R as it is.

    Returns:
        The moments, and R after the last step, to hand in with the next rollout.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> reward, done = np.array([[1.0], [1.0], [1.0]]), np.array([[False], [True], [False]])
        >>> moments, carry = return_moments(numpy_ops, moments_init(()), np.zeros(1), reward, done, 0.5)
        >>> float(moments["mean"].round(4)), carry
        (1.1667, array([1.]))
    """
    goes_on = ops.astype(ops.logical_not(done), reward.dtype)
    before = ops.concat([ops.ones_like(goes_on[:1]), goes_on[:-1]], axis=0)
    decay, weight = gamma * before, None
    if active is not None:
        weight = ops.astype(active, reward.dtype)
        decay, reward = ops.where(active, decay, before), ops.where(active, reward, 0.0)
    returns = ops.linear_recurrence(decay, reward, running_return)
    return moments_update(ops, moments, returns, weight), returns[-1] * goes_on[-1]


def scale_reward(ops: Ops, moments: Moments, reward: Float[Array, "T N"], *, clip: float = 10.0) -> Float[Array, "T N"]:
    """`reward / deviation`, bounded to +-`clip`. Never centred: a shift would pay an agent for living or for dying.

    Args:
        ops: the engine.
        moments: of the discounted return, from `return_moments`.
        reward: in the env's units.
        clip: bound of the result, > 0; holds where returns hardly vary.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> moments = {"mean": np.array(50.0), "variance": np.array(4.0), "count": np.array(9.0)}
        >>> scale_reward(numpy_ops, moments, np.array([[1.0, -2.0]])).round(3)
        array([[ 0.5, -1. ]])
    """
    return ops.clip(reward / ops.sqrt(moments["variance"] + EPSILON), -clip, clip)
