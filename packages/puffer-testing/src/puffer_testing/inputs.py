"""Inputs for a policy, drawn from the spaces that it stands between."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Tree
from puffer_core.collection.policy_inputs import no_action
from puffer_core.contracts.policy import Policy


def sampled_inputs(policy: Policy, steps: int, rows: int) -> dict[str, Tree]:
    """What a policy reads, `[steps, rows, ...]`: observations of its space, no action before, rewards of 1."""
    layout = policy.interface.observation
    layout.space.seed(0)
    observations = np.zeros((steps, rows, *layout.shape), layout.dtype)
    for place in np.ndindex(steps, rows):
        layout.encode(layout.space.sample(), observations[(*place, ...)])
    known: dict[str, Tree] = {
        "observation": layout.split(observations),
        "previous_action": no_action(policy.interface.action, steps, rows),
        "previous_reward": np.ones((steps, rows), np.float32),
    }
    return {name: known[name] for name in policy.inputs}
