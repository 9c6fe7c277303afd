"""The processes that train together: what their launcher says of them, and how a tree is combined over them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from puffer_core.arrays import Array, Tree, named_leaves, replace_leaves
from puffer_core.contracts.ops import Ops
from puffer_core.errors import ResourceError, UnsupportedError, UsageError

Reduction: TypeAlias = Literal["mean", "sum", "max"]
_REMEDY = "start each process with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun does; or without them all"


@dataclass(frozen=True)
class Peers:
    """This process among those that train together.

    Args:
        rank: its number, 0..world_size-1.
        world_size: how many there are, >= 2.
        address: of the machine of rank 0.
        port: at which rank 0 waits for the others.
    """

    rank: int
    world_size: int
    address: str
    port: int

    @classmethod
    def launched(cls, environ: Mapping[str, str] = os.environ) -> Peers | None:
        """What RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say; None where this process trains alone.

        Raises:
            UsageError: one of them is missing or out of its range.

        Example:
            >>> launcher = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
            >>> Peers.launched(launcher)
            Peers(rank=1, world_size=2, address='127.0.0.1', port=29500)
            >>> print(Peers.launched({"WORLD_SIZE": "1", "RANK": "0"}))
            None
        """
        if "RANK" not in environ or "WORLD_SIZE" not in environ:
            return None
        world_size = _integer(environ, "WORLD_SIZE", 1, 2**31)
        rank = _integer(environ, "RANK", 0, world_size)
        if world_size == 1:
            return None
        if not environ.get("MASTER_ADDR"):
            raise UsageError(f"WORLD_SIZE is {world_size}, but MASTER_ADDR is not set", remedy=_REMEDY)
        return cls(rank, world_size, environ["MASTER_ADDR"], _integer(environ, "MASTER_PORT", 1, 2**16))

    def lost(self, engine: str, while_doing: str, error: Exception) -> ResourceError:
        """The error for a process that does not answer any more, or never did."""
        words = str(error).strip().splitlines() or [type(error).__name__]
        return ResourceError(
            f"backend {engine}: rank {self.rank} of {self.world_size} cannot reach the others in {while_doing}: "
            f"{words[0]}",
            remedy="another process ended or hangs: see what it printed last, and start all of them again",
        )


def reduced(ops: Ops, tree: Tree, op: Reduction, all_reduce: Callable[[Array], Array]) -> Tree:
    """A tree combined over processes, in one exchange for each dtype.

    Args:
        ops: of the engine whose arrays they are.
        tree: floats or, where `op` is not `mean`, integers; the same names, shapes and dtypes in every process.
        op: how, for messages.
        all_reduce: combines one flat array.

    Raises:
        UnsupportedError: flags, or a mean of integers.

    Example:
        >>> from puffer_core.numpy_backend import numpy_ops
        >>> import numpy as np
        >>> reduced(numpy_ops, {"a": np.ones(2), "b": (np.ones(1),)}, "sum", lambda flat: 2 * flat)
        {'a': array([2., 2.]), 'b': (array([2.]),)}
    """
    by_dtype: dict[str, dict[str, Array]] = {}
    for path, leaf in named_leaves(tree):
        by_dtype.setdefault(_dtype(path, leaf, op), {})[path] = leaf
    combined = {}
    for dtype in sorted(by_dtype):
        leaves = by_dtype[dtype]
        flat = all_reduce(ops.concat([ops.reshape(leaf, (-1,)) for leaf in leaves.values()], axis=0))
        start = 0
        for path, leaf in leaves.items():
            size = math.prod(leaf.shape)
            combined[path] = ops.reshape(flat[start : start + size], tuple(leaf.shape))
            start += size
    return replace_leaves(tree, combined)


def _dtype(path: str, leaf: Array, op: Reduction) -> str:
    dtype = str(leaf.dtype).removeprefix("torch.")
    if dtype == "bool" or (op == "mean" and "float" not in dtype):
        takes = "floats" if op == "mean" else "floats and integers"
        raise UnsupportedError(f"all_reduce: {path or 'the array'} is {dtype}, and {op} is of {takes}")
    return dtype


def _integer(environ: Mapping[str, str], name: str, least: int, below: int) -> int:
    text = environ.get(name, "")
    if not text.isascii() or not text.isdigit() or not least <= int(text) < below:
        got = repr(text) if name in environ else "nothing"
        raise UsageError(f"{name}: got {got}, expected an integer >= {least} and < {below}", remedy=_REMEDY)
    return int(text)
