"""An array of a graph that is being built: it has a shape, a dtype and operators, and no values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from spox import Tensor, Var

from puffer_core.errors import UnsupportedError

if TYPE_CHECKING:
    from puffer_backend_onnx.ops import OnnxOps

_END = np.iinfo(np.int64).max
_VALUE = "a branch on a value, which a graph does not know before it runs: use ops.where"
_LENGTH = "arithmetic on the number of rows, which a graph does not know before it runs: use -1, or a shape as it is"


class Dim:
    """The length of an axis that is known only when the graph runs: the number of rows.

    It may stand in a shape, and nothing else. All are taken for equal, since nothing tells them apart.
    """

    def __init__(self, var: Var, axis: int) -> None:
        self.var, self.axis = var, axis

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim)

    def __hash__(self) -> int:
        return hash(Dim)

    def __repr__(self) -> str:
        return "batch"

    def _no_number(self, *_: object) -> NoReturn:
        raise UnsupportedError(_LENGTH)

    __index__ = __int__ = __float__ = __bool__ = __neg__ = _no_number
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __truediv__ = __rtruediv__ = (
        _no_number
    )
    __lt__ = __le__ = __gt__ = __ge__ = _no_number


class Node:
    """What `ops` of a graph compute with; see `puffer_core.arrays.Array`.

    Args:
        ops: the table that builds the graph.
        var: spox's variable.
        shape: where more of it is known than ONNX infers.

    Raises:
        UnsupportedError: it is asked for its values.
    """

    __array_ufunc__ = None  # NumPy hands operators over to this side
    __hash__ = object.__hash__

    def __init__(self, ops: OnnxOps, var: Var, shape: tuple[Any, ...] | None = None) -> None:
        tensor = var.unwrap_type()
        assert isinstance(tensor, Tensor)
        if tensor.shape is None:
            raise UnsupportedError("an array whose number of axes a graph does not know")
        self.ops, self.var = ops, var
        self.dtype: np.dtype[Any] = np.dtype(tensor.dtype)
        inferred = (n if isinstance(n, int) else Dim(var, axis) for axis, n in enumerate(tensor.shape))
        self.shape: tuple[Any, ...] = tuple(inferred) if shape is None else shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Node:
        """Basic indexing: integers, slices, None and an ellipsis."""
        keys = _spelled_out(key if isinstance(key, tuple) else (key,), self.ndim)
        cuts: list[tuple[int, ...]] = []
        gone: list[int] = []
        added: list[int] = []
        axis = 0
        for part in keys:
            if part is None:
                added.append(axis - len(gone) + len(added))
                continue
            if isinstance(part, slice):
                if part != slice(None):
                    cuts.append((axis, *_bounds(part)))
            elif isinstance(part, int | np.integer):
                cuts.append((axis, int(part), int(part) + 1 or _END, 1))
                gone.append(axis)
            else:
                raise UnsupportedError("indexing by an array: use ops.take or ops.take_along_axis")
            axis += 1
        ops, op, var = self.ops, self.ops.op, self.var
        if cuts:
            axes, starts, ends, steps = (ops.constant(column) for column in zip(*cuts, strict=True))
            var = op.slice(var, starts, ends, axes, steps)
        var = op.squeeze(var, ops.constant(gone)) if gone else var
        var = op.unsqueeze(var, ops.constant(added)) if added else var
        return self if var is self.var else Node(ops, var)

    def _no_value(self, *_: object, **__: object) -> NoReturn:
        raise UnsupportedError(_VALUE)

    __bool__ = __int__ = __float__ = __index__ = __array__ = item = tolist = _no_value


def _operator(name: str, *, reflected: bool = False) -> Any:
    def apply(self: Node, *other: Any) -> Any:
        return getattr(self.ops, name)(*((*other, self) if reflected else (self, *other)))

    return apply


for _symbol in ("add", "sub", "mul", "truediv", "mod", "pow", "and", "or", "xor", "matmul"):
    setattr(Node, f"__{_symbol}__", _operator(f"_{_symbol}"))
    setattr(Node, f"__r{_symbol}__", _operator(f"_{_symbol}", reflected=True))
for _symbol in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "invert"):
    setattr(Node, f"__{_symbol}__", _operator(f"_{_symbol}"))


def _spelled_out(key: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """The key with an entry for every axis."""
    taken = sum(part is not None and part is not Ellipsis for part in key)
    whole = (slice(None),) * (ndim - taken)
    for place, part in enumerate(key):
        if part is Ellipsis:
            return (*key[:place], *whole, *key[place + 1 :])
    return (*key, *whole)


def _bounds(part: slice) -> tuple[int, int, int]:
    step = 1 if part.step is None else int(part.step)
    start = (0 if step > 0 else -1) if part.start is None else int(part.start)
    return start, (_END if step > 0 else -_END) if part.stop is None else int(part.stop), step
