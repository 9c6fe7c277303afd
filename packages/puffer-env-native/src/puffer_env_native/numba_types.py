"""How Numba sees an env and its rows: `self` is a struct on the stack, `rows` the table of addresses.

Each row's fields are loaded into the struct, the env's methods are inlined over it, and the fields are stored
back; LLVM then keeps the struct in registers. Every access carries alias scopes: each column of the table is memory of
its own, which LLVM could not prove and without which it would not vectorise the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import lower_builtin, lower_getattr_generic, lower_setattr_generic, register_model
from numba.core.typing import signature, typeof
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr
from numba.np.numpy_support import from_dtype

from puffer_core.errors import UsageError
from puffer_env_native.python_rows import observation_mismatch
from puffer_env_native.table import Table

_BYTES = ir.IntType(8).as_pointer()
_INDEX = ir.IntType(32)


class EnvType(types.Type):  # type: ignore[misc]
    """`self` in a compiled method."""

    def __init__(self, table: Table, methods: dict[str, Any]) -> None:
        self.table = table
        self.methods = methods
        self.fields = {field.name: from_dtype(field.dtype) for field in table.env_class.FIELDS}
        super().__init__(name=f"Env({table.env_class.__module__}.{table.env_class.__qualname__}@{id(table)})")

    def pointer(self, context: Any, builder: Any, env: Any, name: str) -> Any:
        """Address of a field within the struct."""
        position = list(self.fields).index(name)
        struct = builder.bitcast(env, self.struct(context).as_pointer())
        return builder.gep(struct, [_INDEX(0), _INDEX(position)], inbounds=True)

    def struct(self, context: Any) -> Any:
        return ir.LiteralStructType([context.get_data_type(type_) for type_ in self.fields.values()])


class RowsType(types.Type):  # type: ignore[misc]
    """`rows` in the compiled loops."""

    def __init__(self, table: Table, env: EnvType) -> None:
        self.table = table
        self.env = env
        super().__init__(name=f"Rows({env.name})")


@register_model(EnvType)
@register_model(RowsType)
class PointerModel(models.PrimitiveModel):  # type: ignore[misc]
    """Both are an address."""

    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, _BYTES)


@infer_getattr
class EnvAttributes(AttributeTemplate):  # type: ignore[misc]
    """`self.field`, `self.CONSTANT` and `self.method(...)`."""

    key = EnvType

    def generic_resolve(self, env: EnvType, name: str) -> Any:
        if name in env.fields:
            return env.fields[name]
        if name in env.methods:
            return _bound_method(env, name, types.Dispatcher(env.methods[name]))
        constant = getattr(env.table.env_class, name, None)
        return typeof.typeof(constant) if isinstance(constant, (bool, int, float)) else None


def _bound_method(env: EnvType, name: str, dispatcher: Any) -> Any:
    class Method(AbstractTemplate):  # type: ignore[misc]
        key = (EnvType, env.name, name)

        def generic(self, args: Any, kws: Any) -> Any:
            return dispatcher.get_call_type(self.context, (env, *args), kws).as_method()

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        call = context.get_function(dispatcher, sig)
        context.add_linking_libs(getattr(call, "libs", ()))
        return call(builder, args)

    lower_builtin(Method.key, EnvType, types.VarArg(types.Any))(lower)
    return types.BoundFunction(Method, env)


@lower_getattr_generic(EnvType)  # type: ignore[untyped-decorator]
def _get_attribute(context: Any, builder: Any, env_type: EnvType, env: Any, name: str) -> Any:
    if name not in env_type.fields:
        constant = getattr(env_type.table.env_class, name)
        return context.get_constant_generic(builder, typeof.typeof(constant), constant)
    model = context.data_model_manager[env_type.fields[name]]
    return model.from_data(builder, builder.load(env_type.pointer(context, builder, env, name)))


@lower_setattr_generic(EnvType)  # type: ignore[untyped-decorator]
def _set_attribute(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    env_type, value_type = sig.args
    if env_type.table.columns[env_type.table.index[name]].shared:
        raise UsageError(f"{env_type.table.env_class.__name__}.{name} is an option: a step can't write it")
    data = context.data_model_manager[value_type].as_data(builder, args[1])
    builder.store(data, env_type.pointer(context, builder, args[0], name))


class Access:
    """Loads from and stores to the columns of a table, while one method of `rows` is lowered."""

    def __init__(self, context: Any, builder: Any, rows_type: RowsType, rows: Any) -> None:
        self.context, self.builder, self.table, self.rows = context, builder, rows_type.table, rows
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # a third faster where the CPU has it

    def load(self, name: str, row: Any, element: int = 0) -> Any:
        pointer, type_ = self._pointer(name, row, element)
        value = self._scoped(self.builder.load(pointer), name)
        return self.context.data_model_manager[type_].from_data(self.builder, value)

    def store(self, name: str, row: Any, value: Any, value_type: Any, element: int = 0) -> None:
        pointer, type_ = self._pointer(name, row, element)
        value = self.context.cast(self.builder, value, value_type, type_)
        data = self.context.data_model_manager[type_].as_data(self.builder, value)
        self._scoped(self.builder.store(data, pointer), name)

    def type(self, name: str) -> Any:
        return from_dtype(self.table.columns[self.table.index[name]].dtype)

    def _pointer(self, name: str, row: Any, element: int) -> tuple[Any, Any]:
        index = self.table.index[name]
        column = self.table.columns[index]
        type_ = from_dtype(column.dtype)
        entry = self.builder.gep(self.builder.bitcast(self.rows, _BYTES.as_pointer()), [_INDEX(index)], inbounds=True)
        address = self.builder.load(entry)
        address.set_metadata("invariant.load", self.builder.module.add_metadata([]))
        base = self.builder.bitcast(address, self.context.get_data_type(type_).as_pointer())
        word = row.type
        first = word(0) if column.shared else self.builder.mul(row, word(column.width), flags=["nsw"])
        at = self.builder.add(first, word(element), flags=["nsw"])
        return self.builder.gep(base, [at], inbounds=True), type_

    def _scoped(self, instruction: Any, name: str) -> Any:
        add = self.builder.module.add_metadata
        domain = add(["puffer.rows"])
        scopes = {column.name: add([f"puffer.{column.name}", domain]) for column in self.table.columns}
        instruction.set_metadata("alias.scope", add([scopes.pop(name)]))
        instruction.set_metadata("noalias", add(list(scopes.values())))
        return instruction


def _load(access: Access, rows_type: RowsType, row: Any) -> Any:
    context, builder, env_type = access.context, access.builder, rows_type.env
    env = builder.bitcast(cgutils.alloca_once(builder, env_type.struct(context)), _BYTES)
    for name, type_ in env_type.fields.items():
        data = context.data_model_manager[type_].as_data(builder, access.load(name, row))
        builder.store(data, env_type.pointer(context, builder, env, name))
    return env


def _store(access: Access, rows_type: RowsType, row: Any, env: Any) -> None:
    for name, type_ in rows_type.env.fields.items():
        if not rows_type.table.columns[rows_type.table.index[name]].shared:
            value = _get_attribute(access.context, access.builder, rows_type.env, env, name)
            access.store(name, row, value, type_)


def _action(access: Access, sig: Any, row: Any) -> Any:
    width = rows_width(sig.args[0], "@action")
    wide = types.float64 if isinstance(access.type("@action"), types.Float) else types.int64
    elements = [
        access.context.cast(access.builder, access.load("@action", row, i), access.type("@action"), wide)
        for i in range(width)
    ]
    if not isinstance(sig.return_type, types.UniTuple):
        return elements[0]
    return access.context.make_tuple(access.builder, sig.return_type, elements)


def rows_width(rows_type: RowsType, name: str) -> int:
    return rows_type.table.columns[rows_type.table.index[name]].width


def _valid_action(access: Access, row: Any) -> Any:
    builder, leaf = access.builder, access.table.action_leaf
    valid = cgutils.true_bit
    for i in range(access.table.columns[access.table.index["@action"]].width):
        value = access.load("@action", row, i)
        if leaf.kind == "box":
            is_real = isinstance(value.type, (ir.FloatType, ir.DoubleType))
            checks = [builder.fcmp_ordered("ord", value, value)] if is_real else []
        else:
            value = access.context.cast(builder, value, access.type("@action"), types.int64)
            low, high = leaf.start[i], leaf.start[i] + leaf.sizes[i]
            checks = [
                builder.icmp_signed(">=", value, value.type(low)),
                builder.icmp_signed("<", value, value.type(high)),
            ]
        for check in checks:
            valid = builder.and_(valid, check)
    return valid


def _observe(access: Access, row: Any, seen: Any, seen_type: Any) -> None:
    width = access.table.columns[access.table.index["@observation"]].width
    if not isinstance(seen_type, types.BaseTuple):
        seen, seen_type = [seen], types.UniTuple(seen_type, 1)
    else:
        seen = cgutils.unpack_tuple(access.builder, seen)
    if len(seen) != width:
        raise UsageError(observation_mismatch(access.table, len(seen)))
    for i, (value, type_) in enumerate(zip(seen, seen_type, strict=True)):
        access.store("@observation", row, value, type_, element=i)


def _keep_final_observation(access: Access, row: Any) -> None:
    type_ = access.type("@observation")
    for i in range(access.table.columns[access.table.index["@observation"]].width):
        access.store("@final_observation", row, access.load("@observation", row, i), type_, element=i)


def _outcome(access: Access, sig: Any, row: Any, reward: Any, terminated: Any, truncated: Any) -> None:
    outcome = {"@reward": reward, "@terminated": terminated, "@truncated": truncated}
    for (name, value), type_ in zip(outcome.items(), sig.args[2:], strict=True):
        access.store(name, row, value, type_)


def _action_type(rows: RowsType) -> Any:
    real = from_dtype(rows.table.action.dtype)
    wide = types.float64 if isinstance(real, types.Float) else types.int64
    width = rows_width(rows, "@action")
    return wide if rows.table.action_leaf.kind == "discrete" else types.UniTuple(wide, width)


def _shared_number(name: str) -> tuple[Callable[[RowsType], Any], Lowering]:
    return (lambda _: types.int64), (lambda access, _, __: access.load(f"@{name}", ir.IntType(64)(0)))


Lowering: TypeAlias = Callable[[Access, Any, Any], Any]
_METHODS: dict[str, tuple[Callable[[RowsType], Any], Lowering]] = {
    "load": (lambda rows: rows.env, lambda a, sig, args: _load(a, sig.args[0], args[0])),
    "store": (lambda _: types.none, lambda a, sig, args: _store(a, sig.args[0], *args)),
    "action": (_action_type, lambda a, sig, args: _action(a, sig, *args)),
    "valid_action": (lambda _: types.boolean, lambda a, _, args: _valid_action(a, *args)),
    "observe": (lambda _: types.none, lambda a, sig, args: _observe(a, *args, sig.args[2])),
    "keep_final_observation": (lambda _: types.none, lambda a, _, args: _keep_final_observation(a, *args)),
    "outcome": (lambda _: types.none, lambda a, sig, args: _outcome(a, sig, *args)),
    "ended": (
        lambda _: types.boolean,
        lambda a, _, args: a.builder.or_(a.load("@terminated", *args), a.load("@truncated", *args)),
    ),
    **{name: _shared_number(name) for name in ("start", "stop", "count", "limit")},
    "visit": (
        lambda _: types.none,
        lambda a, sig, args: a.store("@visited", args[0], args[0], sig.args[1]),
    ),
}


@infer_getattr
class RowsAttributes(AttributeTemplate):  # type: ignore[misc]
    """The methods of `rows`."""

    key = RowsType

    def generic_resolve(self, rows: RowsType, name: str) -> Any:
        return_type, _ = _METHODS[name]

        class Method(AbstractTemplate):  # type: ignore[misc]
            key = (RowsType, name)

            def generic(self, args: Any, kws: Any) -> Any:
                return signature(return_type(rows), *args, recvr=rows)

        return types.BoundFunction(Method, rows)


def _register(name: str, lowering: Lowering) -> None:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = lowering(Access(context, builder, sig.args[0], args[0]), sig, args[1:])
        return context.get_dummy_value() if value is None else value

    lower_builtin((RowsType, name), RowsType, types.VarArg(types.Any))(lower)


for _name, (_, _lowering) in _METHODS.items():
    _register(_name, _lowering)
