"""NumpyBackend: the engine that acts and evaluates; it does not differentiate."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from puffer_core.arrays import Tree, map_tree
from puffer_core.contracts.backend import Optimizer, OptimizerConfig
from puffer_core.contracts.ops import Ops
from puffer_core.cores import usable_cores
from puffer_core.numpy_backend.ops import numpy_ops
from puffer_core.optimizers import FormulaOptimizer


class NumpyConfig(BaseModel):
    """The NumPy backend has no options: its BLAS reads `OMP_NUM_THREADS` when the process starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NumpyBackend:
    """`puffer_core.contracts.backend.Backend` over NumPy, on the host, without gradients.

    Example:
        >>> backend = NumpyBackend()
        >>> double = backend.compile(lambda ops, x: ops.square(x))
        >>> double(np.asarray([3.0]))
        array([9.])
    """

    name = "numpy"
    ops: Ops = numpy_ops
    device = "cpu"
    on_host = True
    rank = 0
    world_size = 1

    def __init__(self, config: NumpyConfig | None = None) -> None:
        self.config = config or NumpyConfig()

    def to_device(self, tree: Tree) -> Tree:
        """The same arrays."""
        return map_tree(np.asarray, tree)

    def to_numpy(self, tree: Tree) -> Tree:
        """The same arrays; NumPy scalars become arrays without axes."""
        return map_tree(np.asarray, tree)

    def copy(self, tree: Tree) -> Tree:
        """Arrays in memory of their own."""
        return map_tree(np.array, tree)

    def rng(self, seed: int) -> np.random.Generator:
        """A fresh PCG64 generator."""
        return np.random.default_rng(seed)

    def compile(
        self,
        fn: Callable[..., Tree],
        *,
        consumes: tuple[int, ...] = (),
        rows: int = 0,
    ) -> Callable[..., Tree]:
        """`fn` with the ops bound."""
        return functools.partial(fn, self.ops)

    def optimizer(self, config: OptimizerConfig) -> Optimizer:
        """The reference optimizer of this name; it consumes nothing."""
        return FormulaOptimizer(numpy_ops, config)

    def all_reduce(self, tree: Tree, op: Literal["mean", "sum", "max"] = "mean") -> Tree:
        """The tree itself: there is one rank."""
        return tree

    def describe(self) -> dict[str, Any]:
        """NumPy's version, its BLAS, and the threads that BLAS may use."""
        build: Any = np.show_config(mode="dicts")
        blas = build["Build Dependencies"]["blas"]
        return {
            "engine": "numpy",
            "version": np.__version__,
            "blas": f"{blas['name']} {blas['version']}",
            "device": self.device,
            "rank": self.rank,
            "world_size": self.world_size,
            "threads": _threads(),
            "deterministic": True,
        }


def _threads() -> int:
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(variable, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    return usable_cores()
