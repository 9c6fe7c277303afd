"""Long short-term memory."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.cores.core import Carry, blocks, empty


class LstmCore:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; implements `Core`.

    The forget gate's bias starts at 1 (Jozefowicz et al. 2015): a new memory lasts.

    Args:
        inputs: length of the vector that it reads, >= 1.
        hidden: units, >= 1.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> core = LstmCore(inputs=3, hidden=8)
        >>> params, carry = core.init(np.random.default_rng(0)), core.initial_carry(2)
        >>> y, carry = core.apply(numpy_ops, params, np.ones((5, 2, 3), np.float32), carry, np.zeros((5, 2), bool))
        >>> y.shape, carry[1].shape
        ((5, 2, 8), (2, 8))
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        self._inputs, self.features = inputs, hidden

    def init(self, rng: np.random.Generator) -> Params:
        hidden = self.features
        bias = np.zeros(4 * hidden, np.float32)
        bias[hidden : 2 * hidden] = 1.0
        return {
            "core.weight": blocks(rng, self._inputs, hidden, 4),
            "core.recurrent": blocks(rng, hidden, hidden, 4),
            "core.bias": bias,
        }

    def initial_carry(self, rows: int) -> Carry:
        return empty(rows, self.features, 2)

    def apply(self, ops: Ops, params: Params, x: Array, carry: Carry, reset: Array) -> tuple[Array, Carry]:
        h, c = carry
        return ops.lstm(x, (h, c), reset, params["core.weight"], params["core.recurrent"], params["core.bias"])
