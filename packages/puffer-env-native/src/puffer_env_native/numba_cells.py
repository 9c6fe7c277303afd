"""How Numba sees one row's array of a column: an array field, or an observation or mask that is written in place.

It is the address of the row's first element; its shape is part of its type, and every index is checked.

Every access carries alias scopes: each column is memory of its own, which LLVM could not prove and without
which it would not vectorise the loop over rows.
"""

# Numba's own types differ from release to release, and llvmlite has none.
# mypy: disable-error-code="no-untyped-call, untyped-decorator, import-untyped, misc, override"

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import lower_builtin, register_model
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.np.numpy_support import from_dtype

from puffer_env_native.table import Table

BYTES = ir.IntType(8).as_pointer()
_INT64 = ir.IntType(64)


def wide(type_: Any) -> Any:
    """What Python would compute with a value of this type in: float64 or int64; uint64 where it does not fit."""
    if isinstance(type_, types.Float):
        return types.float64
    return types.int64 if isinstance(type_, types.Integer) and type_ != types.uint64 else type_


def scoped(builder: Any, table: Table, name: str, instruction: Any) -> Any:
    """A load from or store to a column, marked as touching no other."""
    metadata = builder.module.add_metadata
    domain = metadata(["puffer.rows"])
    scopes = {column.name: metadata([f"puffer.{column.name}", domain]) for column in table.columns}
    instruction.set_metadata("alias.scope", metadata([scopes.pop(name)]))
    instruction.set_metadata("noalias", metadata(list(scopes.values())))
    return instruction


class PointerModel(models.PrimitiveModel):
    """An address."""

    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, BYTES)


class CellsType(types.Type):
    """`self.walls` and `out` in a compiled method."""

    def __init__(self, table: Table, column: str, owner: str) -> None:
        self.table, self.column = table, column
        self.shape = table.column(column).shape
        self.element = from_dtype(table.column(column).dtype)
        super().__init__(name=f"Cells({column} of {owner})")

    def takes(self, index: Any) -> bool:
        """Whether a value of this type is one integer for each axis."""
        axes = _axes(index)
        return len(axes) == len(self.shape) and all(isinstance(axis, types.Integer) for axis in axes)

    def holds(self, value: Any) -> bool:
        """Whether an element can be set to a value of this type: as in Python, no real number where integers are."""
        if isinstance(value, types.Float):
            return not isinstance(self.element, types.Integer)
        return isinstance(value, (types.Integer, types.Boolean))


register_model(CellsType)(PointerModel)


def _axes(index: Any) -> tuple[Any, ...]:
    """The type of each part of an index."""
    return tuple(index) if isinstance(index, types.BaseTuple) else (index,)  # type: ignore[arg-type]


@infer_global(operator.getitem)
class GetElement(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        cells, index = args
        fits = isinstance(cells, CellsType) and cells.takes(index)
        return signature(wide(cells.element), cells, index) if fits else None


@infer_global(operator.setitem)
class SetElement(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        cells, index, value = args
        fits = isinstance(cells, CellsType) and cells.takes(index) and cells.holds(value)
        return signature(types.none, cells, index, value) if fits else None


@infer_global(len)
class Length(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.intp, *args) if isinstance(args[0], CellsType) else None


@lower_builtin(operator.getitem, CellsType, types.Any)
def _get(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    cells = sig.args[0]
    data = scoped(builder, cells.table, cells.column, builder.load(_address(context, builder, sig, args)))
    value = context.data_model_manager[cells.element].from_data(builder, data)
    return context.cast(builder, value, cells.element, sig.return_type)


@lower_builtin(operator.setitem, CellsType, types.Any, types.Any)
def _set(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    cells, _, value_type = sig.args
    value = context.cast(builder, args[2], value_type, cells.element)
    data = context.data_model_manager[cells.element].as_data(builder, value)
    scoped(builder, cells.table, cells.column, builder.store(data, _address(context, builder, sig, args)))
    return context.get_dummy_value()


@lower_builtin(len, CellsType)
def _length(_context: Any, _builder: Any, sig: Any, _args: Any) -> Any:
    return _INT64(sig.args[0].shape[0])


def _address(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Of the element at an index, which counts from the end where it is negative."""
    cells, index_type = sig.args[:2]
    indices = cgutils.unpack_tuple(builder, args[1]) if isinstance(index_type, types.BaseTuple) else [args[1]]
    offset = _INT64(0)
    for index, type_, size in zip(indices, _axes(index_type), cells.shape, strict=True):
        place = _checked(context, builder, context.cast(builder, index, type_, types.int64), size, cells.column)
        offset = builder.add(builder.mul(offset, _INT64(size), flags=["nsw"]), place, flags=["nsw"])
    data = context.data_model_manager[cells.element].get_data_type()
    return builder.gep(builder.bitcast(args[0], data.as_pointer()), [offset], inbounds=True)


def _checked(context: Any, builder: Any, index: Any, size: int, name: str) -> Any:
    negative = builder.icmp_signed("<", index, _INT64(0))
    place = builder.select(negative, builder.add(index, _INT64(size)), index)
    with cgutils.if_unlikely(builder, builder.icmp_unsigned(">=", place, _INT64(size))):
        context.call_conv.return_user_exc(builder, IndexError, (f"index out of bounds on {name}",))
    return place
