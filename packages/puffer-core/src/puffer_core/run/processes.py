"""Commands as processes of their own, several at a time; a signal asks each of them once to end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol

from puffer_core.errors import ResourceError
from puffer_core.run.parent import PARENT

_SIGNUMS = (signal.SIGINT, signal.SIGTERM)
_LAST_WORDS = 1.0
"""Seconds that what a process wrote may take to arrive after its end; a process it left behind may hold the pipe."""


@dataclass(frozen=True)
class Job:
    """A command to run.

    Args:
        number: that it is called by.
        command: program and arguments.
    """

    number: int
    command: Sequence[str]


class Listener(Protocol):
    """Is told, in the thread that waits, what becomes of jobs."""

    def started(self, number: int) -> None:
        """A job's process runs."""
        ...

    def said(self, number: int, line: str) -> None:
        """It wrote a line on stderr."""
        ...

    def ended(self, number: int, code: int) -> None:
        """It ended, with an exit code as a shell has it: 128 and the signal where one ended it."""
        ...

    def tick(self) -> None:
        """Time went by: called each `seconds_a_tick`."""
        ...


@dataclass(frozen=True)
class _Event:
    number: int
    line: str = ""
    code: int | None = None


class Processes:
    """Runs jobs side by side, and passes on the signals that are to end this process.

    Each job has a session of its own, so that Ctrl-C in a terminal reaches this process alone. The first SIGINT or
    SIGTERM becomes a SIGTERM to every job, and no other is started; a SIGINT after it goes to every job as it is.
    Outside the main thread no signals arrive. Where this process is killed, those that are Puffer's are sent SIGTERM.

    Args:
        environ: of the jobs.
        listener: is told what becomes of them.
        seconds_a_tick: between calls of `listener.tick`, > 0.
    """

    def __init__(self, environ: Mapping[str, str], listener: Listener, *, seconds_a_tick: float = 1.0) -> None:
        self._environ, self._listener, self._seconds_a_tick = dict(environ), listener, seconds_a_tick
        self._events: SimpleQueue[_Event | int] = SimpleQueue()  # its `put` may be called from a signal handler
        self._living: dict[int, subprocess.Popen[str]] = {}
        self.signum = 0
        """The first signal; 0 where none came."""

    def run(self, jobs: Sequence[Job], parallel: int) -> dict[int, int]:
        """Run them all, at most `parallel` at a time.

        Returns:
            Exit codes by number, in the order in which they ended; without those that were not started.

        Raises:
            ResourceError: a process cannot be started; those that run are ended first.
        """
        waiting, codes = list(jobs), dict[int, int]()
        next_tick = monotonic() + self._seconds_a_tick
        with _signals_to(self._events), self._ended_with_this():
            while True:
                while waiting and not self.signum and len(self._living) < parallel:
                    self._start(waiting.pop(0))
                if not self._living:
                    return codes
                with suppress(Empty):
                    self._take(self._events.get(timeout=max(0.0, next_tick - monotonic())), codes)
                if monotonic() >= next_tick:
                    self._listener.tick()
                    next_tick = monotonic() + self._seconds_a_tick

    def _take(self, event: _Event | int, codes: dict[int, int]) -> None:
        if isinstance(event, int):
            self._send(event if self.signum and event == signal.SIGINT else signal.SIGTERM)
            self.signum = self.signum or event
        elif event.code is None:
            self._listener.said(event.number, event.line)
        else:
            del self._living[event.number]
            codes[event.number] = event.code
            self._listener.ended(event.number, event.code)

    def _start(self, job: Job) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603  our own program
                job.command,
                env={**self._environ, PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                text=True,
                errors="backslashreplace",
            )
        except OSError as error:
            raise ResourceError(f"process {job.number} cannot be started: {error}") from error
        self._living[job.number] = process
        reader = threading.Thread(target=self._read, args=(job.number, process), daemon=True)
        reader.start()
        threading.Thread(target=self._wait, args=(job.number, process, reader), daemon=True).start()
        self._listener.started(job.number)

    def _read(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self._events.put(_Event(number, line.rstrip("\n")))

    def _wait(self, number: int, process: subprocess.Popen[str], reader: threading.Thread) -> None:
        code = process.wait()
        reader.join(_LAST_WORDS)
        self._events.put(_Event(number, code=code if code >= 0 else 128 - code))

    def _send(self, signum: int) -> None:
        for process in self._living.values():
            with suppress(ProcessLookupError):
                process.send_signal(signum)

    @contextmanager
    def _ended_with_this(self) -> Iterator[None]:
        """Leave no process behind, whatever ends this one."""
        try:
            yield
        finally:
            self._send(signal.SIGTERM)
            for process in self._living.values():
                process.wait()


@contextmanager
def _signals_to(events: SimpleQueue[_Event | int]) -> Iterator[None]:
    """Put signals into a queue instead of what they do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, lambda number, _: events.put(int(number))) for signum in _SIGNUMS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
