"""How Numba sees an env: `self` is a struct on the stack, its methods are compiled functions.

Each row's fields are loaded into the struct, the env's methods are inlined over it, and the fields are stored
back; LLVM then keeps the struct in registers.
"""

# Numba's own types differ from release to release, and llvmlite has none.
# mypy: disable-error-code="no-untyped-call, untyped-decorator, import-untyped, misc, override"

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.extending import lower_builtin, lower_getattr_generic, lower_setattr_generic, register_model
from numba.core.typing import typeof
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr
from numba.np.numpy_support import from_dtype

from puffer_core.errors import EnvError
from puffer_env_native.numba_cells import CellsType, PointerModel, wide
from puffer_env_native.table import Table

INDEX = ir.IntType(32)
_NUMBER = count()


class EnvType(types.Type):
    """`self` in a compiled method."""

    def __init__(self, table: Table, methods: dict[str, Any]) -> None:
        self.table = table
        self.methods = methods
        number = next(_NUMBER)  # to Numba, types of one name are one type, and a class may be defined anew
        super().__init__(name=f"Env({table.env_class.__module__}.{table.env_class.__qualname__}#{number})")
        self.fields: dict[str, Any] = {
            field.name: self.cells(field.name) if field.shape else from_dtype(field.dtype)
            for field in table.env_class.FIELDS
        }

    def cells(self, column: str) -> CellsType:
        """The type of one row's array of a column."""
        return CellsType(self.table, column, self.name)

    def call(self, context: Any, method: str, arguments: Sequence[Any]) -> tuple[Any, Any]:
        """A method and its signature for arguments of these types, compiled."""
        dispatcher = types.Dispatcher(self.methods[method])
        return dispatcher, dispatcher.get_call_type(context, (self, *arguments), {})

    def pointer(self, context: Any, builder: Any, env: Any, name: str) -> Any:
        """Address of a field within the struct."""
        position = list(self.fields).index(name)
        struct = builder.bitcast(env, self.struct(context).as_pointer())
        return builder.gep(struct, [INDEX(0), INDEX(position)], inbounds=True)

    def struct(self, context: Any) -> Any:
        return ir.LiteralStructType([context.get_data_type(type_) for type_ in self.fields.values()])


register_model(EnvType)(PointerModel)


@infer_getattr
class EnvAttributes(AttributeTemplate):
    """`self.field`, `self.CONSTANT` and `self.method(...)`."""

    key = EnvType

    def generic_resolve(self, env: EnvType, name: str) -> Any:
        if name in env.fields:
            return wide(env.fields[name])
        if name in env.methods:
            return _bound_method(env, name, types.Dispatcher(env.methods[name]))
        constant = getattr(env.table.env_class, name, None)
        return typeof.typeof(constant) if isinstance(constant, (bool, int, float)) else None


def _bound_method(env: EnvType, name: str, dispatcher: Any) -> Any:
    class Method(AbstractTemplate):
        key = (EnvType, env.name, name)

        def generic(self, args: Any, kws: Any) -> Any:
            return dispatcher.get_call_type(self.context, (env, *args), kws).as_method()

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        call = context.get_function(dispatcher, sig)
        context.add_linking_libs(getattr(call, "libs", ()))
        return call(builder, args)

    lower_builtin(Method.key, EnvType, types.VarArg(types.Any))(lower)
    return types.BoundFunction(Method, env)


@lower_getattr_generic(EnvType)
def get_attribute(context: Any, builder: Any, env_type: EnvType, env: Any, name: str) -> Any:
    """Value of a field or constant."""
    if name not in env_type.fields:
        constant = getattr(env_type.table.env_class, name)
        return context.get_constant_generic(builder, typeof.typeof(constant), constant)
    field = env_type.fields[name]
    model = context.data_model_manager[field]
    value = model.from_data(builder, builder.load(env_type.pointer(context, builder, env, name)))
    return context.cast(builder, value, field, wide(field))


@lower_setattr_generic(EnvType)
def _set_attribute(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    env_type, value_type = sig.args
    if env_type.table.column(name).shared:
        raise EnvError(f"{env_type.table.env_class.__name__}.{name} is an option: a step can't write it")
    field = env_type.fields[name]
    value = context.cast(builder, args[1], value_type, field)
    data = context.data_model_manager[field].as_data(builder, value)
    builder.store(data, env_type.pointer(context, builder, args[0], name))
