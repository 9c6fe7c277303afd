"""The loss of PPO: clipped surrogate, value error, entropy bonus. Pure functions over `ops`."""

from __future__ import annotations

from typing import TypedDict

from jaxtyping import Bool, Float
from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Policy
from puffer_core.distributions import action_distribution

from puffer_ppo.config import PpoConfig


class Batch(TypedDict):
    """Transitions to learn from, `[time, rows, ...]`; `time` is 1 for policies without memory.

    Keys:
        inputs: what the policy read.
        reset: bool, True where an episode starts.
        action: as sampled.
        log_prob: of the action under the behaviour policy, nats.
        value: the behaviour policy's.
        advantage: normalised or not.
        target: what the value should be.
        weight: 1 for transitions that count, 0 for others, scaled to mean 1 over the rollout.
    """

    inputs: dict[str, Array]
    reset: Array
    action: Array
    log_prob: Array
    value: Array
    advantage: Array
    target: Array
    weight: Array


def ppo_loss(
    ops: Ops, params: Params, batch: Batch, carry: Tree, *, policy: Policy, config: PpoConfig
) -> tuple[Array, dict[str, Array]]:
    """`-L_CLIP + c1 L_VF - c2 S` (Schulman et al. 2017, eq. 7 and 9), averaged over transitions that count.

    Args:
        ops: the engine.
        params: of the policy.
        batch: one minibatch.
        carry: the policy's memory before the first step.
        policy: whose parameters they are.
        config: clip ranges and coefficients.

    Returns:
        The loss, and metrics without gradient. `policy/kl` is the k3 estimator of Schulman 2020, "Approximating KL divergence".
    """
    outputs, _ = policy.apply(ops, params, batch["inputs"], carry, batch["reset"], None)
    distribution = action_distribution(ops, policy.interface.action, outputs, batch["inputs"].get("action_mask"))
    weight = batch["weight"]
    log_ratio = distribution.log_prob(batch["action"]) - batch["log_prob"]
    ratio = ops.exp(log_ratio)
    policy_loss = -ops.mean(weight * surrogate(ops, ratio, batch["advantage"], clip=config.clip))
    value_loss = 0.5 * ops.mean(
        weight * value_error(ops, outputs["value"], batch["value"], batch["target"], clip=config.value_clip)
    )
    entropy = ops.mean(weight * distribution.entropy())
    loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    log_ratio, ratio = ops.stop_gradient(log_ratio), ops.stop_gradient(ratio)
    clipped = ops.astype(ops.abs(ratio - 1.0) > config.clip, ratio.dtype)
    metrics = {
        "loss/policy": policy_loss,
        "loss/value": value_loss,
        "policy/entropy": entropy,
        "policy/kl": ops.mean(weight * (ratio - 1.0 - log_ratio)),
        "policy/clip_fraction": ops.mean(weight * clipped),
    }
    return loss, metrics


def surrogate(
    ops: Ops, ratio: Float[Array, "T B"], advantage: Float[Array, "T B"], *, clip: float
) -> Float[Array, "T B"]:
    """The pessimistic bound of the policy's improvement (Schulman et al. 2017, eq. 7), before averaging.

    Args:
        ops: the engine.
        ratio: pi(a|s) / pi_old(a|s).
        advantage: in any unit.
        clip: epsilon, > 0.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> surrogate(numpy_ops, np.array([[1.5, 0.5]]), np.array([[1.0, -1.0]]), clip=0.2).tolist()
        [[1.2, -0.8]]
    """
    return ops.minimum(ratio * advantage, ops.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def value_error(
    ops: Ops,
    value: Float[Array, "T B"],
    old_value: Float[Array, "T B"],
    target: Float[Array, "T B"],
    *,
    clip: float | None,
) -> Float[Array, "T B"]:
    """Squared error of the value; with `clip`, the larger of that and of a value held near the old one.

    The clipped form is that of the original implementation (Engstrom et al. 2020, section 3).

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> value, old, target = (np.array([[x]]) for x in (2.0, 0.0, 3.0))
        >>> value_error(numpy_ops, value, old, target, clip=0.5).tolist()
        [[6.25]]
    """
    error = ops.square(value - target)
    if clip is None:
        return error
    near = old_value + ops.clip(value - old_value, -clip, clip)
    return ops.maximum(error, ops.square(near - target))


def normalize(ops: Ops, x: Float[Array, "T N"], active: Bool[Array, "T N"]) -> Float[Array, "T N"]:
    """`x` centred and scaled to deviation 1 over the entries that are active.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> normalize(numpy_ops, np.array([[1.0, 3.0, 9.0]]), np.array([[True, True, False]])).round(3).tolist()[0][:2]
        [-1.0, 1.0]
    """
    weight = ops.astype(active, x.dtype)
    count = ops.clip(ops.sum(weight), 1.0, float("inf"))
    centred = x - ops.sum(weight * x) / count
    deviation = ops.sqrt(ops.sum(weight * ops.square(centred)) / count)
    return centred / (deviation + 1e-8)
