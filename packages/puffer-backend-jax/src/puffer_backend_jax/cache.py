"""JAX's persistent compilation cache, in the user's cache directory and for our programs alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from puffer_core.errors import PufferWarning

DIRECTORY, SHORTEST = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
_READING, _WRITING = (f"Error {doing} persistent compilation cache entry" for doing in ("reading", "writing"))
_settings = RLock()
_told: set[str] = set()


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

    JAX writes a program in place: a process that is killed meanwhile leaves a part of it, which JAX would neither use
    nor replace. All programs are removed then, and this one is kept anew. Where nothing can be kept, that is told once.

    That JAX finds no use for memory that it was given away is no news: `consumes` is a permission.
    """
    with _settings, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
        ours = _made() if cached and not getattr(jax.config, DIRECTORY) else None
        if ours is None:
            yield
            return
        for trouble in (_READING, _WRITING):
            warnings.filterwarnings("always", message=trouble)
        warnings.showwarning = partial(_heard, ours, warnings.showwarning)
        shortest = getattr(jax.config, SHORTEST)
        _use(str(ours), 0.0)
        try:
            yield
        finally:
            _use(None, shortest)


def _made() -> Path | None:
    try:
        ours = directory()
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # a RuntimeError: nobody knows where the user's home is
        _tell(str(error))
        return None
    return ours


def _heard(ours: Path, show: Callable[..., None], message: Warning | str, *rest: Any, **more: Any) -> None:
    """What JAX warns of while it compiles; `show` is how warnings are shown otherwise."""
    text = str(message)
    if text.startswith(_READING):
        with suppress(OSError):
            for program in ours.glob("*-cache"):
                program.unlink(missing_ok=True)
    elif text.startswith(_WRITING):
        _tell(text.partition("': ")[2])
    else:
        show(message, *rest, **more)


def _tell(cause: str) -> None:
    """Once a process for each cause, whatever the program is called."""
    kind = cause.partition(":")[0]
    if kind not in _told:
        _told.add(kind)
        warnings.warn(
            f"backend jax: compiled programs cannot be kept, and each run compiles them anew: {cause}; "
            "XDG_CACHE_HOME says where to keep them",
            PufferWarning,
            stacklevel=2,
        )


def _use(path: str | None, shortest: float) -> None:
    jax.config.update(DIRECTORY, path)  # type: ignore[no-untyped-call]
    jax.config.update(SHORTEST, shortest)  # type: ignore[no-untyped-call]
    reset_cache()  # it remembers the directory that it began with
