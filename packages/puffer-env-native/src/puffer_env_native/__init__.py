"""Environments in plain Python that step at C speed.

The names are imported when they are first used: the plugin's module is in this package and has to be light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_env_native.env import NativeEnv
    from puffer_env_native.fields import Array, Constant, Float32, Int8, Int16, Int32, UInt8, UInt64

__all__ = ["Array", "Constant", "Float32", "Int8", "Int16", "Int32", "NativeEnv", "UInt8", "UInt64"]

_FIELDS = {name: "puffer_env_native.fields" for name in __all__ if name != "NativeEnv"}
__getattr__ = lazy_names(__name__, {"NativeEnv": "puffer_env_native.env", **_FIELDS})
