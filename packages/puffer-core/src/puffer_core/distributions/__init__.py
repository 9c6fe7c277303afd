"""Action distributions over the outputs of a policy, written once over `ops`.

What a distribution gives is the policy's own action: choices counted from 0, int64; continuous actions as the
network means them. `to_env` turns those into what the env's space holds. Leading axes are free: `[T, N]`, usually.
"""

from __future__ import annotations

from puffer_core.distributions.actions import PARAMETERS, action_distribution, head_sizes, to_env
from puffer_core.distributions.families import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
)

__all__ = [
    "PARAMETERS",
    "Bernoulli",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "MultiCategorical",
    "action_distribution",
    "head_sizes",
    "to_env",
]
