"""Three convolutions: the encoder of Mnih et al. 2015, and a smaller one for images that it does not fit."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.encoders.convolution import Convolution

SMALLEST = 36
"""Pixels along an edge that the three kernels of `nature` need."""


def nature(name: str, shape: tuple[int, int, int]) -> Convolutions:
    """Mnih et al. 2015, "Human-level control through deep reinforcement learning": 8 x 8 / 4, 4 x 4 / 2, 3 x 3 / 1.

    Args:
        name: prefix of the parameters.
        shape: height, width and channels of an image; edges of at least `SMALLEST` pixels.

    Example:
        >>> nature("encoder", (84, 84, 4)).features
        3136
    """
    return Convolutions(
        (
            Convolution(f"{name}.0", shape[2], 32, kernel=8, stride=4),
            Convolution(f"{name}.1", 32, 64, kernel=4, stride=2),
            Convolution(f"{name}.2", 64, 64, kernel=3),
        ),
        shape,
    )


def small(name: str, shape: tuple[int, int, int]) -> Convolutions:
    """Three kernels of 3 x 3, each halving the edges: for images of any size, down to one pixel.

    Example:
        >>> small("encoder", (24, 24, 3)).features
        576
    """
    channels = (shape[2], 32, 64, 64)
    return Convolutions(
        tuple(Convolution(f"{name}.{i}", channels[i], channels[i + 1], 3, stride=2, padding=1) for i in range(3)),
        shape,
    )


class Convolutions:
    """Convolutions one after another, each followed by relu; implements `ImageEncoder`.

    Args:
        layers: at least one.
        shape: height, width and channels of an image.
    """

    def __init__(self, layers: tuple[Convolution, ...], shape: tuple[int, int, int]) -> None:
        self._layers = layers
        edges = shape[:2]
        for layer in layers:
            edges = layer.edges(edges)
        self.features = edges[0] * edges[1] * layers[-1].filters

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, float32."""
        params: Params = {}
        for layer in self._layers:
            params |= layer.init(rng)
        return params

    def apply(self, ops: Ops, params: Params, x: Array) -> Array:
        """`[batch, height, width, channels]` to `[batch, *edges, filters]`."""
        for layer in self._layers:
            x = ops.relu(layer.apply(ops, params, x))
        return x
