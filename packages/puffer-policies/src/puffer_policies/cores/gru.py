"""The gated recurrent unit."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.cores.core import Carry, blocks, empty


class GruCore:
    """Cho et al. 2014; implements `Core`.

    Args:
        inputs: length of the vector that it reads, >= 1.
        hidden: units, >= 1.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> core = GruCore(inputs=3, hidden=8)
        >>> params, carry = core.init(np.random.default_rng(0)), core.initial_carry(2)
        >>> y, carry = core.apply(numpy_ops, params, np.ones((5, 2, 3), np.float32), carry, np.zeros((5, 2), bool))
        >>> y.shape, len(carry)
        ((5, 2, 8), 1)
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        self._inputs, self.features = inputs, hidden

    def init(self, rng: np.random.Generator) -> Params:
        hidden = self.features
        return {
            "core.weight": blocks(rng, self._inputs, hidden, 3),
            "core.recurrent": blocks(rng, hidden, hidden, 3),
            "core.bias": np.zeros(3 * hidden, np.float32),
            "core.recurrent_bias": np.zeros(3 * hidden, np.float32),
        }

    def initial_carry(self, rows: int) -> Carry:
        return empty(rows, self.features, 1)

    def apply(self, ops: Ops, params: Params, x: Array, carry: Carry, reset: Array) -> tuple[Array, Carry]:
        weights = (params[f"core.{name}"] for name in ("weight", "recurrent", "bias", "recurrent_bias"))
        y, last = ops.gru(x, carry[0], reset, *weights)
        return y, (last,)
