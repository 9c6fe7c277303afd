"""The methods of `rows` in the compiled loops, each a few instructions; `PythonRows` says what they mean."""

# Numba's own types differ from release to release, and llvmlite has none.
# mypy: disable-error-code="no-untyped-call, import-untyped, misc, override"

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import lower_builtin
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, signature

from puffer_env_native.numba_cells import BYTES, CellsType, wide
from puffer_env_native.numba_env import get_attribute
from puffer_env_native.numba_table import Access, RowsType
from puffer_env_native.python_rows import observation_mismatch

__all__ = ["RowsType"]

ReturnType: TypeAlias = Callable[[RowsType], Any]
_RETURNS: dict[str, ReturnType] = {}


def _method(returns: ReturnType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function the method of `rows` that has its name.

    It is given the access, the types of the arguments after `rows`, and their values.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            rows_type, *argument_types = sig.args
            value = function(Access(context, builder, rows_type, args[0]), argument_types, *args[1:])
            return context.get_dummy_value() if value is None else value

        lower_builtin((RowsType, function.__name__), RowsType, types.VarArg(types.Any))(lower)
        _RETURNS[function.__name__] = returns
        return function

    return register


@infer_getattr
class RowsMethods(AttributeTemplate):
    """Finds the methods."""

    key = RowsType

    def generic_resolve(self, rows: RowsType, name: str) -> Any:
        class Method(AbstractTemplate):
            key = (RowsType, name)

            def generic(self, args: Any, kws: Any) -> Any:
                assert not kws
                return signature(_RETURNS[name](rows), *args, recvr=rows)

        return types.BoundFunction(Method, rows)


def _nothing(_: RowsType) -> Any:
    return types.none


def _flag(_: RowsType) -> Any:
    return types.boolean


def _count(_: RowsType) -> Any:
    return types.int64


@_method(_count)
def start(access: Access, _: Any) -> Any:
    return access.shared("@start")


@_method(_count)
def stop(access: Access, _: Any) -> Any:
    return access.shared("@stop")


@_method(_count)
def count(access: Access, _: Any) -> Any:
    return access.shared("@count")


@_method(_count)
def limit(access: Access, _: Any) -> Any:
    return access.shared("@limit")


@_method(_nothing)
def visit(access: Access, argument_types: Any, row: Any) -> None:
    access.store("@visited", row, row, argument_types[0])


@_method(lambda rows: rows.env)
def load(access: Access, _: Any, row: Any) -> Any:
    env_type, builder = access.type.env, access.builder
    env = builder.bitcast(cgutils.alloca_once(builder, env_type.struct(access.context)), BYTES)
    for name, type_ in env_type.fields.items():
        if isinstance(type_, CellsType):
            data = builder.bitcast(access.pointer(name, row), BYTES)
        else:
            data = access.context.data_model_manager[type_].as_data(builder, access.load(name, row))
        builder.store(data, env_type.pointer(access.context, builder, env, name))
    return env


@_method(_nothing)
def store(access: Access, _: Any, row: Any, env: Any) -> None:
    env_type = access.type.env
    for name, type_ in env_type.fields.items():
        if not access.type.column(name).shared and not isinstance(type_, CellsType):
            value = get_attribute(access.context, access.builder, env_type, env, name)
            access.store(name, row, value, wide(type_))


def _wide(rows: RowsType) -> Any:
    """What Python would compute an action's elements in."""
    return types.float64 if isinstance(rows.element("@action"), types.Float) else types.int64


def _action_type(rows: RowsType) -> Any:
    discrete = rows.table.action_leaf.kind == "discrete"
    return _wide(rows) if discrete else types.UniTuple(_wide(rows), rows.column("@action").width)


@_method(_action_type)
def action(access: Access, _: Any, row: Any) -> Any:
    rows, context, builder = access.type, access.context, access.builder
    elements = [
        context.cast(builder, access.load("@action", row, i), rows.element("@action"), _wide(rows))
        for i in range(rows.column("@action").width)
    ]
    if rows.table.action_leaf.kind == "discrete":
        return elements[0]
    return context.make_tuple(builder, _action_type(rows), elements)


@_method(_flag)
def valid_action(access: Access, _: Any, row: Any) -> Any:
    rows, builder, leaf = access.type, access.builder, access.type.table.action_leaf
    valid = cgutils.true_bit
    for i in range(rows.column("@action").width):
        value = access.context.cast(builder, access.load("@action", row, i), rows.element("@action"), _wide(rows))
        if leaf.kind != "box":
            low, high = value.type(leaf.start[i]), value.type(leaf.start[i] + leaf.sizes[i])
            valid = builder.and_(valid, builder.icmp_signed(">=", value, low))
            valid = builder.and_(valid, builder.icmp_signed("<", value, high))
        elif _wide(rows) is types.float64:
            valid = builder.and_(valid, builder.fcmp_ordered("ord", value, value))
    return valid


@_method(_nothing)
def outcome(access: Access, argument_types: Any, row: Any, *values: Any) -> None:
    for name, value, type_ in zip(("@reward", "@terminated", "@truncated"), values, argument_types[1:], strict=True):
        access.store(name, row, value, type_)


def _shown(rows: RowsType) -> list[tuple[str, tuple[Any, ...]]]:
    """The env's methods that say what a row sees, and the types of what they are given."""
    seen = (rows.env.cells("@observation"),) if rows.table.observes_in_place else ()
    mask = [("action_mask", (rows.env.cells("@action_mask"),))] if rows.table.masked else []
    return [("observe", seen), *mask]


@_method(_nothing)
def observe(access: Access, _: Any, row: Any, env: Any) -> None:
    for method, arguments in _shown(access.type):
        given = [access.builder.bitcast(access.pointer(cells.column, row), BYTES) for cells in arguments]
        value, type_ = _called(access, method, arguments, env, given)
        if not arguments:
            _write_observation(access, row, value, type_)


def _called(access: Access, method: str, types_: Any, env: Any, arguments: list[Any]) -> tuple[Any, Any]:
    """What a method of the env gives, and its type."""
    dispatcher, sig = access.type.env.call(access.context.typing_context, method, types_)
    function = access.context.get_function(dispatcher, sig)
    access.context.add_linking_libs(getattr(function, "libs", ()))
    return function(access.builder, (env, *arguments)), sig.return_type


def _write_observation(access: Access, row: Any, seen: Any, type_: Any) -> None:
    is_tuple = isinstance(type_, types.BaseTuple)
    elements = cgutils.unpack_tuple(access.builder, seen) if is_tuple else [seen]
    if len(elements) != access.type.column("@observation").width:
        raise observation_mismatch(access.type.table, len(elements))
    for i, (value, element) in enumerate(zip(elements, type_ if is_tuple else [type_], strict=True)):
        access.store("@observation", row, value, element, element=i)


@_method(_flag)
def ended(access: Access, _: Any, row: Any) -> Any:
    return access.builder.or_(access.load("@terminated", row), access.load("@truncated", row))


@_method(_nothing)
def keep_final_observation(access: Access, _: Any, row: Any) -> None:
    column = access.type.column("@observation")
    to, here = (access.pointer(name, row) for name in ("@final_observation", "@observation"))
    cgutils.raw_memcpy(access.builder, to, here, ir.IntType(64)(column.width), column.dtype.itemsize)
