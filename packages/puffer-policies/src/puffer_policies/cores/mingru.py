"""The minimal gated recurrent unit, which a rollout unrolls in parallel."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.cores.core import Carry, blocks, empty
from puffer_policies.initialisation import orthogonal


class MinGruCore:
    r"""Feng et al. 2024, "Were RNNs All We Needed?", section 3.1; implements `Core`.

    `h[t] = (1 - z[t]) h[t-1] + z[t] c[t]`, where the gate `z = sigmoid(x W_z + b_z)` and the candidate
    `c = x W_c + b_c` look at the input alone: a linear recurrence, which `ops.linear_recurrence` computes without a
    loop over steps where the engine can. What a layer gives is `o h + (1 - o) x` with the gate
    `o = sigmoid(x W_o + b_o)` (the highway of Srivastava et al. 2015): the present beside the past, and layers that
    can be stacked.

    Args:
        inputs: length of the vector that it reads, >= 1.
        hidden: units of a layer, >= 1.
        depth: layers, >= 1.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> core = MinGruCore(inputs=3, hidden=8, depth=2)
        >>> params, carry = core.init(np.random.default_rng(0)), core.initial_carry(2)
        >>> y, carry = core.apply(numpy_ops, params, np.ones((5, 2, 3), np.float32), carry, np.zeros((5, 2), bool))
        >>> y.shape, len(carry)
        ((5, 2, 8), 2)
    """

    def __init__(self, inputs: int, hidden: int, depth: int = 1) -> None:
        self._inputs, self.features, self._depth = inputs, hidden, depth

    def init(self, rng: np.random.Generator) -> Params:
        hidden, params = self.features, Params()
        if self._inputs != hidden:
            params["core.input.weight"] = orthogonal(rng, self._inputs, hidden, 1.0)
            params["core.input.bias"] = np.zeros(hidden, np.float32)
        for layer in range(self._depth):
            params[f"core.{layer}.weight"] = blocks(rng, hidden, hidden, 3)
            params[f"core.{layer}.bias"] = np.zeros(3 * hidden, np.float32)
        return params

    def initial_carry(self, rows: int) -> Carry:
        return empty(rows, self.features, self._depth)

    def apply(self, ops: Ops, params: Params, x: Array, carry: Carry, reset: Array) -> tuple[Array, Carry]:
        if self._inputs != self.features:
            x = ops.linear(x, params["core.input.weight"], params["core.input.bias"])
        keep = ops.expand_dims(ops.astype(ops.logical_not(reset), x.dtype), axis=2)
        hidden, after = self.features, []
        for layer, before in enumerate(carry):
            mixed = ops.linear(x, params[f"core.{layer}.weight"], params[f"core.{layer}.bias"])
            gates = ops.sigmoid(mixed[:, :, : 2 * hidden])
            update, out = gates[:, :, :hidden], gates[:, :, hidden:]
            h = ops.linear_recurrence((1.0 - update) * keep, update * mixed[:, :, 2 * hidden :], before)
            x = x + out * (h - x)
            after.append(h[-1])
        return x, tuple(after)
