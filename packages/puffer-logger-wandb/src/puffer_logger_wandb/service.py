"""wandb's service, a process beside ours: it starts with the first run, may die, and may stop answering."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from subprocess import Popen
from threading import Timer
from types import ModuleType

_TEARDOWN_SECONDS = 5.0


@cache
def library() -> ModuleType:
    """The package wandb, imported when a run starts: that takes a second.

    Reports of its own errors to its makers are off, unless WANDB_ERROR_REPORTING is set. The service is this process's
    own: that of a process that started this one would hold the id of a run for ever when the run is killed.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if "wandb" not in sys.modules:
        os.environ.pop("WANDB_SERVICE", None)
    import wandb

    return wandb


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Kill the service if the block takes longer. What waits for it then raises.

    wandb's own calls wait for ever on a service that is there and does not answer.
    """
    timer = _killing(seconds)
    try:
        yield
    finally:
        timer.cancel()


def bound_exit(seconds: float) -> None:
    """Let the interpreter's exit wait no longer for the service than this. Call it when the service has started.

    wandb waits for it in an `atexit` hook; what is registered later runs earlier.
    """
    atexit.unregister(_killing)
    atexit.register(_killing, seconds)


def is_gone(error: Exception) -> bool:
    """Whether this is how wandb says that its service is not there any more."""
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    return isinstance(error, (ConnectionError, MailboxClosedError, HandleAbandonedError))


def forget() -> None:
    """Let go of a service that died, so that another run starts a new one and exit does not complain."""
    process = _process()
    if process is None:
        return
    timer = _killing(_TEARDOWN_SECONDS, process.kill)  # one that only seemed dead would be waited for without end
    with suppress(Exception, SystemExit):  # the broken connection that brought us here, or how the service ended
        library().teardown()
    timer.cancel()
    process.kill()
    process.wait()


def _killing(seconds: float, kill: Callable[[], None] | None = None) -> Timer:
    timer = Timer(seconds, kill or _kill)
    timer.daemon = True
    timer.start()
    return timer


def _kill() -> None:
    process = _process()
    if process is not None:
        process.kill()


def _process() -> Popen[bytes] | None:
    """The service, if there is one and it is ours; no public name of wandb leads to it."""
    connection = getattr(library().setup(), "_connection", None)
    return getattr(getattr(connection, "_proc", None), "_process", None)
