"""A convolution as the encoders use it: its shape, its first weights, its step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.initialisation import orthogonal


@dataclass(frozen=True)
class Convolution:
    """`filters` square kernels over `inputs` channels.

    Args:
        name: prefix of its parameters.
        inputs: channels that it reads, >= 1.
        filters: channels that it gives, >= 1.
        kernel: edge of the kernel, pixels, >= 1.
        stride: pixels from one window to the next, >= 1.
        padding: zeros on every side, pixels, >= 0.

    Example:
        >>> Convolution("encoder.0", inputs=3, filters=32, kernel=8, stride=4).edges((84, 84))
        (20, 20)
    """

    name: str
    inputs: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0

    def edges(self, edges: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what it gives for an image of these; below 1 where the kernel does not fit."""
        height, width = (math.floor((edge + 2 * self.padding - self.kernel) / self.stride) + 1 for edge in edges)
        return height, width

    def init(self, rng: np.random.Generator) -> Params:
        """Orthogonal kernels with gain sqrt(2) (Andrychowicz et al. 2021), zero biases."""
        flat = orthogonal(rng, self.kernel**2 * self.inputs, self.filters, math.sqrt(2))
        return {
            f"{self.name}.weight": flat.reshape(self.kernel, self.kernel, self.inputs, self.filters),
            f"{self.name}.bias": np.zeros(self.filters, np.float32),
        }

    def apply(self, ops: Ops, params: Params, x: Array) -> Array:
        """`[batch, height, width, inputs]` to `[batch, *edges, filters]`."""
        weight, bias = params[f"{self.name}.weight"], params[f"{self.name}.bias"]
        return ops.conv2d(x, weight, bias, stride=self.stride, padding=self.padding)
