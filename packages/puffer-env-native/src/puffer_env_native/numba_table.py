"""How Numba reaches the columns of a `Table`: one load or store at an address, for one row."""

# Numba's own types differ from release to release, and llvmlite has none.
# mypy: disable-error-code="no-untyped-call, import-untyped, misc"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.extending import register_model
from numba.np.numpy_support import from_dtype

from puffer_env_native.numba_cells import BYTES, PointerModel, scoped
from puffer_env_native.numba_env import INDEX, EnvType
from puffer_env_native.table import Column, Table


class RowsType(types.Type):
    """`rows` in the compiled loops: the address of a table."""

    def __init__(self, table: Table, env: EnvType) -> None:
        self.table = table
        self.env = env
        super().__init__(name=f"Rows({env.name})")

    def column(self, name: str) -> Column:
        return self.table.column(name)

    def element(self, name: str) -> Any:
        """Numba's type of a column's elements."""
        return from_dtype(self.column(name).dtype)


register_model(RowsType)(PointerModel)


class Access:
    """Loads from and stores to a table's columns, while one method of `rows` is lowered.

    Values are Numba's and of the column's element type, unless `store` is told another.
    """

    def __init__(self, context: Any, builder: Any, rows_type: RowsType, rows: Any) -> None:
        self.context, self.builder, self.type, self._rows = context, builder, rows_type, rows
        # A third faster where the CPU has it; LLVM alone would stop at 256 bits.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')

    def load(self, name: str, row: Any, element: int = 0) -> Any:
        data = self._scoped(self.builder.load(self.pointer(name, row, element)), name)
        return self._model(name).from_data(self.builder, data)

    def store(self, name: str, row: Any, value: Any, value_type: Any = None, element: int = 0) -> None:
        if value_type is not None:
            value = self.context.cast(self.builder, value, value_type, self.type.element(name))
        data = self._model(name).as_data(self.builder, value)
        self._scoped(self.builder.store(data, self.pointer(name, row, element)), name)

    def shared(self, name: str) -> Any:
        """The one element of a column that all rows share."""
        return self.load(name, ir.IntType(64)(0))

    def _model(self, name: str) -> Any:
        return self.context.data_model_manager[self.type.element(name)]

    def pointer(self, name: str, row: Any, element: int = 0) -> Any:
        """Address of an element of a row."""
        builder, column = self.builder, self.type.column(name)
        table = builder.bitcast(self._rows, BYTES.as_pointer())
        address = builder.load(builder.gep(table, [INDEX(self.type.table.index[name])], inbounds=True))
        address.set_metadata("invariant.load", builder.module.add_metadata([]))
        base = builder.bitcast(address, self._model(name).get_data_type().as_pointer())
        first = row.type(0) if column.shared else builder.mul(row, row.type(column.width), flags=["nsw"])
        return builder.gep(base, [builder.add(first, row.type(element), flags=["nsw"])], inbounds=True)

    def _scoped(self, instruction: Any, name: str) -> Any:
        return scoped(self.builder, self.type.table, name, instruction)
