"""From an env class to machine code: Numba types and optimises, LLVM emits an object file.

Importing this module imports Numba (0.4 s) and compiling takes a second or two, so it happens only where the
cache has nothing; see `cache`.
"""

# mypy: disable-error-code="call-overload, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit
from numba.core.errors import NumbaError

from puffer_core.errors import EnvError, UnsupportedError
from puffer_env_native import loop, maths
from puffer_env_native.env import NativeEnv
from puffer_env_native.machine_code import ObjectFile, process_address, target_machine
from puffer_env_native.numba_env import EnvType
from puffer_env_native.numba_rows import RowsType
from puffer_env_native.table import Table

_REPLACED = {math.sin: maths.sin, math.cos: maths.cos}
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _FastMath(ModuleType):
    """Stands for the module `math` in compiled functions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(math, name)


class Functions:
    """Compiled twins of plain functions: those an env's methods call are compiled with them."""

    def __init__(self) -> None:
        self._twins: dict[FunctionType, Any] = {}
        self._math = _FastMath("math")
        self._math.__dict__.update(sin=self.twin(maths.sin), cos=self.twin(maths.cos))

    def twin(self, function: Callable[..., Any], *, inline: bool = True) -> Any:
        """The Numba function of the same source, in whose globals `math` is fast and functions are compiled."""
        assert isinstance(function, FunctionType)
        if function not in self._twins:
            used = set(function.__code__.co_names)
            globals_ = {k: self._global(v) if k in used else v for k, v in function.__globals__.items()}
            copy = FunctionType(
                function.__code__, globals_, function.__name__, function.__defaults__, function.__closure__
            )
            copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
            self._twins[function] = njit(**_OPTIONS, forceinline=inline)(copy)
        return self._twins[function]

    def _global(self, value: Any) -> Any:
        value = _REPLACED.get(value, value) if callable(value) else value
        if value is math:
            return self._math
        return self.twin(value) if isinstance(value, FunctionType) else value


def compile_env(env_class: type[NativeEnv]) -> ObjectFile:
    """Machine code of `reset_rows` and `step_rows` for one class of env.

    Raises:
        EnvError: Numba cannot compile the env; the message is Numba's.
        UnsupportedError: the env needs Numba's runtime, say because it allocates an array in a step.
    """
    name = f"{env_class.__module__}.{env_class.__qualname__}"
    table, functions = Table(env_class), Functions()
    drawing = {"observe"} if table.observes_in_place else set()  # long, and called thrice: to compile it once will do
    methods = {name: functions.twin(method, inline=name not in drawing) for name, method in table.methods.items()}
    rows = RowsType(table, EnvType(table, methods))
    module = llvm.parse_assembly("")
    try:
        for entry in (loop.reset_rows, loop.step_rows):
            module.link_in(_compile_entry(entry, rows))
    except NumbaError as error:
        raise EnvError(
            f"{name} does not compile: {error}",
            remedy="compiled=False runs it as plain Python; the README lists what a native env may use",
        ) from error
    needs = sorted(f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm."))
    missing = [name for name in needs if process_address(name) is None]
    if missing:
        raise UnsupportedError(
            f"{name} needs Numba's runtime when it steps: {', '.join(missing)}",
            remedy="keep to numbers, tuples, array fields and `math`: no lists, strings or new arrays in a step",
        )
    return ObjectFile(tuple(needs), target_machine().emit_object(module))


def _compile_entry(entry: Any, rows: RowsType) -> Any:
    """An LLVM module whose function named as `entry` takes the address of a table and gives Numba's status code."""
    dispatcher = njit(**_OPTIONS)(entry)
    dispatcher.compile((rows,))
    module = llvm.parse_assembly(dispatcher.inspect_llvm((rows,)))
    native = dispatcher.overloads[(rows,)].fndesc.llvm_func_name

    status, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    wrapper = ir.Module()
    wrapper.triple, wrapper.data_layout = module.triple, module.data_layout
    inner = ir.Function(wrapper, ir.FunctionType(status, [pointer] * 3), native)
    outer = ir.Function(wrapper, ir.FunctionType(status, [pointer]), entry.__name__)
    builder = ir.IRBuilder(outer.append_basic_block())
    value, error = (builder.bitcast(builder.alloca(pointer), pointer) for _ in range(2))
    builder.ret(builder.call(inner, [value, error, outer.args[0]]))
    module.link_in(llvm.parse_assembly(str(wrapper)))
    return module
