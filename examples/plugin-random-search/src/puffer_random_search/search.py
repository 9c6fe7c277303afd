"""What random search computes: candidates, and what they are worth. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Params, is_trainable
from puffer_core.contracts.trainer import Rollout


def perturbed(params: Params, rng: np.random.Generator, noise: float) -> Params:
    """Parameters in the neighbourhood, `noise` standard deviations wide; statistics (`stats.`) stay as they are."""
    names = sorted(filter(is_trainable, params))
    near = {name: params[name] + noise * rng.standard_normal(np.shape(params[name]), np.float32) for name in names}
    return params | near


def mean_return(rollout: Rollout) -> float:
    """Reward an episode, in the env's units; an episode that goes on after the rollout counts as one too.

    Example:
        >>> rollout = {"reward": np.ones((4, 1)), "truncated": np.zeros((4, 1), bool)}
        >>> rollout["terminated"] = np.array([[False], [True], [False], [False]])
        >>> mean_return(rollout)
        2.0
    """
    ended = rollout["terminated"] | rollout["truncated"]
    return float(rollout["reward"].sum() / (ended.sum() + ended.shape[1]))
