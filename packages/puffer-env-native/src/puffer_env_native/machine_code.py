"""Object files in memory: loaded by LLVM, called through ctypes, without importing Numba."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import llvmlite.binding as llvm  # type: ignore[import-untyped]

from puffer_core.errors import ResourceError

Call: TypeAlias = Callable[[int], int]
"""Called with the address of a table: steps its rows, and gives 0, or a code where something was raised."""

_ENGINES: list[Any] = []
"""Own the code that was loaded; it lives as long as the process."""


@dataclass(frozen=True)
class ObjectFile:
    """Machine code of one class of env, and the names of what it calls in the C library."""

    needs: tuple[str, ...]
    data: bytes


@cache
def target_machine() -> Any:
    """The machine that this process runs on, with every instruction set it has."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=cpu_features(), opt=3, jit=True, reloc="pic"
    )


@cache
def cpu_features() -> str:
    """The instruction sets of this machine, as LLVM names them."""
    return str(llvm.get_host_cpu_features().flatten())


def process_address(name: str) -> int | None:
    """Where this process has the C function `name`, None where it has none."""
    function = getattr(ctypes.CDLL(None), name, None)
    return ctypes.cast(function, ctypes.c_void_p).value if function else None


def load(code: ObjectFile) -> tuple[Call, Call]:
    """`reset_rows` and `step_rows` of an object file, ready to call.

    Raises:
        ResourceError: this process lacks a function that the code calls.
    """
    for name in code.needs:
        address = process_address(name)
        if address is None:
            raise ResourceError(f"compiled env calls {name!r}, which this Python's C library does not have")
        llvm.add_symbol(name, address)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.data))
    engine.finalize_object()
    _ENGINES.append(engine)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)  # lets other threads run meanwhile
    reset, step = (prototype(engine.get_function_address(name)) for name in ("reset_rows", "step_rows"))
    return reset, step
