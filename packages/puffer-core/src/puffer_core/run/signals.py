"""Signals of a run: the first asks it to stop after the update, a second SIGINT stops it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from puffer_core.errors import PufferError
from puffer_core.guests import handlers_kept

_SIGNUMS = (signal.SIGINT, signal.SIGTERM)
_install = signal.signal  # past `handlers_kept`


class RunStopped(PufferError):  # noqa: N818  nothing went wrong
    """A signal ended the run after its update was finished and saved. The exit code is the shell's, 128 + signal.

    Args:
        signum: the signal.
        step: where the run stands, in its unit.
        directory: of the run.
        checkpoint: what was saved.
    """

    prefix = ""

    def __init__(self, signum: int, step: int, directory: Path, checkpoint: Path) -> None:
        name = signal.Signals(signum).name
        super().__init__(
            f"stopped by {name} at step {step:,}; saved in {checkpoint}",
            remedy=f"go on: puffer resume {directory}; see what it learned so far: puffer eval {directory}",
        )
        self.exit_code = 128 + signum
        self.directory = directory
        self.checkpoint = checkpoint


class StopFlag:
    """Whether a signal asked the run to stop, and which; falsy until then."""

    def __init__(self) -> None:
        self.signum = 0

    def __bool__(self) -> bool:
        return self.signum != 0

    def __call__(self, signum: int, _: FrameType | None) -> None:
        """The signal handler."""
        if self.signum and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = self.signum or signum

    def renew(self) -> None:
        """Catch the signals again, whatever an env did to them past `signal.signal`."""
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNUMS:
                _install(signum, self)


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Catch SIGINT and SIGTERM while a run lasts; outside the main thread, where none arrive, catch nothing.

    A SIGINT after the first signal raises KeyboardInterrupt wherever the program stands. Handlers that envs install for
    these signals meanwhile are put aside.
    """
    flag = StopFlag()
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
