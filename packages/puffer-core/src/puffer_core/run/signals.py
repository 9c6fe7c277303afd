"""Signals of a run: the first asks it to stop after the update, a second SIGINT ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from puffer_core.errors import PufferError
from puffer_core.guests import handlers_kept

_SIGNUMS = (signal.SIGINT, signal.SIGTERM)
_install = signal.signal  # past `handlers_kept`
_whole_process = False


class RunStopped(PufferError):  # noqa: N818  nothing went wrong
    """A signal ended the run after its update was finished and saved. The exit code is the shell's, 128 + signal.

    Args:
        signum: the signal.
        step: where the run stands, in its unit.
        directory: of the run.
        checkpoint: what was saved.
        finished: the signal came when all was done: while the end was saved, or loggers or envs closed.
    """

    prefix = ""

    def __init__(self, signum: int, step: int, directory: Path, checkpoint: Path, *, finished: bool = False) -> None:
        name = signal.Signals(signum).name
        go_on = f"go on: puffer resume {directory}; see what it learned so far: puffer eval {directory}"
        super().__init__(
            f"{'finished, then ' if finished else ''}stopped by {name} at step {step:,}; saved in {checkpoint}",
            remedy=f"see what it learned: puffer eval {directory}" if finished else go_on,
        )
        self.exit_code = 128 + signum
        self.directory = directory
        self.checkpoint = checkpoint


class StopFlag:
    """Whether a signal asked the run to stop, and which; falsy until then.

    Args:
        leave: what must be done before the process ends at once.
    """

    def __init__(self, leave: Callable[[], object] = lambda: None) -> None:
        self.signum = 0
        self._leave = leave

    def __bool__(self) -> bool:
        return self.signum != 0

    def __call__(self, signum: int, _: FrameType | None) -> None:
        """The signal handler."""
        if not (self.signum and signum == signal.SIGINT):
            self.signum = self.signum or signum
        elif _whole_process:
            try:
                self._leave()
            finally:
                os._exit(128 + signum)
        else:
            raise KeyboardInterrupt

    def renew(self) -> None:
        """Catch the signals again, whatever an env did to them past `signal.signal`."""
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNUMS:
                _install(signum, self)


@contextmanager
def stop_on_signals(leave: Callable[[], object] = lambda: None) -> Iterator[StopFlag]:
    """Catch SIGINT and SIGTERM while a run lasts; outside the main thread, where none arrive, catch nothing.

    A SIGINT after the first signal raises KeyboardInterrupt wherever the program stands, or ends the process where
    that is all it does (`whole_process`). Handlers that envs install for these signals meanwhile are put aside.

    Args:
        leave: what must be done before the process ends at once; a signal handler calls it.
    """
    flag = StopFlag(leave)
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {signum: _install(signum, flag) for signum in _SIGNUMS}
    try:
        with handlers_kept(*_SIGNUMS):
            yield flag
    finally:
        for signum, handler in before.items():
            _install(signum, handler)


@contextmanager
def whole_process() -> Iterator[None]:
    """While this lasts, a second SIGINT ends the process within the signal handler.

    To unwind takes seconds: loggers and envs close, then the interpreter with its engines. Workers end with the
    process, and the kernel frees the run's lock.
    """
    global _whole_process  # noqa: PLW0603  it is a fact about the process
    _whole_process = True
    try:
        yield
    finally:
        _whole_process = False
