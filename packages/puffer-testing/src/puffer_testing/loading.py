"""Helper modules that lie beside tests, which pytest's importlib mode does not put on the path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_module(path: Path, name: str) -> ModuleType:
    """The module in the file `path`, executed once, and importable as `name` from then on, by targets too.

    Example:
        >>> import puffer_testing.faults
        >>> load_module(Path(puffer_testing.faults.__file__), "faults_of_mine").__name__
        'faults_of_mine'
    """
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
