"""Noise of a compiled function: drawn by NumPy before each call, and handed to the graph as one more input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import numpy_ops

if TYPE_CHECKING:
    from puffer_backend_onnx.node import Node
    from puffer_backend_onnx.ops import OnnxOps


class Noise:
    """Stands for a generator while a graph is built, and remembers what was drawn from it, in which order."""

    def __init__(self) -> None:
        self._orders: list[Callable[[np.random.Generator], list[tuple[Node, Any]]]] = []

    def draw(self, ops: OnnxOps, op: str, shape: tuple[Any, ...], dtype: Any) -> Node:
        """An input of the graph that is filled by `op` of NumPy."""
        if not all(isinstance(n, int) for n in shape):
            raise UnsupportedError(f"op {op}: noise for a number of rows that is not known before the graph runs")
        node = ops.input(dtype, shape)
        size: Any = shape[0] if op == "permutation" else shape
        self._orders.append(lambda rng: [(node, getattr(numpy_ops, op)(rng, size))])
        return node

    def split(self, count: int) -> tuple[Noise, ...]:
        """Several that are drawn from on their own."""
        parts = tuple(Noise() for _ in range(count))

        def order(rng: np.random.Generator) -> list[tuple[Node, Any]]:
            rngs = numpy_ops.split(rng, count)
            return [pair for part, own in zip(parts, rngs, strict=True) for pair in part.fill(own)]

        self._orders.append(order)
        return parts

    def fill(self, rng: np.random.Generator) -> list[tuple[Node, Any]]:
        """Every input that takes noise, with what it is given in this call."""
        return [pair for order in self._orders for pair in order(rng)]
