"""Action distributions over the outputs of a policy, written once over `ops`.

What a distribution gives is the policy's own action: choices counted from 0, int64; continuous actions as the
network means them; of a nested space a dict of those, by leaf name. `to_env` turns them into what the env's space
holds. Leading axes are free: `[T, N]`, usually.
"""

from __future__ import annotations

from puffer_core.distributions.actions import PARAMETERS, action_distribution, head_sizes, is_parameter
from puffer_core.distributions.execution import to_env
from puffer_core.distributions.families import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
)
from puffer_core.distributions.joint import Joint

__all__ = [
    "PARAMETERS",
    "Bernoulli",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "Joint",
    "MultiCategorical",
    "action_distribution",
    "head_sizes",
    "is_parameter",
    "to_env",
]
