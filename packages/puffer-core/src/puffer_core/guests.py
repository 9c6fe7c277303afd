"""What an environment may do to the process that it is a guest in, without harm to the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def working_directory_kept() -> Iterator[None]:
    """Come back to the working directory: an environment may leave it, and what is written later must not follow.

    Example:
        >>> before = Path.cwd()
        >>> with working_directory_kept():
        ...     os.chdir("/")
        >>> Path.cwd() == before
        True
    """
    try:
        before = Path.cwd()
    except OSError:  # it was removed: nowhere to come back to
        yield
        return
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def handlers_kept(*signums: int) -> Iterator[None]:
    """While this lasts, a handler that anybody installs for these signals is put aside, and never called.

    `signal.signal` answers as if it had installed it. Processes that are forked meanwhile install theirs as ever.

    Example:
        >>> before = signal.getsignal(signal.SIGTERM)
        >>> with handlers_kept(signal.SIGTERM):
        ...     signal.signal(signal.SIGTERM, signal.SIG_IGN) == before, signal.getsignal(signal.SIGTERM) == before
        (True, True)
    """
    install, owner = signal.signal, os.getpid()
    aside: dict[int, Any] = {}

    def install_unless_kept(signum: int, handler: Any, /) -> Any:
        if signum not in signums or os.getpid() != owner:
            return install(signum, handler)
        replaced = aside.get(signum, signal.getsignal(signum))
        aside[signum] = handler
        return replaced

    signal.signal = install_unless_kept  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = install
