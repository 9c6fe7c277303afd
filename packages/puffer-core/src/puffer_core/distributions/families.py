"""The families of distributions, each over the last axis of its parameters; leading axes are free."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Integer

from puffer_core.arrays import Array, Tree
from puffer_core.contracts.ops import Ops, Rng

INVALID_LOGIT = -1e38
"""Stands in for the logit of an action that is masked. Finite, so that neither `0 * log p` nor a row without any
valid action gives NaN; below every logit of a network, so that the action's probability is exactly 0."""

ABSENT_LOGIT = -3e38
"""Where `MultiCategorical` pads a shorter choice: below `INVALID_LOGIT`, so that a choice whose options are all masked
is still one of its own."""

FIXED_LOGIT = 1e4
"""Log odds of a bit that a mask fixes at 1, and negated at 0: certain, and small enough that `p * logit` vanishes."""

_TINY = 1e-37
_LOG_2_PI = math.log(2 * math.pi)


@runtime_checkable
class Distribution(Protocol):
    """What an action is drawn from; `[*lead]` are the leading axes of the policy's outputs."""

    def sample(self, rng: Rng, /) -> Tree:
        """An action for every row, `[*lead, *action]`, or a dict of leaves. Draws from `rng` once."""
        ...

    def mode(self) -> Tree:
        """The likeliest action of every row."""
        ...

    def log_prob(self, action: Tree, /) -> Array:
        """`[*lead]`, nats, summed over the elements of an action. A density where actions are continuous."""
        ...

    def entropy(self) -> Array:
        """`[*lead]`, nats, summed over the elements of an action."""
        ...


@dataclass(frozen=True)
class Categorical:
    """One choice among `n`.

    Args:
        ops: the engine.
        logits: unnormalised log-probabilities, `INVALID_LOGIT` where an action is masked.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> choice = Categorical(numpy_ops, np.log([[0.2, 0.8]]))
        >>> choice.mode(), choice.log_prob(np.array([0])).round(4)
        (array([1]), array([-1.6094]))
    """

    ops: Ops
    logits: Float[Array, "*lead n"]

    @cached_property
    def log_probs(self) -> Float[Array, "*lead n"]:
        """Of every choice; entropy and log-probabilities share it."""
        return self.ops.log_softmax(self.logits, axis=-1)

    def sample(self, rng: Rng, /) -> Integer[Array, "*lead"]:
        """By the Gumbel-max trick (Gumbel 1954; Maddison et al. 2014).

        Unlike the search in a cumulative sum, it stays exact where an engine sums in parallel: an action of
        probability 0 cannot be drawn. Uniform noise of exactly 0 is lifted to keep the logarithm finite.
        """
        ops = self.ops
        noise = ops.uniform(rng, tuple(self.logits.shape)) + _TINY
        return ops.argmax(self.log_probs - ops.log(-ops.log(noise)), axis=-1)

    def mode(self) -> Integer[Array, "*lead"]:
        """The likeliest choice, the first among equals."""
        return self.ops.argmax(self.logits, axis=-1)

    def log_prob(self, action: Integer[Array, "*lead"], /) -> Float[Array, "*lead"]:
        """Nats."""
        return self.ops.take_along_axis(self.log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> Float[Array, "*lead"]:
        """Nats; masked choices add nothing."""
        return -self.ops.sum(self.ops.exp(self.log_probs) * self.log_probs, axis=-1)


@dataclass(frozen=True)
class MultiCategorical:
    """Several independent choices, side by side; where they differ in size, the missing choices are masked.

    Args:
        choice: over `[*lead, elements, n]`.
        shape: of one action.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> pair = MultiCategorical(Categorical(numpy_ops, np.zeros((3, 2, 4))), (2,))
        >>> pair.mode().shape, pair.entropy().round(4).tolist()
        ((3, 2), [2.7726, 2.7726, 2.7726])
    """

    choice: Categorical
    shape: tuple[int, ...]

    def sample(self, rng: Rng, /) -> Integer[Array, "..."]:
        """`[*lead, *shape]`."""
        return _unflatten(self.choice.ops, self.choice.sample(rng), self.shape)

    def mode(self) -> Integer[Array, "..."]:
        """`[*lead, *shape]`."""
        return _unflatten(self.choice.ops, self.choice.mode(), self.shape)

    def log_prob(self, action: Integer[Array, "..."], /) -> Float[Array, "*lead"]:
        """Nats, over all choices."""
        ops = self.choice.ops
        return ops.sum(self.choice.log_prob(_flatten(ops, action, self.shape)), axis=-1)

    def entropy(self) -> Float[Array, "*lead"]:
        """Nats, over all choices."""
        return self.choice.ops.sum(self.choice.entropy(), axis=-1)


@dataclass(frozen=True)
class Bernoulli:
    """Independent bits.

    Args:
        ops: the engine.
        logits: log odds of a 1, `[*lead, bits]`.
        shape: of one action.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> bits = Bernoulli(numpy_ops, np.array([[2.0, -2.0]]), (2,))
        >>> bits.mode(), bits.log_prob(np.array([[1, 0]])).round(4)
        (array([[1, 0]]), array([-0.2539]))
    """

    ops: Ops
    logits: Float[Array, "*lead bits"]
    shape: tuple[int, ...]

    @cached_property
    def probability(self) -> Float[Array, "*lead bits"]:
        """Of a 1."""
        return self.ops.sigmoid(self.logits)

    def sample(self, rng: Rng, /) -> Integer[Array, "..."]:
        """`[*lead, *shape]`, 0 or 1."""
        noise = self.ops.uniform(rng, tuple(self.logits.shape)) + _TINY  # never below the probability of a fixed bit
        return self._bits(noise < self.probability)

    def mode(self) -> Integer[Array, "..."]:
        """`[*lead, *shape]`, 0 or 1; 0 where both are equally likely."""
        return self._bits(self.logits > 0)

    def log_prob(self, action: Integer[Array, "..."], /) -> Float[Array, "*lead"]:
        """Nats, over all bits: `a x - softplus(x)`."""
        ops = self.ops
        bits = ops.astype(_flatten(ops, action, self.shape), self.logits.dtype)
        return ops.sum(bits * self.logits - ops.softplus(self.logits), axis=-1)

    def entropy(self) -> Float[Array, "*lead"]:
        """Nats, over all bits."""
        return self.ops.sum(self.ops.softplus(self.logits) - self.probability * self.logits, axis=-1)

    def _bits(self, ones: Bool[Array, "*lead bits"]) -> Integer[Array, "..."]:
        return _unflatten(self.ops, self.ops.astype(ones, self.ops.int64), self.shape)


@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent normal variables.

    Args:
        ops: the engine.
        mean: `[*lead, elements]`, in the policy's own units.
        log_std: logarithm of the standard deviation; broadcasts to `mean`.
        shape: of one action.

    Example:
        >>> import numpy as np
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> normal = DiagonalGaussian(numpy_ops, np.zeros((1, 2)), np.zeros((1, 2)), (2,))
        >>> normal.log_prob(np.zeros((1, 2))).round(4), normal.entropy().round(4)
        (array([-1.8379]), array([2.8379]))
    """

    ops: Ops
    mean: Float[Array, "*lead elements"]
    log_std: Float[Array, "..."]
    shape: tuple[int, ...]

    def sample(self, rng: Rng, /) -> Float[Array, "..."]:
        """`[*lead, *shape]`; differentiable in the parameters (Kingma and Welling 2014, section 2.4)."""
        noise = self.ops.normal(rng, tuple(self.mean.shape))
        return _unflatten(self.ops, self.mean + self.ops.exp(self.log_std) * noise, self.shape)

    def mode(self) -> Float[Array, "..."]:
        """The mean, `[*lead, *shape]`."""
        return _unflatten(self.ops, self.mean, self.shape)

    def log_prob(self, action: Float[Array, "..."], /) -> Float[Array, "*lead"]:
        """Logarithm of the density, over all elements."""
        ops = self.ops
        z = (_flatten(ops, action, self.shape) - self.mean) * ops.exp(-self.log_std)
        return ops.sum(-0.5 * ops.square(z) - self.log_std, axis=-1) - 0.5 * _LOG_2_PI * self.mean.shape[-1]

    def entropy(self) -> Float[Array, "*lead"]:
        """Differential entropy in nats, over all elements."""
        size = self.mean.shape[-1]
        entropy = self.ops.sum(self.log_std, axis=-1) + 0.5 * (1 + _LOG_2_PI) * size
        return self.ops.broadcast_to(entropy, tuple(self.mean.shape[:-1]))


def _flatten(ops: Ops, action: Array, shape: tuple[int, ...]) -> Array:
    if len(shape) == 1:
        return action
    lead = tuple(action.shape[: len(action.shape) - len(shape)])
    return ops.reshape(action, (*lead, math.prod(shape)))


def _unflatten(ops: Ops, flat: Array, shape: tuple[int, ...]) -> Array:
    return flat if len(shape) == 1 else ops.reshape(flat, (*flat.shape[:-1], *shape))
