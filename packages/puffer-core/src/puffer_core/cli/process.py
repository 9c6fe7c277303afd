"""What a command-line process owes its surroundings: an exit code for every end, and no traceback for any."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from puffer_core.errors import PufferWarning, ResourceError
from puffer_core.run.signals import whole_process

PIPE_CLOSED = 141
"""As for a process that SIGPIPE ended: whoever read our output had enough."""


def as_process(command: Callable[[], int]) -> int:
    """Run a command with output that any terminal can take, and give the exit code.

    Example:
        >>> as_process(lambda: 0)
        0
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # LANG=C cannot show every summary
    try:
        with whole_process(), _warnings_in_a_line():
            code = command()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # a closed stream
                stream.flush()
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        _discard_output()
        os.write(2, f"error: the output cannot be written: {error.strerror}\n".encode())
        return ResourceError.exit_code
    return code


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Show our own warnings without the line of code that gave them."""
    usual = warnings.formatwarning

    def shown(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, PufferWarning):
            return f"warning: {message}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = usual


@contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """Send what anybody writes to file descriptor 1, child processes included, to stderr."""
    try:
        os.fstat(2)
        saved = os.dup(1)
    except OSError:  # one of them is closed, so there is nothing to protect or nowhere to send it
        saved = -1
    try:
        if saved >= 0:
            _flush(sys.stdout)
            os.dup2(2, 1)
        yield
    finally:
        if saved >= 0:
            _flush(sys.stdout)
            os.dup2(saved, 1)
            os.close(saved)


def output_is_gone() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more."""
    import select

    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))


def _flush(stream: TextIO | None) -> None:
    if stream is not None:
        stream.flush()


def _discard_output() -> None:
    """Let what is still buffered go nowhere, or Python complains about it when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
