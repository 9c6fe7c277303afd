"""Says where a run stands when nothing moves any more: the stacks of every thread and worker, in a file of the run."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Self

from puffer_core.run.crash import free_name

_SLACK = 0.25
"""What faulthandler's own timer, which needs no interpreter, waits longer than the thread: a share of the limit."""
_REARM_SECONDS = 1.0
"""The timer is set anew no more often than this: it costs a thread each time."""


class Watchdog:
    """Watches that `progressed` is called. A context manager; training goes on whatever it sees.

    A stall is written into `stacks-*.txt` and warned of once. Where a thread stays in C code and never gives the
    interpreter back, no Python can run to say so: then the stacks of this process alone are written, some time later.
    One process has one watchdog at a time, for it has one such timer.

    Args:
        seconds: without progress, after which it is a stall; 0: never.
        directory: for the file.
        stacks: gives the stack of each worker process, as text, by pid; called in a thread of the watchdog's own.
        warn: takes one line for each stall; likewise.

    Example:
        >>> with Watchdog(60.0, Path("."), dict, print) as watchdog:
        ...     watchdog.progressed()
    """

    def __init__(
        self,
        seconds: float,
        directory: Path,
        stacks: Callable[[], Mapping[int, str]],
        warn: Callable[[str], object],
    ) -> None:
        self._seconds, self._directory, self._stacks, self._warn = seconds, directory, stacks, warn
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._file: IO[str] | None = None
        self._last = self._armed = 0.0

    def __enter__(self) -> Self:
        if self._seconds > 0:
            self._last = monotonic()
            with suppress(OSError):  # a full disk is told of by whoever has something to save
                self._file = free_name(self._directory, "stacks").open("w", encoding="utf-8")
                self._arm()
                self._thread = threading.Thread(target=self._watch, name="puffer-watchdog", daemon=True)
                self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is None:
            return
        self._over.set()
        if self._thread is not None:
            self._thread.join(_REARM_SECONDS)  # no longer: it may be telling of a worker that does not answer
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        self._file = None
        remove_empty(self._directory)

    def progressed(self) -> None:
        """Something was done: the time begins anew. Cheap enough for every step of an environment."""
        self._last = monotonic()
        if self._thread is not None and self._last - self._armed >= min(_REARM_SECONDS, _SLACK * self._seconds):
            self._arm()

    def _arm(self) -> None:
        self._armed = monotonic()
        assert self._file is not None
        faulthandler.dump_traceback_later((1 + 2 * _SLACK) * self._seconds, file=self._file)

    def _watch(self) -> None:
        told = -1.0
        while not self._over.wait(max(0.01, self._last + self._seconds - monotonic())):
            last = self._last
            if monotonic() - last < self._seconds:
                continue
            if told != last:
                told = last
                self._tell()
            self._over.wait(self._seconds)

    def _tell(self) -> None:
        file = self._file
        assert file is not None
        faulthandler.cancel_dump_traceback_later()
        with suppress(OSError):
            file.write(
                f"{datetime.now().astimezone():%F %T}: no progress for {self._seconds:g} s\n\nprocess {os.getpid()}\n"
            )
            file.flush()
            faulthandler.dump_traceback(file, all_threads=True)
            for pid, text in self._stacks().items():
                file.write(f"\nworker {pid}\n{text or '(it does not answer)'}\n")
            file.flush()
        self._warn(
            f"warning: no update for {self._seconds:g} s; where every thread and worker stands is in {file.name}. "
            "Training goes on. Allow more with --stall-seconds"
        )


def remove_empty(directory: Path) -> None:
    """Remove the files of watchdogs that saw nothing."""
    with suppress(OSError):
        for path in directory.glob("stacks-*.txt"):
            if not path.stat().st_size:
                path.unlink()
