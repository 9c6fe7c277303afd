"""The file to which a worker writes its Python stack: when it crashes, or when it is asked (`control.DUMP`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic, sleep

from puffer_core.vector import worker
from puffer_core.vector.memory import anonymous_file

_SETTLING_SECONDS = 0.5
_LOOK_SECONDS = 0.025
_LONGEST = 20_000


class LastWords:
    """A file without a name, closed at the latest when this is forgotten."""

    def __init__(self) -> None:
        self.fd = anonymous_file()

    def clear(self) -> None:
        """Empty it: who writes next begins at the beginning."""
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)

    def text(self) -> str:
        """The stack, innermost call first, down to where our own loop begins."""
        lines = os.pread(self.fd, _LONGEST, 0).decode(errors="replace").strip().splitlines()
        own = next((i for i, line in enumerate(lines) if f'"{worker.__file__}"' in line), len(lines))
        return "\n".join(lines[:own])

    def awaited(self, goes_on: Callable[[], bool]) -> str:
        """The same once it grows no more; empty where nothing comes within half a second.

        Args:
            goes_on: whether it is worth while to wait.
        """
        until, seen = monotonic() + _SETTLING_SECONDS, 0
        while goes_on() and monotonic() < until:
            sleep(_LOOK_SECONDS)
            size = os.fstat(self.fd).st_size
            if size and size == seen:
                break
            seen = size
        return self.text()

    def close(self) -> None:
        """Safe to call twice."""
        fd, self.fd = getattr(self, "fd", -1), -1
        if fd >= 0:
            os.close(fd)

    __del__ = close
