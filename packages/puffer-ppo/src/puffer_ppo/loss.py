"""The loss of PPO: clipped surrogate, value error, entropy bonus. Pure functions over `ops`."""

from __future__ import annotations

from typing import TypedDict

from jaxtyping import Bool, Float

from puffer_core.arrays import Array, Params, Tree
from puffer_core.contracts.ops import Ops
from puffer_core.contracts.policy import Policy
from puffer_core.distributions import Distribution, action_distribution
from puffer_ppo.config import PpoConfig


class Batch(TypedDict):
    """Transitions to learn from, `[time, rows, ...]`; `time` is 1 for policies without memory.

    Keys:
        inputs: what the policy read; a nested observation or action is a dict by leaf name.
        reset: bool, True where an episode starts.
        action: as sampled.
        log_prob: of the action under the behaviour policy, nats.
        value: the behaviour policy's.
        advantage: normalised or not.
        target: what the value should be.
        weight: 1 for transitions that count, 0 for others, scaled to mean 1 over the rollout.
    """

    inputs: dict[str, Tree]
    reset: Array
    action: Tree
    log_prob: Array
    value: Array
    advantage: Array
    target: Array
    weight: Array


def ppo_loss(
    ops: Ops, params: Params, batch: Batch, carry: Tree, *, policy: Policy, config: PpoConfig
) -> tuple[Float[Array, ""], tuple[()]]:
    """`-L_CLIP + c1 L_VF - c2 S` (Schulman et al. 2017, eq. 7 and 9), averaged over transitions that count.

    Everything is added up per transition and averaged once, and nothing is computed for display: an engine that
    runs op by op spends its time on the number of ops, not on their size.

    Args:
        ops: the engine.
        params: of the policy.
        batch: one minibatch.
        carry: the policy's memory before the first step.
        policy: whose parameters they are.
        config: clip ranges and coefficients.

    Returns:
        The loss, and nothing beside it.
    """
    distribution, value, ratio = _evaluate(ops, params, batch, carry, policy)
    gain = surrogate(ops, ratio, batch["advantage"], clip=config.clip)
    error = value_error(ops, value, batch["value"], batch["target"], clip=config.value_clip)
    cost = (0.5 * config.value_coefficient) * error - gain
    if config.entropy_coefficient:
        cost = cost - config.entropy_coefficient * distribution.entropy()
    return ops.mean(batch["weight"] * cost), ()


def diagnose(
    ops: Ops, params: Params, batch: Batch, carry: Tree, *, policy: Policy, config: PpoConfig
) -> dict[str, Float[Array, ""]]:
    """What there is to watch: the parts of the loss, and how far the policy has moved from the one that acted.

    `policy/kl` is the estimator k3 of Schulman 2020, "Approximating KL divergence", in nats; `policy/clip_fraction`
    the share of transitions whose ratio has left the clip range.
    """
    distribution, value, ratio = _evaluate(ops, params, batch, carry, policy)
    terms = {
        "loss/policy": -surrogate(ops, ratio, batch["advantage"], clip=config.clip),
        "loss/value": 0.5 * value_error(ops, value, batch["value"], batch["target"], clip=config.value_clip),
        "policy/entropy": distribution.entropy(),
        "policy/kl": ratio - 1.0 - ops.log(ratio),
        "policy/clip_fraction": ops.astype(ops.abs(ratio - 1.0) > config.clip, ratio.dtype),
    }
    return {name: ops.mean(batch["weight"] * term) for name, term in terms.items()}


def _evaluate(ops: Ops, params: Params, batch: Batch, carry: Tree, policy: Policy) -> tuple[Distribution, Array, Array]:
    """The distribution, the value, and pi(a|s) / pi_old(a|s) of every transition."""
    outputs, _ = policy.apply(ops, params, batch["inputs"], carry, batch["reset"], None)
    distribution = action_distribution(ops, policy.interface.action, outputs, batch["inputs"].get("action_mask"))
    return distribution, outputs["value"], ops.exp(distribution.log_prob(batch["action"]) - batch["log_prob"])


def surrogate(
    ops: Ops, ratio: Float[Array, "T B"], advantage: Float[Array, "T B"], *, clip: float
) -> Float[Array, "T B"]:
    """The pessimistic bound of the policy's improvement (Schulman et al. 2017, eq. 7), before averaging.

    Of the two ends of the clip range only one can bind, by the advantage's sign: `min(r A, (1 + sign(A) epsilon) A)`
    is the same number (Achiam 2018, "Simplified PPO-Clip Objective"), with half of the ops differentiated.

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
    bound = advantage + clip * ops.abs(advantage)
    return ops.minimum(ratio * advantage, bound)


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
