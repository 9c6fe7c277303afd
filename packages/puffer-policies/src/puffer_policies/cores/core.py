"""What a core is: the part of a policy that remembers, from one reset to the next."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.initialisation import orthogonal

Carry = tuple[Any, ...]
"""Arrays `[rows, hidden]`."""


class Core(Protocol):
    """A recurrent layer, or several."""

    features: int
    """Length of the vector that it gives."""

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, float32."""
        ...

    def initial_carry(self, rows: int) -> Carry:
        """The memory at the start of an episode: zeros."""
        ...

    def apply(self, ops: Ops, params: Params, x: Array, carry: Carry, reset: Array) -> tuple[Array, Carry]:
        """`[time, rows, inputs]` to `[time, rows, features]`, and the memory after the last step.

        `reset`, bool `[time, rows]`, empties a row's memory before its step.
        """
        ...


def blocks(rng: np.random.Generator, inputs: int, outputs: int, count: int, gain: float = 1.0) -> np.ndarray[Any, Any]:
    """Orthogonal matrices side by side, one a gate: `[inputs, count * outputs]`.

    Example:
        >>> blocks(np.random.default_rng(0), 3, 2, count=4).shape
        (3, 8)
    """
    return np.concatenate([orthogonal(rng, inputs, outputs, gain) for _ in range(count)], axis=1)


def empty(rows: int, hidden: int, count: int) -> Carry:
    """`count` memories of zeros, `[rows, hidden]` each."""
    return tuple(np.zeros((rows, hidden), np.float32) for _ in range(count))
