"""JAX's persistent compilation cache, in the user's cache directory and for our programs alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

DIRECTORY, SHORTEST = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
_settings = RLock()


def directory() -> Path:
    """Where compiled programs are kept.

    Example:
        >>> directory().parts[-2:]
        ('puffer', 'jax')

    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "puffer" / "jax"


@contextmanager
def compiling(*, cached: bool) -> Iterator[None]:
    """What is compiled inside is read from disk, or kept there, however short it took; JAX's settings stay as they are.

    JAX has these settings for the whole process only, so they are put back at the end, and JAX is made to forget the
    directory. Where one is set already, it is the user's choice, and used.

    That JAX finds no use for memory that it was given away is no news: `consumes` is a permission.
    """
    with _settings, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
        theirs = getattr(jax.config, DIRECTORY)
        if not cached or theirs:
            yield
            return
        shortest = getattr(jax.config, SHORTEST)
        ours = directory()
        try:
            ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:  # nowhere to keep programs: they are compiled every time
            yield
            return
        _use(str(ours), 0.0)
        try:
            yield
        finally:
            _use(None, shortest)


def _use(path: str | None, shortest: float) -> None:
    jax.config.update(DIRECTORY, path)  # type: ignore[no-untyped-call]
    jax.config.update(SHORTEST, shortest)  # type: ignore[no-untyped-call]
    reset_cache()  # it remembers the directory that it began with
