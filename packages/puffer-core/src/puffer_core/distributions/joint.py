"""The distribution over a nested action: its leaves, independent of one another given the observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from jaxtyping import Float

from puffer_core.arrays import Array
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.distributions.families import Distribution


@dataclass(frozen=True)
class Joint:
    """Several distributions, each over one leaf of an action. An action is a dict, leaf name to array.

    The probability (or density) of an action is the product of its leaves': log-probabilities and entropies are sums.

    Args:
        ops: the engine.
        parts: leaf name to distribution, in leaf order.

    Example:
        >>> import numpy as np
        >>> from puffer_core.distributions import Categorical, DiagonalGaussian
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> gear = Categorical(numpy_ops, np.log([[0.2, 0.8]]))
        >>> speed = DiagonalGaussian(numpy_ops, np.zeros((1, 1)), np.zeros((1, 1)), ())
        >>> drive = Joint(numpy_ops, {"gear": gear, "speed": speed})
        >>> drive.mode()
        {'gear': array([1]), 'speed': array([0.])}
        >>> drive.log_prob({"gear": np.array([0]), "speed": np.array([0.0])}).round(4)  # log 0.2 - log(2 pi) / 2
        array([-2.5284])
    """

    ops: Ops
    parts: Mapping[str, Distribution]

    def sample(self, rng: Rng, /) -> dict[str, Array]:
        """Leaf name to `[*lead, *leaf]`. Each leaf has noise of its own, split from `rng` in leaf order."""
        noise = self.ops.split(rng, len(self.parts))
        return {name: part.sample(own) for (name, part), own in zip(self.parts.items(), noise, strict=True)}

    def mode(self) -> dict[str, Array]:
        """Leaf name to `[*lead, *leaf]`: the likeliest of each, which together are the likeliest."""
        return {name: part.mode() for name, part in self.parts.items()}

    def log_prob(self, action: Mapping[str, Array], /) -> Float[Array, "*lead"]:
        """Nats, over all leaves."""
        return reduce(add, (part.log_prob(action[name]) for name, part in self.parts.items()))

    def entropy(self) -> Float[Array, "*lead"]:
        """Nats, over all leaves."""
        return reduce(add, (part.entropy() for part in self.parts.values()))
