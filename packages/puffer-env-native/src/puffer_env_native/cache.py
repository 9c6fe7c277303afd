"""The cache of compiled envs: one object file for each env, by the hash of everything that went into it.

Numba's own cache is keyed by file times and knows nothing of the functions that a function calls; and to read
it, Numba has to be imported, which takes longer than everything else of a start. Here the key is the
bytecode of the env's methods and of all functions they reach, the constants they see, the fields and spaces, the
versions of the compilers, the instruction sets of the machine, and the sources of this package.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

from puffer_env_native.env import NativeEnv
from puffer_env_native.machine_code import Call, ObjectFile, cpu_features, load
from puffer_env_native.table import Table

_DIGEST = hashlib.sha256().digest_size


_LOADED: dict[type, tuple[Call, Call]] = {}


def compiled(env_class: type[NativeEnv]) -> tuple[Call, Call]:
    """`reset_rows` and `step_rows` of an env class: of this process, from the cache, or compiled now."""
    if env_class in _LOADED:
        return _LOADED[env_class]
    path = directory() / f"{env_class.__name__}-{fingerprint(env_class)[:32]}.puffer"
    code = read(path)
    if code is None:
        from puffer_env_native.compiler import compile_env

        code = compile_env(env_class)
        write(path, code)
    _LOADED[env_class] = load(code)
    return _LOADED[env_class]


def directory() -> Path:
    """Where compiled envs are kept: in `NUMBA_CACHE_DIR` if that is set, otherwise in the user's cache directory."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "puffer-env-native"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "puffer" / "env-native"


def read(path: Path) -> ObjectFile | None:
    """The entry at `path`; None where there is none or it is damaged."""
    try:
        entry = path.read_bytes()
    except OSError:
        return None
    digest, body = entry[:_DIGEST], entry[_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        return None
    needs, _, data = body.partition(b"\n")
    return ObjectFile(tuple(needs.decode().split()), data)


def write(path: Path, code: ObjectFile) -> None:
    """Keep an entry, whole or not at all. Where nothing can be written, the next process compiles again."""
    body = " ".join(code.needs).encode() + b"\n" + code.data
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)


def fingerprint(env_class: type[NativeEnv]) -> str:
    """Hash of everything that decides what machine code the env becomes."""
    ingredients = _Ingredients()
    ingredients.add(_toolchain())
    table = Table(env_class)
    leaf = table.action_leaf
    ingredients.add(repr((table.columns, leaf.kind, leaf.sizes, leaf.start)))
    constants = {name: getattr(env_class, name) for name in dir(env_class) if name not in table.index}
    numbers = {name: value for name, value in constants.items() if isinstance(value, (bool, int, float))}
    for name, value in {**table.methods, **numbers}.items():
        ingredients.add(name)
        ingredients.value(value, ())
    return ingredients.hash.hexdigest()


@functools.cache
def _toolchain() -> str:
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    versions = (sys.version, version("numba"), version("llvmlite"), llvm.get_host_cpu_name(), cpu_features())
    return repr((versions, sources.hexdigest()))


class _Ingredients:
    """Walks functions, what they call and the constants they see, into one hash."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self._seen: set[FunctionType] = set()

    def add(self, text: str) -> None:
        self.hash.update(text.encode() + b"\0")

    def value(self, value: Any, names: tuple[str, ...]) -> None:
        """A global or constant; of a module, only the attributes among `names`, those that the code mentions."""
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, CodeType):
            self._code(value)
        elif isinstance(value, ModuleType):
            for name in names:
                attribute = getattr(value, name, None)
                self.add(f"{value.__name__}.{name}")
                if not isinstance(attribute, ModuleType):
                    self.value(attribute, ())
        elif isinstance(value, np.ndarray):
            self.add(repr((value.dtype, value.shape)))
            self.hash.update(value.tobytes())
        elif hasattr(value, "__qualname__"):  # classes and what is not written in Python, ufuncs and the like
            self.add(f"{value.__module__}.{value.__qualname__}")
        elif isinstance(value, (tuple, list)):
            self.add(type(value).__name__)
            for element in value:
                self.value(element, names)
        else:
            self.add(repr(value))

    def _function(self, function: FunctionType) -> None:
        if function in self._seen:
            return
        self._seen.add(function)
        code = function.__code__
        self._code(code)
        self.value(function.__defaults__ or (), code.co_names)
        self.value([cell.cell_contents for cell in function.__closure__ or ()], code.co_names)
        for name in code.co_names:
            if name in function.__globals__:
                self.add(name)
                self.value(function.__globals__[name], code.co_names)

    def _code(self, code: CodeType) -> None:
        self.hash.update(code.co_code)
        self.value(code.co_consts, ())
        self.add(repr((code.co_names, code.co_varnames[: code.co_argcount])))
