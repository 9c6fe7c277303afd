"""Public names of a package that are imported when they are first used.

A plugin's module lies inside its package, so discovering plugins imports every package: its `__init__` has to be light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The module-level `__getattr__` of a package (PEP 562).

    Args:
        package: its `__name__`.
        modules: public name to the module that defines it.

    Example:
        >>> getattr_ = lazy_names("numbers_of_mine", {"pi": "math"})
        >>> round(getattr_("pi"), 2)
        3.14
    """

    def attribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(modules[name]), name)

    return attribute
