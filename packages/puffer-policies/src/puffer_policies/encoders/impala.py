"""The deep residual encoder of Espeholt et al. 2018, "IMPALA", figure 3 on the right."""

from __future__ import annotations

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Ops
from puffer_policies.encoders.convolution import Convolution

FILTERS = (16, 32, 32)
BLOCKS = 2


class Impala:
    """Three sections of a convolution, a maximum over 3 x 3 windows two apart, and two residual blocks.

    For images of any size, down to one pixel; implements `ImageEncoder`.

    Args:
        name: prefix of the parameters.
        shape: height, width and channels of an image.
        width: times as many filters as in the paper, >= 1.

    Example:
        >>> Impala("encoder", (84, 84, 4)).features
        3872
    """

    def __init__(self, name: str, shape: tuple[int, int, int], width: int = 1) -> None:
        self._sections: list[tuple[Convolution, list[tuple[Convolution, Convolution]]]] = []
        channels, (height, breadth) = shape[2], shape[:2]
        for number, filters in enumerate(width * filters for filters in FILTERS):
            section = f"{name}.{number}"
            first = Convolution(f"{section}.0", channels, filters, kernel=3, padding=1)
            blocks = [
                (
                    Convolution(f"{section}.{2 * block + 1}", filters, filters, kernel=3, padding=1),
                    Convolution(f"{section}.{2 * block + 2}", filters, filters, kernel=3, padding=1),
                )
                for block in range(BLOCKS)
            ]
            self._sections.append((first, blocks))
            channels, height, breadth = filters, (height + 1) // 2, (breadth + 1) // 2
        self.features = height * breadth * channels

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, float32."""
        params: Params = {}
        for first, blocks in self._sections:
            for convolution in (first, *(layer for block in blocks for layer in block)):
                params |= convolution.init(rng)
        return params

    def apply(self, ops: Ops, params: Params, x: Array) -> Array:
        """`[batch, height, width, channels]` to `[batch, *edges, filters]`."""
        for first, blocks in self._sections:
            x = max_pool(ops, first.apply(ops, params, x))
            for one, other in blocks:
                x = x + other.apply(ops, params, ops.relu(one.apply(ops, params, ops.relu(x))))
        return ops.relu(x)


def max_pool(ops: Ops, x: Array) -> Array:
    """The maximum of every 3 x 3 window, two pixels apart: `[batch, height, width, ...]` with edges halved, rounded up.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> max_pool(numpy_ops, np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
        array([[10., 11.],
               [14., 15.]])
    """
    return _pool_rows(ops, _pool_rows(ops, x, axis=1), axis=2)


def _pool_rows(ops: Ops, x: Array, *, axis: int) -> Array:
    """The maximum of three neighbours, two apart; one without a neighbour is compared with itself."""

    def part(start: int, stop: int, step: int = 1) -> tuple[slice, ...]:
        return (slice(None),) * axis + (slice(start, stop, step),)

    edge = x.shape[axis]
    before = [x[part(0, 1)]] if edge % 2 else []  # windows stand where TensorFlow's "SAME" puts them
    x = ops.concat([*before, x, x[part(edge - 1, edge)]], axis=axis)
    count = (edge + 1) // 2
    first, second, third = (x[part(k, k + 2 * count - 1, 2)] for k in range(3))
    return ops.maximum(ops.maximum(first, second), third)
