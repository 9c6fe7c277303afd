"""Environments in plain Python that step at C speed.

The names are imported when they are first used: the plugin's module is in this package and has to be light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puffer_env_native.env import NativeEnv
    from puffer_env_native.fields import Float32, Int8, Int16, Int32, UInt8, UInt64

__all__ = ["Float32", "Int8", "Int16", "Int32", "NativeEnv", "UInt8", "UInt64"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = "env" if name == "NativeEnv" else "fields"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
